"""SOCCE as an estimator: learn from a cohort, then place patients one at a time.

Learning has two rounds. The first learns what modalities share from differences *within* scanners, which no scanner
explains. With it, the modalities that a scanner cannot touch tell where each patient's disease lies, and beside this
the scanners' effects are estimated and erased. The second round learns everything again on the aligned scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from spondyl.core import InputError, SettingsError
from spondyl.socce.alignment import learn_alignment, level_of, one_hot, scanner_of
from spondyl.socce.embedding import embed_patients
from spondyl.socce.erasure import learn_eraser
from spondyl.socce.fusion import (
    Shared,
    count_factors,
    grouped_evidence,
    grouped_means,
    learn_loadings,
    marginal_evidence,
    posterior,
    rotated,
)
from spondyl.socce.graph import IMAGING, MODALITIES, ConfounderGraph
from spondyl.socce.manifold import learn_diffusion_map
from spondyl.socce.saved import read_model, write_model
from spondyl.socce.subspace import learn_subspace
from spondyl.socce.tokens import choose_codebook
from spondyl.socce.view import View
from spondyl.socce.views import aligned_rows, learn_scale

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from spondyl.socce.alignment import Alignment
    from spondyl.socce.embedding import Embedding
    from spondyl.socce.erasure import Eraser
    from spondyl.socce.views import ViewScale

    Floats = NDArray[np.float64]

ROUNDS = 4
"""Rounds of learning: one within scanners, the others on what was aligned. Chosen by us."""

MOST_FACTORS = 12
"""Largest number of factors that modalities share. Chosen by us."""

MIN_LINK = 0.35
"""Correlation with imaging that a factor needs to be part of the embedding; the others tell tissue of origin and the
like, which omics share among themselves. Chosen by us on synthetic cohorts."""

MIN_PATIENTS = 30
"""A cohort with fewer patients is refused: nothing learned from it would hold. Chosen by us."""

MIN_OF_MODALITY = 10
"""A modality of fewer patients is left out. Chosen by us."""


class ScoreEncoder(Protocol):
    """What turns a modality's features into scores, such as `Subspace`."""

    @property
    def METHOD(self) -> str:  # noqa: N802 - a constant of the class
        """How scores are found, in words that follow "encoded by"."""

    @property
    def n_scores(self) -> int:
        """Number of scores."""

    def evidence(self, row: Floats) -> tuple[Floats, Floats]:
        """Give the posterior mean of one patient's scores, and the evidence's precision.

        Parameters
        ----------
        row : ndarray of float, shape (p,)
            Standardized features; NaN where missing.
        """

    def scores(self, values: Floats) -> tuple[Floats, Floats]:
        """Give both for many patients.

        Parameters
        ----------
        values : ndarray of float, shape (n, p)
            Standardized features; NaN where missing.
        """


@dataclass(eq=False)
class _Draft:
    """A modality while it is learned."""

    scale: ViewScale
    raw: Floats
    present: NDArray[np.bool_]
    confounders: tuple[str, ...]
    values: Floats
    alignment: Alignment | None = None
    encoder: Any = None
    eraser: Eraser | None = None
    shared: Shared | None = None


