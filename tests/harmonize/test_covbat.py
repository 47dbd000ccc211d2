"""CovBat aligns how features vary together, which ComBat leaves."""

from __future__ import annotations

import numpy as np

from spondyl.harmonize.combat import UNSEEN, ComBatSettings, Scanners, apply_combat, fit_combat
from spondyl.harmonize.covbat import EXPLAINED_VARIANCE, apply_covbat, fit_covbat


def _two_scanners(n=600, p=12):
    """Features correlate along another direction on each scanner, with equal means and variances."""
    rng = np.random.default_rng(2_000_300)
    codes = np.arange(n) % 2
    sign = np.where(np.arange(p) % 2, 1.0, -1.0)
    shared = rng.normal(size=(n, 1)) * np.where(codes[:, None], 0.6 * sign, 1.2)
    return shared + rng.normal(0, 0.6, (n, p)) + 5, codes


def _harmonized(values, codes):
    empty = np.zeros((len(values), 0))
    combat = fit_combat(values, Scanners(("a", "b"), codes), empty, ComBatSettings(covariance=True))
    removed = apply_combat(combat, values, codes, empty)
    covbat = fit_covbat(combat, removed, codes, empty)
    return removed, apply_covbat(covbat, combat, removed, codes, empty), covbat, combat


def _distance(values, codes):
    a, b = (np.cov(values[codes == c].T) for c in (0, 1))
    return np.linalg.norm(a - b) / np.linalg.norm(a + b)


def test_covariances_of_scanners_come_together():
    values, codes = _two_scanners()
    removed, aligned, _, _ = _harmonized(values, codes)
    assert _distance(removed, codes) > 0.9 * _distance(values, codes)
    assert _distance(aligned, codes) < 0.5 * _distance(removed, codes)


def test_means_and_total_variance_stay():
    values, codes = _two_scanners()
    removed, aligned, _, _ = _harmonized(values, codes)
    np.testing.assert_allclose(aligned.mean(axis=0), removed.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(aligned.var(axis=0).sum(), removed.var(axis=0).sum(), rtol=0.05)


def test_components_are_orthonormal_and_hold_the_variance_asked_for():
    for p in (12, 900):
        values, codes = _two_scanners(n=200, p=p)
        removed, _, covbat, combat = _harmonized(values, codes)
        v = covbat.components
        np.testing.assert_allclose(v @ v.T, np.eye(len(v)), atol=1e-9)
        left = (removed - combat.mean) / combat.sd
        left -= left.mean(axis=0)
        held = ((left @ v.T) ** 2).sum() / (left**2).sum()
        without_last = ((left @ v[:-1].T) ** 2).sum() / (left**2).sum()
        assert without_last < EXPLAINED_VARIANCE <= held + 1e-9


def test_a_patient_of_another_scanner_or_with_gaps_passes():
    values, codes = _two_scanners()
    removed, aligned, covbat, combat = _harmonized(values, codes)
    holed = removed[:3].copy()
    holed[1, 4] = np.nan
    got = apply_covbat(covbat, combat, holed, np.array([UNSEEN, codes[1], 2]), np.zeros((3, 0)))
    np.testing.assert_array_equal(got[[0, 2]], removed[[0, 2]])
    assert np.isnan(got[1, 4])
    assert np.isfinite(np.delete(got[1], 4)).all()
    one = apply_covbat(covbat, combat, removed[7:8], codes[7:8], np.zeros((1, 0)))
    np.testing.assert_allclose(one[0], aligned[7], atol=1e-10)
