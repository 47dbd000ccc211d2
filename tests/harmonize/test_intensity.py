"""Scales without anatomy: what they promise, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spondyl.core import InputError
from spondyl.harmonize.intensity import NyulScale, percentile_scale, robust_z_score

RNG = np.random.default_rng(0)
IMAGE = RNG.gamma(3.0, 80.0, (8, 40, 40))
MASK = np.zeros(IMAGE.shape, bool)
MASK[:, 5:-5, 5:-5] = True


def test_a_robust_z_score_ignores_outliers_and_gain():
    z = robust_z_score(IMAGE, MASK)
    assert abs(float(np.median(z[MASK]))) < 1e-6
    np.testing.assert_allclose(robust_z_score(7 * IMAGE + 100, MASK), z, atol=1e-4)
    metal = IMAGE.copy()
    metal[3, 6:9, 6:9] = 1e6
    np.testing.assert_allclose(robust_z_score(metal, MASK)[0], z[0], atol=0.05)


def test_percentiles_become_zero_and_one():
    scaled = percentile_scale(IMAGE, MASK)
    np.testing.assert_allclose(np.percentile(scaled[MASK], [1, 99]), [0, 1], atol=1e-5)
    assert scaled.max() > 1  # nothing is cut off


def test_a_standard_histogram_undoes_any_monotone_change_of_one_image():
    scale = NyulScale.learned([(IMAGE, MASK), (2 * IMAGE + 5, MASK)])
    plain, bent = scale.applied(IMAGE, MASK), scale.applied(np.sqrt(IMAGE), MASK)
    inside = MASK & (plain > 5) & (plain < 95)
    assert np.abs(plain - bent)[inside].max() < 1.5
    np.testing.assert_allclose(scale.applied(2 * IMAGE + 5, MASK), plain, atol=1e-3)


def test_a_standard_histogram_is_kept_as_json():
    scale = NyulScale.learned([(IMAGE, MASK)])
    again = NyulScale.from_json(scale.to_json())
    assert again == scale
    np.testing.assert_array_equal(again.applied(IMAGE, MASK), scale.applied(IMAGE, MASK))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"percentiles": [1, 2], "standard": [1]}', "not json"])
def test_other_text_is_no_standard_histogram(text):
    with pytest.raises(InputError, match="standard"):
        NyulScale.from_json(text)


def test_a_standard_that_does_not_ascend_is_refused():
    with pytest.raises(InputError, match="ascend"):
        NyulScale.from_json(json.dumps({"percentiles": [1, 50, 99], "standard": [0, 80, 20]}))


def test_images_of_few_gray_values_keep_a_single_valued_map():
    coarse = np.round(IMAGE / 150) * 150
    assert np.isfinite(NyulScale.learned([(coarse, MASK)]).applied(coarse, MASK)).all()


@pytest.mark.parametrize("function", [robust_z_score, percentile_scale])
def test_no_tissue_or_one_value_is_refused_in_words(function):
    with pytest.raises(InputError, match="mask"):
        function(IMAGE, np.zeros_like(MASK))
    with pytest.raises(InputError, match="mask"):
        function(np.full(IMAGE.shape, 4.0), MASK)


def test_a_standard_needs_an_image():
    with pytest.raises(InputError, match="at least one image"):
        NyulScale.learned([])
