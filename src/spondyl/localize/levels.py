"""Which vertebra is which: all consistent namings of a column are weighed, and summed to a probability of each level.

A naming runs down one of nine spines (eleven to thirteen rib-bearing vertebrae, four to six lumbar ones), starts
anywhere, and may have missed one body or cut one in two. It is weighed by how the outlines look (`LevelModel`), by the
ribs that images show beside each body (`RibModel`), by what the network called the first sacral body, by where the cord
ends, by where a study's field of view usually lies, and by what is seen above and below. All namings are enumerated, so
the sum is exact. An unusual number of vertebrae has the share it has in life, and what is seen may outweigh it: ribs
are told without regard to the vertebrae that usually bear them, so that they count beside the sizes, not twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations, product
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp, ndtr

from spondyl.core.anatomy import CERVICAL, LUMBAR, SACRAL, THORACIC
from spondyl.localize.level_cues import CUES
from spondyl.localize.level_model import MODELED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.localize.level_cues import ColumnCues
    from spondyl.localize.level_model import LevelModel

    Array = NDArray[np.float64]

LUMBAR_SHARES = {4: 0.033, 5: 0.924, 6: 0.043}
"""Share of spines by number of lumbar vertebrae: one mobile vertebra less or more in 14 and 18 of 418 (Tins 2016, doi
10.1007/s13244-016-0468-7)."""

THORACIC_SHARES = {11: 0.02, 12: 0.96, 13: 0.02}
"""Share of spines by number of rib-bearing vertebrae. Chosen by us: reports reach from 1 to 7 % by what counts as a
rib."""

MISSED_SHARES = {CERVICAL[:2]: 0.01, CERVICAL[2:]: 0.05, THORACIC: 0.01, LUMBAR: 0.003, SACRAL: 0.001}
"""Share of bodies that are not found, by part of the spine: small ones are missed more often. Chosen by us, about as
often as in synthetic studies."""

SPLIT_SHARE = 0.002
"""Share of bodies that are cut in two. Chosen by us."""

C1_SHARE = 0.05
"""Share of columns with C1 in view in which a body of it is outlined: it has none of its own. Chosen by us."""

LONG_STEP, SHORT_STEP, MOST_IRREGULAR = 1.3, 0.75, 3
"""Distance of two bodies over the usual, from which a body may be missing in between even where the
column has more such places, and below which both may be parts of one; and how many such places are weighed together.
Chosen by us."""

UNCERTAIN_BELOW = 0.85
"""A level less probable than this is marked uncertain. Chosen by us."""

NAMED_FROM = 0.5
"""A level less probable than this is not given: any other name may be as good. Chosen by us."""

CALLED_WHOLE = {"S1": 0.945, "S2": 0.02, "other": 0.005, "none": 0.03}
CALLED_CUT = {"S1": 0.70, "S2": 0.20, "other": 0.02, "none": 0.08}
"""How often the network calls the first sacral body, the second, another or none "S1", where the sacrum lies whole in
the field of view and where the field ends in it. Chosen by us: with a cut sacrum real volumes showed all four."""

ODD_SHARE = 1e-3
"""Share of columns so odd that their measurements say nothing: it bounds what geometry alone decides. Chosen by us."""

CALLED_ABSENT = 0.005
"""How often the lowest body is called S1 though no sacral body is in the field. Chosen by us."""

CONUS = (0.2, 1.0, 0.2)
"""Where the cord ends, in bodies below L1's center: mean, standard deviation, and share that says nothing. The conus
lies between T12 and L3, on average in the lower third of L1 (Saifuddin 1998, Spine 23:1452); the spread is wider here,
since thick slices blur its tip. Chosen by us."""

PROTOCOLS = ((2.0, 1.0, 0.40), (-1.5, 2.0, 0.20), (-6.0, 2.0, 0.15), (-15.0, 1.5, 0.15))
"""Where fields of view have their middle, in bodies below L1: L3 for lumbar studies, T11/T12, T7 and C5 for others;
with standard deviation and share. The rest may lie anywhere. Chosen by us from how such studies are prescribed."""

ROOM, UNEXPLAINED = 1.4, 0.1
"""Bodies' worth of field beyond an end that should hold a further body, and how probable it is to be missed. Chosen by
us: coils see the ends of a field poorly."""

RIB_LIMIT = 6.0
"""Largest logarithm of odds that the ribs of one body may give: no image is so clear that one look outweighs all else.
Chosen by us."""

BLIND_SHARE = 0.2
"""Share of studies in which ribs are not recognized at all, so that their absence says nothing. Chosen by us: the
network learnt on synthetic patients, and in real ones of other contrast it mostly missed ribs."""

_REGULAR, _GAP, _IGNORED = 0, 1, 2
"""Versions of a body's measurements: as they are, with the step below halved, and none."""

