"""What a finding rests on: places and sequences are made plain, one after another, and the evidence is asked for again.

Unlike a network's own map this takes the network as it is and only watches what its answer depends on, so it can tell
when a finding rests on something beside the lesion.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from spondyl.models.study_inputs import TISSUES, Slot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from spondyl.models.network import Network
    from spondyl.models.study import Study

    Floats = NDArray[np.float32]

N_SLOTS = len(Slot)

CELLS, LEAST_CELL_MM = 4, 10.0
"""Cells along each axis, and their least size in mm. Chosen by us: 64 looks at a finding take seconds."""

MOST_VOXELS = 1_000_000
"""Voxels looked at in all, about a second on two processors: around a large finding cells are fewer, and where not
even two along each axis are left, places are not told apart. Chosen by us."""

MARGIN_MM = 12.0
"""How far around a finding places are made plain, in mm. Chosen by us: a disc."""

CONTEXT_MM = 12.0
"""How far around that the network sees more, in mm. Chosen by us."""

LEAST_P = 1e-6
"""Probabilities nearer to 0 or 1 than this count as this far."""

LEAST_CHANGE = 0.02
"""A cell in which no channel changes by more is not asked about, in units of the channels. Chosen by us."""

TISSUE_OF_SHAPE = (0, 0, 1, 2)
"""Which of `TISSUES` stands for each group of outlined structures: posterior elements hold marrow, too."""


class Occlusion(NamedTuple):
    """What the evidence for one finding rests on.

    Parameters
    ----------
    evidence : float
        Mean log-odds of a lesion over the finding's voxels, from everything that is seen.
    first : tuple of int
        Index on the working grid of the first voxel of `fall`.
    fall : ndarray of float32, shape (i, j, k)
        By how much the evidence falls where a place is made plain, in log-odds; 0 everywhere where a finding is too
        large to tell places apart.
    by_slot : dict of Slot to float
        By how much it falls where a sequence is made plain everywhere.
    """

    evidence: float
    first: tuple[int, int, int]
    fall: Floats
    by_slot: dict[Slot, float]

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Where `fall` lies on the working grid."""
        i, j, k = (slice(a, a + n) for a, n in zip(self.first, self.fall.shape, strict=True))
        return i, j, k


def plain_channels(study: Study) -> Floats:
    """Give a study in which every tissue of the spine looks as it usually does in this patient.

    Parameters
    ----------
    study : Study
        From `spondyl.models.study.study_of`.

    Returns
    -------
    ndarray of float32, shape of ``study.channels``
        Images with marrow, discs and canal at their medians; what lies outside the spine, and the outlines, stay.
    """
    plain = study.channels.copy()
    shares = np.clip(study.channels[N_SLOTS:], 0, 1)
    rest = np.clip(1 - shares.sum(0), 0, 1)
    facts = study.facts.reshape(N_SLOTS, 1 + len(TISSUES))
    for number, slot in enumerate(Slot):
        if slot in study.slots:
            usual = sum(facts[number, 1 + t] * share for t, share in zip(TISSUE_OF_SHAPE, shares, strict=True))
            plain[number] = rest * study.channels[number] + usual
    return plain


def occlude(study: Study, network: Network, mask: NDArray[np.bool_]) -> Occlusion:
    """Make places and sequences plain around a finding and ask the network that found it again.

    Parameters
    ----------
    study : Study
        What the network saw.
    network : Network
        The lesion network.
    mask : ndarray of bool, shape ``study.grid.shape``
        The finding; at least one voxel.

    Returns
    -------
    Occlusion
        What its evidence rests on.

    References
    ----------
    Zeiler and Fergus 2014, Visualizing and understanding convolutional networks, arXiv 1311.2901, section 4.2.
    """
    spacing = np.asarray(study.grid.spacing_mm)
    near, box = _boxes(mask, spacing)
    seen, plain, meant = study.channels[:, *box], plain_channels(study)[:, *box], mask[box]

    def evidence(channels: Floats) -> float:
        p = np.clip(1 - network.predict(channels, study.facts)[0][meant], LEAST_P, 1 - LEAST_P)
        return float(np.log(p / (1 - p)).mean())

    whole = evidence(seen)
    by_slot = {}
    for number, slot in enumerate(Slot):
        if slot in study.slots:
            without = seen.copy()
            without[number] = plain[number]
            by_slot[slot] = whole - evidence(without)
    inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(near, box, strict=True))
    total = np.zeros([s.stop - s.start for s in inner], np.float32)
    weight = np.full_like(total, 1e-6)
    for cell in _cells(total.shape, spacing, most=MOST_VOXELS // max(meant.size, 1)):
        changed = seen.copy()
        part = changed[:, *inner]
        change = cell * (plain[:, *inner] - part)
        if np.abs(change).max() > LEAST_CHANGE:
            part += change
            total += cell * (whole - evidence(changed))
        weight += cell
    return Occlusion(whole, (near[0].start, near[1].start, near[2].start), total / weight, by_slot)


def _boxes(mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """What is looked at, and what the network sees meanwhile."""
    (own,) = ndimage.find_objects(mask.astype(np.uint8))

    def grown(by_mm: float) -> tuple[slice, ...]:
        by = np.ceil(by_mm / spacing).astype(int)
        ends = zip(own, by, mask.shape, strict=True)
        return tuple(slice(max(s.start - b, 0), min(s.stop + b, n)) for s, b, n in ends)

    return grown(MARGIN_MM), grown(MARGIN_MM + CONTEXT_MM)


def _cells(shape: tuple[int, ...], spacing: NDArray[np.float64], *, most: int) -> Iterator[Floats]:
    """Weights of so many cells at most, with soft borders, that overlap and cover a box; none rather than one alone."""
    cells = next((c for c in range(CELLS, 1, -1) if c**3 <= most), 0)
    if not cells:
        return
    axes = []
    for n, step in zip(shape, spacing, strict=True):
        count = int(np.clip(n * step // LEAST_CELL_MM, 1, cells))
        centers = (np.arange(count) + 0.5) * n / count - 0.5
        sigma = max(n / count / 2, 0.5)
        axes.append([np.exp(-((np.arange(n) - c) ** 2) / (2 * sigma**2)).astype(np.float32) for c in centers])
    for i, j, k in product(*axes):
        yield i[:, None, None] * j[:, None] * k
