"""A table with follow-up becomes features and outcomes, checked for what would make any prognosis worthless."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from spondyl.core import InputError, SettingsError
from spondyl.evaluation.roc import roc_areas
from spondyl.risk.outcome import follow_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_KINDS = 12
"""Different words of a column up to which each becomes a yes or no. Chosen by us; more are free text or names."""

LEAKING_AREA, LEAKING_RANK = 0.99, 0.97
"""Area under the ROC curve of the event, and rank correlation with time, from which one column tells the outcome.
Chosen by us: nothing known at the start of follow-up does."""


@dataclass(frozen=True)
class RiskColumns:
    """What the columns of a table are.

    Parameters
    ----------
    time, event : str
        Follow-up.
    patient : str
        Who they are, where one has several rows; empty for none.
    leave : tuple of str
        Columns that are no features.
    trust : tuple of str
        Features that are known to be from before the outcome, however well they tell it.
    modalities : dict of str to tuple of str
        Columns by modality.
    rule : str
        A score or stage that is compared as it is; higher is sooner; empty for none.
    """

    time: str
    event: str
    patient: str = ""
    leave: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    modalities: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rule: str = ""

    @property
    def named(self) -> tuple[str, ...]:
        """Columns that are no features."""
        return tuple(n for n in (self.time, self.event, self.patient, self.rule, *self.leave) if n)


@dataclass(frozen=True, eq=False)
class Encoding:
    """How columns become numbers, learned from the training table.

    Parameters
    ----------
    players : dict of str to tuple of int
        Numeric columns that each column of the table becomes.
    kinds : dict of str to tuple of str
        Words of each column of words.
    left_out : tuple of str
        Columns with too many words, or none at all.
    """

    players: dict[str, tuple[int, ...]]
    kinds: dict[str, tuple[str, ...]]
    left_out: tuple[str, ...]

    def matrix(self, table: pd.DataFrame) -> Floats:
        """Give the numbers.

        Parameters
        ----------
        table : DataFrame, shape (n, ...)
            With the columns learned.

        Returns
        -------
        ndarray of float, shape (n, p)
            NaN where a value is missing; a word never seen is missing.

        Raises
        ------
        InputError
            If a column is missing or holds words where numbers were learned.
        """
        lacking = [name for name in self.players if name not in table.columns]
        if lacking:
            msg = f"the table lacks columns that were learned from: {', '.join(map(repr, lacking[:5]))}; add them"
            raise InputError(msg)
        parts: list[Floats] = []
        for name in self.players:
            if name in self.kinds:
                words = _words(table[name])
                known = words.isin(self.kinds[name]).to_numpy()
                parts += [np.where(known, (words == kind).to_numpy(), np.nan) for kind in self.kinds[name]]
            else:
                parts.append(_number(table[name]))
        values = np.stack(parts, axis=1).astype(np.float64)
        values[~np.isfinite(values)] = np.nan
        return values

    def single(self, table: pd.DataFrame) -> Floats:
        """Give one number a column, for pictures: the place of a word among the kinds.

        Parameters
        ----------
        table : DataFrame, shape (n, ...)
            With the columns learned.

        Returns
        -------
        ndarray of float, shape (n, n_columns)
            NaN where a value is missing.
        """
        columns = []
        for name in self.players:
            if name in self.kinds:
                place = {kind: float(i) for i, kind in enumerate(self.kinds[name])}
                columns.append(_words(table[name]).map(place).to_numpy(float))
            else:
                columns.append(_number(table[name]))
        return np.stack(columns, axis=1)


def named_columns(given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read modalities as they are written on the command line.

    Parameters
    ----------
    given : sequence of str
        Such as ``"imaging=volume,adc"``.

    Returns
    -------
    dict of str to tuple of str
        Columns by modality.

    Raises
    ------
    SettingsError
        If one is written otherwise, names no columns, or a column stands in two.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        name, _, listed = text.partition("=")
        own = tuple(c.strip() for c in listed.split(",") if c.strip())
        if not name.strip() or not own or name.strip() in found:
            msg = f"a modality is written NAME=COLUMN,COLUMN and has a name of its own, got {text!r}"
            raise SettingsError(msg)
        found[name.strip()] = own
    every = [c for own in found.values() for c in own]
    twice = sorted({c for c in every if every.count(c) > 1})
    if twice:
        msg = f"a column belongs to one modality, {', '.join(map(repr, twice[:5]))} to several"
        raise SettingsError(msg)
    if len(found) == 1:
        msg = "late fusion needs at least two modalities, got one; name another, or leave --modality out"
        raise SettingsError(msg)
    return found


def times(text: str) -> tuple[float, ...]:
    """Read times as they are written on the command line.

    Parameters
    ----------
    text : str
        Numbers with commas between.

    Returns
    -------
    tuple of float
        The times.

    Raises
    ------
    SettingsError
        If one is no number.
    """
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        msg = f"times are numbers with commas between, such as 6,12,24; got {text!r}"
        raise SettingsError(msg) from error


def _words(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), "").astype(str)


def _number(column: pd.Series) -> Floats:
    if column.dtype == object:
        msg = f"column {str(column.name)!r} must hold numbers, as in the table learned from; it holds words"
        raise InputError(msg)
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def read_outcome(table: pd.DataFrame, columns: RiskColumns) -> NDArray[Any]:
    """Take the follow-up from a table.

    Parameters
    ----------
    table : DataFrame, shape (n, ...)
        As read.
    columns : RiskColumns
        What its columns are.

    Returns
    -------
    ndarray, shape (n,)
        As `follow_up` gives it.

    Raises
    ------
    InputError
        If a column is missing, or holds what cannot be a follow-up; columns are named.
    """
    wanted = {*columns.named, *columns.trust, *(c for own in columns.modalities.values() for c in own)}
    missing = sorted(wanted - set(map(str, table.columns)))
    if missing:
        have = ", ".join(repr(str(c)) for c in table.columns[:12])
        msg = f"the table has no column {', '.join(map(repr, missing[:5]))}; it begins with {have}; check the names"
        raise InputError(msg)
    if table[columns.time].dtype == object:
        msg = f"column {columns.time!r} must hold times as numbers, it holds words; give days or months since the start"
        raise InputError(msg)
    try:
        return follow_up(table[columns.time].to_numpy(float, na_value=np.nan), table[columns.event].to_numpy())
    except InputError as error:
        msg = f"columns {columns.time!r} and {columns.event!r}: {error}"
        raise InputError(msg) from error


def learn_encoding(table: pd.DataFrame, columns: RiskColumns) -> Encoding:
    """Find the features of a table.

    Parameters
    ----------
    table : DataFrame, shape (n, ...)
        The training table.
    columns : RiskColumns
        What its columns are.

    Returns
    -------
    Encoding
        How columns become numbers.

    Raises
    ------
    InputError
        If no feature is left.
    """
    listed = [c for own in columns.modalities.values() for c in own]
    players: dict[str, tuple[int, ...]] = {}
    kinds: dict[str, tuple[str, ...]] = {}
    left_out, count = [], 0
    for name in map(str, listed or table.columns):
        if name in columns.named:
            continue
        column = table[name]
        if column.dtype == object or isinstance(column.dtype, pd.CategoricalDtype):
            words = tuple(sorted(set(_words(column)) - {""}))
            if not 2 <= len(words) <= MOST_KINDS:
                left_out.append(name)
                continue
            kinds[name] = words
        elif not column.notna().any() or column.nunique() < 2:
            left_out.append(name)
            continue
        width = len(kinds[name]) if name in kinds else 1
        players[name] = tuple(range(count, count + width))
        count += width
    if not players:
        msg = "the table must hold at least one feature beside time and event that varies, got none; check the names"
        raise InputError(msg)
    return Encoding(players, kinds, tuple(left_out))


def refuse_leaks(table: pd.DataFrame, y: NDArray[Any], encoding: Encoding, columns: RiskColumns) -> None:
    """Refuse a feature that tells the outcome by itself.

    Parameters
    ----------
    table : DataFrame, shape (n, ...)
        The training table.
    y : ndarray, shape (n,)
        Its follow-up.
    encoding : Encoding
        Its features.
    columns : RiskColumns
        What its columns are.

    Raises
    ------
    InputError
        If a feature follows the event or the time; it is named.
    """
    event, values = y["event"] > 0, encoding.single(table)
    for number, name in enumerate(encoding.players):
        known = np.isfinite(values[:, number])
        if name in columns.trust or known.sum() < 20:
            continue
        x, own, time = values[known, number], event[known], y["time"][known]
        if own.any() and not own.all():
            area = float(roc_areas(own, x).areas[0])
            if max(area, 1 - area) >= LEAKING_AREA:
                _leak(name, f"tells the event {columns.event!r} (area under the ROC curve {max(area, 1 - area):.3f})")
        if np.ptp(x) > 0 and np.ptp(time) > 0:
            rank = float(spearmanr(x, time).statistic)
            if abs(rank) >= LEAKING_RANK:
                _leak(name, f"follows the time {columns.time!r} (rank correlation {rank:.3f})")


def _leak(name: str, how: str) -> None:
    msg = (
        f"column {name!r} {how}: it seems to have been known only afterwards; leave it out with --leave {name}, or "
        f"keep it with --trust {name} if it was known at the start of follow-up"
    )
    raise InputError(msg)
