"""Features of a lesion's image, in the names and units of a cohort's imaging table.

Contrast is the logarithm of the lesion's mean over that of the patient's own normal marrow on the same image, so no
scale of a scanner enters; variation is the coefficient of variation (7TET). Names and shapes are those of the Image
Biomarker Standardisation Initiative (Zwanenburg 2020, arXiv:1612.07003). What a study does not show is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Sequence, Structure
from spondyl.core.anatomy import LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Case, Image, LabelMap, Lesion

    Floats = NDArray[np.float64]

CONTRASTS = (Sequence.T1, Sequence.T2, Sequence.STIR, Sequence.T1CE, Sequence.DWI)
"""Sequences with a contrast."""

MIN_VOXELS = 8
"""Lesions and marrow of fewer voxels on an image are not measured. Chosen by us."""

SHORT_LEVELS = tuple(level for level in LEVELS if level not in ("T13", "L6"))
"""Levels that most people have, from the head down."""


def lead_lesion(case: Case) -> Lesion | None:
    """Choose the lesion that stands for a patient.

    Parameters
    ----------
    case : Case
        Analyzed.

    Returns
    -------
    Lesion or None
        The first, which is the most suspicious; None if there is none.
    """
    return case.lesions[0] if case.lesions else None


def lesion_features(case: Case, lesion: Lesion) -> dict[str, float]:
    """Measure a lesion.

    Parameters
    ----------
    case : Case
        With the label maps ``"lesions"``, ``"structures"`` and ``"vertebrae"``.
    lesion : Lesion
        One of its lesions.

    Returns
    -------
    dict of str to float
        By feature name; what cannot be measured is left out.
    """
    if not {"lesions", "structures", "vertebrae"} <= set(case.labels):
        return {}
    found = _shape(case, lesion)
    for sequence in CONTRASTS:
        image = case.images.get(sequence)
        if image is None:
            continue
        inside, marrow = _values(case, lesion, image)
        if len(inside) >= MIN_VOXELS and len(marrow) >= MIN_VOXELS and inside.mean() > 0 and marrow.mean() > 0:
            found[f"{sequence}_contrast"] = float(np.log(inside.mean() / marrow.mean()))
            found[f"{sequence}_variation"] = float(inside.std() / inside.mean())
    adc = case.images.get(Sequence.ADC)
    if adc is not None:
        inside = _values(case, lesion, adc)[0]
        inside = inside[inside > 0]
        if len(inside) >= MIN_VOXELS:
            found["ADC_mean_um2_s"] = float(inside.mean())
            found["ADC_percentile_10_um2_s"] = float(np.percentile(inside, 10))
            found["ADC_variation"] = float(inside.std() / inside.mean())
    return found


def _values(case: Case, lesion: Lesion, image: Image) -> tuple[Floats, Floats]:
    """Values of an image in the lesion, and in the marrow of bodies without any; looked up voxel by voxel in LPS."""
    lesions, structures = case.labels["lesions"], case.labels["structures"]
    sick = np.unique(case.labels["vertebrae"].array[lesions.array > 0])
    healthy = (structures.array == Structure.BODY) & ~np.isin(case.labels["vertebrae"].array, sick[sick > 0])
    return _sampled(image, lesions, lesions.array == lesion.label), _sampled(image, structures, healthy)


MOST_SAMPLES = 20_000
"""Voxels of marrow that are looked up; more are thinned evenly. Chosen by us, for time."""


def _sampled(image: Image, labels: LabelMap, where: NDArray[np.bool_]) -> Floats:
    """Nearest values of an image at marked voxels of a label map; those outside the image are left out."""
    ijk = np.argwhere(where)
    ijk = ijk[:: max(1, len(ijk) // MOST_SAMPLES)]
    if not len(ijk):
        return np.empty(0)
    at = np.rint(image.grid.lps_to_ijk(labels.grid.ijk_to_lps(ijk))).astype(np.intp)
    inside = ((at >= 0) & (at < image.array.shape)).all(axis=1)
    i, j, k = at[inside].T
    return np.asarray(image.array[i, j, k], dtype=np.float64)


def _shape(case: Case, lesion: Lesion) -> dict[str, float]:
    labels = case.labels["lesions"]
    mask = labels.array == lesion.label
    found = {"log_volume_mm3": float(np.log(max(lesion.volume_mm3, 1.0)))}
    places = labels.grid.ijk_to_lps(np.argwhere(mask))
    if len(places) >= MIN_VOXELS:
        least, minor, major = np.maximum(np.linalg.eigvalsh(np.cov(places.T)), 0)
        found["elongation"] = float(np.sqrt(minor / max(major, 1e-12)))
        found["flatness"] = float(np.sqrt(least / max(major, 1e-12)))
    structures = case.labels["structures"].array
    bone = np.isin(structures, (Structure.BODY, Structure.CORTEX, Structure.POSTERIOR, Structure.S1, Structure.SACRUM))
    if mask.any() and lesion.compartment == "bone":
        found["outside_bone_share"] = float((mask & ~bone).sum() / mask.sum())
    host = next((v for v in case.vertebrae if v.instance == lesion.vertebra_instance), None)
    if host is not None:
        body = case.labels["vertebrae"].array == host.instance
        found["vertebra_share"] = float((mask & body).sum() / max(int(body.sum()), 1))
    if lesion.level in SHORT_LEVELS:
        found["level_position"] = SHORT_LEVELS.index(lesion.level) / (len(SHORT_LEVELS) - 1)
    return found
