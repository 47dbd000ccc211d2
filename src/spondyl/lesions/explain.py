"""After the classes: say what the most suspicious findings rest on, by place and by series.

A finding that vanishes when a place beside it is made plain was not found for itself; one that rests on one series
alone is only as good as that series. Both are told, and neither changes a finding.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl import __version__
from spondyl.core import SAGITTAL, Case, Image, Measurement, SettingsError, StepRecord, reorient
from spondyl.models.adopted import is_adopted
from spondyl.models.detect import onto
from spondyl.models.occlusion import occlude
from spondyl.models.space import resample
from spondyl.models.study import study_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Grid, LabelMap, Lesion
    from spondyl.models.network import Network
    from spondyl.models.occlusion import Occlusion

METHOD = "fall of the mean log-odds of a lesion where this series is made plain (occlusion)"

MAJORITY = 0.4
"""Share of a working voxel from which it belongs to a finding. Chosen by us, as in the classification."""


@dataclass(frozen=True)
class ExplainSettings:
    """Settings of the step.

    Parameters
    ----------
    findings : int
        How many findings are explained, the most suspicious first; each takes seconds. 0 explains none.

    Raises
    ------
    SettingsError
        If it is negative.
    """

    findings: int = 1

    def __post_init__(self) -> None:
        if self.findings < 0:
            msg = f"explain.findings must be 0 or more, got {self.findings}"
            raise SettingsError(msg)


def explain_findings(case: Case, settings: ExplainSettings, *, network: Network) -> Case:
    """Tell what the most suspicious findings rest on.

    Parameters
    ----------
    case : Case
        With its lesions, the most suspicious first.
    settings : ExplainSettings
        How many.
    network : Network
        The network that found them.

    Returns
    -------
    Case
        With measurements ``"evidence_..."`` of the lesions explained, and the map ``"evidence"``: from 0 to 1, how far
        each place speaks for the finding nearby. Networks made elsewhere explain nothing.
    """
    wanted = case.lesions[: settings.findings]
    study = None if not wanted or is_adopted(network.card) else study_of(case, network.card)
    lesions = list(case.lesions)
    maps = dict(case.maps)
    if study is not None:
        labels = case.labels["lesions"]
        told = np.zeros(labels.grid.shape, np.float32)
        for number, lesion in enumerate(wanted):
            mask = _on(labels, lesion.label, study.grid)
            if mask.any():
                found = occlude(study, network, mask)
                lesions[number] = replace(lesion, measurements=(*lesion.measurements, *_measured(found, mask)))
                told = np.maximum(told, _map(found, study.grid, labels.grid))
        maps["evidence"] = Image(told, labels.grid)
    record = StepRecord(
        "explain",
        __version__,
        asdict(settings),
        {network.name: network.sha256} if study is not None else {},
        methods=(
            f"The most suspicious candidates ({len(wanted)}) were explained by occlusion: places and series were made "
            "plain, and the network that found them was asked again."
            if study is not None
            else ""
        ),
    )
    return case.with_(lesions=tuple(lesions), maps=maps, history=(*case.history, record))


def _on(labels: LabelMap, number: int, grid: Grid) -> NDArray[np.bool_]:
    """One lesion on the working grid."""
    array = reorient(labels.array, labels.grid.orientation, SAGITTAL) == number
    shares: Any = resample(array.astype(np.float32), labels.grid.reoriented(SAGITTAL), grid)
    mask: NDArray[np.bool_] = shares > MAJORITY
    return mask


def _measured(found: Occlusion, mask: NDArray[np.bool_]) -> tuple[Measurement, ...]:
    measured = [
        Measurement(f"evidence_{slot}", round(fall, 2), "1", method=METHOD) for slot, fall in found.by_slot.items()
    ]
    positive = np.maximum(found.fall, 0)
    if positive.max() > 0:
        inside = float(positive[mask[found.box]].sum() / positive.sum())
        how = "share of the fall, where places are made plain, that lies inside the outline"
        measured.append(Measurement("evidence_inside", round(100 * inside, 1), "%", method=how))
    return tuple(measured)


def _map(found: Occlusion, working: Grid, grid: Grid) -> NDArray[np.float32]:
    """The fall of evidence on an image's grid, from 0 to 1."""
    whole = np.zeros(working.shape, np.float32)
    positive = np.maximum(found.fall, 0)
    whole[found.box] = positive / max(float(positive.max()), 1e-6)
    return np.clip(onto(whole, working, grid), 0, 1)


def explained(lesion: Lesion) -> bool:
    """Say whether a lesion was explained.

    Parameters
    ----------
    lesion : Lesion
        A lesion.

    Returns
    -------
    bool
        True with measurements of evidence.
    """
    return any(m.name.startswith("evidence_") for m in lesion.measurements)
