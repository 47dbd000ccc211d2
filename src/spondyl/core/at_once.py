"""Independent things at once, on the processors that an analysis may use.

Most of what is done to each image of a study happens inside numpy and scipy, which let other threads run meanwhile.
The order of results is the order of what was given, so threads change no result.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Given = TypeVar("Given")
Made = TypeVar("Made")

_most: ContextVar[int] = ContextVar("most", default=0)


@contextmanager
def at_most(threads: int) -> Iterator[None]:
    """Limit what runs at once inside a ``with`` statement.

    Parameters
    ----------
    threads : int
        Processor threads; 0 takes all there are.

    Yields
    ------
    None
        Until the end of the statement.
    """
    before = _most.set(threads)
    try:
        yield
    finally:
        _most.reset(before)


def at_once(function: Callable[[Given], Made], things: Iterable[Given]) -> list[Made]:
    """Call a function with each of several things, with as many at once as there are processors.

    Parameters
    ----------
    function : callable
        Takes one of the things; what it changes nobody else may look at.
    things : iterable
        What to do.

    Returns
    -------
    list
        What the function gave, in the order of the things. The first error is raised once what had begun has ended.

    Examples
    --------
    >>> with at_most(2):
    ...     at_once(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    given = list(things)
    threads = min(_most.get() or _processors(), len(given))
    if threads <= 1:
        return [function(one) for one in given]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, given))


def _processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