_BEARS_RIBS = np.isin(MODELED, THORACIC)
"""Whether each level bears ribs."""

_LOG_MISSED = np.log([share for part, share in MISSED_SHARES.items() for name in part if name in MODELED])
"""How often the body of each level is missed."""


@dataclass(frozen=True)
class LevelGuess:
    """The level of one body.

    Parameters
    ----------
    level : str or None
        Level name, or None where it cannot be known.
    probability : float
        Of that level; of the best guess where it is None.
    uncertain : bool
        Whether the reader must check it.
    reason : str
        Why.
    """

    level: str | None
    probability: float
    uncertain: bool
    reason: str


@dataclass(frozen=True, eq=False)
class LevelPosterior:
    """Probability of every level for every body.

    Parameters
    ----------
    probabilities : ndarray, shape (n, len(MODELED))
        Sums to one for each body.
    best : tuple of str
        The most probable naming of the whole column.
    missed : float
        Probability that a body was missed or cut in two.
    log_likelihood : float
        Of the measurements under their best naming, as `LevelModel.log_likelihood` gives it.
    """

    probabilities: Array
    best: tuple[str, ...]
    missed: float
    log_likelihood: float = 0.0


@dataclass(frozen=True, eq=False)
class _Namings:
    """All consistent namings: version and level index of each body, position of each beside L1, and log prior.

    Many differ only in levels they do not reach: `distinct` holds each sequence once, `which` where it stands there.
    """

    levels: NDArray[np.intp]
    distinct: NDArray[np.intp]
    which: NDArray[np.intp]
    beside_l1: Array
    log_prior: Array
    irregular: NDArray[np.bool_]


def level_posterior(cues: ColumnCues, model: LevelModel) -> LevelPosterior | None:
    """Weigh all namings of a column.

    Parameters
    ----------
    cues : ColumnCues
        Measurements of its bodies, from the head down, the first sacral one included where it was found.
    model : LevelModel
        What levels look like.

    Returns
    -------
    LevelPosterior or None
        None where there are more bodies than a spine has.
    """
    namings = _namings(len(cues.values), *_irregular_steps(cues.values))
    if len(namings.levels) == 0:
        return None
    geometry = model.log_likelihood(_versions(cues.values), namings.distinct)[namings.which]
    weight = namings.log_prior + np.logaddexp(geometry, geometry.max() + np.log(ODD_SHARE))
    weight += _log_called(cues, namings) + _log_cord(cues.cord_end, namings)
    weight += _log_field(cues.middle, namings) + _log_room(cues, namings)
    if cues.ribs is not None:
        weight += _log_ribs(model.rib_weight * cues.ribs, namings)
    share = np.exp(weight - logsumexp(weight))
    probabilities = np.zeros((len(cues.values), len(MODELED)))
    for body, row in enumerate(probabilities):
        np.add.at(row, namings.levels[:, body, 1], share)
    names, which = np.unique(namings.distinct[:, :, 1], axis=0, return_inverse=True)
    best = names[np.argmax(np.bincount(which.ravel()[namings.which], weights=share))]
    missed = float(share[namings.irregular].sum())
    return LevelPosterior(probabilities, tuple(MODELED[i] for i in best), missed, float(geometry.max()))


def name_levels(cues: ColumnCues, model: LevelModel) -> tuple[tuple[str, ...], list[LevelGuess]]:
    """Name the bodies of a column.

    Parameters
    ----------
    cues : ColumnCues
        Measurements, from the head down.
    model : LevelModel
        What levels look like.

    Returns
    -------
    names : tuple of str
        The most probable naming of the whole column, however doubtful; empty where there is none.
    guesses : list of LevelGuess
        One per body: what may be said of it.
    """
    posterior = level_posterior(cues, model)
    if posterior is None:
        reason = "more bodies were found than a spine has"
        return (), [LevelGuess(None, 0.0, uncertain=True, reason=reason) for _ in cues.values]
    reason = _reason(cues, posterior)
    guesses = []
    for place, (name, row) in enumerate(zip(posterior.best, posterior.probabilities, strict=True)):
        p = float(row[MODELED.index(name)])
        # Of two pieces the lower one keeps the name; of the sacrum the upper one, for what lies below is sacrum.
        if name != "S1" and name in posterior.best[place + 1 :]:
            guesses.append(LevelGuess(None, p, uncertain=True, reason=f"it may be a part of {name}"))
            continue
        uncertain = p < UNCERTAIN_BELOW
        guesses.append(LevelGuess(name if p >= NAMED_FROM else None, p, uncertain, reason if uncertain else ""))
    return posterior.best, guesses


