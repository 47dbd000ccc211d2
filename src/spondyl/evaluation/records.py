"""Result records: frozen, printable as a table, writable as JSON.

A statistic is given as an `Estimate`, so that a number never travels without its interval and the name of the method
that made it. What could not be done as asked is said in `flags`, never silently replaced.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

NOT_ASSESSABLE = "not assessable"
"""How a value that cannot be known is printed."""


def plain(value: Any) -> Any:
    """Turn a result into what JSON can hold.

    Parameters
    ----------
    value : object
        A record, array, mapping, sequence or scalar.

    Returns
    -------
    object
        Dictionaries, lists and scalars; numbers that are not finite become None, because JSON has none.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show(value: Any, digits: int = 3) -> str:
    """Write one cell of a table.

    Parameters
    ----------
    value : object
        What to write.
    digits : int, optional
        Digits after the point, for fractions.

    Returns
    -------
    str
        Text; a NaN reads "not assessable".
    """
    if isinstance(value, float | np.floating):
        if math.isnan(value):
            return NOT_ASSESSABLE
        small = 0 < abs(float(value)) < 10.0**-digits
        return f"{value:.1e}" if small else f"{value:.{digits}f}"
    if isinstance(value, tuple | list):
        return ", ".join(show(v, digits) for v in value)
    return "" if value is None else str(value)


@dataclass(frozen=True)
class Table:
    """Cells as text, ready to print or to put on a page.

    Parameters
    ----------
    title : str
        What the table shows.
    head : tuple of str
        Names of the columns.
    rows : tuple of tuple of str
        One tuple per row, as long as `head`.
    notes : tuple of str
        Lines below the table.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, title: str, head: Sequence[str], rows: Sequence[Sequence[Any]], notes: Sequence[str] = ()) -> Table:
        """Make a table of any values.

        Parameters
        ----------
        title : str
            What the table shows.
        head : sequence of str
            Names of the columns.
        rows : sequence of sequence
            Values; written by `show`.
        notes : sequence of str, optional
            Lines below the table.

        Returns
        -------
        Table
            The table.
        """
        return cls(title, tuple(head), tuple(tuple(show(c) for c in row) for row in rows), tuple(notes))

    def __str__(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max((len(row[i]) for row in lines), default=0) for i in range(len(self.head))]
        text = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in lines]
        rule = "  ".join("-" * w for w in widths)
        return "\n".join([self.title, text[0], rule, *text[1:], *self.notes])


class Record:
    """Base of the result records: they print as a table and turn into a dictionary."""

    def table(self) -> Table:
        """Show the record as a table.

        Returns
        -------
        Table
            One row per scalar field, unless the record arranges itself in another way.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        flags = values.pop("flags", ())
        rows = [(name.replace("_", " "), v) for name, v in values.items() if not isinstance(v, np.ndarray | Mapping)]
        return Table.of(type(self).__name__, ("measure", "value"), rows, flag_notes(flags))

    def to_dict(self) -> dict[str, Any]:
        """Turn the record into what JSON can hold.

        Returns
        -------
        dict
            Fields by name; numbers that are not finite become None.
        """
        result: dict[str, Any] = plain(self)
        return result

    def __str__(self) -> str:
        return str(self.table())


def flag_notes(flags: Sequence[str]) -> tuple[str, ...]:
    """Write flags as notes below a table.

    Parameters
    ----------
    flags : sequence of str
        What limits a result.

    Returns
    -------
    tuple of str
        One line per flag.
    """
    return tuple(f"! {flag}" for flag in flags)


@dataclass(frozen=True)
class Estimate(Record):
    """A statistic with its interval.

    Parameters
    ----------
    value : float
        The statistic; NaN where it is not assessable.
    low, high : float
        Ends of the confidence interval; NaN where there is none.
    standard_error : float
        Standard error, NaN where the interval does not come from one.
    confidence : float
        Coverage wanted of the interval.
    method : str
        How the interval was made.
    flags : tuple of str
        What limits it.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    standard_error: float = math.nan
    confidence: float = 0.95
    method: str = ""
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        if math.isnan(self.value):
            return NOT_ASSESSABLE
        if math.isnan(self.low):
            return show(self.value)
        return f"{show(self.value)} ({show(self.low)} to {show(self.high)})"


@dataclass(frozen=True)
class Difference(Record):
    """The difference of two statistics, with its interval and test against zero.

    Parameters
    ----------
    first, second : str
        What was compared; the difference is first minus second.
    value : float
        The difference.
    low, high : float
        Ends of its confidence interval.
    standard_error : float
        Its standard error.
    statistic : float
        The test's statistic.
    p_value : float
        Two-sided.
    confidence : float
        Coverage wanted of the interval.
    method : str
        The test.
    flags : tuple of str
        What limits it.
    """

    first: str
    second: str
    value: float
    low: float
    high: float
    standard_error: float
    statistic: float
    p_value: float
    confidence: float = 0.95
    method: str = ""
    flags: tuple[str, ...] = ()

    @property
    def p_greater(self) -> float:
        """One-sided p value of the first being greater; for a statistic that is symmetric without a difference."""
        return self.p_value / 2 if self.statistic >= 0 else 1 - self.p_value / 2

    def __str__(self) -> str:
        head = f"{self.first} - {self.second}"
        interval = f"{show(self.value)} ({show(self.low)} to {show(self.high)})"
        notes = "".join(f"; ! {f}" for f in self.flags)
        return f"{head}: {interval}, p = {show(self.p_value)}, {self.method}{notes}"