class SOCCE(BaseEstimator):
    """Embed patients in what imaging and omics share, without what is declared as scanner.

    Parameters
    ----------
    graph : ConfounderGraph, optional
        Declared confounders and disease; none unless given.
    dimension : int or "auto"
        Coordinates of the embedding; by default the factors above chance in which imaging takes part.
    n_tokens : int or "auto"
        Size of the vocabulary.
    align, erase : bool
        Whether scanners' shifts and gains are taken out, and whether scores are erased; both on unless one wants to
        see what they do.
    encoder : callable, optional
        Learns the scores of all modalities: takes a dictionary of standardized features, a row a patient, rows of NaN
        where missing, and gives a `ScoreEncoder` for each. Unless given, probabilistic principal components of each, so
        that all is regularized canonical correlation in closed form; ``spondyl.training.infonce.InfoNCE()`` trains
        networks, which larger cohorts can fill.
    seed : int
        Of exchanges and starting points.

    Attributes
    ----------
    views_ : dict of str to View
        What was learned about each modality.
    link_ : ndarray of float, shape (D,)
        Correlation of imaging with each shared factor, decreasing; the first ``dimension_`` are the embedding.
    dimension_ : int
        Coordinates of the embedding.
    codebook_ : Codebook
        The tokens.
    map_ : DiffusionMap
        The nonlinear coordinates.
    notes_ : tuple of str
        What limited the learning.

    Examples
    --------
    >>> from spondyl.phantom.biology import simulate_omics_cohort
    >>> cohort = simulate_omics_cohort(120, seed=2_000_000)
    >>> graph = ConfounderGraph.usual(["vendor", "field", "coil", "site"])
    >>> model = SOCCE(graph).fit(cohort.modalities, cohort.patients)
    >>> model.embed(cohort.modalities, cohort.patients).mean.shape[0]
    120
    """

    def __init__(
        self,
        graph: ConfounderGraph | None = None,
        dimension: int | str = "auto",
        n_tokens: int | str = "auto",
        *,
        align: bool = True,
        erase: bool = True,
        encoder: Callable[[dict[str, Floats]], dict[str, ScoreEncoder]] | None = None,
        seed: int = 0,
    ) -> None:
        self.graph = graph
        self.dimension = dimension
        self.n_tokens = n_tokens
        self.align = align
        self.erase = erase
        self.encoder = encoder
        self.seed = seed

    def fit(self, modalities: Mapping[str, pd.DataFrame], patients: pd.DataFrame) -> SOCCE:
        """Learn from a cohort.

        Parameters
        ----------
        modalities : mapping of str to DataFrame
            Some of ``imaging``, ``mutations``, ``expression`` and ``pathology``; rows by patient id, missing patients
            left out.
        patients : DataFrame
            Confounders and declared disease, by patient id.

        Returns
        -------
        SOCCE
            Itself.

        Raises
        ------
        InputError
            If the cohort is too small, or its tables do not fit.
        SettingsError
            If a parameter is out of range.
        """
        graph = self._checked(modalities, patients)
        self.notes_: tuple[str, ...] = ()
        drafts = self._drafts(graph, modalities, patients)
        declared = _declared(graph, patients)
        loadings: dict[str, Floats] = {}
        n_factors = 0
        for number in range(ROUNDS if self.align or self.erase else 1):
            self._learn_scores(drafts, patients, declared, loadings, first=number == 0)
            shared = [d.shared for d in drafts.values() if d.shared is not None]
            n_factors = n_factors if number > 1 else count_factors(shared, MOST_FACTORS, self.seed)
            loadings = dict(zip(drafts, learn_loadings(shared, n_factors), strict=True))
        self._finish(drafts, loadings)
        self._learn_places(drafts)
        return self

    def _checked(self, modalities: Mapping[str, pd.DataFrame], patients: pd.DataFrame) -> ConfounderGraph:
        graph = self.graph or ConfounderGraph()
        for name in ("dimension", "n_tokens"):
            value = getattr(self, name)
            if value != "auto" and (not isinstance(value, int) or value < 1):
                msg = f"{name} is a whole number of at least 1 or 'auto', got {value!r}"
                raise SettingsError(msg)
        unknown = sorted(set(modalities) - set(MODALITIES))
        if unknown or not modalities:
            msg = f"modalities are some of {', '.join(MODALITIES)}, got {', '.join(unknown) or 'none'}"
            raise InputError(msg)
        if len(patients) < MIN_PATIENTS:
            msg = (
                f"learning wants at least {MIN_PATIENTS} patients, got {len(patients)}; place few patients among those "
                "of a cohort learned before instead"
            )
            raise InputError(msg)
        if not patients.index.is_unique:
            msg = "every patient must have one row, some ids stand twice; merge their rows"
            raise InputError(msg)
        missing = [name for name in (*graph.acts_on, *graph.disease) if name not in patients.columns]
        if missing:
            msg = f"the patients' table has no column {', '.join(map(repr, missing))}; check the names given"
            raise InputError(msg)
        return graph

    def _drafts(
        self, graph: ConfounderGraph, modalities: Mapping[str, pd.DataFrame], patients: pd.DataFrame
    ) -> dict[str, _Draft]:
        drafts: dict[str, _Draft] = {}
        for name in (m for m in MODALITIES if m in modalities):
            table = modalities[name].reindex(patients.index.intersection(modalities[name].index))
            if len(table) < MIN_OF_MODALITY:
                self.notes_ += (f"{name} is known of {len(table)} patients only and was left out",)
                continue
            scale = learn_scale(name, table)
            raw = scale.apply(aligned_rows(table, scale.names, patients.index))
            present = np.asarray(np.isfinite(raw).any(axis=1))
            drafts[name] = _Draft(scale, raw, present, graph.confounders_of(name), raw)
        if not drafts:
            msg = f"no modality is known of at least {MIN_OF_MODALITY} patients; check that patient ids agree"
            raise InputError(msg)
        if len(drafts) == 1:
            self.notes_ += ("only one modality is there, so nothing can be shared; its own main directions are used",)
        return drafts

    def _learn_scores(
        self,
        drafts: dict[str, _Draft],
        patients: pd.DataFrame,
        declared: Floats,
        loadings: dict[str, Floats],
        *,
        first: bool,
    ) -> None:
        """Align, encode and erase every modality; those with the fewest confounders first."""
        biology: dict[str, Floats] = {}
        for name in sorted(drafts, key=lambda m: len(drafts[m].confounders)):
            draft = drafts[name]
            if not draft.confounders or not (self.align or self.erase):
                draft.values = draft.raw
                continue
            labels = scanner_of(patients, draft.confounders)[1]
            if first:
                draft.values = _within(draft.raw, one_hot(labels)[0]) if self.align else draft.raw
                continue
            biology[name] = np.hstack([declared, _others(drafts, loadings, name, labels)])
            draft.values = draft.raw
            if self.align:
                rows = draft.present
                draft.alignment, aligned = learn_alignment(
                    draft.raw[rows], patients[rows], draft.confounders, biology[name][rows]
                )
                draft.values = draft.raw.copy()
                draft.values[rows] = aligned
        encoders = self._encoders({name: d.values for name, d in drafts.items()})
        for name, draft in drafts.items():
            draft.encoder = encoders[name]
            mean, precision = draft.encoder.scores(draft.values)
            if self.erase and name in biology:
                mean = self._erased(draft, mean, precision, patients, biology[name])
            draft.shared = Shared(mean, precision, draft.present)

    def _erased(
        self, draft: _Draft, mean: Floats, precision: Floats, patients: pd.DataFrame, biology: Floats
    ) -> Floats:
        rows = draft.present
        labels = scanner_of(patients[rows], draft.confounders)[1]
        raw = draft.encoder.scores(draft.raw[rows])[0] - mean[rows]
        between = np.cov(raw.T, bias=True).reshape(raw.shape[1], raw.shape[1])
        draft.eraser = learn_eraser(mean[rows], labels, biology[rows], between)
        done = mean.copy()
        done[rows] = [
            draft.eraser.apply(m, p, s)[0] for m, p, s in zip(mean[rows], precision[rows], labels, strict=True)
        ]
        return done

    def _encoders(self, values: dict[str, Floats]) -> dict[str, Any]:
        if self.encoder is not None:
            return dict(self.encoder(values))
        return {name: learn_subspace(v[np.isfinite(v).any(axis=1)]) for name, v in values.items()}

    def _finish(self, drafts: dict[str, _Draft], loadings: dict[str, Floats]) -> None:
        """Turn the factors toward imaging and freeze what was learned."""
        names = list(drafts)
        if len(names) == 1:
            k = drafts[names[0]].encoder.n_scores
            turned, link = [0.95 * np.eye(k)], np.full(k, 0.95)
        else:
            leader = names.index(IMAGING) if IMAGING in names else 0
            turned, link = rotated([loadings[name] for name in names], leader)
        self.link_ = link
        linked = max(1, int((link >= MIN_LINK).sum())) if IMAGING in names or len(names) == 1 else len(link)
        self.dimension_ = min(linked if self.dimension == "auto" else int(self.dimension), len(link))
        self.views_ = {
            name: View(d.scale, d.alignment, d.encoder, d.eraser, c, d.confounders)
            for (name, d), c in zip(drafts.items(), turned, strict=True)
        }
        self.confounders_ = tuple((self.graph or ConfounderGraph()).acts_on)

    def _learn_places(self, drafts: dict[str, _Draft]) -> None:
        said = [_view_evidence(draft, self.views_[name].loadings) for name, draft in drafts.items()]
        mean, covariance = posterior(np.sum([h for h, _ in said], axis=0), np.sum([j for _, j in said], axis=0))
        self.evidence_ = marginal_evidence(mean, covariance, self.dimension_)
        self.codebook_, self.criterion_ = choose_codebook(*self.evidence_, self.n_tokens, self.seed)
        self.map_ = learn_diffusion_map(mean[:, : self.dimension_], seed=self.seed)

    def embed(self, modalities: Mapping[str, pd.DataFrame], patients: pd.DataFrame) -> Embedding:
        """Place patients, each by itself.

        Parameters
        ----------
        modalities : mapping of str to DataFrame
            As in `fit`; any modality, patient, feature or value may be missing.
        patients : DataFrame
            Confounders, by patient id.

        Returns
        -------
        Embedding
            Places, their covariance, tokens and flags.
        """
        check_is_fitted(self, "views_")
        return embed_patients(self, modalities, patients)

    def save(self, path: Path | str) -> None:
        """Write what was learned to a file that holds no code.

        Parameters
        ----------
        path : Path or str
            The file, by custom ``.npz``.

        Raises
        ------
        SettingsError
            If an encoder of one's own was used that has no file form.
        """
        check_is_fitted(self, "views_")
        write_model(path, self)

    @classmethod
    def load(cls, path: Path | str) -> SOCCE:
        """Read a file of `save`.

        Parameters
        ----------
        path : Path or str
            The file.

        Returns
        -------
        SOCCE
            As it was saved, ready to embed.

        Raises
        ------
        InputError
            If the file is none or is damaged.
        """
        return read_model(path, cls())


