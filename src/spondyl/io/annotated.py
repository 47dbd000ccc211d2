"""Read images that somebody outlined: from a table, or from a folder whose names say what belongs together.

A table is CSV or TOML, one row an image: ``patient, image, labels, sequence, meaning``. A folder holds
``NAME_image.nii.gz`` with ``NAME_labels.nii.gz``. Messages count rows and files and never name a patient.
"""

from __future__ import annotations

import csv
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import GeometryError, Image, InputError, LabelMap, Sequence, reorient
from spondyl.io.files import NIFTI_SUFFIXES, StudyFile
from spondyl.io.nifti import read_nifti
from spondyl.io.seg_reader import read_segmentation
from spondyl.io.study import read_study

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from spondyl.core import Grid

MEANING_FILE = "labels.toml"
"""Says in a folder what the values of all its label maps mean."""

IMAGE_END = "_image"
LABEL_ENDS = ("_labels", "_vertebrae")
"""What follows a name in the files of a folder."""

COLUMNS = ("patient", "image", "labels", "sequence", "meaning")
REQUIRED = COLUMNS[:3]
"""Columns of a table; a sequence that is missing is recognized, a meaning that is missing is that of the folder."""

EXAMPLE = "1=body+cortex; 2=disc"


@dataclass(frozen=True)
class AnnotatedRow:
    """One image of an annotated data set, not yet read.

    Parameters
    ----------
    number : int
        Its place in the table or folder, from 1.
    patient : str
        Whose it is.
    image : Path
        NIfTI file, or a DICOM folder or file.
    labels : Path
        NIfTI file or DICOM Segmentation.
    sequence : Sequence
        What the image shows; unknown if it is to be recognized.
    meaning : mapping of str to str
        What the values of the labels mean, in words.
    """

    number: int
    patient: str
    image: Path
    labels: Path
    sequence: Sequence
    meaning: Mapping[str, str]

    @property
    def where(self) -> str:
        """How messages name it."""
        return f"image {self.number} of the data"


def list_annotated(data: Path) -> list[AnnotatedRow]:
    """List the images of an annotated data set.

    Parameters
    ----------
    data : Path
        A folder, or a table as CSV or TOML; paths in it are relative to it.

    Returns
    -------
    list of AnnotatedRow
        In order.

    Raises
    ------
    InputError
        If there is none, or a row is incomplete.
    """
    if data.is_dir():
        rows = _rows_of_folder(data)
    elif data.suffix.lower() in (".csv", ".tsv"):
        rows = _rows_of_csv(data)
    elif data.suffix.lower() == ".toml":
        rows = _rows_of_toml(data)
    else:
        msg = "annotated data are wanted as a folder or as a table (.csv, .tsv, .toml); check the path behind --data"
        raise InputError(msg)
    if not rows:
        msg = f"no annotated images found; a folder holds NAME{IMAGE_END}.nii.gz with NAME{LABEL_ENDS[0]}.nii.gz"
        raise InputError(msg)
    return rows


def _rows_of_folder(folder: Path) -> list[AnnotatedRow]:
    given = folder / MEANING_FILE
    meaning = _meaning_of_toml(_read_toml(given)) if given.is_file() else {}
    rows: list[AnnotatedRow] = []
    for image in sorted(folder.glob(f"*{IMAGE_END}.nii*")):
        name = image.name.rsplit(IMAGE_END, 1)[0]
        found = [p for end in LABEL_ENDS for p in sorted(folder.glob(f"{name}{end}.nii*"))]
        if not found:
            continue
        patient, sequence = _patient_and_sequence(name)
        rows.append(_row(len(rows) + 1, patient, (image, found[0]), sequence, meaning))
    return rows


def _patient_and_sequence(name: str) -> tuple[str, Sequence]:
    """Take a name such as ``case7_T1_repeat`` apart: the patient comes before the first word that is a sequence."""
    words = name.split("_")
    known = {s.value: s for s in Sequence if s is not Sequence.UNKNOWN and "_" not in s.value}
    for place, word in enumerate(words):
        if place and word.upper() in known:
            return "_".join(words[:place]), known[word.upper()]
    return name, Sequence.UNKNOWN


def _rows_of_csv(path: Path) -> list[AnnotatedRow]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            table = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"the table of annotated images cannot be read ({type(error).__name__}); save it as CSV in UTF-8"
        raise InputError(msg) from None
    return [_row_of(n, {k: v or "" for k, v in row.items() if k}, path.parent, {}) for n, row in enumerate(table, 1)]


def _rows_of_toml(path: Path) -> list[AnnotatedRow]:
    table = _read_toml(path)
    common = _meaning_of_toml(table) if "labels" in table else {}
    images = table.get("image", [])
    if not isinstance(images, list) or not all(isinstance(i, dict) for i in images):
        msg = "a TOML table of annotated images wants one [[image]] for each; see the guide on training"
        raise InputError(msg)
    return [_row_of(n, image, path.parent, common) for n, image in enumerate(images, 1)]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"a TOML file of the annotated data cannot be read ({type(error).__name__}); correct its syntax"
        raise InputError(msg) from None


