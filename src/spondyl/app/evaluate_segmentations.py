"""Folders of label maps against their truth.

File names pair the maps. They may hold a patient's name, so results count studies in the order of the listing instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.app.evaluate_files import Evaluation
from spondyl.core import InputError, LabelMap, SpondylError
from spondyl.evaluation.records import Table
from spondyl.evaluation.segmentation import Outcome, score_label_maps, summarize
from spondyl.io.files import StudyFile, walk
from spondyl.io.nifti import read_nifti
from spondyl.io.page import Cells, Heading, Page, Remarks, Words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from spondyl.evaluation.segmentation import SegmentationScores, SegmentationSummary

UNFIT_FLAGS = ("volumes_ignored", "not_a_number")
"""What a reader of pictures may repair, and a truth must not have."""

_SOURCES = (
    "Overlap: Dice 1945, doi 10.2307/1932409. Surface Dice: Nikolov 2018, arXiv 1809.04430. Choice of measures: "
    "Maier-Hein 2024, doi 10.1038/s41592-023-02151-z. Intervals: percentiles over resampled studies."
)


def evaluate_segmentations(
    truth: Path, predicted: Path, labels: Sequence[int] | None, tolerance_mm: float
) -> Evaluation:
    """Score every predicted label map against the true one of the same name.

    Parameters
    ----------
    truth, predicted : Path
        Folders of NIfTI label maps.
    labels : sequence of int or None
        Which labels; all where None.
    tolerance_mm : float
        Tolerance of the surface Dice, in mm.

    Returns
    -------
    Evaluation
        Scores of every study, their means with intervals, and the report.

    Raises
    ------
    InputError
        If a folder is missing or holds no label map, a truth has no prediction, or a file is no label map.
    GeometryError
        If a pair does not lie on one grid.
    """
    true, made = _listing(truth, "truth"), _listing(predicted, "predicted")
    predictions = {file.name: file for file in made}
    missing = [file for file in true if file.name not in predictions]
    if missing:
        msg = (
            f"every true label map needs a prediction of the same file name, {len(missing)} of {len(true)} have none "
            f"(first: {missing[0].where}); write an empty map where nothing was found"
        )
        raise InputError(msg)
    scores = [_score(file, predictions[file.name], labels, tolerance_mm) for file in true]
    summary = summarize(scores)
    notes = ["Every file counts as a patient of its own; several studies of one patient make intervals too narrow."]
    if len(made) > len(true):
        notes.append(f"{len(made) - len(true)} predictions have no truth and were not used.")
    document = {"task": "segmentations", "summary": summary, "studies": scores, "notes": notes}
    return Evaluation(document, _page(summary, scores, notes))


def _listing(folder: Path, which: str) -> list[StudyFile]:
    if not folder.is_dir():
        msg = f"expected the folder of {which} label maps, but there is none; check the path"
        raise InputError(msg)
    listed = [StudyFile(n, p, p.relative_to(folder).as_posix()) for n, p in enumerate(walk(folder), 1)]
    files = [file for file in listed if file.is_nifti]
    if not files:
        msg = f"expected NIfTI files (.nii, .nii.gz) in the folder of {which} label maps, got {len(listed)} other files"
        raise InputError(msg)
    return files


def _score(
    true: StudyFile, predicted: StudyFile, labels: Sequence[int] | None, tolerance_mm: float
) -> SegmentationScores:
    try:
        return score_label_maps(_labels(true), _labels(predicted), labels=labels, tolerance_mm=tolerance_mm)
    except SpondylError as error:
        msg = f"{error} (truth: {true.where}; prediction: {predicted.where})"
        raise type(error)(msg) from error


def _labels(file: StudyFile) -> LabelMap:
    volume = read_nifti(file)
    array = volume.array
    repaired = any(flag.code in UNFIT_FLAGS for flag in volume.flags)
    if repaired or array.min() < 0 or array.max() > np.iinfo(np.uint16).max or (array != np.round(array)).any():
        msg = f"expected one volume of whole numbers from 0 as a label map, got another image: {file.where}"
        raise InputError(msg)
    return LabelMap(array.astype(np.uint16), volume.grid)


def _page(summary: SegmentationSummary, scores: Sequence[SegmentationScores], notes: Sequence[str]) -> Page:
    n = len(scores)
    subject = f"{n} {'study' if n == 1 else 'studies'}"
    head = ("study", "labels", "missed", "extra", "Dice", "surface Dice", "HD95 (mm)", "ASSD (mm)")
    measures = ("dice", "surface_dice", "hd95_mm", "assd_mm")
    counted = (Outcome.MISSED, Outcome.EXTRA)
    rows = [
        (i, len(s.labels), *(s.count(o) for o in counted), *(s.mean(m) for m in measures))
        for i, s in enumerate(scores, 1)
    ]
    policy = "Missed and extra labels score 0 in overlap and the diagonal of the field of view in distance."
    made = Table.of("", head, rows, (f"surface Dice at {scores[0].tolerance_mm:g} mm",))
    return Page(
        f"Mean Dice is {summary.means['dice']}",
        "Segmentation",
        subject,
        (
            Words(policy, "lead"),
            Heading("Means over studies"),
            Cells(summary.table(), titled=False),
            Heading("What limits this result"),
            Remarks(tuple(notes)),
            Heading("Studies", "in the order of the listing of the folder of truths"),
            Cells(made, titled=False),
            Heading("Methods"),
            Words(_SOURCES),
        ),
    )
