"""Second step of the road: find the vertebrae, outline what belongs to them, and name their levels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import cc3d
import numpy as np
from scipy import ndimage

from spondyl import __version__
from spondyl.core import (
    Case,
    Image,
    LabelMap,
    NoSpineError,
    QualityFlag,
    Sequence,
    SettingsError,
    StepRecord,
    Structure,
    Vertebra,
    disc_name,
)
from spondyl.core.anatomy import STRUCTURE_NAMES
from spondyl.localize.column import Column, assign_arches, assign_discs
from spondyl.localize.fuse import fuse
from spondyl.localize.instances import ChainLimits, order_chain, split_bodies
from spondyl.localize.levels import UNCERTAIN_BELOW, LevelGuess, count_from_sacrum
from spondyl.localize.outlines import Outlines, on_whole_grid, outline
from spondyl.models import segment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.models import Network

LOOKED_AT = (
    Sequence.T2,
    Sequence.T1,
    Sequence.STIR,
    Sequence.T2FS,
    Sequence.T1CE,
    Sequence.DIXON_WATER,
    Sequence.DIXON_IN,
    Sequence.PD,
    Sequence.UNKNOWN,
)
"""Sequences the network may look at, in order of preference; diffusion images are too coarse for outlines."""

MIN_SACRUM_MM3 = 1200.0
"""Volume of S1 from which it counts as seen, even if the field of view cuts it. Chosen by us: a whole one has 15,000 to
25,000."""

CLEAR_SACRUM_MM3 = 3000.0
"""Volume of S1 from which its size leaves no doubt. Chosen by us."""

CLEAR_PROBABILITY = 0.85
"""Mean probability of S1 inside its outline that a clearly seen one has. Chosen by us."""


CUT_SACRUM_DOUBT = 0.7
"""Factor on the confidence in an S1 that the lower edge of the field of view cuts, since it may be S2: on real Dixon
volumes with a cut sacrum the count was often one off. Chosen by us, so that such levels are marked uncertain."""


@dataclass(frozen=True)
class LocalizeSettings:
    """Settings of the step.

    Parameters
    ----------
    max_sequences : int
        Sequences the network looks at, the reference included.
    views : int
        Views of each image; see `spondyl.models.segment`.
    cortex_share : float
        Part of the cortex' thickness that counts as vertebral body: 1 outlines its outer edge, 0 the marrow. Readers
        draw between the two; the default fits three public sets of manual outlines best (benchmarks/real_volumes.py).
    min_confidence : float
        Mean probability below which a body is not believed.
    min_bodies : int
        Fewer bodies than this are no spine.

    Raises
    ------
    SettingsError
        If one is out of range.
    """

    max_sequences: int = 4
    views: int = 2
    cortex_share: float = 0.25
    min_confidence: float = 0.6
    min_bodies: int = 2

    def __post_init__(self) -> None:
        counts = self.max_sequences >= 1 and self.min_bodies >= 1 and self.views in (1, 2)
        if not counts or not 0 <= self.cortex_share <= 1 or not 0 <= self.min_confidence <= 1:
            msg = (
                "localize wants max_sequences and min_bodies of 1 or more, views 1 or 2, and cortex_share and "
                "min_confidence from 0 to 1"
            )
            raise SettingsError(msg)


def localize(case: Case, settings: LocalizeSettings, *, network: Network) -> Case:
    """Find and name the vertebrae of a case.

    Parameters
    ----------
    case : Case
        With a reference image.
    settings : LocalizeSettings
        How.
    network : Network
        Outlines structures and lesion candidates.

    Returns
    -------
    Case
        With `vertebrae`, the label maps ``"structures"``, ``"vertebrae"`` and ``"discs"``, and the maps
        ``"uncertainty"``, ``"malignant"`` and ``"benign"``, all on the reference image's grid.

    Raises
    ------
    NoSpineError
        If no column of vertebral bodies was found.
    """
    reference = case.reference or next(iter(case.images))
    used = _sequences(case, reference, settings.max_sequences)
    found = fuse([(s, segment(case.images[s], network, views=settings.views)) for s in used])
    image = case.images[reference]
    outlines = outline(found, image.grid, cortex_share=settings.cortex_share)
    column = None if outlines is None else _column(outlines, settings)
    if outlines is None or column is None:
        msg = (
            f"a column of at least {settings.min_bodies} vertebral bodies is wanted, none was found in "
            f"{', '.join(s.value for s in used)}; give a study of the spine, or check orientation and spacing"
        )
        raise NoSpineError(msg)
    record = StepRecord(
        "localize",
        __version__,
        asdict(settings),
        models={network.name: network.sha256},
        methods=(
            f"Vertebrae, discs, canal, cord and sacrum were outlined on {', '.join(s.value for s in used)} by a 3D "
            "U-Net trained on synthetic patients alone; bodies were told apart by erosion and levels counted from the "
            "sacrum."
        ),
    )
    case = case.with_(reference=reference, history=(*case.history, record))
    return _with_findings(case, image, outlines, column)


def _sequences(case: Case, reference: Sequence, most: int) -> list[Sequence]:
    """The reference first, then others that show the same region finely enough."""
    others = [
        s for s in LOOKED_AT if s in case.images and s is not reference and case.images[s].grid.plane == "sagittal"
    ]
    return [reference, *others][:most]


@dataclass(frozen=True, eq=False)
class _Column:
    """Bodies on the worked-on part, numbered from the head down; S1 is the last where it was seen."""

    bodies: NDArray[np.uint16]
    centers_mm: NDArray[np.float64]
    sacrum_confidence: float
    confidences: list[float]

    @property
    def has_sacrum(self) -> bool:
        return self.sacrum_confidence > 0


def _column(outlines: Outlines, settings: LocalizeSettings) -> _Column | None:
    spacing = outlines.grid.spacing_mm
    mask = np.isin(outlines.structures, (Structure.BODY, Structure.CORTEX))
    bodies = order_chain(split_bodies(mask, spacing), spacing, ChainLimits())
    bodies = _believed(bodies, outlines.body, settings.min_confidence)
    n = int(bodies.max())
    if n < settings.min_bodies:
        return None
    centers = [np.array(c) * spacing for c in ndimage.center_of_mass(bodies > 0, bodies, range(1, n + 1))]
    confidences = [float(outlines.body[bodies == i].mean()) for i in range(1, n + 1)]
    s1 = _first_sacral_body(outlines.structures == Structure.S1, spacing, centers[-1])
    if s1 is None:
        return _Column(bodies, np.array(centers), 0.0, confidences)
    bodies[s1] = n + 1
    centers.append(np.array(ndimage.center_of_mass(s1)) * spacing)
    size = float(s1.sum()) * float(np.prod(spacing)) / CLEAR_SACRUM_MM3
    clarity = float(outlines.s1[s1].mean()) / CLEAR_PROBABILITY
    lowest = int(np.argwhere(s1)[:, 1].max()) + outlines.box[1].start
    doubt = CUT_SACRUM_DOUBT if lowest >= outlines.grid.shape[1] - 2 else 1.0
    return _Column(bodies, np.array(centers), float(min(1.0, size) * min(1.0, clarity)) * doubt, confidences)


def _first_sacral_body(
    mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float], above_mm: NDArray[np.float64]
) -> NDArray[np.bool_] | None:
    """The part of the S1 mask that lies next below the lowest body; None where there is none."""
    labels, n = cc3d.connected_components(mask, connectivity=6, return_N=True)
    voxel, best = float(np.prod(spacing_mm)), None
    for i in range(1, n + 1):
        part = labels == i
        step = np.array(ndimage.center_of_mass(part)) * spacing_mm - above_mm
        distance = float(np.linalg.norm(step))
        near = 8 < distance < ChainLimits().max_gap_mm and step[1] > 0
        if near and part.sum() * voxel >= MIN_SACRUM_MM3 and (best is None or part.sum() > best.sum()):
            best = part
    return best


def _believed(bodies: NDArray[np.uint16], probability: NDArray[np.float32], least: float) -> NDArray[np.uint16]:
    n = int(bodies.max())
    if n == 0:
        return bodies
    means = ndimage.mean(probability, bodies, range(1, n + 1))
    renumber = np.zeros(n + 1, np.uint16)
    kept = [i for i in range(1, n + 1) if means[i - 1] >= least]
    renumber[kept] = np.arange(1, len(kept) + 1)
    return renumber[bodies]


def _levels(column: _Column, n_bodies: int) -> list[LevelGuess]:
    steps = np.linalg.norm(np.diff(column.centers_mm, axis=0), axis=1)
    gap_free = len(steps) == 0 or bool((steps < 1.6 * np.median(steps)).all())
    return count_from_sacrum(n_bodies, column.sacrum_confidence, gap_free=gap_free)


def _with_findings(case: Case, image: Image, outlines: Outlines, column: _Column) -> Case:
    spacing, n_bodies = outlines.grid.spacing_mm, len(column.confidences)
    levels = _levels(column, n_bodies)
    names = [g.level for g in levels] + (["S1"] if column.has_sacrum else [])
    structures = outlines.structures.copy()
    structures[np.isin(structures, (Structure.BODY, Structure.CORTEX)) & (column.bodies == 0)] = Structure.BACKGROUND
    structures[(structures == Structure.S1) & (column.bodies != len(names))] = Structure.SACRUM
    line = Column(column.centers_mm)
    arches = assign_arches(structures == Structure.POSTERIOR, line, spacing, n_bodies)
    discs = assign_discs(structures == Structure.DISC, line, spacing, len(names) if column.has_sacrum else n_bodies)
    if column.has_sacrum:
        discs[discs == len(names)] = 0
    vertebrae = tuple(
        _vertebra(number, guess, column, outlines) for number, guess in enumerate([*levels, *_s1(column)], start=1)
    )
    orientation = image.grid.orientation

    def label_map(part: NDArray, meaning: dict[int, str]) -> LabelMap:
        return LabelMap(on_whole_grid(part.astype(np.uint16), outlines, orientation), image.grid, meaning)

    def scalar(part: NDArray) -> Image:
        return Image(on_whole_grid(part, outlines, orientation), image.grid)

    body_names = {v.instance: v.level or f"vertebra {v.instance}" for v in vertebrae}
    disc_names = {
        i + 1: disc_name(names[i], names[i + 1] if i + 1 < len(names) else None) or f"disc {i + 1}"
        for i in range(len(names))
        if (discs == i + 1).any()
    }
    case = case.with_(
        vertebrae=vertebrae,
        labels={
            **case.labels,
            "structures": label_map(structures, {int(k): v for k, v in STRUCTURE_NAMES.items()}),
            "vertebrae": label_map(np.where(column.bodies > 0, column.bodies, arches), body_names),
            "discs": label_map(discs, disc_names),
        },
        maps={
            **case.maps,
            "uncertainty": scalar(outlines.uncertainty),
            "malignant": scalar(outlines.malignant),
            "benign": scalar(outlines.benign),
        },
    )
    return _flagged(case, column, levels)


def _s1(column: _Column) -> list[LevelGuess]:
    if not column.has_sacrum:
        return []
    clear = column.sacrum_confidence >= UNCERTAIN_BELOW
    reason = "" if clear else "S1 is cut off or not clearly seen"
    return [LevelGuess("S1", column.sacrum_confidence, uncertain=not clear, reason=reason)]


def _vertebra(number: int, guess: LevelGuess, column: _Column, outlines: Outlines) -> Vertebra:
    mask = column.bodies == number
    start = [s.start for s in outlines.box]
    voxels = np.argwhere(mask)
    x, y, z = (float(c) for c in outlines.grid.ijk_to_lps(voxels.mean(0) + start))
    rows, last = voxels[:, 1] + start[1], outlines.grid.shape[1] - 1
    confidence = column.confidences[number - 1] if number <= len(column.confidences) else guess.probability
    return Vertebra(
        instance=number,
        level=guess.level,
        level_probability=guess.probability,
        level_uncertain=guess.uncertain,
        level_reason=guess.reason,
        centroid_lps_mm=(x, y, z),
        volume_mm3=len(voxels) * outlines.grid.voxel_volume_mm3,
        detection_confidence=confidence,
        at_edge=bool(rows.min() <= 1 or rows.max() >= last - 1),
    )


def _flagged(case: Case, column: _Column, levels: list[LevelGuess]) -> Case:
    if not column.has_sacrum:
        text = "The first sacral body was not found in the images, so vertebrae could not be named; check their levels."
        case = case.flagged(QualityFlag("level_unknown", text))
    elif doubts := [g.reason for g in levels if g.uncertain]:
        case = case.flagged(QualityFlag("level_uncertain", f"Vertebra levels are uncertain: {doubts[0]}."))
    if not any(s in case.images for s in (Sequence.T1, Sequence.STIR, Sequence.T2FS)):
        text = "Neither T1 nor STIR was given; marrow lesions can be missed on the sequences at hand."
        case = case.flagged(QualityFlag("no_marrow_sequence", text))
    return case
