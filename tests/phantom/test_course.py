"""The same patient at several visits: what changes is what was planned, and nothing else."""

import numpy as np
import pytest

from spondyl.core import Sequence, SettingsError
from spondyl.phantom.course import Fate, LesionCourse, draw_course, simulate_course
from spondyl.phantom.kinds import LesionKind
from spondyl.phantom.patient import PatientSettings

LESIONS = (
    LesionCourse("L1", LesionKind.LYTIC, Fate.STABLE),
    LesionCourse("L2", LesionKind.LYTIC, Fate.GROWS, time_days=90.0),
    LesionCourse("L3", LesionKind.MIXED, Fate.APPEARS, onset_days=1.0),
    LesionCourse("L4", LesionKind.LYTIC, Fate.RESOLVES, time_days=60.0),
)


@pytest.fixture(scope="module")
def course():
    return simulate_course(
        7301, (0, 90), sequences=(Sequence.T2,), lesions=LESIONS, settings=PatientSettings(fast=True)
    )


@pytest.mark.parametrize(
    ("fate", "day", "ratio"),
    [
        (Fate.STABLE, 300, 1.0),
        (Fate.GROWS, 90, 2.0),
        (Fate.PSEUDO, 90, 1.8),
        (Fate.APPEARS, -1, 0.0),
        (Fate.APPEARS, 5, 1.0),
        (Fate.RESOLVES, 90, 0.0),
    ],
)
def test_volumes_follow_the_fate(fate, day, ratio):
    lesion = LesionCourse("L2", LesionKind.LYTIC, fate, time_days=90.0, amount=1.8)
    assert lesion.volume_ratio(day) == pytest.approx(ratio)


def test_a_swelling_after_radiotherapy_goes_back():
    lesion = LesionCourse("L2", LesionKind.LYTIC, Fate.PSEUDO, time_days=120.0, amount=2.0)
    assert lesion.volume_ratio(120) == pytest.approx(2.0)
    assert lesion.volume_ratio(600) < 1.1


def test_a_lesion_that_answers_becomes_a_treated_one():
    lesion = LesionCourse("L2", LesionKind.LYTIC, Fate.RESPONDS)
    assert lesion.planned(0).kind is LesionKind.LYTIC
    assert lesion.planned(90).kind is LesionKind.TREATED


def test_visits_hold_what_was_planned(course):
    first, second = course.visits
    assert [first.lesion(n) is not None for n in (1, 2, 3, 4)] == [True, True, False, True]
    assert [second.lesion(n) is not None for n in (1, 2, 3, 4)] == [True, True, True, False]
    assert second.lesion(1).volume_mm3 == pytest.approx(first.lesion(1).volume_mm3, rel=0.01)
    assert second.lesion(2).volume_mm3 > 1.3 * first.lesion(2).volume_mm3


def test_the_patient_stays_the_same_and_lies_differently(course):
    first, second = (v.patient for v in course.visits)
    before = np.array([v.center_lps_mm for v in first.anatomy.vertebrae])
    after = np.array([v.center_lps_mm for v in second.anatomy.vertebrae])
    motion = course.visits[1].motion
    np.testing.assert_allclose(before @ motion[:3, :3].T + motion[:3, 3], after, atol=1e-6)
    assert np.abs(after - before).max() > 1.0
    assert first.age_years == second.age_years
    assert first.images[0].source.series_uid != second.images[0].source.series_uid
    np.testing.assert_array_equal(first.anatomy.structure, second.anatomy.structure)


@pytest.mark.parametrize("days", [(), (5, 90), (0, 90, 90), (0, -3)])
def test_days_must_ascend_from_zero(days):
    with pytest.raises(SettingsError, match="ascend from 0"):
        simulate_course(1, days)


def test_a_drawn_course_uses_a_level_once():
    drawn = draw_course(np.random.default_rng(3), ["L1", "L2", "L3", "L4"], n_lesions=9)
    assert sorted(x.level for x in drawn) == ["L1", "L2", "L3", "L4"]
