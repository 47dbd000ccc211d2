"""How prominent the lesions of one study are: their signal on the aligned scale against the patient's own marrow."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from spondyl.core import Case, Lesion, Measurement, Sequence, Structure
from spondyl.core.marrow import TO_SD
from spondyl.harmonize.saliency import TUMOR_DIRECTION, lesion_saliency, scan_saliency
from spondyl.harmonize.tissues import eroded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Volume = NDArray[np.float32]

LESION_MARGIN_MM = 4.0
"""Marrow nearer to a lesion than this is not taken as normal: edema and partial volume. Chosen by us."""

BODY_EDGE_MM = 2.5
"""Marrow nearer to the edge of its body than this, in plane, is not taken as normal: there it is mixed with cortex and
disc, and at 3 T chemical shift moves its fat out of the body by up to this. Chosen by us."""

MIN_MARROW_VOXELS = 200
"""Fewest voxels of normal marrow to compare with. Chosen by us."""

METHOD = "change against the patient's normal marrow, in its standard deviations, on the aligned scale"


def measured_lesions(
    case: Case, aligned: Mapping[Sequence, tuple[Volume, Volume]], marrow: NDArray[np.bool_] | None = None
) -> tuple[Lesion, ...]:
    """Add to each lesion how prominent it is.

    Parameters
    ----------
    case : Case
        With lesions and the label maps ``"structures"`` and ``"lesions"``.
    aligned : mapping of Sequence to (ndarray of float32, ndarray of float32)
        Aligned signal, NaN where it was not seen, and its relative standard deviation.
    marrow : ndarray of bool, optional
        From `normal_marrow`, of the same case.

    Returns
    -------
    tuple of Lesion
        With the measurement ``saliency`` from 0 to 1, and in its note the part of each sequence.
    """
    sequences = [s for s in aligned if s in TUMOR_DIRECTION]
    labels = case.labels.get("lesions")
    if not case.lesions or labels is None or not sequences:
        return case.lesions
    marrow = normal_marrow(case) if marrow is None else marrow
    boxes = ndimage.find_objects(labels.array, max_label=max(lesion.label for lesion in case.lesions))
    change, spread = np.full((2, len(case.lesions), len(sequences)), np.nan)
    for column, s in enumerate(sequences):
        values, unsure = aligned[s]
        normal = values[marrow & np.isfinite(values)]
        if normal.size < MIN_MARROW_VOXELS:
            continue
        center = float(np.median(normal))
        width = TO_SD * float(np.median(np.abs(normal - center)))
        for row, lesion in enumerate(case.lesions):
            box = boxes[lesion.label - 1]
            if box is None:
                continue
            inside = (labels.array[box] == lesion.label) & np.isfinite(values[box])
            if inside.any():
                mean = float(np.mean(values[box][inside]))
                change[row, column] = mean - center
                spread[row, column] = np.hypot(width, mean * float(np.mean(unsure[box][inside])))
    found = lesion_saliency(change, spread, sequences)
    return tuple(
        replace(lesion, measurements=(*lesion.measurements, _saliency(score, parts, sequences)))
        for lesion, score, parts in zip(case.lesions, found.score, found.contributions, strict=True)
    )


def _saliency(score: float, parts: NDArray[np.float64], sequences: list[Sequence]) -> Measurement:
    if not np.isfinite(score):
        return Measurement("saliency", None, "1", method=METHOD, note="no normal marrow to compare with")
    told = [f"{sequences[i].value} {parts[i]:.2f}" for i in np.argsort(-parts) if parts[i] >= 0.005]
    return Measurement("saliency", float(score), "1", method=METHOD, note=f"by sequence: {', '.join(told) or 'none'}")


def study_saliency(case: Case) -> Measurement:
    """Score a study by its most prominent lesion.

    Parameters
    ----------
    case : Case
        With measured lesions.

    Returns
    -------
    Measurement
        From 0 to 1; 0 without lesions, None where none could be compared.
    """
    own = [m.value for lesion in case.lesions for m in lesion.measurements if m.name == "saliency"]
    score = scan_saliency(np.array([np.nan if value is None else value for value in own]))
    known = np.isfinite(score)
    note = "" if known else "no lesion could be compared with normal marrow"
    return Measurement("most prominent lesion", score if known else None, "1", method=METHOD, note=note)


def normal_marrow(case: Case) -> NDArray[np.bool_]:
    """Find marrow inside the bodies that is no lesion, nor near one.

    Parameters
    ----------
    case : Case
        With the label map ``"structures"``, and ``"lesions"`` where they were sought.

    Returns
    -------
    ndarray of bool
        On the grid of the structures. The edges of bodies are left out unless too little would stay.
    """
    structures, lesions = case.labels["structures"], case.labels.get("lesions")
    marrow = np.asarray(structures.array == Structure.BODY, bool)
    through = int(np.argmax(structures.grid.spacing_mm))
    pixel_mm = np.delete(structures.grid.spacing_mm, through).mean()
    inside = eroded(marrow, through, pixels=max(1, round(BODY_EDGE_MM / pixel_mm)))
    marrow = inside if inside.sum() >= MIN_MARROW_VOXELS else marrow
    if lesions is None or not lesions.array.any():
        return marrow
    box = ndimage.find_objects((lesions.array > 0).astype(np.uint8))[0]
    margin = [int(np.ceil(LESION_MARGIN_MM / s)) + 1 for s in structures.grid.spacing_mm]
    box = tuple(slice(max(b.start - m, 0), b.stop + m) for b, m in zip(box, margin, strict=True))
    distance = ndimage.distance_transform_edt(lesions.array[box] == 0, sampling=structures.grid.spacing_mm)
    marrow[box] &= distance > LESION_MARGIN_MM
    return marrow
