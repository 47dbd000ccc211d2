"""HARMONY-Spine on tables: one scale for the features of every scanner, with how sure each value is.

A scikit-learn transformer. Inside a pipeline it is fitted on the training part of each cross-validation fold and on
nothing else, which is the only honest way to use it before a classifier; the target is never looked at.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from spondyl.core import InputError, SettingsError
from spondyl.harmonize.combat import ComBatSettings
from spondyl.harmonize.design import check_separable, learn_covariates, obs_column
from spondyl.harmonize.saved import read_learned, write_learned
from spondyl.harmonize.space import learn_space
from spondyl.harmonize.stages import Removed, calibrated_stage, learn_stages, pass_through, scanner_names
from spondyl.harmonize.table import FeatureTable, check_training, read_features
from spondyl.harmonize.uncertainty import MIN_REPEATS, repeatability
from spondyl.harmonize.unseen import MIN_CALIBRATION_CASES, UnseenSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

PREDICTED = "values_predicted"
"""Flag of a patient with missing values, which were predicted from the others through the space."""


@dataclass(frozen=True, eq=False)
class Harmonized:
    """Features on one scale, and what limits them.

    Parameters
    ----------
    names : tuple of str
        The features.
    values : ndarray of float, shape (n, p)
        Harmonized features in their own units.
    sd : ndarray of float, shape (n, p)
        Standard deviation of each value as what the average (or reference) scanner would have measured; where repeated
        scans were given, as a property of the patient; where the value was missing, of its prediction.
    predicted : ndarray of bool, shape (n, p)
        Values that were missing and are predicted from the patient's other features.
    flags : tuple of tuple of str
        For each patient what the reader should know, such as ``"site_pooled"``.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    sd: NDArray[np.float64]
    predicted: NDArray[np.bool_]
    flags: tuple[tuple[str, ...], ...]


