"""The signs that a vertebra's marrow is judged by, at one study and against earlier ones, beside its neighbors.

They are measured alike on images and on the phantom's cells. On each sequence a body has a *level*, the logarithm of
its median signal, and a *dark* and a *bright* tail: the mean of the most extreme hundredth of its places, on a scale of
logarithms relative to the median. *Lytic* and *sclerotic* are tails of what all sequences show together at a place.
Against an earlier study the same is asked of what is new at each place: what was there before is stretched by one
factor for the whole column, since another scanner shows the same structures more or less strongly, and taken away. All
is taken relative to the nearest vertebrae, so that gain, coil and noise cancel, as they do for an eye.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - constants are annotated with it
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.sequence import Sequence

if TYPE_CHECKING:
    from collections.abc import Sequence as Ordered

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bodies = Mapping[Sequence, Ordered[Floats | None]]
    Body = tuple[float, Floats]
    Column = list[Body | None]
    Logs = dict[Sequence, Column]

SIGN_SEQUENCES = (Sequence.T1, Sequence.T2, Sequence.STIR, Sequence.T1CE, Sequence.ADC)
"""Sequences that show marrow in ways that complete each other."""

KINDS = ("level", "dark", "bright")
"""Signs of a sequence, in this order."""

TOGETHER: Mapping[str, Mapping[Sequence, float]] = {
    "lytic": {Sequence.T1: -1.0, Sequence.STIR: 2.0, Sequence.T1CE: 2.0, Sequence.ADC: 0.7},
    "sclerotic": {Sequence.T1: -1.0, Sequence.T2: -1.5},
}
"""How strongly tumors of a kind change each sequence, in spreads of marrow; as many as were taken are added so. Chosen
by us from the phantom's contrasts."""

SIGNS = (*(f"{s.value.lower()}_{kind}" for s in SIGN_SEQUENCES for kind in KINDS), *TOGETHER)
"""Names of all signs: ``"t1_level"`` and so on."""

WHOLE: Mapping[str, Mapping[Sequence, float]] = {
    "lytic": {Sequence.T1: -1.5, Sequence.STIR: 1.5, Sequence.T1CE: 1.2, Sequence.ADC: 0.4},
    "mixed": {Sequence.T1: -1.5, Sequence.T2: -0.7, Sequence.STIR: 0.6, Sequence.T1CE: 0.3, Sequence.ADC: 0.4},
    "sclerotic": {Sequence.T1: -1.0, Sequence.T2: -1.0, Sequence.STIR: -0.2},
}
"""The same for signs that are held against the spread of marrow alone. Chosen by us from what tumors of each kind add
to the places of synthetic marrow between visits, over its spread."""

WHOLE_TAILS: Mapping[str, float] = {"peak": 0.005, "wide": 0.03}
"""Share of a body's places that makes their tails: a first seed, and a lesion nearly overt. Chosen by us."""

WHOLE_SIGNS = tuple(f"{kind}_{tail}" for kind in WHOLE for tail in WHOLE_TAILS)
"""Names of signs in spreads of the column's marrow. They are not taken relative to the neighbors, in which other
disease may lie and whose own tails vary, so that they ask for marrow that is as even as that learned from."""

SINCE_LAST, SINCE_FIRST, HELD, TREND = "last_", "first_", "held_", "trend_"
"""Prefixes of signs of change: since the latest earlier study, and the first one; of the mean of this and the latest
one since the mean of those before, of what has held on; and of all, weighed as a lesion would grow. Each asks the
studies that have the sequence: one that was not taken this time says what it said the last time it was."""

PREFIXES = ("", SINCE_LAST, SINCE_FIRST, HELD, TREND)

GROWTH_DAYS = 90.0
"""Days in which what is sought doubles. Chosen by us, within the doubling times of bone metastases."""

VISIT_SIGNS = tuple(prefix + name for prefix in PREFIXES for name in (*SIGNS, *WHOLE_SIGNS))
"""All signs of a visit."""

FACTS = ("overt_lesions", "overt_nearby", "irradiated", "age_years", "female", "sclerotic_primary", "marker_log")
"""What is known beside the images: overt lesions in all, whether one is in a neighbor, whether the vertebra was
irradiated; age, sex, share of sclerotic lesions that the primary makes, logarithm of a tumor marker."""

