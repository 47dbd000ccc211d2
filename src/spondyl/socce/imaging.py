"""Features of a lesion's image, in the names and units of a cohort's imaging table.

Names and definitions are those of the Image Biomarker Standardisation Initiative (Zwanenburg 2020, arXiv:1612.07003);
its codes stand in `OF_SEQUENCE` and `OF_LESION`. Where the images of a study were brought to one scale, features are
measured on that, so that scanner and protocol enter as little as the signal equations allow; else on the images as
acquired. What a study does not show is left out.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from spondyl.core import Image, Sequence, Structure
from spondyl.core.anatomy import LEVELS
from spondyl.core.at_once import at_once
from spondyl.core.radiomics import co_occurrence, directions_in_slices, first_order, gray_levels, shape, texture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from spondyl.core import Case, Lesion, Vertebra

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Places = NDArray[np.intp]

CONTRASTS = (Sequence.T1, Sequence.T2, Sequence.STIR, Sequence.T1CE, Sequence.DWI)
"""Sequences with a contrast."""

OF_SEQUENCE: Mapping[str, str] = MappingProxyType(
    {
        "mean": "mean (Q4LE) on the common scale, where fully relaxed CSF has 1000; only where images were aligned",
        "contrast": "natural logarithm of the mean over that of the patient's own normal marrow on the same image",
        "variation": "coefficient of variation (7TET)",
        "skewness": "skewness (KE2A)",
        "entropy": "joint entropy of co-occurring gray levels (TU9B), in bits",
        "inverse_difference": "inverse difference of co-occurring gray levels (IB1Z)",
        "uniformity": "angular second moment of co-occurring gray levels (8ZQL)",
    }
)
"""Features of each sequence; their names follow the sequence's, as in ``T1_contrast``."""

OF_LESION: Mapping[str, str] = MappingProxyType(
    {
        "ADC_mean_um2_s": "mean (Q4LE) of the apparent diffusion coefficient, in 10⁻⁶ mm²/s",
        "ADC_percentile_10_um2_s": "its 10th percentile (QG58)",
        "ADC_variation": "its coefficient of variation (7TET)",
        "fat_fraction_percent": "mean signal fat fraction of a Dixon series, in percent",
        "fat_fraction_variation": "its coefficient of variation (7TET)",
        "log_volume_mm3": "natural logarithm of the volume by counting voxels (YEKZ), in mm³",
        "elongation": "elongation (Q3CK)",
        "flatness": "flatness (N17B)",
        "outside_bone_share": "share of a bone lesion that lies outside bone",
        "vertebra_share": "share of its vertebra that the lesion takes",
        "level_position": "level, from 0 for C1 to 1 for the last",
        "posterior_position": "place in the vertebral body, from -1 at its front to 1 at its back",
        "lateral_position": "distance from the body's middle to either side, 1 at its edge",
        "superior_position": "place in the vertebral body, from -1 at its lower to 1 at its upper endplate",
    }
)
"""Features of a lesion as such."""

MIN_VOXELS = 8
"""Lesions and marrow of fewer voxels on an image are not measured. Chosen by us."""

MIN_TEXTURE_VOXELS = 30
"""Lesions of fewer voxels have no texture that means anything. Chosen by us."""

MIN_HEALTHY_VOXELS = 200
"""Where bodies without any lesion have fewer voxels, marrow away from lesions is normal marrow, too. Chosen by us."""

LABELS = {"lesions", "structures", "vertebrae"}

MOST_SAMPLES = 20_000
"""Voxels of marrow that are looked up; more are thinned evenly. Chosen by us, for time."""

SHORT_LEVELS = tuple(level for level in LEVELS if level not in ("T13", "L6"))
"""Levels that most people have, from the head down."""

ONE_SCALE = ("physics", "tissue")
"""Scales of the step ``align`` on which ratios mean something."""


class _Region(NamedTuple):
    """A lesion and its surroundings: its box, where it is in the box, and signal of the patient's normal marrow."""

    box: tuple[slice, ...]
    mask: Mask
    marrow: Mapping[Sequence, Floats]


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


def is_aligned(case: Case) -> bool:
    """Say whether the images of a case were brought to one scale on which ratios mean something.

    Parameters
    ----------
    case : Case
        With its history.

    Returns
    -------
    bool
        Whether maps of the step ``align`` are measured instead of the images.
    """
    scales = [record.settings.get("scale") for record in case.history if record.name == "align"]
    return bool(scales) and scales[-1] in ONE_SCALE


def lesions_features(case: Case) -> list[dict[str, float]]:
    """Measure all lesions.

    Parameters
    ----------
    case : Case
        As for `lesion_features`.

    Returns
    -------
    list of dict of str to float
        Features of each lesion, in their order.
    """
    marrow = _marrow_signals(case) if set(case.labels) >= LABELS and case.lesions else None
    return at_once(lambda lesion: lesion_features(case, lesion, marrow), case.lesions)


