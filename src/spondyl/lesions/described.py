"""From a candidate to what the record tells of it: where it lies, how large it is, and how much of it left bone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Lesion, Measurement
from spondyl.lesions.candidates import host_of
from spondyl.lesions.compartments import Compartment, divide
from spondyl.lesions.measure import longest_diameter_mm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Case, LabelMap
    from spondyl.lesions.candidates import Candidate

MIN_PART_MM3 = 50.0
"""Smallest volume outside bone that is told of. Chosen by us: below it borders of the outlines explain it."""

WALL_VOXELS = 10
"""Margin in which the wall of the canal is looked for around a candidate, in voxels. Chosen by us."""


def described(label: int, candidate: Candidate, case: Case, used: tuple[str, ...]) -> Lesion:
    """Say where a candidate lies, how large it is, and what the network that found it says of it.

    Parameters
    ----------
    label : int
        Its number in the label map ``"lesions"``.
    candidate : Candidate
        On the grid of the label map ``"structures"``.
    case : Case
        Localized.
    used : tuple of str
        Sequences it was found on.

    Returns
    -------
    Lesion
        For the record.
    """
    structures = case.labels["structures"]
    grid = structures.grid
    instances = case.labels["vertebrae"].array[candidate.box][candidate.where]
    number = host_of(candidate, case)
    host = next((v for v in case.vertebrae if v.instance == number), None)
    voxels = np.argwhere(candidate.where) + [s.start for s in candidate.box]
    x, y, z = (float(c) for c in grid.ijk_to_lps(voxels.mean(0)))
    p = np.array(list(candidate.probabilities.values()))
    entropy = float(-(p * np.log(np.maximum(p, 1e-9))).sum() / np.log(len(p)))
    compartment, measured = _parts(candidate, structures, instances)
    return Lesion(
        label=label,
        vertebra_instance=None if host is None else host.instance,
        level=None if host is None else host.level,
        volume_mm3=len(voxels) * grid.voxel_volume_mm3,
        longest_diameter_mm=longest_diameter_mm(voxels, grid),
        centroid_lps_mm=(x, y, z),
        probabilities=candidate.probabilities,
        confidence=candidate.peak,
        uncertainty=min(1.0, max(0.0, entropy)),
        sequences_used=used,
        compartment=compartment.value,
        measurements=measured,
    )


def _parts(
    candidate: Candidate, structures: LabelMap, instances: NDArray[np.uint16]
) -> tuple[Compartment, tuple[Measurement, ...]]:
    """Where a candidate lies, how much of one in bone has left it, and how many vertebrae it crosses."""
    shape = structures.array.shape
    box = tuple(
        slice(max(s.start - WALL_VOXELS, 0), min(s.stop + WALL_VOXELS, n))
        for s, n in zip(candidate.box, shape, strict=True)
    )
    where = np.zeros([s.stop - s.start for s in box], bool)
    inner = tuple(slice(c.start - b.start, c.stop - b.start) for c, b in zip(candidate.box, box, strict=True))
    where[inner] = candidate.where
    parts = divide(where, structures.array[box], structures.grid.spacing_mm)
    compartment = Compartment.EPIDURAL if candidate.beside else parts.compartment
    compartment = Compartment.BONE if candidate.grown else compartment
    measured = []
    if compartment is Compartment.BONE:
        for name, volume in (("epidural_volume", parts.canal_mm3), ("paraspinal_volume", parts.paraspinal_mm3)):
            if volume >= MIN_PART_MM3:
                measured.append(Measurement(name, volume, "mm3", method="voxels of the candidate outside bone"))
    crossed = len(np.unique(instances[instances > 0]))
    if crossed > 1:
        measured.append(
            Measurement("vertebrae_involved", float(crossed), "1", method="vertebrae the candidate touches")
        )
    return compartment, tuple(measured)