TO_SD = 1.4826
"""Median absolute deviation to standard deviation, for normal data (Rousseeuw 1993, doi
10.1080/01621459.1993.10476408)."""

TAIL_SHARE = 0.01
"""Share of a body's places that makes a tail: 0.1 to 0.2 mL of what is measured of a lumbar body. Chosen by us."""

REACH = 3
"""Vertebrae to either side that a vertebra is compared with. Chosen by us: farther off, the coil's profile differs."""

LEAST_NEIGHBORS = 2
"""Vertebrae without which there is nothing to compare with. Chosen by us."""

LOWEST, HIGHEST = 0.05, 20.0
"""Limits of a signal relative to the body's median, so that logarithms exist and one voxel does not rule. Chosen by
us."""

STRETCH = (0.0, 2.0)
"""Limits of the factor between studies. Chosen by us."""


def visit_signs(now: Bodies, earlier: Ordered[Bodies] = (), days_ago: Ordered[float] | None = None) -> Floats:
    """Give all signs of each vertebra at a visit.

    Parameters
    ----------
    now : mapping of Sequence to sequence of (ndarray of float, or None)
        Signals at the places of each body, one array a vertebra in order along the column; the same places on every
        sequence, NaN where an image does not show one, None where it does not show the body.
    earlier : sequence of mapping, optional
        Earlier studies at the same places, the first one first; they may lack sequences.
    days_ago : sequence of float, optional
        How long ago each earlier study was; taken as evenly spread, 90 days apart, where it is not known.

    Returns
    -------
    ndarray of float, shape (n_vertebrae, n_visit_signs)
        `VISIT_SIGNS`, those of `SIGNS` relative to the neighbors; NaN where one cannot be known.
    """
    count = len(next(iter(now.values()))) if now else 0
    own = _logs(now)
    before = [_logs(bodies) for bodies in earlier]
    ago = [GROWTH_DAYS * (len(before) - k) for k in range(len(before))] if days_ago is None else list(days_ago)
    blocks: dict[str, Logs] = {prefix: {} for prefix in PREFIXES} | {"": own}
    for sequence in SIGN_SEQUENCES:
        taken = [(logs[sequence], days) for logs, days in zip(before, ago, strict=True) if sequence in logs]
        if sequence in own:
            taken.append((own[sequence], 0.0))
        if len(taken) < 2:
            continue
        columns = [column for column, _ in taken]
        blocks[SINCE_LAST][sequence] = _new(columns[-1], columns[-2])
        blocks[SINCE_FIRST][sequence] = _new(columns[-1], columns[0])
        blocks[TREND][sequence] = _trend(taken)
        if len(taken) > 2:
            blocks[HELD][sequence] = _new(_mean(columns[-2:]), _mean(columns[:-2]))
    return np.hstack([_signs(blocks[prefix], count) for prefix in PREFIXES])


def _logs(bodies: Bodies) -> Logs:
    return {s: [_relative(values) for values in bodies[s]] for s in SIGN_SEQUENCES if s in bodies}


def _relative(values: Floats | None) -> Body | None:
    """Logarithm of the median, and logarithms of all values over it."""
    if values is None:
        return None
    known = values[np.isfinite(values)]
    median = float(np.median(known)) if len(known) else 0.0
    if median <= 0:
        return None
    return float(np.log(median)), np.log(np.clip(values / median, LOWEST, HIGHEST))


def _mean(studies: Ordered[Column]) -> Column:
    """Mean of each vertebra over the studies that show it."""
    found: Column = []
    for bodies in zip(*studies, strict=True):
        known = [body for body in bodies if body is not None]
        level = float(np.mean([body[0] for body in known])) if known else 0.0
        found.append((level, np.mean([body[1] for body in known], axis=0)) if known else None)
    return found


def _new(now: Column, then: Column) -> Column:
    """What is not explained by how it was."""
    before = _likened(now, then)
    return [None if a is None or b is None else (a[0] - b[0], a[1] - b[1]) for a, b in zip(now, before, strict=True)]