def lesion_features(case: Case, lesion: Lesion, marrow: Mapping[Sequence, Floats] | None = None) -> dict[str, float]:
    """Measure a lesion.

    Parameters
    ----------
    case : Case
        With the label maps ``"lesions"``, ``"structures"`` and ``"vertebrae"``, and maps ``aligned_T1`` and so on where
        its images were brought to one scale.
    lesion : Lesion
        One of its lesions.
    marrow : mapping of Sequence to ndarray of float, optional
        Signal of normal marrow, where it is known.

    Returns
    -------
    dict of str to float
        By feature name; what cannot be measured is left out.
    """
    if not set(case.labels) >= LABELS:
        return {}
    labels = case.labels["lesions"].array
    box = _box(labels, lesion.label)
    if box is None:
        return {}
    region = _Region(box, labels[box] == lesion.label, _marrow_signals(case) if marrow is None else marrow)
    found = _form(case, lesion, region) | _position(case, lesion, region)
    for sequence in CONTRASTS:
        image = _image_of(case, sequence)
        if image is not None:
            look = _look(case, image, region, region.marrow[sequence])
            found |= {f"{sequence}_{name}": v for name, v in look.items()}
            if image is case.images.get(sequence):
                found.pop(f"{sequence}_mean", None)  # in no unit unless aligned
    return found | _diffusion(case, region) | _fat(case, region)


def _image_of(case: Case, sequence: Sequence) -> Image | None:
    aligned = case.maps.get(f"aligned_{sequence.value}") if is_aligned(case) else None
    return aligned if aligned is not None else case.images.get(sequence)


def _normal_marrow(case: Case) -> Mask:
    """Marrow of bodies without any lesion; where there is little of it, that away from lesions."""
    structures, lesions = case.labels["structures"].array, case.labels["lesions"].array > 0
    vertebrae = case.labels["vertebrae"].array
    bodies = structures == Structure.BODY
    sick = np.unique(vertebrae[lesions])
    healthy = bodies & ~np.isin(vertebrae, sick[sick > 0])
    if healthy.sum() >= MIN_HEALTHY_VOXELS:
        return np.asarray(healthy & ~lesions, bool)
    return np.asarray(bodies & ~ndimage.binary_dilation(lesions, iterations=3), bool)


