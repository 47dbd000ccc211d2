"""Years of surveillance: truth is ordered in time, marrow shows what grows, and the same seed is the same cohort."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import SettingsError
from spondyl.core.marrow import FACTS, VISIT_SIGNS
from spondyl.phantom.cohort import UNSEEN_SCANNERS
from spondyl.phantom.course import Fate, LesionCourse
from spondyl.phantom.kinds import LesionKind
from spondyl.phantom.marrow_cells import LEVELS, N_CELLS, Patch, body_ml, cell_shares
from spondyl.phantom.schedule import ScheduleSettings
from spondyl.phantom.surveillance import (
    NONE,
    OVERT,
    OVERT_ML,
    SUBTHRESHOLD,
    SUBTHRESHOLD_ML,
    Focus,
    SurveillanceSettings,
    simulate_surveillance,
)
from spondyl.phantom.tissue import Tissue


@pytest.fixture(scope="module")
def cohort():
    return simulate_surveillance(24, 5)


def test_every_visit_measures_every_vertebra(cohort):
    counts = cohort.rows.groupby(["patient", "visit"]).size()
    assert (counts == len(LEVELS)).all()
    assert {*VISIT_SIGNS, *FACTS} <= set(cohort.rows.columns)
    first = cohort.rows[cohort.rows.visit == 0]
    assert first.last_t1_level.isna().all()
    assert (first.day == 0).all()


def test_truth_is_ordered_in_time(cohort):
    known = cohort.lesions.dropna()
    assert len(known) > 5
    assert (known.onset_day < known.subthreshold_day).all()
    assert (known.subthreshold_day < known.overt_day).all()


def test_states_follow_the_volume(cohort):
    rows = cohort.rows
    assert set(rows.state) == {NONE, SUBTHRESHOLD, OVERT}
    hidden = rows[rows.state == SUBTHRESHOLD]
    assert hidden.volume_ml.min() >= SUBTHRESHOLD_ML
    assert (hidden.volume_ml < OVERT_ML * 1.001).all()
    assert (rows[rows.state == OVERT].overt_day <= rows[rows.state == OVERT].day).all()


def test_nobody_is_seen_after_death(cohort):
    last = cohort.rows.groupby("patient").day.max()
    end = cohort.patients.set_index("patient").end_day
    assert (last <= end.loc[last.index]).all()
    died = cohort.patients.dropna(subset="death_day")
    assert (died.death_day == died.end_day).all()


def test_the_same_seed_is_the_same_cohort_and_patients_do_not_depend_on_how_many(cohort):
    again = simulate_surveillance(3, 5)
    own = cohort.rows[cohort.rows.patient < 3]
    np.testing.assert_array_equal(again.rows.t1_dark, own.t1_dark)
    np.testing.assert_array_equal(again.lesions.overt_day, cohort.lesions[cohort.lesions.patient < 3].overt_day)


def test_other_scanners_can_be_asked_for():
    rows = simulate_surveillance(3, 1, SurveillanceSettings(ScheduleSettings(scanners=UNSEEN_SCANNERS))).rows
    names = {f"{s.vendor} {s.field_strength_t:g} T" for s in UNSEEN_SCANNERS}
    assert set(rows.scanner) <= names


def test_a_lesion_that_answers_never_becomes_overt():
    growth = LesionCourse("L3", LesionKind.LYTIC, Fate.EMERGES, time_days=90, amount=0.02, onset_days=0)
    free = Focus(4, LesionKind.LYTIC, growth, None, 0.0, 1.0)
    assert free.volume_ml(free.day_of(OVERT_ML)) == pytest.approx(OVERT_ML)
    assert free.volume_ml(-1) == 0
    answer = LesionCourse("L3", LesionKind.LYTIC, Fate.RESPONDS, time_days=60, amount=0.3, onset_days=300)
    treated = free._replace(answer=answer)
    assert np.isnan(treated.day_of(OVERT_ML))
    assert treated.volume_ml(900) < treated.volume_ml(300)
    assert free._replace(growth=growth).volume_ml(1e6) == body_ml("L3")


def test_swelling_after_radiotherapy_goes_back():
    growth = LesionCourse("L3", LesionKind.LYTIC, Fate.EMERGES, time_days=90, amount=0.02, onset_days=-600)
    pseudo = LesionCourse("L3", LesionKind.LYTIC, Fate.PSEUDO, time_days=120, amount=2.0, onset_days=0)
    focus = Focus(4, LesionKind.LYTIC, growth, pseudo, 0.0, 1.0)
    assert focus.volume_ml(120) == pytest.approx(2 * focus.volume_ml(0))
    assert focus.volume_ml(900) < 1.1 * focus.volume_ml(0)


@pytest.mark.parametrize("volume_ml", [0.3, 1.0, 5.0])
def test_cells_hold_the_volume(volume_ml):
    shares = cell_shares(Patch(4, ((Tissue.TUMOR_LYTIC, 1.0),), volume_ml, 0.0))
    inner_ml = 0.4 * body_ml(LEVELS[4])
    assert ((shares >= 0) & (shares <= 1)).all()
    assert shares.sum() * inner_ml / N_CELLS == pytest.approx(volume_ml, rel=0.2)


def test_an_empty_cohort_is_refused():
    with pytest.raises(SettingsError, match="at least one patient"):
        simulate_surveillance(0, 1)
    with pytest.raises(SettingsError, match="irregular"):
        SurveillanceSettings(irregular=1.5)