def _trend(taken: Ordered[tuple[Column, float]]) -> Column:
    """How far each place follows the growth sought, over the spread that equal noise at all studies would give it."""
    past, (now, _) = taken[:-1], taken[-1]
    growth = np.array([2 ** (-days / GROWTH_DAYS) for _, days in taken])
    weights = growth - growth.mean()
    weights /= np.sqrt((weights**2).sum()) or 1.0
    likened = [_likened(now, column) for column, _ in past]
    found: Column = []
    for row, body in enumerate(now):
        own = [column[row] for column in likened]
        if body is None or any(part is None for part in own):
            found.append(None)
            continue
        parts = [*own, body]
        level = sum(w * part[0] for w, part in zip(weights, parts, strict=True) if part is not None)
        places = np.sum([w * part[1] for w, part in zip(weights, parts, strict=True) if part is not None], axis=0)
        found.append((float(level), places))
    return found


def _likened(now: Column, then: Column) -> Column:
    """An earlier study as this one's scanner would show it."""
    both = [(a[1], b[1]) for a, b in zip(now, then, strict=True) if a is not None and b is not None]
    factor = _stretch(np.concatenate([a for a, _ in both]), np.concatenate([b for _, b in both])) if both else 1.0
    return [None if b is None else (b[0], factor * b[1]) for b in then]


def _stretch(now: Floats, then: Floats) -> float:
    both = np.isfinite(now) & np.isfinite(then)
    square = float(then[both] @ then[both])
    return float(np.clip(float(now[both] @ then[both]) / square, *STRETCH)) if square > 0 else 1.0


def _signs(logs: Logs, count: int) -> Floats:
    spread = {s: _robust_spread(column) for s, column in logs.items()}
    found = np.full((count, len(SIGNS)), np.nan)
    for number, sequence in enumerate(SIGN_SEQUENCES):
        for row, body in enumerate(logs.get(sequence, ())):
            if body is not None:
                found[row, number * len(KINDS) : (number + 1) * len(KINDS)] = (body[0], *_tails(body[1], TAIL_SHARE))
    whole = np.full((count, len(WHOLE_SIGNS)), np.nan)
    for row in range(count):
        here = {s: column[row][1] / spread[s] for s, column in logs.items() if column[row] and spread[s] > 0}  # type: ignore[index]
        for number, weights in enumerate(TOGETHER.values(), start=len(SIGN_SEQUENCES) * len(KINDS)):
            found[row, number] = _tails(_joined(here, weights), TAIL_SHARE)[1]
        tails = [_tails(_joined(here, w), share)[1] for w in WHOLE.values() for share in WHOLE_TAILS.values()]
        whole[row] = tails
    return np.hstack([beside_neighbors(found), whole])


def _joined(here: Mapping[Sequence, Floats], weights: Mapping[Sequence, float]) -> Floats:
    """What all sequences show together at each place of a body; nothing where none of them is known."""
    used = [s for s in weights if s in here]
    if not used:
        return np.empty(0)
    size = np.sqrt(sum(weights[s] ** 2 for s in used))
    joined: Floats = np.sum([weights[s] * here[s] for s in used], axis=0) / size
    return joined


def _robust_spread(column: Column) -> float:
    """Standard deviation of places about their body's median, by the median of its distances."""
    values = [np.abs(body[1]) for body in column if body is not None]
    return TO_SD * float(np.nanmedian(np.concatenate(values))) if values else 0.0


def _tails(values: Floats, share: float) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return np.nan, np.nan
    count = max(1, round(share * len(known)))
    ends = np.partition(known, (count - 1, len(known) - count))
    return float(ends[:count].mean()), float(ends[-count:].mean())


def beside_neighbors(table: Floats) -> Floats:
    """Take each vertebra relative to its neighbors.

    Parameters
    ----------
    table : ndarray of float, shape (n_vertebrae, n)
        In order along the column; NaN where a body could not be measured.

    Returns
    -------
    ndarray of float, shape (n_vertebrae, n)
        Less the median of up to `REACH` vertebrae on either side; NaN with fewer than `LEAST_NEIGHBORS` known.
    """
    found = np.full(table.shape, np.nan)
    for row in range(len(table)):
        others = table[[*range(max(row - REACH, 0), row), *range(row + 1, min(row + REACH + 1, len(table)))]]
        known = np.isfinite(others).sum(axis=0)
        usable = known >= LEAST_NEIGHBORS
        if usable.any():
            found[row, usable] = table[row, usable] - np.nanmedian(others[:, usable], axis=0)
    return found