def _reason(cues: ColumnCues, posterior: LevelPosterior) -> str:
    if posterior.missed > 1 - UNCERTAIN_BELOW:
        return "a vertebra may be missing in the count"
    if not any(name in posterior.best for name in ("S1", "C2")):
        return "the sacrum is not in the field of view, and neither is the axis (C2)"
    if "S1" in posterior.best:
        at = posterior.best.index("S1")
        if cues.cut_below or posterior.probabilities[at, MODELED.index("S1")] < UNCERTAIN_BELOW:
            return "the first sacral body is cut off or not clearly seen"
    return "the number of thoracic or lumbar vertebrae is unusual or unclear"


def _spines() -> list[tuple[list[str], float]]:
    """Every spine from C1 to S2 with the logarithm of its share."""
    return [
        ([*CERVICAL, *THORACIC[:t], *LUMBAR[:n], *SACRAL[:2]], float(np.log(THORACIC_SHARES[t] * LUMBAR_SHARES[n])))
        for t, n in product(THORACIC_SHARES, LUMBAR_SHARES)
    ]


def _patterns(n: int, gaps: tuple[int, ...], splits: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Give the steps that skip a body, and those within one body: none, any one gap, one likely split, or several."""
    one: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((), ())]
    one += [((j,), ()) for j in range(n - 1)] + [((), (j,)) for j in splits]
    several = [
        (g, s)
        for g in chain.from_iterable(combinations(gaps, k) for k in range(len(gaps) + 1))
        for s in chain.from_iterable(combinations(splits, k) for k in range(len(splits) + 1))
        if len(g) + len(s) > 1
    ]
    return one + several


@lru_cache(maxsize=32)
def _namings(n: int, gaps: tuple[int, ...] = (), splits: tuple[int, ...] = ()) -> _Namings:
    levels, beside, prior, irregular = [], [], [], []
    plain = np.arange(n)
    for (names, log_share), (skipped, within) in product(_spines(), _patterns(n, gaps, splits)):
        index = np.array([MODELED.index(name) for name in names])
        steps, versions = plain.copy(), np.full(n, _REGULAR)
        for j in skipped:
            steps[j + 1 :] += 1
            versions[j] = _GAP
        for j in within:
            steps[j + 1 :] -= 1
            versions[j : j + 2] = _IGNORED
        starts = np.arange(len(names) - steps[-1])
        places = starts[:, None] + steps
        levels.append(np.stack([np.broadcast_to(versions, places.shape), index[places]], axis=-1))
        beside.append(places - names.index("L1"))
        missed = _LOG_MISSED[index[places[:, list(skipped)] + 1]].sum(axis=1)
        above = np.where(index[places[:, 0]] == MODELED.index("C1"), np.log(C1_SHARE), 0.0)
        prior.append(log_share + missed + above + len(within) * np.log(SPLIT_SHARE))
        irregular.append(np.full(len(starts), bool(skipped or within)))
    if not any(len(part) for part in levels):
        empty = np.zeros((0, n, 2), np.intp)
        return _Namings(empty, empty, np.zeros(0, np.intp), np.zeros((0, n)), np.zeros(0), np.zeros(0, bool))
    together = np.concatenate(levels)
    distinct, which = np.unique(together.reshape(len(together), -1), axis=0, return_inverse=True)
    rest = (np.concatenate(part) for part in (beside, prior, irregular))
    return _Namings(together, distinct.reshape(-1, n, 2), which.ravel(), *rest)


def _irregular_steps(values: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the steps so long that they may skip a body, and those so short that they may lie within one."""
    steps = values[:-1, CUES.index("step")]
    ratio = np.full(len(steps), 0.0)
    for i in np.flatnonzero(np.isfinite(steps)):
        near = np.concatenate([steps[max(i - 3, 0) : i], steps[i + 1 : i + 4]])
        if np.isfinite(near).any():
            ratio[i] = steps[i] - np.nanmedian(near)
    longest, shortest = np.argsort(-ratio)[:MOST_IRREGULAR], np.argsort(ratio)[:MOST_IRREGULAR]
    gaps = tuple(sorted(int(i) for i in longest if ratio[i] > np.log(LONG_STEP)))
    return gaps, tuple(sorted(int(i) for i in shortest if ratio[i] < np.log(SHORT_STEP)))


def _versions(values: Array) -> Array:
    """Measurements as they are, with the way below halved, and none."""
    halved = values.copy()
    halved[:, CUES.index("step")] -= np.log(2)
    halved[:, CUES.index("disc")] = np.nan
    return np.stack([values, halved, np.full_like(values, np.nan)])


def _log_called(cues: ColumnCues, namings: _Namings) -> Array:
    """How well what the network called S1 fits."""
    names = namings.levels[:, :, 1]
    s1, s2 = MODELED.index("S1"), MODELED.index("S2")
    sacral = (names >= s1).any(axis=1)
    called = int(np.argmax(cues.sacral_share))
    shares = CALLED_CUT if cues.cut_below or cues.room_below < 1 else CALLED_WHOLE
    level = names[:, called]
    said = np.select([level == s1, level == s2], [shares["S1"], shares["S2"]], shares["other"])
    # A body outlined half as S1 and half as another is half a call.
    sure = cues.sacral_share[called]
    return np.log(
        sure * np.where(sacral, said, CALLED_ABSENT) + (1 - sure) * np.where(sacral, shares["none"], 1 - CALLED_ABSENT)
    )


def _log_ribs(log_odds: Array, namings: _Namings) -> Array:
    """How well it fits which bodies seem to bear ribs.

    Where ribs are seen on some bodies, their absence on others counts. Where none are seen at all, the images may not
    show them, and every naming explains that about as well.
    """
    bounded = np.clip(log_odds, -RIB_LIMIT, RIB_LIMIT)
    seen = (bounded * _BEARS_RIBS[namings.distinct[:, :, 1]]).sum(axis=1)
    fits: Array = np.logaddexp(np.log(1 - BLIND_SHARE) + seen, np.log(BLIND_SHARE))
    return fits[namings.which]


def _log_cord(end: float, namings: _Namings) -> Array:
    """How well the cord's end fits."""
    if np.isnan(end):
        return np.zeros(len(namings.log_prior))
    mean, sd, silent = CONUS
    beside = namings.beside_l1
    if np.isposinf(end):
        said, nothing = 1 - ndtr((beside[:, -1] + 0.5 - mean) / sd), 0.5
    elif np.isneginf(end):
        said, nothing = ndtr((beside[:, 0] - 0.5 - mean) / sd), 0.5
    else:
        z = (_place(beside, end) - mean) / sd
        said, nothing = np.exp(-0.5 * z**2) / (sd * np.sqrt(2 * np.pi)), 1 / len(MODELED)
    return np.log((1 - silent) * said + silent * nothing)


def _place(beside: Array, rank: float) -> Array:
    """Position beside L1 of a fractional body number, continued beyond the ends."""
    n = beside.shape[1]
    low = int(np.clip(np.floor(rank), 0, n - 1))
    high = min(low + 1, n - 1)
    inside = beside[:, low] + (beside[:, high] - beside[:, low]) * (rank - low)
    return beside[:, low] + (rank - low) if rank < 0 or high == low else inside


def _log_field(middle: float, namings: _Namings) -> Array:
    """How usual the place of the field of view is."""
    at = _place(namings.beside_l1, middle)
    usual = sum(p / (sd * np.sqrt(2 * np.pi)) * np.exp(-0.5 * ((at - m) / sd) ** 2) for m, sd, p in PROTOCOLS)
    anywhere = (1 - sum(p for *_, p in PROTOCOLS)) / len(MODELED)
    return np.log(usual + anywhere)


def _log_room(cues: ColumnCues, namings: _Namings) -> Array:
    """Whether the column ends where the spine ends, if the field of view does not end there."""
    names = namings.levels[:, :, 1]
    weight = np.zeros(len(names))
    if cues.room_above > ROOM:
        weight += np.where(names[:, 0] <= MODELED.index("C2"), 0.0, np.log(UNEXPLAINED))
    if cues.room_below > ROOM:
        weight += np.where(names[:, -1] >= MODELED.index("S1"), 0.0, np.log(UNEXPLAINED))
    return weight
