"""Multi-reader multi-case studies: is one way of reading better than another, for other readers and other patients?

`analyze_study` compares modalities that readers read in, such as unaided and aided; `compare_standalone` compares one
algorithm with the readers. Both give an `MrmcResult`, which prints as tables and turns into JSON.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.inputs import finite_vector
from spondyl.evaluation.mrmc_covariance import covariance
from spondyl.evaluation.mrmc_data import Design, ReaderStudy
from spondyl.evaluation.mrmc_figures import Figures, MrmcSettings, analyze_figures
from spondyl.evaluation.mrmc_merit import auc_merits, sensitivity_merits, specificity_merits
from spondyl.evaluation.mrmc_models import Model, dorfman_berbaum_metz, one_shot

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from spondyl.evaluation.mrmc_merit import Merits
    from spondyl.evaluation.mrmc_result import MrmcResult


def analyze_study(
    study: ReaderStudy, settings: MrmcSettings | None = None, *, merits: Merits | None = None
) -> MrmcResult:
    """Analyze a reader study.

    Parameters
    ----------
    study : ReaderStudy
        The readings.
    settings : MrmcSettings, optional
        How; random readers and cases, areas under the ROC curve with DeLong's covariance if not given.
    merits : Merits, optional
        A figure of merit made elsewhere, such as by `spondyl.evaluation.mrmc_merit.custom_merits`, in place of the
        settings' metric.

    Returns
    -------
    MrmcResult
        Means, differences and tests. One reader is analyzed for other cases only, by DeLong's test, and flagged;
        readers who did not read in all modalities are left out and flagged, unless each modality has its own.

    Raises
    ------
    InputError
        If there is one class only, or no reader who can be analyzed.
    SettingsError
        If the reference is no modality of the study, or the analysis does not fit the design.

    Examples
    --------
    >>> rng = np.random.default_rng(1_000_001)
    >>> truth = np.arange(40) < 20
    >>> scores = rng.normal(truth, 1.0, (2, 3, 40))
    >>> names = tuple(f"case {i}" for i in range(40))
    >>> study = ReaderStudy(("unaided", "aided"), ("A", "B", "C"), names, truth, scores)
    >>> result = analyze_study(study, MrmcSettings(reference="unaided"))
    >>> result.differences[0].first, result.n_readers
    ('aided', 3)
    """
    chosen = settings or MrmcSettings()
    kept, made, flags = _usable(study, merits if merits is not None else _merits(study, chosen))
    if chosen.analysis == "dbm" or (made.pairs is None and chosen.covariance != "jackknife"):
        flags = (*flags, *_said_jackknife(chosen, made))
        chosen = replace(chosen, covariance="jackknife")
    with np.errstate(invalid="ignore"):
        matrix = covariance(made, chosen.covariance)
    figures = Figures(
        made.name,
        kept.modalities,
        kept.readers,
        made.values,
        matrix,
        chosen.covariance,
        (kept.read & kept.truth).sum(axis=2),
        (kept.read & ~kept.truth).sum(axis=2),
        kept.design,
        kept.case_groups if kept.design is Design.SPLIT_PLOT else None,
        flags,
    )
    result = analyze_figures(figures, chosen, model=_special_model(made, kept, chosen))
    seen = kept.read.any(axis=(0, 1))
    sizes = int((seen & kept.truth).sum()), int((seen & ~kept.truth).sum())
    return replace(result, n_positive=sizes[0], n_negative=sizes[1])


def _merits(study: ReaderStudy, settings: MrmcSettings) -> Merits:
    if settings.metric == "auc":
        return auc_merits(study)
    figure = sensitivity_merits if settings.metric == "sensitivity" else specificity_merits
    return figure(study, settings.threshold)


def _said_jackknife(settings: MrmcSettings, merits: Merits) -> tuple[str, ...]:
    if settings.analysis == "dbm":
        return ()
    return (f"the {settings.covariance} covariance is not defined for {merits.name}: the jackknife was taken",)


def _usable(study: ReaderStudy, merits: Merits) -> tuple[ReaderStudy, Merits, tuple[str, ...]]:
    """Leave out readers who cannot be compared, and say so."""
    known = ~np.isnan(merits.values)
    nested = study.design is Design.READERS_IN_MODALITIES
    keep = np.atleast_1d(known.any(axis=0) if nested else known.all(axis=0))
    if not keep.any() or not known[:, keep].any(axis=1).all():
        msg = (
            f"{merits.name} needs at least one reader who read cases of both classes in every modality, got none. "
            "Check the names of modalities, or compare fewer of them"
        )
        raise InputError(msg)
    flags = []
    out = [name for name, k in zip(study.readers, keep, strict=True) if not k]
    if out:
        flags.append(
            f"{len(out)} of {len(keep)} readers left out ({', '.join(out)}): "
            f"{merits.name} cannot be known for them in every modality"
        )
    kept = study.select(readers=[n for n, k in zip(study.readers, keep, strict=True) if k])
    if kept.design is Design.INCOMPLETE:
        flags.append(
            "readings are missing: each figure is of the cases read, and figures covary through shared cases only"
        )
    part = merits.take((np.arange(len(study.modalities)), np.flatnonzero(keep)))
    return kept, part, tuple(flags)


def _special_model(merits: Merits, study: ReaderStudy, settings: MrmcSettings) -> Model | None:
    """Make the models that need more than figures and covariances."""
    if settings.analysis == "ustat":
        if merits.pairs is None:
            msg = f"U-statistics are not defined for {merits.name}: take analysis 'or' with the jackknife"
            raise SettingsError(msg)
        return one_shot(merits.pairs) if len(study.readers) > 1 else None
    if settings.analysis == "dbm" and len(study.readers) > 1:
        if study.design is not Design.CROSSED:
            msg = f"analysis 'dbm' needs that {Design.CROSSED}; here {study.design}. Take analysis 'or' or 'ustat'"
            raise SettingsError(msg)
        return dorfman_berbaum_metz(merits.values, merits.left_out, settings.population)
    return None


def compare_standalone(
    study: ReaderStudy, scores: ArrayLike, settings: MrmcSettings | None = None, *, name: str = "algorithm"
) -> tuple[MrmcResult, ...]:
    """Compare an algorithm that scores cases by itself with readers.

    The algorithm stands beside each reader as if it had read in a modality of its own; since it always gives the same
    scores, it has no variance between readers.

    Parameters
    ----------
    study : ReaderStudy
        The readings.
    scores : array_like of float, shape (n_cases,)
        Scores of the algorithm, higher is more suspicious, for the study's cases in their order.
    settings : MrmcSettings, optional
        How, as in `analyze_study`; a non-inferiority margin is that of the algorithm.
    name : str, optional
        What to call the algorithm.

    Returns
    -------
    tuple of MrmcResult
        One per modality of the study; the difference is the algorithm minus the mean of the readers.

    Raises
    ------
    InputError
        If there is not one finite score per case, or the name is that of a modality.

    References
    ----------
    Hillis 2014, doi 10.1002/sim.5926; Chakraborty 2017, Observer performance methods for diagnostic imaging, chapter
    22 (standalone algorithm against radiologists).
    """
    chosen = settings or MrmcSettings()
    alone = finite_vector(scores, f"scores of {name}")
    if alone.shape != study.truth.shape or name in study.modalities:
        msg = (
            f"expected {len(study.cases)} scores of a name that is no modality ({', '.join(study.modalities)}), "
            f"got {alone.size} of {name!r}"
        )
        raise InputError(msg)
    results = []
    for i, modality in enumerate(study.modalities):
        readers = study.read[i].any(axis=1)
        own = study.scores[i, readers]
        tiled = np.where(np.isnan(own), np.nan, alone)
        names = tuple(r for r, k in zip(study.readers, readers, strict=True) if k)
        pair = ReaderStudy((name, modality), names, study.cases, study.truth, np.stack([tiled, own]))
        results.append(analyze_study(pair, replace(chosen, reference=modality)))
    return tuple(results)
