"""Empirical Bayes: how far each scanner effect is drawn toward what the other features of that scanner say.

A scanner seen with few patients is estimated badly feature by feature, but its effects on many features resemble each
other. Their distribution over the features serves as prior of each one (Johnson 2007, Biostatistics 8:118).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 1e-4
"""Relative change at which the iteration ends, as in the reference implementations (Fortin 2017, NeuroImage 161:149);
another tolerance would end at another iterate."""

MAX_ITERATIONS = 10_000
"""The iteration contracts, so this many are never needed; a bound all the same."""

CHUNK = 256
"""Features whose likelihoods under all others are held at once."""


class SiteEffects(NamedTuple):
    """What one scanner does to every feature, in units of the feature's standard deviation.

    Parameters
    ----------
    shift : ndarray of float, shape (p,)
        Additive effect.
    scale : ndarray of float, shape (p,)
        Multiplicative effect on the variance.
    shift_variance : ndarray of float, shape (p,)
        Posterior variance of `shift`.
    log_scale_variance : ndarray of float, shape (p,)
        Posterior variance of the logarithm of `scale`.
    """

    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    shift_variance: NDArray[np.float64]
    log_scale_variance: NDArray[np.float64]


class SiteEstimates(NamedTuple):
    """What the patients of one scanner say, before shrinkage.

    Parameters
    ----------
    shift : ndarray of float, shape (p,)
        Mean of the standardized values; NaN where there is none.
    scale : ndarray of float, shape (p,)
        Variance of the standardized values (n - 1); NaN where there are fewer than two.
    n : ndarray of float, shape (p,)
        Number of values.
    sampling : ndarray of float, shape (p,)
        Variance of `shift` as an estimate, for a scale of 1; about 1/n.
    """

    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    n: NDArray[np.float64]
    sampling: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prior:
    """What a scanner's effects are expected to be.

    Parameters
    ----------
    shift_mean : float
        Mean of the normal distribution of shifts.
    shift_variance : float or ndarray of float, shape (p,)
        Its variance, one for all features or one for each; infinite for no shrinkage.
    scale_shape, scale_rate : float
        Of the inverse gamma distribution of scales; both infinite where all scales are equal.
    scale_mean : float
        Mean of the scales.
    """

    shift_mean: float
    shift_variance: float | NDArray[np.float64]
    scale_shape: float
    scale_rate: float
    scale_mean: float

    def of(self, part: NDArray[np.intp]) -> Prior:
        """Give the prior of some features.

        Parameters
        ----------
        part : ndarray of int
            Which features.

        Returns
        -------
        Prior
            The same where it is one for all features.
        """
        variance = self.shift_variance
        return self if isinstance(variance, float) else replace(self, shift_variance=variance[part])


def prior_of(estimates: SiteEstimates) -> Prior:
    """Estimate the prior of one scanner by the method of moments.

    Parameters
    ----------
    estimates : SiteEstimates
        Of the features that take part.

    Returns
    -------
    Prior
        With a shift variance of infinity, that is no shrinkage, where a single feature gives no distribution.

    References
    ----------
    Johnson 2007, Biostatistics 8:118, section 3.2.
    """
    shifts = estimates.shift[np.isfinite(estimates.shift)]
    scales = estimates.scale[np.isfinite(estimates.scale)]
    shape, rate = inverse_gamma(scales)
    several = len(shifts) > 1
    return Prior(
        shift_mean=float(shifts.mean()) if len(shifts) else 0.0,
        shift_variance=float(shifts.var(ddof=1)) if several else np.inf,
        scale_shape=shape,
        scale_rate=rate,
        scale_mean=float(scales.mean()) if len(scales) else 1.0,
    )


def inverse_gamma(values: NDArray[np.float64]) -> tuple[float, float]:
    """Give the inverse gamma distribution with the mean and variance of some values.

    Parameters
    ----------
    values : ndarray of float, shape (p,)
        Positive values.

    Returns
    -------
    shape, rate : float
        Its parameters; infinite where the values do not vary.
    """
    if len(values) < 2:
        return np.inf, np.inf
    mean, variance = float(values.mean()), float(values.var(ddof=1))
    if variance <= 1e-12 * mean**2:
        return np.inf, np.inf
    return (2 * variance + mean**2) / variance, (mean * variance + mean**3) / variance


def without_shrinkage(estimates: SiteEstimates, *, mean_only: bool) -> SiteEffects:
    """Take the estimates as they are.

    Parameters
    ----------
    estimates : SiteEstimates
        Of one scanner.
    mean_only : bool
        Whether the scale is left at 1.

    Returns
    -------
    SiteEffects
        No effect where there was no value, no effect on the scale where it could not be estimated.
    """
    seen = np.isfinite(estimates.shift)
    scaled = np.isfinite(estimates.scale) & (estimates.scale > 0) & (not mean_only)
    scale = np.where(scaled, estimates.scale, 1.0)
    return SiteEffects(
        shift=np.where(seen, estimates.shift, 0.0),
        scale=scale,
        shift_variance=np.where(seen, estimates.sampling * scale, np.inf),
        # The logarithm of a sample variance has this variance for normal data, to first order.
        log_scale_variance=np.where(scaled, 2 / np.maximum(estimates.n - 1, 1), 0.0),
    )


def shrunk_shift(estimates: SiteEstimates, prior: Prior) -> SiteEffects:
    """Shrink the shift alone; the scale stays 1.

    Parameters
    ----------
    estimates : SiteEstimates
        Of one scanner.
    prior : Prior
        Its prior.

    Returns
    -------
    SiteEffects
        As the references have it, which count the mean of a scanner as a single observation here, whatever the
        number of its patients (Fortin's R and Python code, ``mean.only``).
    """
    p, variance = len(estimates.shift), np.asarray(prior.shift_variance, dtype=np.float64)
    free = np.isinf(variance)
    weight = np.where(free, 1.0, np.where(free, 0.0, variance) / (np.where(free, 0.0, variance) + 1.0))
    return _blended(estimates, prior, np.broadcast_to(weight, p), np.ones(p))


def _blended(
    estimates: SiteEstimates, prior: Prior, weight: NDArray[np.float64], scale: NDArray[np.float64]
) -> SiteEffects:
    """Mix estimate and prior mean; the variance is that of such a mixture, whatever its weight."""
    seen = np.isfinite(estimates.shift)
    expected = np.where(np.isinf(prior.shift_variance), 0.0, prior.shift_variance)
    shift = np.where(seen, weight * np.where(seen, estimates.shift, 0.0) + (1 - weight) * prior.shift_mean, 0.0)
    variance = weight**2 * np.where(seen, estimates.sampling, 0.0) * scale + (1 - weight) ** 2 * expected
    shift = np.where(seen, shift, prior.shift_mean)
    return SiteEffects(shift, scale, np.where(seen, variance, expected), np.zeros(len(scale)))


def parametric(estimates: SiteEstimates, prior: Prior) -> SiteEffects:
    """Shrink shift and scale with a normal and an inverse gamma prior.

    Parameters
    ----------
    estimates : SiteEstimates
        Of one scanner.
    prior : Prior
        Its prior.

    Returns
    -------
    SiteEffects
        Posterior means.

    References
    ----------
    Johnson 2007, Biostatistics 8:118, equations 3.1 and 3.2.
    """
    if np.isinf(prior.shift_variance).any() or np.isinf(prior.scale_shape):
        return _without_spread(estimates, prior)
    effects = shrunk_shift(estimates, prior)
    part = np.flatnonzero(np.isfinite(estimates.scale))
    own, expected = SiteEstimates(*(values[part] for values in estimates)), prior.of(part)
    shift, scale = _iterated(own, expected)
    weight = expected.shift_variance * own.n / (expected.shift_variance * own.n + scale)
    effects.shift[part], effects.scale[part] = shift, scale
    effects.shift_variance[part] = _blended(own, expected, weight, scale).shift_variance
    # Posterior of the scale: inverse gamma of shape n/2 + a, whose relative variance is 1 / (shape - 2).
    effects.log_scale_variance[part] = 1 / np.maximum(own.n / 2 + prior.scale_shape - 2, 0.5)
    return effects


def _without_spread(estimates: SiteEstimates, prior: Prior) -> SiteEffects:
    """One feature has no prior at all; features with one common scale have that scale."""
    if np.isinf(prior.shift_variance).any():
        return without_shrinkage(estimates, mean_only=False)
    effects = shrunk_shift(estimates, prior)
    several = np.isfinite(estimates.scale)
    if not several.any() or prior.scale_mean <= 0:
        return effects
    n = np.maximum(estimates.n, 1)
    weight = prior.shift_variance * n / (prior.shift_variance * n + prior.scale_mean)
    full = _blended(estimates, prior, weight, np.full(len(n), prior.scale_mean))
    return SiteEffects(*(np.where(several, a, b) for a, b in zip(full, effects, strict=True)))


def _iterated(estimates: SiteEstimates, prior: Prior) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Alternate the two posterior means until neither changes."""
    shift_hat, scale_hat, n, _ = estimates
    squares = (n - 1) * scale_hat
    precision = prior.shift_variance * n
    start = precision * shift_hat
    denominator = n / 2 + prior.scale_shape - 1
    shift, scale = shift_hat, scale_hat
    for _ in range(MAX_ITERATIONS):
        new_shift = (start + scale * prior.shift_mean) / (precision + scale)
        new_scale = (0.5 * (squares + n * (shift_hat - new_shift) ** 2) + prior.scale_rate) / denominator
        change = max(_change(new_shift, shift), _change(new_scale, scale))
        shift, scale = new_shift, new_scale
        if change <= TOLERANCE:
            break
    return shift, scale


def _change(new: NDArray[np.float64], old: NDArray[np.float64]) -> float:
    """Largest relative change as the references count it: the sign of the old value stays in the denominator."""
    ratio = np.divide(np.abs(new - old), old, out=np.zeros_like(old), where=old != 0)
    return float(ratio.max(initial=0.0))


def nonparametric(estimates: SiteEstimates, *, mean_only: bool) -> SiteEffects:
    """Shrink with the effects on the other features themselves as prior, weighted by their likelihood.

    Parameters
    ----------
    estimates : SiteEstimates
        Of one scanner.
    mean_only : bool
        Whether the scale is left at 1.

    Returns
    -------
    SiteEffects
        Posterior means and variances.

    Notes
    -----
    Likelihoods are handled as logarithms, so that a scanner with hundreds of patients does not underflow to nothing.

    References
    ----------
    Johnson 2007, Biostatistics 8:118, appendix A.
    """
    scale_hat = np.ones_like(estimates.scale) if mean_only else estimates.scale
    part = np.flatnonzero(np.isfinite(estimates.shift) & np.isfinite(scale_hat) & (scale_hat > 0))
    prior = prior_of(estimates)
    effects = shrunk_shift(estimates, prior)
    if len(part) < 2:
        return without_shrinkage(estimates, mean_only=mean_only)
    shift, scale, n = estimates.shift[part], scale_hat[part], estimates.n[part]
    squares = np.nan_to_num((n - 1) * estimates.scale[part]) + n * shift**2
    # Log likelihood of feature i under the effects of feature j is a sum of three products, so one matrix product.
    of_data = np.stack([-n / 2, -squares / 2, n * shift], axis=1)
    of_prior = np.stack([np.log(2 * np.pi * scale) + shift**2 / scale, 1 / scale, shift / scale])
    moments = np.stack([shift, shift**2, scale, np.log(scale), np.log(scale) ** 2], axis=1)
    found, freedom = np.empty((len(part), moments.shape[1])), np.empty(len(part))
    for first in range(0, len(part), CHUNK):
        rows = np.arange(first, min(first + CHUNK, len(part)))
        log_likelihood = of_data[rows] @ of_prior
        log_likelihood[np.arange(len(rows)), rows] = -np.inf
        weights = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        found[rows] = weights @ moments
        # Few features carry all the weight, so their spread is corrected like the variance of a small sample.
        freedom[rows] = np.maximum(1 - np.einsum("ij,ij->i", weights, weights), 1 / len(part))
    effects.shift[part], effects.scale[part] = found[:, 0], found[:, 2]
    effects.shift_variance[part] = np.maximum(found[:, 1] - found[:, 0] ** 2, 0) / freedom
    effects.log_scale_variance[part] = np.maximum(found[:, 4] - found[:, 3] ** 2, 0) / freedom
    return effects


def between_scanners(shift: NDArray[np.float64], sampling: NDArray[np.float64]) -> NDArray[np.float64]:
    """Estimate how much scanners differ in each feature.

    Parameters
    ----------
    shift : ndarray of float, shape (k, p)
        Estimated shift of each scanner; NaN where there is none.
    sampling : ndarray of float, shape (k, p)
        Variance of each estimate.

    Returns
    -------
    ndarray of float, shape (p,)
        Variance between scanners, without that of the estimates, and shrunk toward its mean over the features, as a
        handful of scanners tells little about one feature.
    """
    seen = np.isfinite(shift)
    k = np.maximum(seen.sum(axis=0), 1)
    raw = (np.where(seen, shift, 0.0) ** 2).sum(axis=0) / k
    noise = np.where(seen, np.where(np.isfinite(sampling), sampling, 0.0), 0.0).sum(axis=0) / k
    shape, rate = inverse_gamma(raw[raw > 0])
    if np.isinf(shape):
        total = np.full(len(raw), raw.mean() if len(raw) else 0.0)
    else:
        total = (rate + k * raw / 2) / (shape + k / 2 - 1)
    return np.maximum(total - noise, 0.0)
