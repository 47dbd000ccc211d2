"""Spinal Instability Neoplastic Score: six items, of which MRI shows some, the form tells some, and CT settles one.

The score is an interval. A lying patient's MRI shows less malalignment than there is when standing, and no MRI tells
lytic from blastic bone for sure, so those items stay open unless the form closes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from spondyl.core import ScoreItem
from spondyl.lesions.points import Table, known, total, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spondyl.core import Score

SINS = Table(
    "sins",
    "SINS",
    ((0, "stable"), (7, "potentially unstable"), (13, "unstable")),
    "Fisher 2010, Spine 35:E1221",
)

LOCATION: Mapping[str, float] = {
    **dict.fromkeys(("C1", "C2", "C7", "T1", "T2", "T11", "T12", "T13", "L1", "L5", "L6", "S1"), 3.0),
    **dict.fromkeys(("C3", "C4", "C5", "C6", "L2", "L3", "L4"), 2.0),
    **dict.fromkeys((f"T{n}" for n in range(3, 11)), 1.0),
    **dict.fromkeys(("S2", "S3", "S4", "S5"), 0.0),
}
"""Junctional 3, mobile 2, semirigid 1, rigid 0. The paper does not know T13 and L6; as the last with ribs and the last
mobile vertebra they are taken as junctional here."""

LOCATION_WORDS = {3.0: "junctional", 2.0: "mobile", 1.0: "semirigid", 0.0: "rigid"}

VARIANTS = ("T13", "L6")

PAIN_POINTS: Mapping[object, float] = {"mechanical": 3.0, "occasional": 1.0, "none": 0.0}
BONE_POINTS: Mapping[object, float] = {"lytic": 2.0, "mixed": 1.0, "blastic": 0.0}
ALIGNMENT_POINTS: Mapping[object, float] = {"subluxation": 4.0, "deformity": 2.0, "normal": 0.0}

COLLAPSE_PERCENT = 20.0
"""Loss of height from which a body has collapsed, in percent: Genant's least fracture; SINS gives none."""

HALF_PERCENT = 50.0
"""Half of the height or of the body. The paper leaves exactly one half open; it counts as more here, to the safe
side."""

TRANSLATION_MM = 3.5
"""Step between neighboring bodies from which they count as subluxed, in mm (White and Panjabi 1990, for the neck)."""


class Found(NamedTuple):
    """What images show of one vertebra; None where they do not.

    Parameters
    ----------
    level : str or None
        Its level.
    level_uncertain : bool
        Whether the level must be checked.
    height_loss_percent : tuple of float or None
        Loss of height: value, lower and upper end.
    involved_percent : float or None
        Share of the body that tumor has taken.
    sides : int or None
        Sides, of two, on which tumor reaches pedicle or facet.
    translation_mm : float or None
        Step on the vertebra below.
    """

    level: str | None
    level_uncertain: bool = False
    height_loss_percent: tuple[float, float, float] | None = None
    involved_percent: float | None = None
    sides: int | None = None
    translation_mm: float | None = None


def sins(found: Found, form: Mapping[str, Any], *, place: Mapping[str, object] | None = None) -> Score:
    """Give the SINS of one vertebra.

    Parameters
    ----------
    found : Found
        What images show.
    form : mapping of str to object
        The clinical form; what `levels` says of the level comes first.
    place : mapping of str to object, optional
        Level, vertebra and lesion for the record.

    Returns
    -------
    Score
        0 to 18, as an interval.
    """
    said = dict(form.get("levels", {}).get(found.level or "", {}))
    said.setdefault("pain", form.get("pain"))
    items = (
        location(found),
        _told(said.get("pain"), "pain", PAIN_POINTS, "give pain in the clinical form"),
        _told(said.get("bone_lesion"), "bone lesion", BONE_POINTS, "needs CT: give bone_lesion of this level"),
        alignment(found, said.get("alignment")),
        collapse(found),
        posterolateral(found),
    )
    return total(SINS, items, place=place)


def _told(value: Any, name: str, points: Mapping[object, float], ask: str) -> ScoreItem:
    if value is None:
        return unknown(name, (0.0, max(points.values())), ask)
    return known(name, points[value], str(value), "form")


def location(found: Found) -> ScoreItem:
    """Give the item of location.

    Parameters
    ----------
    found : Found
        What images show.

    Returns
    -------
    ScoreItem
        Open where the level is not known.
    """
    if found.level is None or found.level not in LOCATION:
        return unknown("location", (0.0, 3.0), "the level is not known")
    points = LOCATION[found.level]
    note = "check the level" if found.level_uncertain else ""
    if found.level in VARIANTS:
        note = f"{found.level} is not in the score; taken as junctional" + ("; check the level" if note else "")
    return known("location", points, f"{found.level}, {LOCATION_WORDS[points]}", "image", note)


def alignment(found: Found, told: str | None) -> ScoreItem:
    """Give the item of alignment.

    Parameters
    ----------
    found : Found
        What images show.
    told : str or None
        What the form says of radiographs.

    Returns
    -------
    ScoreItem
        From the form; otherwise what a supine MRI shows is its lower end.
    """
    name = "alignment"
    if told is not None:
        return known(name, ALIGNMENT_POINTS[told], told, "form")
    ask = "seen lying: give alignment of this level from radiographs"
    if found.translation_mm is None:
        return unknown(name, (0.0, 4.0), ask)
    if found.translation_mm >= TRANSLATION_MM:
        return known(name, 4.0, f"step of {found.translation_mm:.0f} mm", "image", "may be degenerative: check")
    return ScoreItem(name, "no step seen lying", 0.0, 4.0, "image", ask)


def collapse(found: Found) -> ScoreItem:
    """Give the item of vertebral body collapse.

    Parameters
    ----------
    found : Found
        What images show.

    Returns
    -------
    ScoreItem
        Its ends are the points at both ends of the interval of the loss of height.
    """
    name = "collapse"
    if found.height_loss_percent is None:
        return unknown(name, (0.0, 3.0), "the height of the body could not be compared with its neighbors")
    loss, low, high = found.height_loss_percent
    involved = found.involved_percent
    ends = [_collapse_points(x, involved) for x in (low, loss, high)]
    words = f"{max(loss, 0):.0f} % of height lost"
    if involved is not None:
        words += f", {involved:.0f} % of body involved"
    note = "" if ends[0] == ends[2] else f"loss of height between {max(low, 0):.0f} and {high:.0f} %"
    return ScoreItem(name, words, min(ends), max(ends), "image", note)


def _collapse_points(loss: float, involved: float | None) -> float:
    if loss >= HALF_PERCENT:
        return 3.0
    if loss >= COLLAPSE_PERCENT:
        return 2.0
    return 1.0 if involved is not None and involved >= HALF_PERCENT else 0.0


def posterolateral(found: Found) -> ScoreItem:
    """Give the item of posterolateral involvement.

    Parameters
    ----------
    found : Found
        What images show.

    Returns
    -------
    ScoreItem
        Open where posterior elements could not be judged.
    """
    name = "posterolateral"
    if found.sides is None:
        return unknown(name, (0.0, 3.0), "posterior elements were not outlined here")
    points, words = ((0.0, "none"), (1.0, "one side"), (3.0, "both sides"))[found.sides]
    return known(name, points, words, "image")
