"""Find a model's card and graph, check the hash, and load it. Never downloads anything."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

from spondyl.core import ModelError
from spondyl.models import ModelCard, OpenVinoNetwork, parse_card


def packaged_folder() -> Path:
    """Give the folder of the weights that come with the package.

    Returns
    -------
    Path
        A folder of cards and graphs.
    """
    return Path(str(resources.files("spondyl.models") / "weights"))


def packaged_cards() -> list[ModelCard]:
    """Read the cards of all models that come with the package.

    Returns
    -------
    list of ModelCard
        In order of name.
    """
    return [read_card(path) for path in sorted(packaged_folder().glob("*.toml"))]


def read_card(path: Path) -> ModelCard:
    """Read a model card.

    Parameters
    ----------
    path : Path
        A TOML file.

    Returns
    -------
    ModelCard
        The card.

    Raises
    ------
    ModelError
        If it is missing or not a card.
    """
    try:
        return parse_card(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the model card {path.name} cannot be read ({type(error).__name__}); give a card that exists"
        raise ModelError(msg) from error


def load_network(name_or_path: str, *, threads: int = 0) -> OpenVinoNetwork:
    """Load a network.

    Parameters
    ----------
    name_or_path : str
        Name of a model of the package, or path of a card.
    threads : int, optional
        Processor threads; 0 takes all.

    Returns
    -------
    OpenVinoNetwork
        Ready to run; the graph itself is read at the first use.

    Raises
    ------
    ModelError
        If the model is unknown, or its weights are missing or not the ones of the card.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = packaged_folder() / f"{name_or_path}.toml"
        if not path.exists():
            known = ", ".join(p.stem for p in sorted(packaged_folder().glob("*.toml"))) or "none"
            msg = f"a model of the package ({known}) or the path of a card is wanted, got {name_or_path!r}"
            raise ModelError(msg)
    card = read_card(path)
    graph = path.parent / card.weights
    check_weights(card, graph)
    return OpenVinoNetwork(card, graph, threads=threads)


def check_weights(card: ModelCard, graph: Path) -> None:
    """Check that a graph is the one its card describes.

    Parameters
    ----------
    card : ModelCard
        The card.
    graph : Path
        The ONNX file.

    Raises
    ------
    ModelError
        If it is missing or has another hash.
    """
    if not graph.exists():
        msg = f"the weights {card.weights} of {card.name} are missing beside their card; install the model again"
        raise ModelError(msg)
    digest = hashlib.sha256(graph.read_bytes()).hexdigest()
    if digest != card.sha256:
        msg = (
            f"the weights of {card.name} are not the ones its card describes (SHA-256 {card.sha256[:12]}… wanted, "
            f"got {digest[:12]}…); install the model again"
        )
        raise ModelError(msg)
