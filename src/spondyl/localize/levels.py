"""Which vertebra is which: counted from the sacrum, with a probability, and honest where the sacrum is not seen."""

from __future__ import annotations

from dataclasses import dataclass

from spondyl.core.anatomy import LUMBAR, THORACIC

NORMAL_COUNT_SHARE = 0.89
"""Share of spines that are counted right from the sacrum: 32 of 418 had a numeric variant, 14 more a transitional
vertebra (Tins 2016, doi 10.1007/s13244-016-0468-7)."""

UNKNOWN_PROBABILITY = 1 / 17
"""Probability of the best guess where nothing tells the level: one of the 17 thoracic and lumbar names."""

UNCERTAIN_BELOW = 0.75
"""A level less probable than this is marked uncertain. Chosen by us."""


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


def count_from_sacrum(n_bodies: int, sacrum_confidence: float, *, gap_free: bool) -> list[LevelGuess]:
    """Name bodies by counting upward from the sacrum.

    Parameters
    ----------
    n_bodies : int
        Bodies above S1, from the head down.
    sacrum_confidence : float
        How sure it is that the lowest of them stands on S1, from 0 to 1; 0 where the sacrum is not seen.
    gap_free : bool
        Whether no body seems to be missing between them.

    Returns
    -------
    list of LevelGuess
        One per body, from the head down.
    """
    names = list(reversed([*THORACIC[:12], *LUMBAR[:5]]))
    guesses = []
    for above in range(n_bodies):
        level = names[above] if above < len(names) else None
        if sacrum_confidence <= 0 or level is None:
            reason = (
                "the sacrum is not in the field of view"
                if sacrum_confidence <= 0
                else "too far from the sacrum to count"
            )
            guesses.append(LevelGuess(None, UNKNOWN_PROBABILITY, uncertain=True, reason=reason))
            continue
        probability = sacrum_confidence * (NORMAL_COUNT_SHARE if gap_free else 0.6)
        reason = ""
        if not gap_free:
            reason = "a vertebra may be missing in the count"
        elif probability < UNCERTAIN_BELOW:
            reason = "the first sacral body is not clearly seen"
        guesses.append(LevelGuess(level, probability, uncertain=probability < UNCERTAIN_BELOW, reason=reason))
    return guesses[::-1]
