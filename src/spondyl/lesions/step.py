"""Third step of the road: turn lesion probabilities into candidates with class, confidence and uncertainty."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import cc3d
import numpy as np
from scipy import ndimage

from spondyl import __version__
from spondyl.core import Case, Image, LabelMap, Lesion, QualityFlag, Sequence, SettingsError, StepRecord, Structure
from spondyl.lesions.measure import longest_diameter_mm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Grid, Vertebra

SOUGHT_IN = (
    Structure.BODY,
    Structure.CORTEX,
    Structure.POSTERIOR,
    Structure.S1,
    Structure.SACRUM,
    Structure.CANAL,
)
"""Structures in which candidates are sought: bone, and the canal for its epidural space."""

MARROW_SEQUENCES = (Sequence.T1, Sequence.STIR, Sequence.T2FS)
"""Sequences on which a marrow lesion stands out."""

SMALL_MM3 = 1000.0
"""Lesions below 1 mL are reported apart: detection below it is unreliable everywhere (Wuts 2025)."""


@dataclass(frozen=True)
class LesionSettings:
    """Settings of the step.

    Parameters
    ----------
    threshold : float
        Probability of any lesion from which a voxel belongs to a candidate.
    min_probability : float
        Mean probability from which a candidate is reported.
    min_probability_t2_alone : float
        The same where neither T1 nor a fat-suppressed sequence was given: marrow looks normal on T2 in half of the
        lesions, and restless without any.
    min_volume_mm3 : float
        Smallest candidate.

    Raises
    ------
    SettingsError
        If one is out of range.
    """

    threshold: float = 0.3
    min_probability: float = 0.4
    min_probability_t2_alone: float = 0.6
    min_volume_mm3: float = 300.0

    def __post_init__(self) -> None:
        means = (self.min_probability, self.min_probability_t2_alone)
        if not 0 < self.threshold < 1 or not all(0 <= m <= 1 for m in means) or self.min_volume_mm3 < 0:
            msg = "lesions wants threshold and the two min_probability from 0 to 1, and min_volume_mm3 of 0 or more"
            raise SettingsError(msg)


def find_lesions(case: Case, settings: LesionSettings) -> Case:
    """Find the lesion candidates of a case.

    Parameters
    ----------
    case : Case
        Localized, with the maps ``"malignant"`` and ``"benign"``.
    settings : LesionSettings
        How.

    Returns
    -------
    Case
        With `lesions`, the label map ``"lesions"`` and the map ``"saliency"``.
    """
    structures, vertebrae = case.labels["structures"], case.labels["vertebrae"]
    grid = structures.grid
    malignant, benign = case.maps["malignant"].array, case.maps["benign"].array
    any_lesion = malignant + benign
    saliency = np.where(np.isin(structures.array, SOUGHT_IN), any_lesion, 0).astype(np.float32)
    labels, n = cc3d.connected_components(saliency > settings.threshold, connectivity=18, return_N=True)
    used = tuple(r.value for r in case.images if r not in (Sequence.DWI, Sequence.ADC))
    shows_marrow = any(s in case.images for s in MARROW_SEQUENCES)
    least = max(settings.min_probability, 0 if shows_marrow else settings.min_probability_t2_alone)
    found = []
    for i, box in enumerate(ndimage.find_objects(labels, n), start=1):
        where = labels[box] == i
        if where.sum() * grid.voxel_volume_mm3 < settings.min_volume_mm3 or where.sum() < 3:
            continue
        probability = {
            "malignant": float(malignant[box][where].mean()),
            "benign": float(benign[box][where].mean()),
        }
        probability["normal"] = max(0.0, 1 - sum(probability.values()))
        if 1 - probability["normal"] < least:
            continue
        found.append((i, box, where, probability))
    found.sort(key=lambda f: -f[3]["malignant"])
    final = np.zeros(grid.shape, np.uint16)
    lesions = []
    for label, (_, box, where, probability) in enumerate(found, start=1):
        final[box][where] = label
        host = _host(vertebrae.array[box][where], case.vertebrae)
        lesions.append(_lesion(label, (box, where), grid, (probability, float(saliency[box][where].max())), host, used))
    record = StepRecord(
        "lesions",
        __version__,
        asdict(settings),
        methods=(
            "Lesion candidates are connected voxels of bone or canal that the same network, shown lesions of synthetic "
            "patients alone, holds for malignant or benign; class probabilities are their means over the candidate."
        ),
    )
    case = case.with_(
        lesions=tuple(lesions),
        labels={**case.labels, "lesions": LabelMap(final, grid, {x.label: f"lesion {x.label}" for x in lesions})},
        maps={**case.maps, "saliency": Image(saliency, grid)},
        history=(*case.history, record),
    )
    if any(x.volume_mm3 < SMALL_MM3 for x in lesions):
        text = "Candidates below 1 mL are listed, but are unreliable at this size."
        case = case.flagged(QualityFlag("small_candidates", text, severity="info"))
    return case


def _host(instances: NDArray[np.uint16], vertebrae: tuple[Vertebra, ...]) -> Vertebra | None:
    """The vertebra that holds most of a lesion; None outside bone."""
    inside = instances[instances > 0]
    if len(inside) == 0:
        return None
    number = int(np.bincount(inside).argmax())
    return next((v for v in vertebrae if v.instance == number), None)


def _lesion(
    label: int,
    at: tuple[tuple[slice, ...], NDArray[np.bool_]],
    grid: Grid,
    belief: tuple[dict[str, float], float],
    host: Vertebra | None,
    used: tuple[str, ...],
) -> Lesion:
    (box, where), (probability, peak) = at, belief
    voxels = np.argwhere(where) + [s.start for s in box]
    x, y, z = (float(c) for c in grid.ijk_to_lps(voxels.mean(0)))
    p = np.array(list(probability.values()))
    entropy = float(-(p * np.log(np.maximum(p, 1e-9))).sum() / np.log(3))
    return Lesion(
        label=label,
        vertebra_instance=None if host is None else host.instance,
        level=None if host is None else host.level,
        volume_mm3=len(voxels) * grid.voxel_volume_mm3,
        longest_diameter_mm=longest_diameter_mm(voxels, grid),
        centroid_lps_mm=(x, y, z),
        probabilities=probability,
        confidence=peak,
        uncertainty=min(1.0, max(0.0, entropy)),
        sequences_used=used,
    )
