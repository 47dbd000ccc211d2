"""Fifth step of the road: the scores a tumor board asks for, from outlines and clinical form.

Heights of all vertebrae; compression, instability and zones where a candidate is rated malignant; then what concerns
the whole patient. Nothing here is an advice, and every score says which of its items could not be had.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from spondyl import __version__
from spondyl.core import Case, LabelMap, QualityFlag, Score, ScoreItem, SettingsError, StepRecord, Structure, reorient
from spondyl.core.at_once import at_once
from spondyl.lesions import escc
from spondyl.lesions.change import with_means
from spondyl.lesions.compartments import Compartment
from spondyl.lesions.epidural import fluid_around
from spondyl.lesions.frames import frames_of
from spondyl.lesions.height_loss import GENANT_WORDS, genant_grade, height_losses
from spondyl.lesions.heights import body_heights, translation_mm
from spondyl.lesions.involvement import LAYERS, involvement, zones
from spondyl.lesions.noms import noms
from spondyl.lesions.prognostic_scores import prognostic_scores
from spondyl.lesions.sins import Found, sins

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from spondyl.core import Grid, Lesion, Vertebra
    from spondyl.lesions.frames import Frame
    from spondyl.lesions.height_loss import HeightLoss
    from spondyl.lesions.heights import Heights
    from spondyl.lesions.involvement import Zones

AXIAL = "SPL"
"""Slices from the feet, rows from anterior, columns from the right."""

INSIDE_DURA = (Compartment.INTRADURAL.value, Compartment.INTRAMEDULLARY.value)

TOUCHED_MM3 = 100.0
"""Tumor in a vertebra's bone from which its stability is scored, in mm³. Chosen by us."""

ESCC_REACH_MM = 45.0
"""How far from a lesion's middle the canal is looked at, in mm. Chosen by us: half a lesion and its neighborhood."""

AROUND_MM = 20.0
"""How much of an image around all outlines is looked at, in mm. Chosen by us: no score asks farther."""

WBB_REFERENCE = "Boriani 1997, Spine 22:1036"
GENANT_REFERENCE = "Genant 1993, J Bone Miner Res 8:1137"


@dataclass(frozen=True)
class ScoreSettings:
    """Settings of the step.

    Parameters
    ----------
    suspicious : float
        Probability of malignancy from which a candidate is scored. Chosen by us: more likely than not.

    Raises
    ------
    SettingsError
        If it is out of range.
    """

    suspicious: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.suspicious <= 1:
            msg = f"scores.suspicious must lie between 0 and 1, got {self.suspicious}"
            raise SettingsError(msg)


class _Seen(NamedTuple):
    """What is measured once for all scores."""

    case: Case
    structures: NDArray[np.integer]
    instances: NDArray[np.integer]
    labels: NDArray[np.integer]
    grid: Grid
    frames: dict[int, Frame]
    heights: dict[int, Heights]
    losses: dict[int, HeightLoss]


def score_findings(case: Case, settings: ScoreSettings) -> Case:
    """Score the findings of a case.

    Parameters
    ----------
    case : Case
        With vertebrae, lesions and the clinical form, as far as there are any.
    settings : ScoreSettings
        How.

    Returns
    -------
    Case
        With `scores`, means of ADC and fat fraction with its lesions where images show them, and a flag where
        compression is of high grade.
    """
    case = with_means(case)
    found: list[Score] = []
    suspects = [x for x in case.lesions if x.probabilities.get("malignant", 0.0) >= settings.suspicious]
    if "structures" in case.labels and "vertebrae" in case.labels:
        seen = _see(case)
        found += [_genant(v, seen.losses[v.instance]) for v in case.vertebrae if v.instance in seen.losses]
        if suspects and "lesions" in case.labels:
            found += _of_lesions(seen, suspects)
    touched = {s.vertebra_instance for s in found if s.code == "sins"}
    found += prognostic_scores(case.clinical, seen_vertebrae=len(touched))
    if suspects:
        found.append(noms(case.clinical, escc=_highest(found, "bilsky_escc"), sins=_highest(found, "sins")))
    record = StepRecord(
        "scores",
        __version__,
        asdict(settings),
        methods=(
            "Heights of vertebral bodies were compared with their neighbors (Genant); epidural compression (Bilsky), "
            "instability (SINS, as an interval over what MRI and the clinical form leave open) and zones "
            "(Weinstein-Boriani-Biagini) were scored where a candidate was more likely malignant than not; prognostic "
            "scores come from the clinical form."
        ),
    )
    return case.with_(scores=(*case.scores, *found), history=(*case.history, record)).flagged(*_flags(found))