def _marrow_places(case: Case) -> Places:
    """Voxels of normal marrow, evenly chosen where there are many."""
    ijk = np.argwhere(_normal_marrow(case))
    return ijk[:: max(1, len(ijk) // MOST_SAMPLES)]


def _marrow_signals(case: Case) -> dict[Sequence, Floats]:
    """Signal of normal marrow on every image, once for all lesions."""
    ijk = _marrow_places(case)
    places = case.labels["structures"].grid.ijk_to_lps(ijk) if len(ijk) else np.empty((0, 3))
    images = {sequence: _image_of(case, sequence) for sequence in CONTRASTS}
    found = {s: _looked_up(image, places) for s, image in images.items() if image is not None}
    return {s: values[np.isfinite(values)] for s, values in found.items()}


def _box(labels: NDArray[np.uint16], label: int) -> tuple[slice, ...] | None:
    """The box that holds a label; None where there is none."""
    boxes = ndimage.find_objects(labels, max_label=label)
    return boxes[label - 1] if len(boxes) >= label else None


def _boxed(case: Case, image: Image, region: _Region) -> Floats:
    """Nearest values of an image in the lesion's box; NaN outside the image or where it shows nothing."""
    grid = case.labels["lesions"].grid
    if image.grid.same_space(grid):
        own = image.array[region.box].astype(float)
        return np.where(own > 0, own, np.nan)
    start = np.array([s.start for s in region.box])
    ijk = np.argwhere(np.ones(region.mask.shape, bool)) + start
    return _looked_up(image, grid.ijk_to_lps(ijk)).reshape(region.mask.shape)


def _looked_up(image: Image, places_lps_mm: Floats) -> Floats:
    at = np.rint(image.grid.lps_to_ijk(places_lps_mm)).astype(np.intp)
    inside = ((at >= 0) & (at < image.array.shape)).all(axis=1)
    found = np.full(len(at), np.nan)
    i, j, k = at[inside].T
    found[inside] = image.array[i, j, k]
    return np.where(found > 0, found, np.nan)


def _look(case: Case, image: Image, region: _Region, marrow: Floats) -> dict[str, float]:
    """How a lesion looks on one sequence."""
    values = _boxed(case, image, region)
    mask = region.mask & np.isfinite(values)
    inside = values[mask]
    if len(inside) < MIN_VOXELS:
        return {}
    told = first_order(inside)
    found = {"mean": told["mean"], "variation": float(inside.std() / inside.mean()), "skewness": told["skewness"]}
    if len(marrow) >= MIN_VOXELS:
        found["contrast"] = float(np.log(inside.mean() / marrow.mean()))
    if len(inside) >= MIN_TEXTURE_VOXELS:
        through = int(np.argmax(case.labels["lesions"].grid.spacing_mm))
        matrix = co_occurrence(gray_levels(values, mask), mask, directions=directions_in_slices(through))
        if matrix.any():
            side = texture(matrix)
            found["entropy"], found["uniformity"] = side["joint_entropy"], side["angular_second_moment"]
            found["inverse_difference"] = side["inverse_difference"]
    return found


def _diffusion(case: Case, region: _Region) -> dict[str, float]:
    adc = case.images.get(Sequence.ADC)
    if adc is None:
        return {}
    inside = _boxed(case, adc, region)[region.mask]
    inside = inside[np.isfinite(inside)]
    if len(inside) < MIN_VOXELS:
        return {}
    return {
        "ADC_mean_um2_s": float(inside.mean()),
        "ADC_percentile_10_um2_s": float(np.percentile(inside, 10)),
        "ADC_variation": float(inside.std() / inside.mean()),
    }


def _fat(case: Case, region: _Region) -> dict[str, float]:
    """Signal fat fraction of Dixon images: from fat and water, or of in and opposed phase below one half."""
    images = [case.images.get(s) for s in (Sequence.DIXON_FAT, Sequence.DIXON_WATER)]
    phases = [case.images.get(s) for s in (Sequence.DIXON_IN, Sequence.DIXON_OUT)]
    if images[0] is not None and images[1] is not None:
        fat, water = (np.nan_to_num(_boxed(case, i, region)[region.mask]) for i in images if i is not None)
    elif phases[0] is not None and phases[1] is not None:
        both, opposed = (np.nan_to_num(_boxed(case, i, region)[region.mask]) for i in phases if i is not None)
        fat, water = np.maximum(both - opposed, 0) / 2, (both + opposed) / 2
    else:
        return {}
    seen = fat + water > 0
    if seen.sum() < MIN_VOXELS:
        return {}
    share = 100 * fat[seen] / (fat + water)[seen]
    found = {"fat_fraction_percent": float(share.mean())}
    if share.mean() > 0:
        found["fat_fraction_variation"] = float(share.std() / share.mean())
    return found


def _form(case: Case, lesion: Lesion, region: _Region) -> dict[str, float]:
    grid = case.labels["lesions"].grid
    found = {"log_volume_mm3": float(np.log(max(lesion.volume_mm3, 1.0)))}
    if region.mask.sum() >= MIN_VOXELS:
        told = shape(region.mask, grid.spacing_mm)
        found |= {"elongation": told["elongation"], "flatness": told["flatness"]}
    structures = case.labels["structures"].array[region.box]
    bone = np.isin(structures, (Structure.BODY, Structure.CORTEX, Structure.POSTERIOR, Structure.S1, Structure.SACRUM))
    if lesion.compartment == "bone":
        found["outside_bone_share"] = float((region.mask & ~bone).sum() / region.mask.sum())
    return found


def _position(case: Case, lesion: Lesion, region: _Region) -> dict[str, float]:
    found = {}
    if lesion.level in SHORT_LEVELS:
        found["level_position"] = SHORT_LEVELS.index(lesion.level) / (len(SHORT_LEVELS) - 1)
    host, vertebrae = _host(case, lesion), case.labels["vertebrae"].array
    box = None if host is None else _box(vertebrae, host.instance)
    if host is None or box is None:
        return found
    vertebra = vertebrae[box] == host.instance
    within = region.mask & (vertebrae[region.box] == host.instance)
    found["vertebra_share"] = float(within.sum() / vertebra.sum())
    body = np.argwhere(vertebra & (case.labels["structures"].array[box] == Structure.BODY))
    body += [s.start for s in box]
    if len(body) >= MIN_VOXELS:
        places = case.labels["vertebrae"].grid.ijk_to_lps(body)
        low, high = np.percentile(places, [2.5, 97.5], axis=0)
        left, back, up = (np.asarray(lesion.centroid_lps_mm) - (low + high) / 2) / np.maximum((high - low) / 2, 1e-6)
        found |= {"posterior_position": float(back), "lateral_position": abs(float(left))}
        found["superior_position"] = float(up)
    return found


def _host(case: Case, lesion: Lesion) -> Vertebra | None:
    return next((v for v in case.vertebrae if v.instance == lesion.vertebra_instance), None)
