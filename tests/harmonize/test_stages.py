"""Nested variables are removed one after the other, and a new site of a known vendor is not left alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spondyl.core import InputError
from spondyl.harmonize.combat import ComBatSettings
from spondyl.harmonize.harmony_spine import HarmonySpine
from spondyl.harmonize.stages import scanner_names

VARIABLES = ("vendor", "field_t", "site")


def _nested(seed=1, per_site=12, p=40):
    """Three vendors of four sites each; most of the scanner effect is the vendor's."""
    rng = np.random.default_rng([2_000_400, seed])
    obs = pd.DataFrame(
        [(f"v{v}", (1.5, 3.0)[s % 2], f"v{v}s{s}") for v in range(3) for s in range(4) for _ in range(per_site)],
        columns=list(VARIABLES),
    )
    own = rng.normal(size=(len(obs), p))
    vendor, site = (obs[c].astype("category").cat.codes.to_numpy() for c in ("vendor", "site"))
    of_vendor, of_site = rng.normal(0, 1.2, (3, p)), rng.normal(0, 0.3, (3, 4, p))
    of_vendor, of_site = of_vendor - of_vendor.mean(axis=0), of_site - of_site.mean(axis=1, keepdims=True)
    return own + of_vendor[vendor] + of_site.reshape(12, p)[site], obs, own


def _spread(values, groups):
    return pd.DataFrame(values).groupby(np.asarray(groups)).mean().std().mean()


def test_every_variable_is_removed():
    values, obs, own = _nested()
    done = HarmonySpine(site=VARIABLES, dimension=None).fit_transform(values, obs=obs)
    for variable in VARIABLES:
        assert _spread(done, obs[variable]) < 0.35 * _spread(values, obs[variable])
    assert np.abs(done - own).mean() < 0.5 * np.abs(values - own).mean()


def test_a_new_site_of_a_known_vendor_loses_the_vendors_effect():
    values, obs, own = _nested()
    new = (obs.site == "v2s3").to_numpy()
    model = HarmonySpine(site=VARIABLES, unseen="pooled", dimension=None).fit(values[~new], obs=obs[~new])
    got = model.harmonize(values[new], obs=obs[new])
    alone = HarmonySpine(site="site", unseen="pooled", dimension=None).fit(values[~new], obs=obs[~new])
    off = np.abs(alone.transform(values[new], obs=obs[new]) - own[new]).mean()
    assert np.abs(got.values - own[new]).mean() < 0.6 * off
    assert set(got.flags) == {("site_pooled",)}


def test_the_reference_site_stays_through_all_stages():
    values, obs, _ = _nested()
    model = HarmonySpine(site=VARIABLES, combat=ComBatSettings(reference="v1s2"), dimension=None)
    done = model.fit_transform(values, obs=obs)
    rows = (obs.site == "v1s2").to_numpy()
    np.testing.assert_array_equal(done[rows], values[rows])
    with pytest.raises(InputError, match="'v9' is not in column 'site'"):
        HarmonySpine(site=VARIABLES, combat=ComBatSettings(reference="v9")).fit(values, obs=obs)


def test_one_patient_at_a_time_is_the_same_with_stages_and_covariance():
    values, obs, _ = _nested(p=15)
    model = HarmonySpine(site=VARIABLES, combat=ComBatSettings(covariance=True), dimension=None)
    whole = model.fit_transform(values, obs=obs)
    for row in (0, 50, 143):
        one = model.transform(values[row : row + 1], obs=obs.iloc[row : row + 1])
        np.testing.assert_allclose(one[0], whole[row], atol=1e-10)


def test_a_calibrated_site_enters_every_stage_that_does_not_know_it():
    values, obs, own = _nested()
    new = (obs.vendor == "v2").to_numpy() & (obs.site == "v2s3").to_numpy()
    train = (obs.vendor != "v2").to_numpy()
    model = HarmonySpine(site=VARIABLES, dimension=None).fit(values[train], obs=obs[train])
    more = model.calibrated(values[new], obs=obs[new])
    assert "v2" in more.stages_[0].combat.names
    got = more.transform(values[new], obs=obs[new])
    assert np.abs(got - own[new]).mean() < 0.6 * np.abs(values[new] - own[new]).mean()


def test_names_of_scanners_do_not_depend_on_how_numbers_are_kept():
    for column in ([1, 2, 30], [1.0, 2.0, 30.0], ["1", "2", "30"]):
        assert scanner_names(pd.DataFrame({"s": column}), "s") == ["1", "2", "30"]
    with pytest.raises(InputError, match="1 of 3 rows have none"):
        scanner_names(pd.DataFrame({"s": ["a", None, "b"]}), "s")