def _around_spine(case: Case) -> Case:
    """Leave out of the label maps what lies far from all of them; of a whole spine, that is most of an image."""
    structures = case.labels["structures"]
    outlined = structures.array > 0
    if "lesions" in case.labels:
        outlined |= case.labels["lesions"].array > 0
    boxes = ndimage.find_objects(outlined.astype(np.uint8))
    if not boxes:
        return case
    margin = [int(np.ceil(AROUND_MM / mm)) for mm in structures.grid.spacing_mm]
    ends = zip(boxes[0], margin, outlined.shape, strict=True)
    box = tuple(slice(max(s.start - m, 0), min(s.stop + m, n)) for s, m, n in ends)
    grid = structures.grid.part(box)
    near = {n: case.labels[n] for n in ("structures", "vertebrae", "lesions") if n in case.labels}
    return case.with_(labels={n: LabelMap(m.array[box], grid, m.names) for n, m in near.items()})


def _see(case: Case) -> _Seen:
    case = _around_spine(case)
    structures, vertebrae = case.labels["structures"], case.labels["vertebrae"]
    heights = body_heights(structures, vertebrae)
    labels = case.labels["lesions"].array if "lesions" in case.labels else np.zeros(structures.array.shape, np.uint16)
    return _Seen(
        case,
        structures.array,
        vertebrae.array,
        labels,
        structures.grid,
        frames_of(structures, vertebrae),
        heights,
        height_losses(heights, case.vertebrae),
    )


def _genant(vertebra: Vertebra, loss: HeightLoss) -> Score:
    low, grade, high = (genant_grade(x) for x in (loss.low, loss.percent, loss.high))
    names = ("front", "middle", "back")
    items = tuple(
        ScoreItem(f"{name} height", f"{mm:.1f} mm of {told:.1f} mm", 0.0, 0.0, "image", "told by neighbors")
        for name, mm, told in zip(names, loss.heights_mm, loss.expected_mm, strict=True)
    )
    spread = (
        f"height loss {max(loss.percent, 0):.0f} %, 90 % interval {max(loss.low, 0):.0f} to {max(loss.high, 0):.0f} %"
    )
    return Score(
        name="Genant grade",
        value=float(grade),
        unit="{grade}",
        low=float(low),
        high=float(high),
        method="mean heights of the front, middle and back third against those that the neighbors tell",
        note=spread + (f"; {loss.shape}" if loss.shape else ""),
        code="genant",
        level=vertebra.level,
        vertebra_instance=vertebra.instance,
        category=GENANT_WORDS[grade],
        items=items,
        reference=GENANT_REFERENCE,
    )


def _of_lesions(seen: _Seen, suspects: list[Lesion]) -> list[Score]:
    numbers = [x.label for x in suspects if x.compartment not in INSIDE_DURA]
    tumor = np.isin(seen.labels, numbers)
    by_instance = {v.instance: v for v in seen.case.vertebrae}
    bone = np.where(tumor, seen.instances, 0)
    volumes = np.bincount(bone.ravel()) * seen.grid.voxel_volume_mm3
    touched = [
        vertebra
        for number, vertebra in by_instance.items()
        if number < len(volumes) and volumes[number] >= TOUCHED_MM3 and number in seen.frames
    ]
    found = at_once(lambda vertebra: _sins(seen, vertebra, tumor), touched)
    outside_cord = [lesion for lesion in suspects if lesion.label in numbers]
    return found + [score for own in at_once(lambda x: _of_lesion(seen, x), outside_cord) for score in own]


def _sins(seen: _Seen, vertebra: Vertebra, tumor: NDArray[np.bool_]) -> Score:
    number = vertebra.instance
    taken = involvement(tumor, seen.structures, seen.instances == number, seen.grid, seen.frames[number])
    loss = seen.losses.get(number)
    step = None
    if number in seen.heights and number + 1 in seen.heights:
        step = translation_mm(seen.heights[number], seen.heights[number + 1])
        step = step if np.isfinite(step) else None
    found = Found(
        vertebra.level,
        vertebra.level_uncertain,
        None if loss is None else (loss.percent, loss.low, loss.high),
        None if vertebra.at_edge else taken.body_percent,
        taken.sides,
        step,
    )
    return sins(found, seen.case.clinical, place={"level": vertebra.level, "vertebra_instance": number})


def _of_lesion(seen: _Seen, lesion: Lesion) -> list[Score]:
    mask = seen.labels == lesion.label
    if not mask.any():
        return []
    place: dict[str, object] = {
        "level": lesion.level,
        "vertebra_instance": lesion.vertebra_instance,
        "lesion": lesion.label,
    }
    found = []
    canal = canal_around(mask, seen.structures, seen.grid, fluid=fluid_around(seen.case, mask))
    if canal is not None:
        found.append(_bilsky(escc.compression(canal), seen, place))
    frame = seen.frames.get(lesion.vertebra_instance or 0)
    if frame is not None:
        named = zones(mask, seen.structures, seen.grid, frame)
        if named.zones:
            found.append(_wbb(named, place))
    return found


