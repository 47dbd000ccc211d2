"""Strange patients get a reason instead of a risk."""

from __future__ import annotations

import numpy as np

from spondyl.risk.familiarity import Familiarity


def _known():
    rng = np.random.default_rng(0)
    first = rng.normal(size=400)
    return Familiarity(("age", "volume", "index")).fit(
        np.column_stack([60 + 10 * first, 5 + first + 0.1 * rng.normal(size=400), rng.normal(size=400)])
    )


def test_patients_like_those_learned_from_get_a_risk():
    assert _known().reasons([[60, 5, 0], [75, 6.5, 1]]) == ["", ""]


def test_each_reason_says_what_is_strange():
    far, combination, missing = _known().reasons([[600, 5, 0], [85, 2.5, 0], [60, np.nan, np.nan]])
    assert far == "far outside what was learned from: age"
    assert "combination" in combination
    assert missing == "67% of the features are missing, at most 50% may be"


def test_few_of_the_patients_learned_from_would_be_refused():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1000, 5))
    assert sum(bool(r) for r in Familiarity(tuple("abcde")).fit(x).reasons(rng.normal(size=(1000, 5)))) < 10


def test_a_constant_and_an_empty_feature_do_no_harm():
    x = np.column_stack([np.arange(50.0), np.ones(50), np.full(50, np.nan)])
    assert Familiarity(("a", "b", "c")).fit(x).reasons(x[:3]) == ["", "", ""]
