"""Visits: every three months or as life has it, some missed, some on another scanner, with other sequences."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from spondyl.core import Sequence, SettingsError
from spondyl.phantom.cohort import SEEN_SCANNERS, Scanner
from spondyl.phantom.course import Fate, LesionCourse, simulate_course
from spondyl.phantom.kinds import LesionKind
from spondyl.phantom.patient import PatientSettings
from spondyl.phantom.schedule import PlannedVisit, Rhythm, ScheduleSettings, draw_schedule


def _schedules(**given):
    return [draw_schedule(np.random.default_rng(k), ScheduleSettings(**given)) for k in range(60)]


@pytest.mark.parametrize("rhythm", list(Rhythm))
def test_days_ascend_from_zero(rhythm):
    for visits in _schedules(rhythm=rhythm):
        days = [v.day for v in visits]
        assert days[0] == 0
        assert all(b - a >= 20 for a, b in pairwise(days))
        assert days[-1] <= 30 * 30.4 + 1


def test_a_quarter_lies_between_visits_that_nobody_misses():
    gaps = np.concatenate([np.diff([v.day for v in s]) for s in _schedules(missed=0.0)])
    assert np.median(gaps) == pytest.approx(91, abs=4)
    wild = np.concatenate([np.diff([v.day for v in s]) for s in _schedules(rhythm=Rhythm.IRREGULAR)])
    assert wild.std() > 2 * gaps.std()


def test_missed_visits_make_fewer():
    assert sum(map(len, _schedules(missed=0.5))) < 0.75 * sum(map(len, _schedules(missed=0.0)))


def test_scanners_and_sequences_stay_or_change_as_asked():
    for visits in _schedules(other_scanner=0.0, other_sequences=0.0):
        assert len({v.scanner for v in visits}) == 1
        assert len({v.sequences for v in visits}) == 1
    assert any(len({v.scanner for v in s}) > 1 for s in _schedules())
    assert any(len({v.sequences for v in s}) > 1 for s in _schedules())


@pytest.mark.parametrize("wrong", [{"missed": 1.5}, {"months": 0}, {"scanners": ()}, {"other_scanner": -0.1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match="a schedule wants"):
        ScheduleSettings(**wrong)


@pytest.mark.slow
def test_images_of_a_planned_course_come_from_its_scanners():
    visits = (
        PlannedVisit(0, SEEN_SCANNERS[0], (Sequence.T2,)),
        PlannedVisit(90, Scanner("ge", 3.0), (Sequence.STIR,)),
    )
    lesion = LesionCourse("L2", LesionKind.LYTIC, Fate.EMERGES, time_days=30, amount=0.125, onset_days=0)
    course = simulate_course(7310, visits, lesions=[lesion], settings=PatientSettings(fast=True))
    first, second = (v.patient for v in course.visits)
    assert first.images[0].acquisition.vendor == "siemens"
    assert second.images[0].acquisition.vendor == "ge"
    assert second.images[0].acquisition.field_strength_t == 3.0
    assert [i.sequence for i in second.images] == [Sequence.STIR]
    # The same person, whichever scanner looks: only relaxation follows the field.
    np.testing.assert_allclose(first.parameters.fat_fraction, second.parameters.fat_fraction)
    assert second.anatomy.lesions[0].volume_mm3 > 3 * first.anatomy.lesions[0].volume_mm3