class HarmonySpine(TransformerMixin, BaseEstimator):
    """Remove what scanners do to features, keep what patients are.

    Parameters
    ----------
    site : str or sequence of str
        Column that names the scanner, or nested columns from coarse to fine, such as vendor, field strength, site.
    keep : sequence of str
        Columns whose effect is kept: text as categories, numbers as linear. They must be known for new patients, so
        the outcome that is to be predicted must not be among them.
    smooth : sequence of str
        Numeric columns whose effect is kept as a smooth curve.
    combat : ComBatSettings, optional
        Which member of the ComBat family.
    unseen : str or UnseenSettings
        What is done with a scanner that was not learned: ``"refuse"``, ``"pooled"``, ``"calibrate"``, ``"nearest"``.
    subject : str
        Column that names the patient, where some were scanned more than once; the spread of their scans then becomes
        part of the uncertainty. Without it, the uncertainty is that of the scanner correction alone.
    dimension : int, str or None
        Coordinates of the harmonization space; ``"auto"`` to choose, None for no space.

    Attributes
    ----------
    feature_names_ : tuple of str
        The features, in the order of the output.
    stages_ : tuple of Stage
        What was learned about each site variable.
    covariates_ : Covariates
        How kept columns enter.
    space_ : HarmonizationSpace or None
        The harmonization space.
    measurement_variance_ : ndarray of float, shape (p,)
        Variance of repeating a measurement, in the squared unit of each feature.
    measurement_source_ : str
        ``"repeated scans"`` or ``"none"``.

    See Also
    --------
    spondyl.harmonize.combat : The model of scanner effects.

    Notes
    -----
    The columns named here are looked up in `X` if it is a DataFrame, else in `obs`, a table with one row per row of
    `X`. ``transform`` gives the harmonized features alone; `harmonize` gives their uncertainty and flags, too.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame({"scanner": np.repeat(["a", "b"], 20), "adc": rng.normal(900, 60, 40)})
    >>> table.loc[table.scanner == "b", "adc"] += 150
    >>> model = HarmonySpine(site="scanner").fit(table)
    >>> same = model.transform(table)[:, 0]
    >>> bool(abs(same[:20].mean() - same[20:].mean()) < 10)
    True
    """

    def __init__(
        self,
        site: str | Sequence[str] = "site",
        keep: Sequence[str] = (),
        smooth: Sequence[str] = (),
        combat: ComBatSettings | None = None,
        unseen: str | UnseenSettings = "refuse",
        subject: str = "",
        dimension: int | str | None = "auto",
    ) -> None:
        self.site = site
        self.keep = keep
        self.smooth = smooth
        self.combat = combat
        self.unseen = unseen
        self.subject = subject
        self.dimension = dimension

    def fit(self, X: Any, y: ArrayLike | None = None, *, obs: pd.DataFrame | None = None) -> HarmonySpine:  # noqa: ARG002, N803
        """Learn the effects of scanners.

        Parameters
        ----------
        X : DataFrame or array_like, shape (n, ...)
            Training patients; missing values are allowed.
        y : array_like, optional
            Ignored, so that no outcome leaks into the features.
        obs : DataFrame, optional
            Columns that describe the patients, where `X` does not hold them.

        Returns
        -------
        HarmonySpine
            Itself.

        Raises
        ------
        InputError
            If the table does not fit; the message names column, scanner and remedy.
        SettingsError
            If a parameter is out of range.
        """
        return self._learned(read_features(X, obs, self.roles()))

    def _learned(self, table: FeatureTable) -> HarmonySpine:
        """Learn from a table that was read."""
        variables = self._variables()
        check_training(table)
        covariates = learn_covariates(table.obs, tuple(self.keep), tuple(self.smooth))
        columns, _ = covariates.columns(table.obs)
        settings = self.combat or ComBatSettings()
        by = self._unseen().nearest_by
        for variable in variables:
            codes = np.unique(scanner_names(table.obs, variable), return_inverse=True)[1]
            check_separable(codes.astype(np.intp), covariates, columns, variable)
        self.stages_ = learn_stages(
            table.values, table.obs, variables, columns, settings, penalty=covariates.penalty(), nearest_by=by
        )
        self.covariates_ = covariates
        self.feature_names_ = table.names
        self.n_features_in_ = len(table.names)
        self._learn_measurement(table, columns)
        return self

    def _learn_measurement(self, table: FeatureTable, columns: NDArray[np.float64]) -> None:
        """Learn space and repeatability from the harmonized training table."""
        self.space_ = None
        self.measurement_variance_ = np.zeros(len(table.names))
        self.measurement_source_ = "none"
        if self.dimension is None and not self.subject:
            return
        removed = pass_through(
            self.stages_, table.values, table.obs, columns, UnseenSettings(), with_variance=bool(self.subject)
        )
        if self.subject and removed.variance is not None:
            subjects = obs_column(table.obs, self.subject, "the patient").to_numpy()
            self.measurement_variance_ = self._noise(removed.values, removed.variance, subjects)
            self.measurement_source_ = "repeated scans"
        if self.dimension is not None:
            self.space_ = learn_space(removed.values, self.dimension, overwrite=True)

    def _noise(
        self, values: NDArray[np.float64], variance: NDArray[np.float64], subjects: NDArray
    ) -> NDArray[np.float64]:
        """Variance of repeating a measurement on one scanner."""
        repeated = repeatability(values, subjects)
        if repeated.freedom < MIN_REPEATS:
            msg = (
                f"at least {MIN_REPEATS} repeated scans are wanted to learn how well features repeat, column "
                f"{self.subject!r} shows {repeated.freedom}; leave subject out"
            )
            raise InputError(msg)
        known = np.isfinite(variance).sum(axis=0)
        estimated = np.nansum(variance, axis=0) / np.maximum(known, 1)
        # Repeats on different scanners differ by what is not known about these, too, which is counted by itself.
        return np.maximum(repeated.variance - estimated, 0.0)

    def harmonize(self, X: Any, obs: pd.DataFrame | None = None) -> Harmonized:  # noqa: N803
        """Bring patients, old or new, one or many, to the common scale.

        Parameters
        ----------
        X : DataFrame or array_like, shape (n, ...)
            Patients with the features that were learned.
        obs : DataFrame, optional
            Columns that describe them, where `X` does not hold them.

        Returns
        -------
        Harmonized
            Values, standard deviations and flags.

        Raises
        ------
        InputError
            If columns differ from those learned, or a scanner was not learned and the policy refuses.
        """
        check_is_fitted(self, "stages_")
        removed, predicted = self._removed(self._read(X, obs), with_variance=True)
        variance = np.zeros(removed.values.shape) if removed.variance is None else removed.variance
        flags = tuple(tuple(words) for words in removed.flags)
        return Harmonized(self.feature_names_, removed.values, np.sqrt(variance, out=variance), predicted, flags)

    def _removed(self, table: FeatureTable, *, with_variance: bool) -> tuple[Removed, NDArray[np.bool_]]:
        """Patients without scanner effects, missing values predicted, and which these are."""
        columns, raised = self.covariates_.columns(table.obs)
        removed = pass_through(
            self.stages_, table.values, table.obs, columns, self._unseen(), with_variance=with_variance
        )
        for flag, rows in raised.items():
            for row in np.flatnonzero(rows):
                removed.flags[row].append(flag)
        values, variance = removed.values, removed.variance
        if variance is not None:
            variance += self.measurement_variance_
        predicted = np.zeros(values.shape, bool) if table.complete else np.isnan(values)
        if self.space_ is not None and predicted.any():
            gaps = np.flatnonzero(predicted.any(axis=1))
            expected = self.space_.predict(values[gaps])
            values[gaps] = np.where(predicted[gaps], expected.values, values[gaps])
            if variance is not None:
                variance[gaps] = np.where(predicted[gaps], expected.variance, variance[gaps])
            for row in gaps:
                removed.flags[row].append(PREDICTED)
        return removed, predicted

    def transform(self, X: Any, *, obs: pd.DataFrame | None = None) -> NDArray[np.float64]:  # noqa: N803
        """Give harmonized features.

        Parameters
        ----------
        X : DataFrame or array_like, shape (n, ...)
            Patients with the features that were learned.
        obs : DataFrame, optional
            Columns that describe them, where `X` does not hold them.

        Returns
        -------
        ndarray of float, shape (n, p)
            In the order of `get_feature_names_out`.
        """
        check_is_fitted(self, "stages_")
        return self._removed(self._read(X, obs), with_variance=False)[0].values

    def fit_transform(
        self,
        X: Any,  # noqa: N803
        y: ArrayLike | None = None,  # noqa: ARG002
        *,
        obs: pd.DataFrame | None = None,
    ) -> NDArray[np.float64]:
        """Learn and apply in one go.

        Parameters
        ----------
        X : DataFrame or array_like, shape (n, ...)
            Training patients.
        y : array_like, optional
            Ignored.
        obs : DataFrame, optional
            Columns that describe the patients.

        Returns
        -------
        ndarray of float, shape (n, p)
            The same as ``fit`` and then ``transform``.
        """
        table = read_features(X, obs, self.roles())
        return self._learned(table)._removed(table, with_variance=False)[0].values

    def embed(self, X: Any, obs: pd.DataFrame | None = None) -> NDArray[np.float64]:  # noqa: N803
        """Give places in the harmonization space.

        Parameters
        ----------
        X : DataFrame or array_like, shape (n, ...)
            Patients with the features that were learned.
        obs : DataFrame, optional
            Columns that describe them, where `X` does not hold them.

        Returns
        -------
        ndarray of float, shape (n, d)
            Coordinates.

        Raises
        ------
        SettingsError
            If there is no space.
        """
        check_is_fitted(self, "stages_")
        if self.space_ is None:
            msg = "there is no harmonization space, as dimension is None; fit with dimension='auto' or a number"
            raise SettingsError(msg)
        table = self._read(X, obs)
        columns, _ = self.covariates_.columns(table.obs)
        return self.space_.predict(
            pass_through(self.stages_, table.values, table.obs, columns, self._unseen(), with_variance=False).values
        ).coordinates

    def calibrated(
        self,
        X: Any,  # noqa: N803
        obs: pd.DataFrame | None = None,
        *,
        min_cases: int = MIN_CALIBRATION_CASES,
    ) -> HarmonySpine:
        """Learn new scanners from their own unlabeled patients.

        Parameters
        ----------
        X : DataFrame or array_like, shape (n, ...)
            Patients of the new scanners.
        obs : DataFrame, optional
            Columns that describe them, where `X` does not hold them.
        min_cases : int, optional
            Fewest patients of a scanner.

        Returns
        -------
        HarmonySpine
            A new transformer that knows these scanners, too; this one stays as it is.

        Raises
        ------
        InputError
            If a scanner has too few patients.
        """
        check_is_fitted(self, "stages_")
        table = self._read(X, obs)
        columns, _ = self.covariates_.columns(table.obs)
        values, stages = table.values, []
        for stage in self.stages_:
            stages.append(calibrated_stage(stage, values, table.obs, columns, min_cases))
            values = stages[-1].apply(values, stages[-1].codes(table.obs), columns)
        learned = copy.copy(self)
        learned.stages_ = tuple(stages)
        return learned

    def save(self, path: Path | str) -> None:
        """Write what was learned to a file that holds no code.

        Parameters
        ----------
        path : Path or str
            The file, by custom ``.npz``.
        """
        check_is_fitted(self, "stages_")
        parameters = self.get_params(deep=False)
        write_learned(path, {"parameters": parameters, "learned": {name: getattr(self, name) for name in _LEARNED}})

    @classmethod
    def load(cls, path: Path | str) -> HarmonySpine:
        """Read a file of `save`.

        Parameters
        ----------
        path : Path or str
            The file.

        Returns
        -------
        HarmonySpine
            As it was saved.

        Raises
        ------
        InputError
            If the file is no saved harmonizer or is damaged.
        """
        content = read_learned(path)
        model = cls(**content["parameters"])
        for name in _LEARNED:
            setattr(model, name, content["learned"][name])
        return model

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:  # noqa: ARG002
        """Name the columns of the output.

        Parameters
        ----------
        input_features : array_like of str, optional
            Ignored; the features learned are named.

        Returns
        -------
        ndarray of str, shape (p,)
            The features.
        """
        check_is_fitted(self, "stages_")
        return np.asarray(self.feature_names_, dtype=object)

    def _variables(self) -> tuple[str, ...]:
        variables = (self.site,) if isinstance(self.site, str) else tuple(self.site)
        if not variables or len(set(variables)) != len(variables):
            msg = f"site names one column, or nested columns from coarse to fine, got {self.site!r}"
            raise SettingsError(msg)
        both = set(variables) & {*self.keep, *self.smooth}
        if both:
            msg = f"{', '.join(map(repr, sorted(both)))} cannot be removed as scanner and kept as covariate; choose one"
            raise SettingsError(msg)
        return variables

    def roles(self) -> dict[str, str]:
        """Say what each column is for that is no feature.

        Returns
        -------
        dict of str to str
            Role by name of column; empty for the subject, which new patients need not have.

        Raises
        ------
        SettingsError
            If a column is named in two roles that exclude each other.
        """
        roles = {self.subject: ""} if self.subject else {}
        roles |= dict.fromkeys(self._unseen().nearest_by, "part of an acquisition")
        roles |= dict.fromkeys((*self.keep, *self.smooth), "a kept covariate")
        return roles | dict.fromkeys(self._variables(), "the scanner")

    def _unseen(self) -> UnseenSettings:
        return UnseenSettings(self.unseen) if isinstance(self.unseen, str) else self.unseen

    def _read(self, table: Any, obs: pd.DataFrame | None) -> FeatureTable:
        return read_features(table, obs, self.roles(), self.feature_names_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


_LEARNED = (
    "stages_",
    "covariates_",
    "feature_names_",
    "n_features_in_",
    "space_",
    "measurement_variance_",
    "measurement_source_",
)
