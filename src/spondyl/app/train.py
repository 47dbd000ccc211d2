"""`spondyl train`: networks for your own patients. This module reads the data; the training knows no files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from spondyl.training.finetune import FinetuneSettings, Origin
    from spondyl.training.volumes import WorkingVolume

NOTHING = "none"
"""Word for a network that starts from random weights."""

train = typer.Typer(
    help="Train networks on your own annotated images. Needs the extra `train`.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@train.callback()
def _root() -> None:
    """Train networks on your own annotated images. Needs the extra `train`."""


@train.command("segmentation", help="Train a network that outlines the spine or lesions, and measure it by patient.")
def segmentation(  # noqa: PLR0913 - every option is an argument
    *,
    data: Annotated[
        Path, typer.Option("--data", metavar="FOLDER|TABLE", help="Annotated images: a folder, or a CSV or TOML table.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the run; a run in it goes on.")],
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="NAME|FILE",
            help=f"Weights to start from, {NOTHING} for random ones; those of the package if not given.",
        ),
    ] = "",
    name: Annotated[str, typer.Option("--name", help="Name of the model.")] = "mine",
    folds: Annotated[int, typer.Option("--folds", min=0, help="Folds of the cross-validation by patient.")] = 5,
    final: Annotated[bool, typer.Option(help="Train on all images after the folds.")] = True,
    freeze: Annotated[
        str, typer.Option("--freeze", metavar="PART", help="Keep none or the encoder as it is.")
    ] = "none",
    keep: Annotated[
        float, typer.Option("--keep", min=0, help="Weight of keeping what is known of structures not outlined.")
    ] = 0.5,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Optimizer steps of each network.")] = 1000,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Patches a step.")] = 2,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Until it falls at the end.")] = 3e-4,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of folds, patches and network.")] = 1,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes that make patches.")] = 1,
    precision: Annotated[str, typer.Option("--precision", help="As Lightning Fabric names it.")] = "bf16-mixed",
    devices: Annotated[str, typer.Option("--devices", help="Devices on each node, as Fabric names them.")] = "auto",
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Machines that train together.")] = 1,
    preset: Annotated[str, typer.Option("--preset", help="Size of a new network: standard or tiny.")] = "standard",
) -> None:
    """Train a network that outlines the spine or its lesions, measure it by patient, and write it with its card.

    Parameters
    ----------
    data : Path
        Annotated images.
    out : Path
        Folder of the run.
    start : str
        Weights to start from.
    name : str
        Of the model.
    folds : int
        Of the cross-validation by patient.
    final : bool
        Whether a network is trained on all images.
    freeze : str
        What stays as it is.
    keep : float
        Weight of keeping what is known.
    steps, batch_size : int
        Of the optimizer.
    learning_rate : float
        Of the optimizer.
    seed, workers : int
        Of the stream of patches.
    precision, devices : str
        Of the machine.
    nodes : int
        Machines.
    preset : str
        Size of a new network.
    """
    settings_class, train_on_images = _needed("finetune", "FinetuneSettings", "train_on_images")
    settings: FinetuneSettings = settings_class(
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        workers=workers,
        seed=seed,
        precision=precision,
        devices=devices,
        nodes=nodes,
        folds=folds,
        final=final,
        freeze=freeze,
        keep=keep,
        preset=preset,
    )
    _show_progress()
    if _of_lesions(data):
        card = _train_lesions(data, out, settings, start, name)
    else:
        card = train_on_images(annotated_volumes(data), out, settings, origin=origin_of(start or "spine"), name=name)
    typer.echo(f"model: {card}")


def _of_lesions(data: Path) -> bool:
    """Say whether the labels mean lesions, and refuse a mixture."""
    from spondyl.core import InputError
    from spondyl.io.annotated import list_annotated

    (names_lesions,) = _needed("lesion_studies", "names_lesions")
    said = [names_lesions(row.meaning) for row in list_annotated(data)]
    if any(said) != all(said):
        number = said.index(not said[0]) + 1
        msg = f"image {number} of the data outlines something else than image 1: train spine and lesions apart"
        raise InputError(msg)
    return all(said)


def _train_lesions(data: Path, out: Path, settings: FinetuneSettings, start: str, name: str) -> Path:
    from spondyl.app.train_lesions import studies_with_lesions
    from spondyl.io.annotated import list_annotated
    from spondyl.pipeline.settings import Settings

    (train_on_images,) = _needed("finetune", "train_on_images")
    (task,) = _needed("own_lesions", "LESION_TASK")
    origin = origin_of(start or "lesions")
    studies = studies_with_lesions(list_annotated(data), out / "studies", Settings())
    card: Path = train_on_images(studies, out, settings, origin=origin, name=name, task=task)
    return card


Classes = Annotated[
    Path, typer.Option("--data", metavar="TABLE", help="CSV table: patient, study, level, class, subtype.")
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the run; a run in it goes on.")]
Start = Annotated[
    str, typer.Option("--from", metavar="NAME|FILE", help=f"Weights to start from; {NOTHING} for random ones.")
]
ModelName = Annotated[str, typer.Option("--name", help="Name of the model.")]
Folds = Annotated[int, typer.Option("--folds", min=2, help="Folds of the cross-validation by patient.")]
Steps = Annotated[int, typer.Option("--steps", min=1, help="Optimizer steps of each network.")]
Rate = Annotated[float, typer.Option("--learning-rate", help="Until it falls at the end.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of folds, batches and network.")]


@train.command("classification", help="Train a network that tells the class of each vertebra from its surroundings.")
def classification(  # noqa: PLR0913 - every option is an argument
    *,
    data: Classes,
    out: Out,
    kind: Annotated[str, typer.Option("--network", help="resnet or densenet.")] = "resnet",
    start: Start = "",
    name: ModelName = "mine",
    folds: Folds = 5,
    steps: Steps = 300,
    learning_rate: Rate = 1e-3,
    seed: Seed = 1,
    preset: Annotated[
        str, typer.Option("--preset", help="Size: standard, or medical for a pre-trained MedicalNet ResNet-10.")
    ] = "standard",
) -> None:
    """Train a network that tells the class of each vertebra from its surroundings.

    Parameters
    ----------
    data : Path
        Table of vertebrae.
    out : Path
        Folder of the run.
    kind : str
        Of network.
    start : str
        Weights to start from; those of the package by default.
    name : str
        Of the model.
    folds, steps : int
        Of the training.
    learning_rate : float
        Of the optimizer.
    seed : int
        Of everything random.
    preset : str
        Size of the network.
    """
    loop = {"network": kind, "steps": steps, "learning_rate": learning_rate, "seed": seed}
    _train_classes(data, out, loop, folds=folds, preset=preset, start=start, name=name)


@train.command("context", help="Train a transformer that tells the class of each vertebra from all levels together.")
def context(  # noqa: PLR0913 - every option is an argument
    *,
    data: Classes,
    out: Out,
    start: Start = "",
    name: ModelName = "mine",
    folds: Folds = 5,
    steps: Steps = 300,
    learning_rate: Rate = 1e-3,
    seed: Seed = 1,
) -> None:
    """Train a transformer that tells the class of each vertebra from all levels and sequences together.

    Parameters
    ----------
    data : Path
        Table of vertebrae.
    out : Path
        Folder of the run.
    start : str
        Weights to start from; those of the package by default.
    name : str
        Of the model.
    folds, steps : int
        Of the training.
    learning_rate : float
        Of the optimizer.
    seed : int
        Of everything random.
    """
    loop = {"network": "context", "steps": steps, "learning_rate": learning_rate, "seed": seed}
    _train_classes(data, out, loop, folds=folds, preset="standard", start=start, name=name)


def _train_classes(
    data: Path, out: Path, loop: dict[str, Any], *, folds: int, preset: str, start: str, name: str
) -> None:
    settings_class, train_on_studies = _needed("own_classes", "OwnClassSettings", "train_on_studies")
    (loop_class,) = _needed("classification", "ClassifierSettings")
    settings = settings_class(loop_class(**loop), folds=folds, preset=preset)
    origin = origin_of(start or f"vertebrae_{loop['network']}")
    _show_progress()
    from spondyl.app.train_classes import crops_of_studies
    from spondyl.pipeline.settings import Settings

    cohort, patients = crops_of_studies(data, out / "studies", Settings())
    card = train_on_studies(cohort, patients, out, settings, origin=origin, name=name)
    typer.echo(f"model: {card}")


def _needed(module: str, *names: str) -> list[Any]:
    """Import parts of the training, or say what to install."""
    from importlib import import_module

    from spondyl.core import SettingsError

    try:
        found = import_module(f"spondyl.training.{module}")
    except ImportError as error:
        msg = f"training needs {error.name}, which is not installed; install the extra: pip install 'spondyl[train]'"
        raise SettingsError(msg) from error
    return [getattr(found, name) for name in names]


def _show_progress() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("spondyl").setLevel(logging.INFO)


def origin_of(start: str) -> Origin:
    """Find the weights that a network starts from.

    Parameters
    ----------
    start : str
        Name of a network of the package, path of a card, graph, checkpoint or torch file, or `NOTHING`.

    Returns
    -------
    Origin
        The weights, read as data.

    Raises
    ------
    ModelError
        If there are none.
    """
    from spondyl.core import ModelError
    from spondyl.io.weights import packaged_folder

    origin_class, read_weights = *_needed("finetune", "Origin"), *_needed("transfer", "read_weights")
    if start == NOTHING:
        return origin_class()
    packaged = packaged_folder() / f"{start}.toml"
    path = packaged if packaged.is_file() else Path(start)
    if not path.is_file():
        msg = f"weights to start from are wanted as a name (`spondyl models list`) or a file, got {path.name!r}"
        raise ModelError(msg)
    return origin_class(path.stem, read_weights(path))


def annotated_volumes(data: Path) -> list[WorkingVolume]:
    """Read annotated images into the space that the network works in.

    Parameters
    ----------
    data : Path
        A folder or table.

    Returns
    -------
    list of WorkingVolume
        In the order of the data.

    Raises
    ------
    InputError
        If an image cannot be used, or two name the same file.
    """
    from spondyl.io.annotated import list_annotated, read_annotated

    (read_meanings,) = _needed("partial", "read_meanings")
    annotated_class, prepare = _needed("volumes", "AnnotatedImage", "prepare")
    volumes = []
    for row in list_annotated(data):
        image, labels = read_annotated(row)
        meanings = read_meanings(row.meaning)
        volumes.append(prepare(annotated_class(row.number, row.patient, image, labels, meanings)))
    return volumes
