"""Cohorts never share a patient or a scanner with training, and come as studies come."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from spondyl.core import SettingsError
from spondyl.phantom.cohort import (
    REGION_SHARES,
    SEED_RANGES,
    SEEN_SCANNERS,
    SEQUENCE_SETS,
    UNSEEN_SCANNERS,
    Purpose,
    cohort_seeds,
    hidden_seeds,
    purpose_of,
    sample_patient_settings,
)
from spondyl.phantom.study import REGION_PLANS


def test_purposes_share_no_seed():
    for one, other in combinations(SEED_RANGES.values(), 2):
        assert one.stop <= other.start or other.stop <= one.start
    for purpose in (p for p in Purpose if p is not Purpose.HIDDEN):
        for seed in cohort_seeds(purpose, 5, first=7):
            assert purpose_of(seed) is purpose


def test_training_stays_below_a_million_and_all_else_above():
    for purpose, seeds in SEED_RANGES.items():
        learnt = purpose in (Purpose.TRAINING, Purpose.VALIDATION)
        assert (seeds.stop <= 1_000_000) == learnt


def test_hidden_seeds_follow_from_their_phrase_alone():
    first, again, other = (hidden_seeds(phrase, 300) for phrase in ("pearl", "pearl", "oyster"))
    assert first == again
    assert first[:20] == hidden_seeds("pearl", 20)
    assert len(set(first)) == 300
    assert not set(first) & set(other)
    assert all(purpose_of(seed) is Purpose.HIDDEN for seed in first)


def test_tests_never_use_a_scanner_of_training():
    assert not set(SEEN_SCANNERS) & set(UNSEEN_SCANNERS)
    for purpose in (Purpose.TRAINING, Purpose.DEMONSTRATION):
        draws = [sample_patient_settings(seed) for seed in cohort_seeds(purpose, 60)]
        assert {d.scanner for d in draws} <= set(SEEN_SCANNERS)
        assert not any(d.settings.unseen_timing for d in draws)
    for seeds in (cohort_seeds(Purpose.BENCHMARK, 60), hidden_seeds("pearl", 60)):
        assert {sample_patient_settings(seed).scanner for seed in seeds} == set(UNSEEN_SCANNERS)


def test_studies_are_drawn_as_often_as_told():
    draws = [sample_patient_settings(seed) for seed in cohort_seeds("benchmark", 1500)]
    for region, share in REGION_SHARES.items():
        assert np.mean([d.region == region for d in draws]) == pytest.approx(share, abs=0.04)
    for share, sequences in SEQUENCE_SETS:
        assert np.mean([d.sequences == sequences for d in draws]) == pytest.approx(share, abs=0.04)
    assert draws == [sample_patient_settings(seed) for seed in cohort_seeds("benchmark", 1500)]
    assert {d.lesions for d in draws} == {"prevalence"}
    assert sum(REGION_SHARES.values()) == pytest.approx(1)
    assert sum(share for share, _ in SEQUENCE_SETS) == pytest.approx(1)
    assert set(REGION_SHARES) == set(REGION_PLANS)


@pytest.mark.slow
def test_a_draw_becomes_a_patient():
    seeds = cohort_seeds("testing", 50, first=1000)
    draw = next(d for s in seeds if (d := sample_patient_settings(s)).region == "cervical" and len(d.sequences) < 3)
    patient = draw.simulate()
    assert patient.seed == draw.seed
    assert {i.acquisition.vendor for i in patient.images} == {draw.scanner.vendor}
    assert {i.acquisition.field_strength_t for i in patient.images} == {draw.scanner.field_strength_t}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cohort_seeds("holiday", 3), "got 'holiday'"),
        (lambda: cohort_seeds("hidden", 3), "hidden cohorts take hidden_seeds"),
        (lambda: cohort_seeds("validation", 100_001), "validation has 100000 seeds, got first=0 and n=100001"),
        (lambda: hidden_seeds("", 3), "got 0 characters"),
        (lambda: purpose_of(-1), "no purpose has seed -1"),
        (lambda: purpose_of(500_000_000), "no purpose has seed 500000000"),
    ],
)
def test_what_cannot_be_drawn_is_a_settings_error(call, message):
    with pytest.raises(SettingsError, match=message):
        call()
