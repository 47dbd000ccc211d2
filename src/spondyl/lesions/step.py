"""Third step of the road: look for lesions on all series together, and measure the candidates."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spondyl import __version__
from spondyl.core import (
    Case,
    Image,
    LabelMap,
    Lesion,
    QualityFlag,
    Sequence,
    SettingsError,
    StepRecord,
    Structure,
)
from spondyl.core.at_once import at_once
from spondyl.lesions.canal_mass import with_canal_masses
from spondyl.lesions.candidates import (
    SMALL_MM3,
    Candidate,
    Thresholds,
    by_vertebra,
    find_candidates,
    search_region,
)
from spondyl.lesions.conspicuity import Conspicuity, conspicuity
from spondyl.lesions.contrast_doubt import contrast_flags
from spondyl.lesions.described import described
from spondyl.lesions.epidural import with_epidural_parts
from spondyl.models.adopted import is_adopted, sequences_for, ways_of
from spondyl.models.detect import Detection, detect, detect_elsewhere, onto
from spondyl.models.study import study_of
from spondyl.models.study_inputs import Slot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Grid
    from spondyl.models import Network

TOO_DARK = frozenset({Slot.DWI})
"""Normal marrow has next to no signal there, so that noise decides how far anything stands out; ADC stands for it."""

SUSPICIOUS = 0.3
"""Probability of any lesion above which marrow does not tell what is normal. Chosen by us."""


@dataclass(frozen=True)
class LesionSettings:
    """Settings of the step.

    All were chosen for few false alarms on 19 real lumbar volumes without known disease, for lesions planted into them
    (benchmarks/planted_lesions.py), and on synthetic validation patients.

    Parameters
    ----------
    views : int
        Views of the study: 1 looks once, 2 adds the left-right mirror image.
    threshold : float
        Probability of any lesion from which a voxel belongs to a candidate.
    sure : float
        Probability that a candidate must reach somewhere.
    sure_small : float
        The same of one below 1 mL, among which most alarms are.
    surest : float
        The same where the network errs more: outside of vertebrae, and where the study has a single series; in
        vertebral bodies it is not believed at all then.
    contrast_sd : float
        Standard deviations of normal marrow from which a candidate in a body ends where its contrast does, and that one
        of half a body or more must reach; see `spondyl.lesions.conspicuity`. With 0 the network alone decides
        everywhere.
    spot_sd : float
        Contrast to the surroundings of a spot in a body, in standard deviations of what marrow has anyway, that makes
        a candidate where the network is undecided; see `spondyl.lesions.spots`. With 0 spots are not looked for.
    min_volume_mm3 : float
        Smallest candidate.
    epidural : bool
        Whether candidates of bone that are more likely malignant than not reach into the canal where T2 shows tissue in
        place of fluid and fat, and masses there are candidates by themselves; see `spondyl.lesions.epidural`.

    Raises
    ------
    SettingsError
        If one is out of range.
    """

    views: int = 2
    threshold: float = 0.3
    sure: float = 0.5
    sure_small: float = 0.8
    surest: float = 0.99
    contrast_sd: float = 3.0
    spot_sd: float = 6.5
    min_volume_mm3: float = 100.0
    epidural: bool = True

    def __post_init__(self) -> None:
        levels = (self.threshold, self.sure, self.sure_small, self.surest)
        least = (self.contrast_sd, self.spot_sd, self.min_volume_mm3)
        if self.views not in (1, 2) or not all(0 < p < 1 for p in levels) or min(least) < 0:
            msg = (
                "lesions wants views 1 or 2, threshold, sure, sure_small and surest between 0 and 1, and contrast_sd, "
                "spot_sd and min_volume_mm3 of 0 or more"
            )
            raise SettingsError(msg)

    @property
    def thresholds(self) -> Thresholds:
        """What makes a candidate."""
        threshold, spot_sd = min(self.threshold, self.sure, self.sure_small), self.spot_sd or float("inf")
        believed = (self.sure, self.sure_small, self.surest)
        return Thresholds(threshold, *believed, self.contrast_sd, spot_sd, self.min_volume_mm3)


def find_lesions(case: Case, settings: LesionSettings, *, network: Network) -> Case:
    """Find the lesion candidates of a case.

    Parameters
    ----------
    case : Case
        Localized.
    settings : LesionSettings
        How.
    network : Network
        Outlines lesions.

    Returns
    -------
    Case
        With `lesions`, the label map ``"lesions"``, the maps ``"malignant"``, ``"benign"`` and ``"saliency"``, and
        the map ``"uncertainty"`` raised where the network is unsure of lesions.
    """
    structures = case.labels["structures"]
    grid = structures.grid
    looked, doubts = _looked(case, settings, network)
    case = case.flagged(*doubts)
    if looked is None:
        text = "No series at hand shows marrow in a way the lesion network knows, so no lesions were sought."
        case = case.flagged(QualityFlag("no_lesion_sequence", text))
        return _with_candidates(case, settings, network, (), (np.zeros(grid.shape, np.float32),) * 3)
    found, sequences, series = looked
    region = search_region(structures.array, grid.spacing_mm)
    benign, malignant = (np.where(region, onto(found.probabilities[i], found.grid, grid), 0) for i in (1, 2))
    seen = _conspicuity(case, at_once(lambda s: onto(s, found.grid, grid), series), malignant + benign)
    instances = case.labels["vertebrae"].array
    candidates = find_candidates(
        malignant, benign, region, grid.spacing_mm, settings.thresholds, seen=seen, vertebrae=instances > 0
    )
    candidates = by_vertebra(candidates, instances, (malignant, benign), grid.spacing_mm)
    if settings.epidural:
        candidates = with_canal_masses(with_epidural_parts(candidates, case), case)
    used = tuple(s.value for s in sequences)
    lesions = [described(label, c, case, used) for label, c in enumerate(candidates, start=1)]
    doubt = _doubt(found, grid)
    return _with_candidates(
        case, settings, network, tuple(zip(candidates, lesions, strict=True)), (malignant, benign, doubt)
    )


class _Look(NamedTuple):
    """What a network says, of which sequences, and those of its channels in which marrow can be compared."""

    found: Detection
    sequences: tuple[Sequence, ...]
    series: list[NDArray[np.float32]]


def _looked(case: Case, settings: LesionSettings, network: Network) -> tuple[_Look | None, list[QualityFlag]]:
    """Look, and say which sequences are doubtful; None where the network knows none of them."""
    if is_adopted(network.card):
        fits = sequences_for(ways_of(network.card), case.images)
        return (_Look(*detect_elsewhere(case, network), []) if fits else None), []
    study = study_of(case, network.card)
    if study is None:
        return None, []
    series = [study.channels[list(Slot).index(slot)] for slot in study.slots if slot not in TOO_DARK]
    return _Look(detect(study, network, views=settings.views), study.sequences, series), contrast_flags(study)


def _conspicuity(case: Case, series: list[NDArray[np.float32]], lesion: NDArray[np.float32]) -> Conspicuity | None:
    """How far bodies stand out from normal marrow; None where no series can be compared."""
    if not series:
        return None
    structures = case.labels["structures"]
    body = np.isin(structures.array, (Structure.BODY, Structure.S1))
    instances = case.labels["vertebrae"].array
    return conspicuity(series, body, instances, lesion > SUSPICIOUS, structures.grid.spacing_mm)


def _doubt(found: Detection, grid: Grid) -> NDArray[np.float32]:
    """Uncertainty of each voxel from 0 to 1: entropy of the classes, or how far the views disagree."""
    p = found.probabilities
    entropy = -(p * np.log(np.maximum(p, 1e-6))).sum(0) / np.log(len(p))
    return onto(np.clip(np.maximum(entropy, 2 * found.disagreement), 0, 1).astype(np.float32), found.grid, grid)


def _with_candidates(
    case: Case,
    settings: LesionSettings,
    network: Network,
    found: tuple[tuple[Candidate, Lesion], ...],
    volumes: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
) -> Case:
    malignant, benign, doubt = volumes
    grid = case.labels["structures"].grid
    labels = np.zeros(grid.shape, np.uint16)
    for candidate, lesion in found:
        labels[candidate.box][candidate.where] = lesion.label
    before = case.maps.get("uncertainty")
    doubt = doubt if before is None else np.maximum(doubt, before.array)
    record = StepRecord(
        "lesions",
        __version__,
        asdict(settings),
        models={network.name: network.sha256},
        methods=(
            "Lesion candidates were outlined on all suitable series together by "
            f"{network.card.described}; connected voxels above one threshold count where a higher one is reached, "
            "those in vertebral bodies on several series only, as far as they stand out from the patient's own marrow "
            "or are smaller than half a body; spots in bodies count that differ from their surroundings more than the "
            "patient's marrow does, the more easily the more the network believes them; class probabilities are means "
            "over what it is surest of."
            + (
                " Candidates of bone that are more likely malignant than not reach into the canal where T2 shows "
                "tissue in place of fluid and fat; a mass there is a candidate by itself."
                if settings.epidural
                else ""
            )
        ),
    )
    names = {lesion.label: f"lesion {lesion.label}" for _, lesion in found}
    case = case.with_(
        lesions=tuple(lesion for _, lesion in found),
        labels={**case.labels, "lesions": LabelMap(labels, grid, names)},
        maps={
            **case.maps,
            "malignant": Image(malignant, grid),
            "benign": Image(benign, grid),
            "saliency": Image(malignant + benign, grid),
            "uncertainty": Image(doubt, grid),
        },
        history=(*case.history, record),
    )
    if any(lesion.volume_mm3 < SMALL_MM3 for _, lesion in found):
        text = "Candidates below 1 mL are listed, but are unreliable at this size."
        case = case.flagged(QualityFlag("small_candidates", text, severity="info"))
    return case
