"""The neural encoders of SOCCE: small networks, trained so that the modalities of a patient find each other.

The objective is InfoNCE with a squared distance as critic: among the patients of a batch, a patient's image must pick
its own expression, and so on for every pair of modalities. Networks begin as the closed form, to which they add what
bends, and end where patients kept from training are matched best; that may be the beginning, as in small cohorts. What
remains is plain layers that numpy runs, so placing a patient needs no torch.

References
----------
van den Oord 2018, arXiv:1807.03748 (InfoNCE). Poole 2019, arXiv:1905.06922 (critics).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from spondyl.socce.fusion import Shared, learn_loadings
from spondyl.socce.layers import LayerEncoder
from spondyl.socce.subspace import Subspace, learn_subspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    Floats = NDArray[np.float64]

FEWEST_PATIENTS = 60
"""Patients with both of two modalities that training wants; other modalities keep their closed form. Chosen by us."""

HELD_OUT = 5
"""One patient in so many is kept from training, to end in time."""

N_FACTORS = 8
"""Directions in which modalities are compared. Chosen by us."""

PROGRESS = 1e-4
"""Smallest fall of the loss that counts."""


@dataclass(frozen=True)
class InfoNCE:
    """How encoders are trained; called with tables of features, it gives the encoders.

    Parameters
    ----------
    n_hidden : int
        Width of the layer.
    epochs : int
        Most passes through the patients.
    patience : int
        Passes without progress on held-out patients after which training ends.
    batch : int
        Patients among whom a modality must find its own.
    rate, decay : float
        Learning rate and weight decay (AdamW).
    seed : int
        Of weights, batches, and who is held out.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.random.default_rng(0).normal(size=(200, 2))
    >>> encoders = InfoNCE(epochs=2)({"imaging": z, "expression": z})
    >>> encoders["imaging"].n_scores
    2
    """

    n_hidden: int = 32
    epochs: int = 100
    patience: int = 10
    batch: int = 256
    rate: float = 3e-3
    decay: float = 0.1
    seed: int = 0

    def __call__(self, values: Mapping[str, Floats]) -> dict[str, LayerEncoder | Subspace]:
        """Train an encoder for each modality.

        Parameters
        ----------
        values : mapping of str to ndarray of float, each of shape (n, p)
            Standardized features, rows of all patients; NaN where missing.

        Returns
        -------
        dict of str to LayerEncoder or Subspace
            A network each; of modalities that too few patients share with another one, the closed form.
        """
        tables = {name: _table(v) for name, v in values.items()}
        there = {name: t.present.numpy() for name, t in tables.items()}
        paired = [a for a in tables if any((there[a] & there[b]).sum() >= FEWEST_PATIENTS for b in tables if b != a)]
        encoders: dict[str, LayerEncoder | Subspace] = {name: t.base for name, t in tables.items()}
        if paired:
            threads = torch.get_num_threads()
            torch.set_num_threads(1)  # the order of sums, and so the result, must not depend on the machine
            try:
                encoders |= _trained(self, {name: tables[name] for name in paired})
            finally:
                torch.set_num_threads(threads)
        return encoders


class _Table(NamedTuple):
    """One modality in training: principal scores of all patients, their precision, who is there, the closed form."""

    mean: Tensor
    precision: Floats
    present: Tensor
    base: Subspace


def _table(values: Floats) -> _Table:
    present = np.isfinite(values).any(axis=1)
    base = learn_subspace(values[present])
    mean, precision = base.scores(values)
    return _Table(torch.from_numpy(mean), precision, torch.from_numpy(present), base)


class _Bend(torch.nn.Module):
    """A table's scores with what bends, and the directions in which they are compared."""

    def __init__(self, directions: Floats, n_hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        k = len(directions)
        start = torch.randn((k, n_hidden), generator=generator, dtype=torch.float64) / k**0.5
        self.into = torch.nn.Parameter(start)
        self.bias = torch.nn.Parameter(torch.randn(n_hidden, generator=generator, dtype=torch.float64))
        self.out = torch.nn.Parameter(torch.zeros((n_hidden, k), dtype=torch.float64))
        self.directions = torch.nn.Parameter(torch.from_numpy(directions.copy()))

    def scores(self, mean: Tensor) -> Tensor:
        return mean + torch.tanh(mean @ self.into + self.bias) @ self.out

    def forward(self, mean: Tensor) -> Tensor:
        return self.scores(mean) @ self.directions


def contrast(outputs: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
    """Give the InfoNCE loss of a batch.

    Parameters
    ----------
    outputs : mapping of str to Tensor, each of shape (n, d)
        What the networks say of each patient.
    present : mapping of str to Tensor of bool, each of shape (n,)
        Where a modality is there.

    Returns
    -------
    Tensor
        Mean over the pairs of modalities of the cross-entropy of finding one's own, both ways, as a share of that of
        guessing: 1 is no better than chance.
    """
    parts = []
    for a, b in itertools.combinations(outputs, 2):
        both = present[a] & present[b]
        n = int(both.sum())
        if n < 2:
            continue
        x, y = outputs[a][both], outputs[b][both]
        score = x @ y.T - ((x**2).sum(dim=1)[:, None] + (y**2).sum(dim=1)) / 2
        own = torch.arange(n)
        loss = torch.nn.functional.cross_entropy(score, own) + torch.nn.functional.cross_entropy(score.T, own)
        parts.append(loss / 2 / np.log(n))
    return torch.stack(parts).mean() if parts else torch.ones((), dtype=torch.float64)


def _trained(how: InfoNCE, tables: Mapping[str, _Table]) -> dict[str, LayerEncoder]:
    generator = torch.Generator().manual_seed(how.seed)
    shared = [Shared(t.mean.numpy(), t.precision, t.present.numpy()) for t in tables.values()]
    n_factors = min(N_FACTORS, *(t.mean.shape[1] for t in tables.values()))
    loadings = learn_loadings(shared, n_factors)
    bends = {name: _Bend(c, how.n_hidden, generator) for name, c in zip(tables, loadings, strict=True)}
    n = len(shared[0].present)
    order = torch.randperm(n, generator=generator)
    _descend(how, tables, bends, (order[n // HELD_OUT :], order[: n // HELD_OUT]), generator)
    return {name: _plain(bends[name], t) for name, t in tables.items()}


def _descend(
    how: InfoNCE,
    tables: Mapping[str, _Table],
    bends: Mapping[str, _Bend],
    split: tuple[Tensor, Tensor],
    generator: torch.Generator,
) -> None:
    """Train in place; the weights that did best on held-out patients stay."""
    train, held = split
    weights = [p for bend in bends.values() for p in bend.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=how.rate, weight_decay=how.decay)
    best, kept, since = _loss(tables, bends, held).item(), [p.detach().clone() for p in weights], 0
    for _ in range(how.epochs):
        shuffled = train[torch.randperm(len(train), generator=generator)]
        for rows in torch.split(shuffled, how.batch):
            loss = _loss(tables, bends, rows)
            if loss.requires_grad:
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        with torch.no_grad():
            now = _loss(tables, bends, held).item()
        since += 1
        if now < best - PROGRESS:
            best, kept, since = now, [p.detach().clone() for p in weights], 0
        elif since >= how.patience:
            break
    with torch.no_grad():
        for p, value in zip(weights, kept, strict=True):
            p.copy_(value)


def _loss(tables: Mapping[str, _Table], bends: Mapping[str, _Bend], rows: Tensor) -> Tensor:
    return contrast(
        {name: bends[name](t.mean[rows]) for name, t in tables.items()},
        {name: t.present[rows] for name, t in tables.items()},
    )


def _root(matrix: Floats, power: float) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.maximum(values, 1e-9) ** power) @ vectors.T)


def _plain(bend: _Bend, table: _Table) -> LayerEncoder:
    """Write a network down as arrays, with scores whose mean and covariance are those of the principal scores."""
    with torch.no_grad():
        own = bend.scores(table.mean[table.present]).numpy()
    before = table.mean[table.present].numpy()
    k = before.shape[1]
    # The prior of the scores, and so what their precision means, must stay that of the closed form.
    turn = _root(np.cov(own.T, bias=True).reshape(k, k), -0.5) @ _root(np.cov(before.T, bias=True).reshape(k, k), 0.5)
    into, bias, out = (p.detach().numpy().copy() for p in (bend.into, bend.bias, bend.out))
    return LayerEncoder(table.base, turn, into, out @ turn, bias, before.mean(axis=0) - own.mean(axis=0) @ turn)
