"""`spondyl export`: a study and its results, de-identified, for those who may not know whose they are."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - the command line reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spondyl.io.deidentify import Deidentification

KEY_BYTES = 32
"""Length of a key: that of the hash (RFC 2104 section 3)."""

MARK = "export.txt"
"""The file by which a folder is known to hold an export."""

LOOK = (
    "Pixels were not changed. Look at every picture before it leaves: words may be burned in where no header says so, "
    "and a field of view up to the head may show a face."
)


@dataclass
class Exported:
    """What an export wrote and what it left out.

    Parameters
    ----------
    written : int
        Objects.
    left_out : Counter of str
        How many were not taken, by reason.
    """

    written: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """Tell it.

        Returns
        -------
        list of str
            Without identifiers.
        """
        told = [f"{self.written} objects written"]
        told += [f"{count} left out: {why}" for why, count in self.left_out.most_common()]
        return [*told, LOOK]


def export_files(files: Iterable[Path], out: Path, how: Deidentification) -> Exported:
    """Write de-identified copies, named after their new UIDs.

    Parameters
    ----------
    files : iterable of Path
        DICOM files, results among them; what is none is left out.
    out : Path
        The folder to fill; it exists.
    how : Deidentification
        Key and options.

    Returns
    -------
    Exported
        What was written and what was not.
    """
    import pydicom

    from spondyl.core import InputError
    from spondyl.io.deidentify import deidentified
    from spondyl.io.dicom import UNREADABLE, quiet
    from spondyl.io.store import save

    told = Exported()
    for file in files:
        try:
            with quiet():
                made = deidentified(pydicom.dcmread(file), how)
                folder = out / made.SeriesInstanceUID
                folder.mkdir(exist_ok=True)
                save(made, folder / f"{made.SOPInstanceUID}.dcm")
        except InputError as error:
            told.left_out[str(error)] += 1
        except UNREADABLE:
            told.left_out["it cannot be read as DICOM"] += 1
        else:
            told.written += 1
    return told


def export(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="DICOM folder, zip file or DICOMDIR.")],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder: new, empty, or an earlier export.")],
    result: Annotated[
        Path | None, typer.Option("--result", metavar="DIR", help="Result of the study; its DICOM objects go along.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", metavar="FILE", help="Secret that keeps pseudonyms and UIDs equal over exports; made if missing."
        ),
    ] = None,
    dates: Annotated[str, typer.Option("--dates", help="remove, or shift: keep the days between them.")] = "remove",
    keep_characteristics: Annotated[
        bool, typer.Option("--keep-characteristics", help="Keep sex, age up to 90, size and weight.")
    ] = False,
) -> None:
    """Write a de-identified copy of a study and its results (PS3.15 Basic Profile).

    Parameters
    ----------
    study : Path
        The study.
    out : Path
        Folder of the copies.
    result : Path, optional
        What ``spondyl analyze`` wrote.
    key : Path, optional
        File of the secret; without it a new one is used and forgotten.
    dates : str
        ``remove`` or ``shift``.
    keep_characteristics : bool
        Keep sex, age, size and weight.
    """
    from spondyl.app.data_folder import secret_file
    from spondyl.core import InputError
    from spondyl.io.deidentify import Deidentification
    from spondyl.io.files import open_study
    from spondyl.io.store import OutputFolder

    if dates not in ("remove", "shift"):
        msg = "--dates wants remove or shift"
        raise typer.BadParameter(msg)
    fresh = secrets.token_bytes(KEY_BYTES)
    secret = fresh if key is None else secret_file(key, fresh)
    if len(secret) < KEY_BYTES:
        msg = f"the key file must hold at least {KEY_BYTES} bytes, got {len(secret)}; let the command make a new one"
        raise InputError(msg)
    how = Deidentification(secret, dates, keep_characteristics)  # type: ignore[arg-type]
    results = sorted((result / "dicom").glob("*.dcm")) if result is not None else []
    if result is not None and not results:
        msg = "the result given holds no DICOM objects; give the folder that spondyl analyze wrote"
        raise InputError(msg)
    with OutputFolder(out, mark=MARK) as folder, open_study(study) as (files, _):
        told = export_files([*(file.path for file in files), *results], folder, how)
        if not told.written:
            msg = f"nothing could be exported: {'; '.join(told.left_out) or 'there are no DICOM files'}"
            raise InputError(msg)
        (folder / MARK).write_text("\n".join(told.lines()) + "\n", encoding="utf-8")
    for line in told.lines():
        typer.echo(line, err=True)
    typer.echo(f"export: {out}")