def _within(values: Floats, scanners: Floats) -> Floats:
    """Take each scanner's mean from its patients."""
    known = np.isfinite(values)
    n = np.maximum(scanners.T @ known, 1)
    return values - scanners @ (scanners.T @ np.where(known, values, 0.0) / n)


def _declared(graph: ConfounderGraph, patients: pd.DataFrame) -> Floats:
    """Columns of declared disease: numbers standardized, words as indicators."""
    blocks: list[Floats] = [np.zeros((len(patients), 0))]
    for name in graph.disease:
        column = patients[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            x = column.to_numpy(np.float64, na_value=np.nan)
            spread = float(np.nanstd(x)) or 1.0
            blocks.append(np.nan_to_num((x - np.nanmean(x)) / spread)[:, None])
        else:
            blocks.append(one_hot([level_of(value) for value in column])[0][:, 1:])
    return np.hstack(blocks)


def _view_evidence(draft: _Draft, loadings: Floats) -> tuple[Floats, Floats]:
    assert draft.shared is not None  # noqa: S101 - for the type checker
    h, j = grouped_evidence(draft.shared.mean, draft.shared.precision, loadings)
    h[~draft.present], j[~draft.present] = 0.0, 0.0
    return h, j


def _others(drafts: dict[str, _Draft], loadings: dict[str, Floats], name: str, labels: Sequence[str]) -> Floats:
    """Where disease lies as all other modalities have it."""
    others = [m for m in drafts if m != name and drafts[m].shared is not None]
    if not others or not loadings:
        return np.zeros((len(labels), 0))
    h, j = (sum(parts) for parts in zip(*(_view_evidence(drafts[m], loadings[m]) for m in others), strict=True))
    text = np.asarray(labels, dtype=object)
    groups = {str(s): np.flatnonzero(text == s) for s in sorted(set(labels))}
    told = grouped_means(np.asarray(h), np.asarray(j), groups)
    # What another modality's factor does not tell is no covariate; a column of rounding would upset the regression.
    return told[:, told.std(axis=0) > 1e-6]
