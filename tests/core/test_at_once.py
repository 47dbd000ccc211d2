"""Threads change no result: order, errors and the limit stay what they are one after another."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest

from spondyl.core.at_once import Beside, _give_way, at_most, at_once


def test_results_come_in_the_order_of_what_was_given():
    def late(n: int) -> int:
        time.sleep(0.02 * (3 - n))
        return 10 * n

    with at_most(3):
        assert at_once(late, range(4)) == [0, 10, 20, 30]


def test_no_more_run_at_once_than_allowed():
    running, most, lock = 0, 0, threading.Lock()

    def watched(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    with at_most(2):
        at_once(watched, range(8))
    assert most == 2


def test_one_thread_works_in_the_caller_s_own():
    with at_most(1):
        assert set(at_once(lambda _: threading.get_ident(), range(3))) == {threading.get_ident()}


def test_the_limit_ends_with_its_statement():
    with at_most(2), at_most(1):
        pass
    with at_most(2):
        met = threading.Barrier(2, timeout=5)
        assert len(at_once(lambda _: met.wait(), range(2))) == 2


def test_an_error_is_raised_after_what_had_begun_has_ended():
    done, met = [], threading.Barrier(2, timeout=5)

    def fails_first(n: int) -> None:
        met.wait()
        if n == 0:
            raise ValueError(n)
        time.sleep(0.02)
        done.append(n)

    with at_most(2), pytest.raises(ValueError, match="0"):
        at_once(fails_first, range(2))
    assert done == [1]


def test_nothing_gives_nothing():
    assert at_once(abs, []) == []


def test_what_is_begun_beside_runs_meanwhile_and_is_given_when_asked_for():
    met = threading.Barrier(2, timeout=5)
    with at_most(2), Beside() as beside:
        beside.begin("early", lambda: (met.wait(), at_once(lambda _: threading.get_ident(), range(2))))
        assert "early" in beside
        met.wait()
        (_, threads) = beside.result("early")
    assert len(set(threads)) == 1  # it has a thread of its own and no more
    assert threads[0] != threading.get_ident()


def test_what_its_turn_has_not_come_for_is_done_by_the_one_who_asks():
    met, go_on = threading.Event(), threading.Event()
    with at_most(2), Beside() as beside:
        beside.begin("long", lambda: (met.set(), go_on.wait(5)))
        beside.begin("short", threading.get_ident)
        assert met.wait(5)
        assert beside.result("short") == threading.get_ident()
        go_on.set()
        assert beside.result("long") == (None, True)


def test_threads_hand_over_faster_as_long_as_there_is_early_work():
    before = sys.getswitchinterval()
    with at_most(2), Beside():
        assert sys.getswitchinterval() == pytest.approx(0.001)
        with Beside():
            pass
        assert sys.getswitchinterval() == pytest.approx(0.001)
    assert sys.getswitchinterval() == before


def test_later_work_may_take_over_what_was_begun_before():
    with at_most(2), Beside() as beside:
        beside.begin("sum", sum, [1, 2])
        first = beside.taken("sum")
        assert "sum" not in beside
        beside.begin("sum", lambda: first() + 1)
        assert beside.result("sum") == 4


def test_with_one_thread_it_waits_until_it_is_asked_for():
    done = []
    with at_most(1), Beside() as beside:
        beside.begin("early", done.append, 1)
        assert done == []
        beside.result("early")
    assert done == [1]


@pytest.mark.parametrize("threads", [1, 2])
def test_its_error_is_raised_where_it_is_asked_for(threads):
    def fails() -> None:
        raise ValueError("early")

    with at_most(threads), Beside() as beside:
        beside.begin("early", fails)
        with pytest.raises(ValueError, match="early"):
            beside.result("early")
        assert "early" not in beside


def test_what_nobody_asks_for_is_never_done_with_one_thread():
    with at_most(1), Beside() as beside:
        beside.begin("never", pytest.fail, "asked for by nobody")


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="the system knows no policies of scheduling")
def test_early_work_gives_way_under_every_policy(monkeypatch):
    given = []
    monkeypatch.setattr(os, "sched_getscheduler", lambda _: os.SCHED_RR)
    monkeypatch.setattr(os, "sched_getparam", lambda _: os.sched_param(3))
    monkeypatch.setattr(os, "sched_setscheduler", lambda *how: given.append(how))
    _give_way()
    ((thread, policy, parameters),) = given
    assert (thread, policy, parameters.sched_priority) == (0, os.SCHED_RR, 2)


def test_where_the_system_knows_no_policies_nothing_is_asked_of_it(monkeypatch):
    monkeypatch.delattr(os, "sched_getscheduler", raising=False)
    monkeypatch.setattr(os, "setpriority", pytest.fail)
    _give_way()
