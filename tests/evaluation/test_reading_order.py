"""Reading orders are balanced and can be made again."""

from collections import Counter

import pytest

from spondyl.core import SettingsError
from spondyl.evaluation.reading_order import plan_cases, reading_order

MODALITIES = ("unaided", "aided")


def test_blocks_and_groups_are_balanced_by_class():
    cases = plan_cases(31, 46, n_blocks=2, n_groups=3, seed=1_000_001)
    assert len({c.code for c in cases}) == 77
    for positive in (True, False):
        counts = Counter((c.group, c.block) for c in cases if c.positive is positive)
        assert len(counts) == 6
        assert max(counts.values()) - min(counts.values()) <= 1
    totals = Counter((c.group, c.block) for c in cases)
    assert max(totals.values()) - min(totals.values()) <= 1


def test_codes_do_not_tell_the_class():
    cases = plan_cases(50, 50, n_blocks=2, seed=1_000_002)
    first_half = sum(c.positive for c in cases[:50])
    assert 15 < first_half < 35
    assert [c.code for c in cases] == sorted(c.code for c in cases)


@pytest.mark.parametrize("n_modalities", [2, 3])
def test_every_reader_reads_every_case_once_in_each_modality(n_modalities):
    modalities = ("unaided", "aided", "late")[:n_modalities]
    cases = plan_cases(10, 14, n_blocks=n_modalities, seed=1_000_003)
    tasks = reading_order(cases, 4, modalities, seed=1_000_003)
    assert len(set(tasks)) == len(tasks) == 4 * 24 * n_modalities
    assert set(Counter((t.reader, t.case, t.modality) for t in tasks).values()) == {1}
    per_session = Counter((t.reader, t.session, t.case) for t in tasks)
    assert set(per_session.values()) == {1}
    assert [t.position for t in tasks[:24]] == list(range(1, 25))


def test_modalities_alternate_within_sessions_and_between_readers():
    cases = plan_cases(20, 20, n_blocks=2, seed=1_000_004)
    tasks = reading_order(cases, 6, MODALITIES, seed=1_000_004)
    for session in (1, 2):
        assert set(Counter(t.modality for t in tasks if t.session == session).values()) == {120}
    first = Counter(t.case for t in tasks if t.session == 1 and t.modality == "unaided")
    assert set(first.values()) == {3}  # each case is first read unaided by half of the readers


def test_groups_read_their_own_cases():
    cases = plan_cases(12, 12, n_blocks=2, n_groups=2, seed=1_000_005)
    tasks = reading_order(cases, 4, MODALITIES, seed=1_000_005)
    group = {c.code: c.group for c in cases}
    assert {t.reader: group[t.case] for t in tasks} == {"R01": 1, "R02": 2, "R03": 1, "R04": 2}
    for reader in ("R01", "R02"):
        assert len({group[t.case] for t in tasks if t.reader == reader}) == 1


def test_sequential_reading_keeps_modalities_of_a_case_together():
    cases = plan_cases(5, 5, n_blocks=1, seed=1_000_006)
    tasks = reading_order(cases, 2, MODALITIES, sequential=True, seed=1_000_006)
    assert {t.session for t in tasks} == {1}
    pairs = list(zip(tasks[::2], tasks[1::2], strict=True))
    assert all(a.case == b.case and (a.modality, b.modality) == MODALITIES for a, b in pairs)


def test_the_same_seed_gives_the_same_list():
    cases = plan_cases(10, 10, n_blocks=2, seed=1_000_007)
    assert cases == plan_cases(10, 10, n_blocks=2, seed=1_000_007)
    assert cases != plan_cases(10, 10, n_blocks=2, seed=1_000_008)
    one, same, other = (reading_order(cases, 2, MODALITIES, seed=s) for s in (1, 1, 2))
    assert one == same != other


def test_what_does_not_fit_is_refused():
    with pytest.raises(SettingsError, match="at least 4 positive and 4 negative"):
        plan_cases(3, 20, n_blocks=2, n_groups=2)
    cases = plan_cases(10, 10, n_blocks=2, n_groups=2)
    with pytest.raises(SettingsError, match="equally many readers each"):
        reading_order(cases, 3, MODALITIES)
    with pytest.raises(SettingsError, match="names of their own"):
        reading_order(cases, 4, ("aided", "aided"))