def canal_around(
    tumor: NDArray[np.bool_], structures: NDArray[np.integer], grid: Grid, *, fluid: NDArray[np.bool_] | None = None
) -> escc.Canal | None:
    """Cut out the canal around a tumor, in axial slices.

    Parameters
    ----------
    tumor : ndarray of bool
        One tumor.
    structures : ndarray of int, same shape
        Values of `Structure`.
    grid : Grid
        Where the voxels are.
    fluid : ndarray of bool, optional
        Where an image shows fluid.

    Returns
    -------
    Canal or None
        None where no canal was outlined nearby.
    """
    laid = grid.reoriented(AXIAL)
    mask = reorient(tumor, grid.orientation, AXIAL)
    what = reorient(structures, grid.orientation, AXIAL)
    heights = np.flatnonzero(mask.any(axis=(1, 2)))
    reach = int(np.ceil(ESCC_REACH_MM / laid.spacing_mm[0]))
    part = slice(max(heights[0] - reach, 0), heights[-1] + reach + 1)
    inside = np.isin(what[part], (Structure.CANAL, Structure.CORD))
    if not inside.any():
        return None
    places = np.argwhere(inside | (mask[part] & inside))
    low, high = np.maximum(places.min(0) - 2, 0), places.max(0) + 3
    box = (part, slice(low[1], high[1]), slice(low[2], high[2]))
    canal = np.isin(what[box], (Structure.CANAL, Structure.CORD))
    cord = (what[box] == Structure.CORD) & ~mask[box]
    bright = None if fluid is None else reorient(fluid, grid.orientation, AXIAL)[box]
    return escc.Canal(mask[box], canal, cord, None, laid.spacing_mm, bright)


def _bilsky(found: escc.Compression, seen: _Seen, place: dict[str, object]) -> Score:
    thick = max(seen.grid.spacing_mm)
    note = f"defined on axial T2; measured on outlines of {seen.grid.plane} images with voxels up to {thick:.1f} mm"
    ends = [float(escc.GRADES.index(g)) for g in found.grades]
    items = [ScoreItem("tumor in the canal", f"{found.epidural_mm3 / 1000:.2f} mL", 0.0, 0.0, "image")]
    if found.epidural_mm3 >= escc.MIN_EPIDURAL_MM3:
        items.append(ScoreItem("canal taken", f"{found.canal_percent:.0f} % at most", 0.0, 0.0, "image"))
    if found.cord_percent is not None:
        items.append(ScoreItem("cord area", f"{found.cord_percent:.0f} % of above and below", 0.0, 0.0, "image"))
    compromised = "thecal-sac compromise" if not found.grades else ""
    return Score(
        name="Epidural spinal cord compression" if found.grades else "Thecal-sac compromise",
        value=ends[0] if len(ends) == 1 else None,
        unit="{grade}",
        low=min(ends, default=None),
        high=max(ends, default=None),
        method=found.why,
        note=f"not graded: {found.why}" if compromised else note,
        code="bilsky_escc",
        category=" or ".join(found.grades) if found.grades else "",
        items=tuple(items),
        reference=escc.REFERENCE,
        **place,  # type: ignore[arg-type]
    )


def _wbb(named: Zones, place: dict[str, object]) -> Score:
    numbers, letters = named
    words = "; ".join(f"{letter} {LAYERS[letter]}" for letter in letters)
    return Score(
        name="Weinstein-Boriani-Biagini zones",
        value=None,
        unit="1",
        method="angle around the canal, from the left half of the spinous process by the left side",
        note="recalled; handedness not checked against the paper",
        code="wbb",
        category=f"zones {', '.join(map(str, numbers))}; layers {', '.join(letters)}",
        items=(ScoreItem("layers", words, 0.0, 0.0, "image"),),
        reference=WBB_REFERENCE,
        verified=False,
        **place,  # type: ignore[arg-type]
    )


def _highest(scores: Iterable[Score], code: str) -> Score | None:
    rated = [s for s in scores if s.code == code and s.high is not None]
    return max(rated, key=lambda s: (s.high, s.low), default=None)


def _flags(found: list[Score]) -> list[QualityFlag]:
    high = [s for s in found if s.code == "bilsky_escc" and s.high is not None and s.high >= escc.GRADES.index("2")]
    return [
        QualityFlag(
            "high_grade_compression",
            f"Epidural compression of grade {s.category} is possible here; somebody must look at the images now.",
            where=s.level or "",
        )
        for s in high
    ]
