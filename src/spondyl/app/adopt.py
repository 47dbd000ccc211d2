"""`spondyl models adopt`: take over a network that was made elsewhere."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - the command line reads the annotations
from typing import Annotated

import typer


def adopt(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Model folder of nnU-Net v2 (plans.json), or MONAI bundle (configs)."),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for graph and card.")],
    meaning: Annotated[
        str,
        typer.Option("--meaning", help="What its labels mean: '1=body+cortex; 2=disc', or '1=malignant; 2=benign'."),
    ],
    channels: Annotated[
        str, typer.Option("--channels", help="Sequences of its channels in order, alternatives with /: T2,T1/DIXON_IN.")
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the model.")] = "adopted",
    orientation: Annotated[
        str,
        typer.Option("--orientation", help="Axes of its training images, such as LPS, where the model does not tell."),
    ] = "",
    fold: Annotated[str, typer.Option("--fold", help="Fold of an nnU-Net; the first if not given.")] = "",
) -> None:
    """Take over a network that was made elsewhere.

    Parameters
    ----------
    folder : Path
        The model.
    out : Path
        Folder for graph and card.
    meaning : str
        Of its labels.
    channels : str
        Sequences of its channels.
    name : str
        Of the model.
    orientation : str
        Of its training images.
    fold : str
        Of an nnU-Net.
    """
    from spondyl.app.train import _needed
    from spondyl.core import InputError, Sequence

    (adoption_class,), (take_over,) = _needed("adoption", "Adoption"), _needed("adopt", "adopt")
    words = {}
    for part in filter(None, (p.strip() for p in meaning.split(";"))):
        value, sign, word = part.partition("=")
        if not sign:
            msg = f"--meaning wants lines such as '1=body+cortex; 2=disc', got {part!r}"
            raise InputError(msg)
        words[value.strip()] = word.strip()
    known = {s.value for s in Sequence if s is not Sequence.UNKNOWN}
    named = [[s.strip().upper() for s in names.split("/")] for names in channels.split(",")]
    if unknown := [s for names in named for s in names if s not in known]:
        msg = f"--channels wants sequences of {', '.join(sorted(known))}; got {unknown[0]!r}"
        raise InputError(msg)
    taken = tuple(tuple(Sequence(s) for s in names) for names in named)
    adoption = adoption_class(name, words, taken, orientation.strip().upper(), fold.strip())
    card = take_over(folder, out, adoption)
    typer.echo(f"model: {card}")
