"""Sums of items of which some are unknown: an interval that closes as items become known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from spondyl.core import Score, ScoreItem

if TYPE_CHECKING:
    from collections.abc import Mapping


class Table(NamedTuple):
    """What a score is made of.

    Parameters
    ----------
    code, name : str
        Machine-readable and readable name.
    ranges : tuple of (float, str)
        Lowest sum of each category from below upward, and what the authors call it.
    reference : str
        The paper.
    verified : bool
        False where the table was recalled and not yet checked against the paper.
    """

    code: str
    name: str
    ranges: tuple[tuple[float, str], ...]
    reference: str
    verified: bool = True


UNVERIFIED = "the table was recalled and has not been checked against the paper"


def known(name: str, points: float, found: str, source: str, note: str = "") -> ScoreItem:
    """Give an item that is known.

    Parameters
    ----------
    name : str
        The item.
    points : float
        Its points.
    found : str
        What was found.
    source : str
        ``"image"``, ``"form"`` or ``"derived"``.
    note : str, optional
        What limits it.

    Returns
    -------
    ScoreItem
        With equal ends.
    """
    return ScoreItem(name, found, points, points, source, note)


def unknown(name: str, points: tuple[float, float], note: str) -> ScoreItem:
    """Give an item that is not known.

    Parameters
    ----------
    name : str
        The item.
    points : tuple of float
        Fewest and most points it can have.
    note : str
        What would settle it.

    Returns
    -------
    ScoreItem
        With nothing found.
    """
    return ScoreItem(name, "", *points, "", note)


def from_form(
    form: Mapping[str, object], field: str, name: str, points: Mapping[object, float], *, words: str = ""
) -> ScoreItem:
    """Look an item up in a table by a field of the clinical form.

    Parameters
    ----------
    form : mapping of str to object
        The clinical form.
    field : str
        Name of the field.
    name : str
        The item.
    points : mapping of object to float
        Points by value of the field.
    words : str, optional
        What stands before the value in words.

    Returns
    -------
    ScoreItem
        Unknown where the form does not say.
    """
    ends = (min(points.values()), max(points.values()))
    value = form.get(field)
    if value is None or value not in points:
        return unknown(name, ends, f"give {field} in the clinical form")
    spoken = {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    return known(name, points[value], f"{words}{spoken}".replace("_", " "), "form")


def total(table: Table, items: tuple[ScoreItem, ...], *, place: Mapping[str, object] | None = None) -> Score:
    """Add the items up.

    Parameters
    ----------
    table : Table
        What the score is made of.
    items : tuple of ScoreItem
        All of its items.
    place : mapping of str to object, optional
        Further fields of `Score`: level, vertebra and lesion.

    Returns
    -------
    Score
        With a value where every item is known, and the categories that its interval spans.
    """
    low, high = sum(i.low for i in items), sum(i.high for i in items)
    missing = [i.name for i in items if i.low != i.high]
    notes = [f"not known: {', '.join(missing)}"] if missing else []
    if not table.verified:
        notes.append(UNVERIFIED)
    return Score(
        name=table.name,
        value=None if missing else low,
        unit="{points}",
        low=low,
        high=high,
        method="sum of items",
        note="; ".join(notes),
        code=table.code,
        category=category(table, low, high),
        items=items,
        reference=table.reference,
        verified=table.verified,
        **(place or {}),  # type: ignore[arg-type]
    )


def category(table: Table, low: float, high: float) -> str:
    """Name the categories that an interval spans.

    Parameters
    ----------
    table : Table
        With its ranges.
    low, high : float
        The interval.

    Returns
    -------
    str
        One, or several joined by "or".
    """
    starts = [start for start, _ in table.ranges]
    ends = [*(s - 1 for s in starts[1:]), float("inf")]
    spanned = [word for (start, word), end in zip(table.ranges, ends, strict=True) if not (high < start or low > end)]
    return " or ".join(spanned)
