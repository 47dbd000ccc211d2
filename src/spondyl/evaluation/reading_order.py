"""Who reads what when: cases in balanced blocks under neutral codes, and an order of reading for every reader.

In a crossover, each session shows each case once; blocks of cases change their modality from session to session, and
readers start with different ones, so that neither the order of modalities nor the order of cases favors one. In a
sequential reading, each case is read in all modalities one after the other, as when a result is shown on request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class PlannedCase:
    """A case of a planned study.

    Parameters
    ----------
    code : str
        Neutral code, which does not tell the class.
    positive : bool
        Whether a positive case belongs here.
    group : int
        Group of readers who read it, from 1.
    block : int
        Cases of a block share their modality in every session, from 1.
    """

    code: str
    positive: bool
    group: int
    block: int


@dataclass(frozen=True)
class ReadingTask:
    """One reading of a planned study.

    Parameters
    ----------
    reader : str
        Who reads.
    session, position : int
        When: session, and place in it, from 1.
    case : str
        Code of the case.
    modality : str
        How it is read.
    """

    reader: str
    session: int
    position: int
    case: str
    modality: str


def plan_cases(
    n_positive: int, n_negative: int, *, n_blocks: int, n_groups: int = 1, seed: int = 0
) -> tuple[PlannedCase, ...]:
    """Deal cases to groups of readers and to blocks, each class by itself.

    Parameters
    ----------
    n_positive, n_negative : int
        Cases.
    n_blocks : int
        Blocks in each group, as many as modalities.
    n_groups : int, optional
        Groups of readers who read cases of their own.
    seed : int, optional
        The same seed gives the same plan.

    Returns
    -------
    tuple of PlannedCase
        By code; sizes of groups and blocks differ by one case of a class at most.

    Raises
    ------
    SettingsError
        If there are fewer cases of a class than blocks.
    """
    cells = n_groups * n_blocks
    if min(n_positive, n_negative) < cells or cells < 1:
        msg = (
            f"{n_groups} groups of {n_blocks} blocks need at least {cells} positive and {cells} negative cases; got "
            f"{n_positive} and {n_negative}"
        )
        raise SettingsError(msg)
    rng = np.random.default_rng(seed)
    total = n_positive + n_negative
    digits = max(3, len(str(total)))
    codes = rng.permutation(total)
    # The second class starts where the first stopped, so that the sums of both differ by one at most, too.
    cell = np.arange(total) % cells
    cases = [
        PlannedCase(f"C{codes[i] + 1:0{digits}d}", i < n_positive, int(c) // n_blocks + 1, int(c) % n_blocks + 1)
        for i, c in enumerate(cell)
    ]
    return tuple(sorted(cases, key=lambda case: case.code))


def reading_order(
    cases: Sequence[PlannedCase], n_readers: int, modalities: Sequence[str], *, sequential: bool = False, seed: int = 0
) -> tuple[ReadingTask, ...]:
    """Give every reader an order of reading.

    Parameters
    ----------
    cases : sequence of PlannedCase
        From `plan_cases`, with a block for each modality.
    n_readers : int
        Readers, dealt to the groups in turn.
    modalities : sequence of str
        Ways of reading; in their order where the reading is sequential.
    sequential : bool, optional
        Whether each case is read in all modalities at once, in one session.
    seed : int, optional
        The same seed gives the same order.

    Returns
    -------
    tuple of ReadingTask
        By reader, session and position.

    Raises
    ------
    SettingsError
        If readers do not fill the groups evenly, or modalities repeat.
    """
    n_groups = max(c.group for c in cases)
    if n_readers < n_groups or n_readers % n_groups or len(set(modalities)) != len(modalities):
        msg = (
            f"{n_groups} groups need equally many readers each, and modalities names of their own; got {n_readers} "
            f"readers and {', '.join(modalities)}"
        )
        raise SettingsError(msg)
    rng = np.random.default_rng(seed)
    tasks: list[ReadingTask] = []
    for k in range(n_readers):
        name = f"R{k + 1:0{max(2, len(str(n_readers)))}d}"
        own = [c for c in cases if c.group == k % n_groups + 1]
        start = k // n_groups
        for session in range(1 if sequential else len(modalities)):
            order = [own[i] for i in rng.permutation(len(own))]
            if sequential:
                shown = [(c.code, m) for c in order for m in modalities]
            else:
                shown = [(c.code, modalities[(c.block - 1 + session + start) % len(modalities)]) for c in order]
            tasks += [ReadingTask(name, session + 1, i, code, m) for i, (code, m) in enumerate(shown, 1)]
    return tuple(tasks)
