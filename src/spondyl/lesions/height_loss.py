"""What vertebral bodies have lost in height, and the Genant grade.

What a body should measure is told by its neighbors, never by fixed millimeters: published proportions of one level to
the next carry only the shape of the column, and the neighbors its scale. Bodies differ by nature, too. So the ways in
which bodies break are weighed against that difference, and the loss is told as the middle of what is left, and its
interval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from spondyl.core import Vertebra
    from spondyl.lesions.heights import Heights

    Floats = NDArray[np.float64]

POSTERIOR_HEIGHT_MM: Mapping[str, float] = {
    **dict.fromkeys(("C3", "C4", "C5", "C6"), 11.0),
    "C7": 13.0,
    **{level: 14.0 + n * 0.75 for n, level in enumerate(("T1", "T2", "T3", "T4", "T5", "T6"))},
    **{level: 18.2 + n * 0.8 for n, level in enumerate(("T7", "T8", "T9", "T10", "T11", "T12"))},
    "T13": 22.6,
    "L1": 23.5,
    "L2": 24.0,
    "L3": 24.0,
    "L4": 24.0,
    "L5": 23.0,
    "L6": 23.0,
}
"""Usual height of the back wall (Panjabi 1991 and 1992, rounded): only the proportion of neighboring levels is used."""

FRONT_OVER_BACK: Mapping[str, float] = {"L4": 1.04, "L5": 1.15, "L6": 1.15}
"""Usual height in front over that behind where they differ most; L5 30.3 and 26.3 mm on CT."""

NEAR_LEVELS = 4
"""How many levels away a neighbor still tells the scale. Chosen by us."""

SLOPE_SD = 0.02
"""Standard deviation of what the proportions of a column change by from level to level against the usual ones, as a
share. Chosen by us: it keeps a line through few neighbors from tipping."""

SPREAD, SPREAD_WEIGHT = 0.05, 4.0
"""Standard deviation of a third's height about what its neighbors tell, as a share, and how many vertebrae that counts
for beside those of the patient. Measured: 64 bodies of 15 outlined lumbar MRI scatter by 4 to 5 % about a line through
the others (of Zukic 2014, doi 10.1111/cgf.12343; Chu 2015, doi 10.1371/journal.pone.0143327; Burian 2019, doi
10.1186/s12891-019-2528-x)."""

TOGETHER = np.array([[1.0, 0.7, 0.45], [0.7, 1.0, 0.75], [0.45, 0.75, 1.0]])
"""Correlation of that scatter between front, middle and back. Measured on the same bodies: 0.67, 0.42 and 0.74."""

FREEDOM = 3.0
"""Degrees of freedom of the t distribution that the scatter follows. Chosen by us on 240 synthetic spines (seeds from
900000), so that nine in ten intervals hold the truth: bodies with old hollows of their
endplates lie far out."""

BROKEN = np.array([[1.0, 0.64, 0.28], [1.0, 0.85, 0.6], [0.5, 1.0, 0.5], [0.45, 0.95, 1.0], [1.0, 1.0, 1.0]])
"""Ways to break: what front, middle and back third lose for each share lost where most is. Wedges with a whole back
wall and with one that gave way a little, endplates that gave way in the middle and behind it, crush. By geometry: the
thirds of a straight wedge lose 78, 50 and 22 % of what its edge does."""

LOSS_STEPS = np.linspace(0.0, 0.8, 81)
"""Losses that are weighed, as shares."""

INTACT_SHARE = 0.1
"""Odds given beforehand to a body that did not break. Chosen by us, low, so that a loss is rather told than not."""

STANDING_LOSS = 0.08
"""Share of height lost below which a body still tells the scale of its neighbors. Chosen by us."""

ROUNDS = 4
"""How often scale and losses are told in turn. Chosen by us: they settle after three."""

GENANT = ((20.0, 1), (25.0, 2), (40.0, 3))
"""Loss of height in percent from which the grades mild, moderate and severe begin (Genant 1993, J Bone Miner Res
8:1137). The ranges of the paper touch: 25 % counts as moderate and 40 % as severe here."""

GENANT_WORDS = ("normal", "mild", "moderate", "severe")


class HeightLoss(NamedTuple):
    """What a body has lost.

    Parameters
    ----------
    percent, low, high : float
        Loss of the third that lost most, in percent of what it measured, and its 90 % interval.
    shape : str
        ``"wedge"``, ``"biconcave"`` or ``"crush"`` from the least fracture on, else empty.
    heights_mm, expected_mm : tuple of float
        In front, in the middle and behind: measured, and told by the neighbors.
    """

    percent: float
    low: float
    high: float
    shape: str
    heights_mm: tuple[float, float, float]
    expected_mm: tuple[float, float, float]


def height_losses(heights: Mapping[int, Heights], vertebrae: Sequence[Vertebra]) -> dict[int, HeightLoss]:
    """Compare every body with what its neighbors tell.

    Parameters
    ----------
    heights : mapping of int to Heights
        By instance.
    vertebrae : sequence of Vertebra
        From the head down; those at the edge of the field of view, of the sacrum, and C1 and C2 are left out.

    Returns
    -------
    dict of int to HeightLoss
        By instance, where at least two neighbors can be compared with.

    Notes
    -----
    The logarithm of each third's height against the usual one is a line along the column plus scatter. Lines are told
    by bodies as far as they stand, and who stands is told by the lines, in turn.
    """
    rows = [v for v in vertebrae if v.instance in heights and not v.at_edge and _comparable(v.level)]
    if len(rows) < 3:
        return {}
    measured = np.array([heights[v.instance][:3] for v in rows], dtype=np.float64)
    usual = np.array([_usual_mm(v.level) for v in rows])
    instances = [v.instance for v in vertebrae]
    order = np.array([instances.index(v.instance) for v in rows], dtype=np.float64)
    told, weighed = _weigh(np.log(measured / usual), order)
    expected = np.exp(told) * usual
    return {v.instance: _loss(measured[row], expected[row], weighed[row]) for row, v in enumerate(rows)}


def _comparable(level: str | None) -> bool:
    return level is None or (level[0] != "S" and level not in ("C1", "C2"))


def _usual_mm(level: str | None) -> tuple[float, float, float]:
    back = POSTERIOR_HEIGHT_MM.get(level or "", POSTERIOR_HEIGHT_MM["L2"])
    front = back * FRONT_OVER_BACK.get(level or "", 1.0)
    return front, (front + back) / 2, back


def _weigh(ratio: Floats, order: Floats) -> tuple[Floats, Floats]:
    """What the others tell of each body, and the odds of each of `LOSS_STEPS`; shapes (n, 3) and (n, steps)."""
    center = np.array([np.median(np.delete(ratio, row, axis=0), axis=0) for row in range(len(ratio))])
    stands = np.where((ratio - center).min(axis=1) > -2 * STANDING_LOSS, 0.95, 0.05)
    variance = SPREAD**2
    for _ in range(ROUNDS):
        told, doubt = _told(ratio, order, stands, variance)
        away = ((ratio - told) ** 2 / (1 + doubt[:, None])).mean(axis=1)
        variance = (SPREAD_WEIGHT * SPREAD**2 + (stands * away).sum()) / (SPREAD_WEIGHT + stands.sum())
        weighed = np.array([_odds(r, variance * (1 + d) * TOGETHER) for r, d in zip(ratio - told, doubt, strict=True)])
        stands = weighed[:, LOSS_STEPS < STANDING_LOSS].sum(axis=1)
    return told, weighed


def _told(ratio: Floats, order: Floats, stands: Floats, variance: float) -> tuple[Floats, Floats]:
    """Height of each body on the line through its neighbors, and the variance of that in units of `variance`."""
    told, doubt = np.empty_like(ratio), np.empty(len(ratio))
    for row in range(len(ratio)):
        away = order - order[row]
        near = (away != 0) & (np.abs(away) <= NEAR_LEVELS)
        near = near if near.sum() >= 2 else away != 0
        weight = np.maximum(stands[near] / (1 + np.abs(away[near]) / NEAR_LEVELS), 1e-3)
        line = np.column_stack([np.ones(near.sum()), away[near]])
        inverse = np.linalg.inv((line.T * weight) @ line + np.diag([0.0, variance / SLOPE_SD**2]))
        hat = inverse[0] @ (line.T * weight)
        told[row], doubt[row] = hat @ ratio[near], float((hat**2).sum())
    return told, doubt


def _odds(ratio: Floats, covariance: Floats) -> Floats:
    """Posterior odds of each of `LOSS_STEPS`, over all ways to break; the first holds those of a body that did not."""
    left = ratio - np.log(1 - BROKEN[:, None, :] * LOSS_STEPS[:, None])
    distance = np.einsum("kli,ij,klj->kl", left, np.linalg.inv(covariance), left)
    likely = (1 + distance / FREEDOM) ** (-(FREEDOM + ratio.size) / 2)
    odds = (1 - INTACT_SHARE) * likely.mean(axis=0) / len(LOSS_STEPS)
    odds[0] += INTACT_SHARE * likely[0, 0]
    found: Floats = odds / odds.sum()
    return found


def _loss(measured: Floats, expected: Floats, odds: Floats) -> HeightLoss:
    low, percent, high = (100 * float(np.interp(q, np.cumsum(odds), LOSS_STEPS)) for q in (0.05, 0.5, 0.95))
    shape = _shape(100 * (1 - measured / expected)) if percent >= GENANT[0][0] else ""
    heights, told = (tuple(float(x) for x in row) for row in (measured, expected))
    return HeightLoss(percent, low, high, shape, heights, told)  # type: ignore[arg-type]


def _shape(losses: Floats) -> str:
    """Crush where the back has lost, too; biconcave where the middle lost most; wedge where the front did."""
    front, middle, back = losses
    if back >= GENANT[0][0] * 0.75 and back >= 0.6 * max(front, middle):
        return "crush"
    return "biconcave" if middle > front + 3.0 else "wedge"


def genant_grade(percent: float) -> int:
    """Give the Genant grade of a loss of height.

    Parameters
    ----------
    percent : float
        Loss of height in percent.

    Returns
    -------
    int
        0 to 3.
    """
    return max((grade for start, grade in GENANT if percent >= start), default=0)