def _meaning_of_toml(table: Mapping[str, Any]) -> dict[str, str]:
    meaning = table.get("labels")
    if not isinstance(meaning, dict) or not all(isinstance(v, str) for v in meaning.values()):
        msg = 'the meaning of labels is wanted as a table [labels] with lines such as 1 = "body+cortex"'
        raise InputError(msg)
    return {str(k): v for k, v in meaning.items()}


def _row_of(number: int, row: Mapping[str, Any], base: Path, common: Mapping[str, str]) -> AnnotatedRow:
    unknown, missing = sorted(set(row) - set(COLUMNS)), [c for c in REQUIRED if not str(row.get(c, "")).strip()]
    if unknown or missing:
        fault = f"has unknown column {unknown[0]!r}" if unknown else f"lacks {missing[0]!r}"
        msg = f"row {number} of the table {fault}; columns are {', '.join(COLUMNS)}, the first three are needed"
        raise InputError(msg)
    text = str(row.get("sequence", "")).strip().upper()
    if text not in {s.value for s in Sequence} | {""}:
        msg = f"row {number} of the table wants a sequence of {', '.join(s.value for s in Sequence)}"
        raise InputError(msg)
    said = row.get("meaning", "")
    meaning = {str(k): str(v) for k, v in said.items()} if isinstance(said, dict) else _meaning_of_text(said, number)
    paths = base / str(row["image"]).strip(), base / str(row["labels"]).strip()
    sequence = Sequence(text) if text else Sequence.UNKNOWN
    return _row(number, str(row["patient"]).strip(), paths, sequence, meaning or common)


def _meaning_of_text(text: str, number: int) -> dict[str, str]:
    meaning = {}
    for part in filter(None, (p.strip() for p in text.split(";"))):
        value, sign, name = part.partition("=")
        if not sign:
            msg = f"the meaning in row {number} of the table must look like {EXAMPLE!r}"
            raise InputError(msg)
        meaning[value.strip()] = name.strip()
    return meaning


def _row(
    number: int, patient: str, paths: tuple[Path, Path], sequence: Sequence, meaning: Mapping[str, str]
) -> AnnotatedRow:
    if not meaning:
        msg = (
            f"it is not said what the labels of image {number} of the data mean; write a file {MEANING_FILE} with a "
            f"table [labels] into the folder, or a column meaning such as {EXAMPLE!r}"
        )
        raise InputError(msg)
    return AnnotatedRow(number, patient, *paths, sequence, meaning)


def read_annotated(row: AnnotatedRow) -> tuple[Image, LabelMap]:
    """Read one image and its labels.

    Parameters
    ----------
    row : AnnotatedRow
        From `list_annotated`.

    Returns
    -------
    image : Image
        The image.
    labels : LabelMap
        On its voxels.

    Raises
    ------
    InputError
        If a file is missing or cannot be read.
    GeometryError
        If the labels lie on other voxels than the image.
    """
    for path, what in ((row.image, "image"), (row.labels, "labels")):
        if not path.exists():
            msg = f"the {what} of {row.where}: there is no such file; check the path"
            raise InputError(msg)
    try:
        image = _read_image(row)
        array = _read_labels(row.labels, image.grid)
    except InputError as error:
        msg = f"{row.where} cannot be used: {error}"
        raise type(error)(msg) from error
    return image, LabelMap(array, image.grid)


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def _read_image(row: AnnotatedRow) -> Image:
    given = row.sequence is not Sequence.UNKNOWN
    named: dict[Sequence, Path] = {row.sequence: row.image} if given and _is_nifti(row.image) else {}
    images = read_study(row.image, sequence_files=named or None).case.images
    if given:
        if row.sequence not in images:
            msg = f"sequence {row.sequence} is wanted, got {', '.join(map(str, images))}"
            raise InputError(msg)
        return images[row.sequence]
    if len(images) != 1:
        msg = f"it holds {len(images)} sequences ({', '.join(map(str, images))}); say which was outlined"
        raise InputError(msg)
    return next(iter(images.values()))


def _read_labels(path: Path, grid: Grid) -> np.ndarray:
    if not _is_nifti(path):
        values = np.zeros(grid.shape, np.uint16)
        for info, mask in read_segmentation(path, on=grid):
            values[np.asarray(mask.array) > 0.5] = info.number
        return values
    volume = read_nifti(StudyFile(1, path, path.name))
    own = volume.grid.reoriented(grid.orientation)
    if not own.same_space(grid):
        msg = "its labels lie on other voxels than the image; resample them onto it"
        raise GeometryError(msg)
    values = reorient(volume.array, volume.grid.orientation, grid.orientation)
    if values.min() < 0 or (values != np.round(values)).any() or values.max() > np.iinfo(np.uint16).max:
        msg = "its labels must be whole numbers from 0"
        raise InputError(msg)
    return values.astype(np.uint16)
