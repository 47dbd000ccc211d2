"""A small neural network of hazards that need not be proportional, in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from spondyl.risk.outcome import checked, time_grid

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

ADAM = (0.9, 0.999, 1e-8)
"""Decay of both moments, and the term against division by zero (Kingma & Ba 2014, arXiv 1412.6980)."""

MAX_EPOCHS, PATIENCE = 150, 40
"""Most passes over the patients, and passes without a gain after which a network stops. Chosen by us."""

BATCH = 64
"""Patients of one step. Chosen by us."""

CHECKED_EVERY = 5
"""Epochs between looks at the patients held out. Chosen by us."""


class NeuralHazards(BaseEstimator):
    """A few networks with one hidden layer, each stopped by patients of its own, averaged.

    The hazard is constant in each of some intervals, so the likelihood is that of Poisson counts over the time lived
    through each.

    Parameters
    ----------
    n_hidden : int
        Hidden units.
    n_intervals : int
        Intervals of constant hazard, equally many events in each.
    n_networks : int
        Networks averaged.
    decay : float
        Penalty of squared weights.
    learning_rate : float
        Of Adam.
    random_state : int
        Seed.

    Attributes
    ----------
    edges_ : ndarray of float, shape (n_intervals + 1,)
        Ends of the intervals.
    networks_ : list of list of ndarray
        Weights of each network.

    References
    ----------
    Kvamme & Borgan 2021, doi 10.1007/s10985-021-09532-6 (constant hazards); Gensheimer & Narasimhan 2019, doi
    10.7717/peerj.6257 (hazards by interval).
    """

    def __init__(
        self,
        n_hidden: int = 32,
        *,
        n_intervals: int = 8,
        n_networks: int = 4,
        decay: float = 1e-3,
        learning_rate: float = 5e-3,
        random_state: int = 0,
    ) -> None:
        self.n_hidden = n_hidden
        self.n_intervals = n_intervals
        self.n_networks = n_networks
        self.decay = decay
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any) -> NeuralHazards:  # noqa: N803 - scikit-learn's name
        """Train the networks.

        Parameters
        ----------
        X : array_like of float, shape (n, p)
            Features without missing values, on about one scale.
        y : ndarray, shape (n,)
            As `follow_up` gives it.

        Returns
        -------
        NeuralHazards
            Itself.

        Raises
        ------
        InputError
            If rows do not match or events are too few.
        """
        x = np.asarray(X, dtype=np.float64)
        time, event = checked(y, len(x))
        self.n_features_in_ = x.shape[1]
        self.mean_ = x.mean(axis=0)
        spread = x.std(axis=0)
        self.scale_ = np.where(spread > 1e-12, spread, 1.0)
        self.edges_ = np.concatenate([[0.0], time_grid(time, event, self.n_intervals)])
        if self.edges_[1] <= 0:  # events at time 0: the first interval would have no length
            self.edges_ = np.concatenate([[0.0], np.unique(self.edges_[self.edges_ > 0])])
        exposure, events = self._counts(time, event)
        self.start_ = np.log(events.sum(axis=0) / np.maximum(exposure.sum(axis=0), 1e-12) + 1e-12)
        # Exposure in units of the baseline, so that an output of 0 is the hazard of all.
        exposure *= np.exp(self.start_)
        z = (x - self.mean_) / self.scale_
        seeds = np.random.SeedSequence(self.random_state).spawn(self.n_networks)
        self.networks_ = [
            self._train(z, exposure, events, np.random.default_rng(seed), number) for number, seed in enumerate(seeds)
        ]
        return self

    def _counts(self, time: Floats, event: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        lived = np.clip(time[:, None] - self.edges_[:-1], 0, np.diff(self.edges_))
        place = np.clip(np.searchsorted(self.edges_, time, side="left") - 1, 0, len(self.edges_) - 2)
        events = np.zeros(lived.shape)
        events[np.flatnonzero(event), place[event]] = 1
        return lived, events

    def _train(
        self, z: Floats, exposure: Floats, events: Floats, rng: np.random.Generator, number: int
    ) -> list[Floats]:
        n, p, j = len(z), z.shape[1], exposure.shape[1]
        held = (
            (rng.permutation(n) % self.n_networks == number % self.n_networks)
            if self.n_networks > 1
            else (rng.permutation(n) % 5 == 0)
        )
        seen = np.flatnonzero(~held)
        size = BATCH
        weights = [
            rng.normal(0, 1 / np.sqrt(p), (p, self.n_hidden)),
            np.zeros(self.n_hidden),
            np.zeros((self.n_hidden, j)),
            np.zeros(j),
            np.zeros((p, 1)),
        ]
        moments = [[np.zeros_like(w), np.zeros_like(w)] for w in weights]
        best, kept, since, count = np.inf, [w.copy() for w in weights], 0, 0
        for epoch in range(MAX_EPOCHS):
            for rows in np.array_split(rng.permutation(seen), max(1, len(seen) // size)):
                count += 1
                _adam(
                    weights,
                    self._gradient(weights, z[rows], exposure[rows], events[rows]),
                    moments,
                    count,
                    self.learning_rate,
                )
            if epoch % CHECKED_EVERY:
                continue
            out = _forward(weights, z[held])[0]
            loss = float((exposure[held] * np.exp(np.clip(out, -20, 20)) - events[held] * out).sum())
            if loss < best - 1e-6:
                best, kept, since = loss, [w.copy() for w in weights], 0
            else:
                since += CHECKED_EVERY
                if since >= PATIENCE:
                    break
        return kept

    def _gradient(self, weights: list[Floats], z: Floats, exposure: Floats, events: Floats) -> list[Floats]:
        out, hidden = _forward(weights, z)
        error = (exposure * np.exp(np.clip(out, -20, 20)) - events) / len(z)
        inner = (error @ weights[2].T) * (1 - hidden**2)
        plain = [z.T @ inner, inner.sum(axis=0), hidden.T @ error, error.sum(axis=0), z.T @ error.sum(axis=1)[:, None]]
        return [g + (self.decay * w if w.ndim == 2 else 0.0) for g, w in zip(plain, weights, strict=True)]

    def _log_hazards(self, X: ArrayLike) -> Floats:  # noqa: N803
        check_is_fitted(self, "networks_")
        z = np.clip((np.asarray(X, dtype=np.float64) - self.mean_) / self.scale_, -5, 5)
        return self.start_ + np.mean([_forward(w, z)[0] for w in self.networks_], axis=0)

    def predict(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Give the logarithm of each patient's mean cumulative hazard.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features.

        Returns
        -------
        ndarray of float, shape (m,)
            Higher is sooner.
        """
        hazard = np.exp(self._log_hazards(X)) * np.diff(self.edges_)
        return np.log(np.cumsum(hazard, axis=1).mean(axis=1))

    def predict_survival(self, X: ArrayLike, times: ArrayLike) -> Floats:  # noqa: N803
        """Give the probability of being free of the event.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features.
        times : array_like of float, shape (n_times,)
            Times; beyond the last interval the hazard stays.

        Returns
        -------
        ndarray of float, shape (m, n_times)
            From 0 to 1, falling in time.
        """
        at = np.asarray(times, dtype=np.float64)
        starts = self.edges_[:-1]
        ends = np.append(self.edges_[1:-1], np.inf)
        lived = np.clip(at[:, None] - starts, 0, ends - starts)
        return np.exp(-np.exp(self._log_hazards(X)) @ lived.T)


def _forward(weights: list[Floats], z: Floats) -> tuple[Floats, Floats]:
    hidden = np.tanh(z @ weights[0] + weights[1])
    return hidden @ weights[2] + weights[3] + z @ weights[4], hidden


def _adam(
    weights: list[Floats], gradients: list[Floats], moments: list[list[Floats]], count: int, learning_rate: float
) -> None:
    first, second, tiny = ADAM
    for number, (g, m) in enumerate(zip(gradients, moments, strict=True)):
        m[0] *= first
        m[0] += (1 - first) * g
        m[1] *= second
        m[1] += (1 - second) * g**2
        step = learning_rate * (m[0] / (1 - first**count)) / (np.sqrt(m[1] / (1 - second**count)) + tiny)
        weights[number] -= step
