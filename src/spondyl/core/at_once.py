"""Independent things at once, on the processors that an analysis may use.

Most of what is done to each image of a study happens inside numpy and scipy, which let other threads run meanwhile.
The order of results is the order of what was given, so threads change no result.
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

Given = TypeVar("Given")
Made = TypeVar("Made")

NICER = 4
"""Niceness that early work adds to its own: two fifths of the weight of what it runs beside (sched(7)). Chosen by us:
with even less weight, who waits for the lock of the interpreter would wait for other processes, too."""

HANDED_OVER_S = 0.001
"""After so long, in s, a thread of Python's own instructions lets another one go on; 0.005 by itself. Early work that
writes files holds up what it runs beside by so much at every turn. Chosen by us."""

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
    threads = min(_allowed(), len(given))
    if threads <= 1:
        return [function(one) for one in given]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, given))


class Beside:
    """Work that is begun early, beside other work, and asked for when it is needed.

    It runs on one thread of its own, one thing after another in the order in which they were begun, and gives way to
    work that somebody waits for. What its turn has not come for when it is asked for is done by the one who asks. Where
    one thread is allowed in all, everything waits until it is asked for.

    Examples
    --------
    >>> with Beside() as beside:
    ...     beside.begin("sum", sum, [1, 2, 3])
    ...     beside.result("sum")
    6
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, initializer=_give_way) if _allowed() > 1 else None
        self._begun: dict[str, Callable[[], Any]] = {}
        self._handed_over_s = sys.getswitchinterval()

    def __enter__(self) -> Beside:
        self._handed_over_s = sys.getswitchinterval()
        sys.setswitchinterval(min(HANDED_OVER_S, self._handed_over_s))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        sys.setswitchinterval(self._handed_over_s)

    def begin(self, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Begin something.

        Parameters
        ----------
        name : str
            By which it is asked for.
        function : callable
            What is done.
        *arguments : object
            Of the function.
        """

        def alone() -> Any:
            with at_most(1):  # the other processors have work of their own
                return function(*arguments)

        self._begun[name] = alone if self._pool is None else partial(_result_of, self._pool.submit(alone), alone)

    def __contains__(self, name: object) -> bool:
        """Say whether something was begun and not asked for yet."""
        return name in self._begun

    def result(self, name: str) -> Any:
        """Give what came of it, once it is done.

        Parameters
        ----------
        name : str
            As it was begun.

        Returns
        -------
        object
            What the function gave; its error is raised here.
        """
        return self.taken(name)()

    def taken(self, name: str) -> Callable[[], Any]:
        """Take over something that was begun, for later work that needs it.

        Parameters
        ----------
        name : str
            As it was begun.

        Returns
        -------
        callable
            Gives what came of it, once it is done; to be called by work that was begun later, or outside.
        """
        return self._begun.pop(name)


def _result_of(begun: Future[Any], function: Callable[[], Any]) -> Any:
    """Wait for work that is under way; do it here where it is not."""
    return function() if begun.cancel() else begun.result()


def _give_way() -> None:
    """Put this thread behind the others of its process, where the system knows threads of different priority."""
    if not hasattr(os, "sched_getscheduler"):
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    with suppress(OSError):
        if policy in (os.SCHED_RR, os.SCHED_FIFO):
            os.sched_setscheduler(0, policy, os.sched_param(max(priority - 1, 1)))
        else:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICER)


def _allowed() -> int:
    """Threads that may run at once."""
    return _most.get() or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
