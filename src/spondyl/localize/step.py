"""Second step of the road: find the vertebrae, outline what belongs to them, and name their levels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from spondyl import __version__
from spondyl.core import (
    SAGITTAL,
    Case,
    Image,
    LabelMap,
    ModelError,
    NoSpineError,
    QualityFlag,
    Sequence,
    SettingsError,
    StepRecord,
    Structure,
    Vertebra,
    disc_name,
    reorient,
)
from spondyl.core.anatomy import STRUCTURE_NAMES
from spondyl.localize.column import Column, assign_arches, assign_discs
from spondyl.localize.doubts import mean_log_likelihood, spine_flags, void_volume_mm3
from spondyl.localize.fuse import fuse
from spondyl.localize.instances import BodyShape
from spondyl.localize.level_model import shipped_level_model
from spondyl.localize.levels import LevelGuess, name_levels
from spondyl.localize.measure import column_cues, number_bodies, with_ribs
from spondyl.localize.outlines import Outlines, on_whole_grid, outline
from spondyl.models import segment
from spondyl.models.adopted import is_adopted, ways_of

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


@dataclass(frozen=True)
class LocalizeSettings:
    """Settings of the step.

    Parameters
    ----------
    max_sequences : int
        Sequences the network looks at, the reference included.
    views : int
        Views of the reference image where it is looked at alone; see `spondyl.models.segment`. Of several sequences
        each is looked at once, and further ones only around the spine found on the reference.
    cortex_share : float
        Part of the cortex' thickness that counts as vertebral body: 1 outlines its outer edge, 0 the marrow. Readers
        draw between the two; the default fits three public sets of manual outlines best (benchmarks/real_volumes.py).
    closing_mm, end_slice_share : float
        How compact bodies are made; see `spondyl.localize.instances.BodyShape`. Chosen on the same three sets.
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
    closing_mm: float = 3.0
    end_slice_share: float = 0.4
    min_confidence: float = 0.6
    min_bodies: int = 2

    def __post_init__(self) -> None:
        counts = self.max_sequences >= 1 and self.min_bodies >= 1 and self.views in (1, 2)
        shares = (self.cortex_share, self.min_confidence, self.end_slice_share)
        if not counts or not all(0 <= share <= 1 for share in shares) or not 0 <= self.closing_mm <= 10:
            msg = (
                "localize wants max_sequences and min_bodies of 1 or more, views 1 or 2, closing_mm from 0 to 10, and "
                "cortex_share, end_slice_share and min_confidence from 0 to 1"
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
        Outlines structures.

    Returns
    -------
    Case
        With `vertebrae`, the label maps ``"structures"``, ``"vertebrae"`` and ``"discs"``, and the map
        ``"uncertainty"``, all on the reference image's grid.

    Raises
    ------
    NoSpineError
        If no column of vertebral bodies was found.
    """
    reference = case.reference or next(iter(case.images))
    used = _looked_at(sequences_of(case, reference, settings.max_sequences), network)
    # The mean over sequences evens out what a second view of each would.
    first = segment(case.images[used[0]], network, views=settings.views if len(used) == 1 else 1)
    others = (segment(case.images[s], network, views=1, around=first) for s in used[1:])
    found = fuse(chain([first], others))  # one at a time, since of a whole spine each takes much memory
    network.release()  # what it keeps of a whole spine is as large as the outlines made next
    image = case.images[reference]
    outlines = outline(found, image.grid, cortex_share=settings.cortex_share)
    column = None if outlines is None else _column(outlines, [case.images[s] for s in used], settings)
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
        models={network.name: network.sha256, "levels": shipped_level_model().sha256},
        methods=(
            f"Vertebrae, discs, canal, cord and sacrum were outlined on {', '.join(s.value for s in used)} by "
            f"{network.card.described}; bodies were told apart by erosion and named by weighing all "
            "consistent namings of the column by sizes, tilt, discs, canal, cord, sacrum and the ribs that the images "
            "show beside the bodies."
        ),
    )
    case = case.with_(reference=reference, history=(*case.history, record))
    return _with_findings(case, image, outlines, column)


def sequences_of(case: Case, reference: Sequence, most: int) -> list[Sequence]:
    """Choose the sequences that may be looked at.

    Parameters
    ----------
    case : Case
        With images.
    reference : Sequence
        Whose grid is worked on.
    most : int
        How many at most.

    Returns
    -------
    list of Sequence
        The reference first, then others that show the same region finely enough.
    """
    others = [
        s for s in LOOKED_AT if s in case.images and s is not reference and case.images[s].grid.plane == "sagittal"
    ]
    return [reference, *others][:most]


def _looked_at(sequences: list[Sequence], network: Network) -> list[Sequence]:
    """Leave out what a network made elsewhere does not take."""
    if not is_adopted(network.card):
        return sequences
    (taken, *more) = ways_of(network.card).channels
    used = [s for s in sequences if s in taken]
    if more or not used:
        wanted = ", ".join(taken) if not more else "one sequence alone"
        msg = f"a network that outlines the spine on {wanted} is wanted for {', '.join(sequences)}; name another model"
        raise ModelError(msg)
    return used


@dataclass(frozen=True, eq=False)
class _Column:
    """Bodies on the worked-on part, numbered from the head down; S1 is the last where it was seen."""

    bodies: NDArray[np.uint16]
    centers_mm: NDArray[np.float64]
    guesses: list[LevelGuess]
    confidences: list[float]
    has_sacrum: bool
    likelihood: float

    @property
    def n_presacral(self) -> int:
        return len(self.guesses) - self.has_sacrum


def _column(outlines: Outlines, images: list[Image], settings: LocalizeSettings) -> _Column | None:
    spacing, shape = outlines.grid.spacing_mm, BodyShape(settings.closing_mm, settings.end_slice_share)
    bodies = number_bodies(outlines, min_confidence=settings.min_confidence, shape=shape)
    if int(bodies.max()) < settings.min_bodies:
        return None
    model = shipped_level_model()
    cues = with_ribs(*column_cues(outlines, bodies), images, model.ribs)
    names, guesses = name_levels(cues, model)
    n = names.index("S1") + 1 if "S1" in names else len(names)
    if n - ("S1" in names) < settings.min_bodies:
        return None
    bodies[bodies > n] = 0
    numbers = range(1, n + 1)
    centers = np.array(ndimage.center_of_mass(bodies > 0, bodies, numbers)) * spacing
    confidences = [float(m) for m in ndimage.mean(outlines.body, bodies, numbers)]
    return _Column(bodies, centers, guesses[:n], confidences, "S1" in names, mean_log_likelihood(cues, model))


def _with_findings(case: Case, image: Image, outlines: Outlines, column: _Column) -> Case:
    spacing, n_bodies = outlines.grid.spacing_mm, column.n_presacral
    names = [g.level for g in column.guesses]
    structures = _settled(outlines.structures, column)
    line = Column(column.centers_mm)
    arches = assign_arches(structures == Structure.POSTERIOR, line, spacing, n_bodies)
    discs = assign_discs(structures == Structure.DISC, line, spacing, n_bodies)
    vertebrae = tuple(
        _vertebra(number, guess, column, outlines) for number, guess in enumerate(column.guesses, start=1)
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
        maps={**case.maps, "uncertainty": scalar(outlines.uncertainty)},
    )
    signal = reorient(image.array, orientation, SAGITTAL)[outlines.box]
    void = void_volume_mm3(signal, structures, column.bodies, spacing)
    return _flagged(case.flagged(*spine_flags(column.confidences, column.likelihood, void)), column.guesses)


def _settled(structures: NDArray[np.uint8], column: _Column) -> NDArray[np.uint8]:
    """Let structures follow the levels: one S1 at most, below it sacrum, and no body outside the column."""
    settled = structures.copy()
    loose = column.bodies == 0
    settled[loose & np.isin(structures, (Structure.BODY, Structure.CORTEX))] = Structure.BACKGROUND
    settled[loose & (structures == Structure.S1)] = Structure.SACRUM
    s1 = column.has_sacrum & (column.bodies == len(column.guesses))
    settled[s1] = Structure.S1
    # What closing added, or the network took for S1 higher up.
    settled[~loose & ~s1 & ~np.isin(structures, (Structure.BODY, Structure.CORTEX))] = Structure.BODY
    return settled


def _vertebra(number: int, guess: LevelGuess, column: _Column, outlines: Outlines) -> Vertebra:
    mask = column.bodies == number
    start = [s.start for s in outlines.box]
    voxels = np.argwhere(mask)
    x, y, z = (float(c) for c in outlines.grid.ijk_to_lps(voxels.mean(0) + start))
    rows, last = voxels[:, 1] + start[1], outlines.grid.shape[1] - 1
    return Vertebra(
        instance=number,
        level=guess.level,
        level_probability=guess.probability,
        level_uncertain=guess.uncertain,
        level_reason=guess.reason,
        centroid_lps_mm=(x, y, z),
        volume_mm3=len(voxels) * outlines.grid.voxel_volume_mm3,
        detection_confidence=column.confidences[number - 1],
        at_edge=bool(rows.min() <= 1 or rows.max() >= last - 1),
    )


def _flagged(case: Case, guesses: list[LevelGuess]) -> Case:
    if all(g.level is None for g in guesses):
        text = f"Vertebrae could not be named: {guesses[0].reason}. Check their levels."
        case = case.flagged(QualityFlag("level_unknown", text))
    elif doubts := [g.reason for g in guesses if g.uncertain]:
        case = case.flagged(QualityFlag("level_uncertain", f"Vertebra levels are uncertain: {doubts[0]}."))
    if not any(s in case.images for s in (Sequence.T1, Sequence.STIR, Sequence.T2FS)):
        text = "Neither T1 nor STIR was given; marrow lesions can be missed on the sequences at hand."
        case = case.flagged(QualityFlag("no_marrow_sequence", text))
    return case
