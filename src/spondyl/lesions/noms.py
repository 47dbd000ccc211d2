"""NOMS: neurologic, oncologic, mechanical and systemic facts side by side. A grid to talk about, never an advice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spondyl.core import Score, ScoreItem

if TYPE_CHECKING:
    from collections.abc import Mapping

REFERENCE = "Laufer 2013, Oncologist 18:744"

SENSITIVE = ("lymphoma", "myeloma", "testis", "breast", "prostate")
RESISTANT = ("kidney", "melanoma", "sarcoma", "osteosarcoma", "thyroid", "colon", "rectum", "liver")
"""Answer to conventional radiotherapy by primary. Others are left open, lung among them: it lies between."""

HIGH_GRADES = ("2", "3")
"""Bilsky grades of high-grade compression; 1c is debated and told as it is."""


def noms(form: Mapping[str, Any], *, escc: Score | None, sins: Score | None) -> Score:
    """Give the grid.

    Parameters
    ----------
    form : mapping of str to object
        The clinical form.
    escc : Score or None
        The highest epidural grade of the study.
    sins : Score or None
        The highest SINS of the study.

    Returns
    -------
    Score
        Without a number: its items are the four cells and what is missing in each.
    """
    items = (_neurologic(form, escc), _oncologic(form), _mechanical(sins), _systemic(form))
    missing = [item.name for item in items if not item.found]
    note = "facts side by side, not an advice; recalled, not checked against the paper"
    if missing:
        note = f"not known: {', '.join(missing)}; {note}"
    return Score(
        name="NOMS grid",
        value=None,
        unit="1",
        method="facts side by side",
        note=note,
        code="noms",
        items=items,
        reference=REFERENCE,
        verified=False,
    )


def _cell(name: str, found: str, source: str, note: str = "") -> ScoreItem:
    return ScoreItem(name, found, 0.0, 0.0, source if found else "", note)


def _neurologic(form: Mapping[str, Any], escc: Score | None) -> ScoreItem:
    name, myelopathy = "neurologic", form.get("myelopathy")
    sign = "" if myelopathy is None else f", {'' if myelopathy else 'no '}myelopathy"
    if escc is None or not escc.category:
        return _cell(name, sign.lstrip(", "), "form", "compression was not graded")
    grades = escc.category.split(" or ")
    high = [grade in HIGH_GRADES for grade in grades]
    word = "high-grade" if all(high) else "not high-grade" if not any(high) else "high-grade or not"
    note = "" if sign else "give myelopathy in the clinical form"
    if "1c" in grades:
        note = f"1c is debated{'; ' + note if note else ''}"
    return _cell(name, f"ESCC {escc.category}, {word}{sign}", "derived", note)


def _oncologic(form: Mapping[str, Any]) -> ScoreItem:
    name, told, primary = "oncologic", form.get("radiosensitivity"), form.get("primary")
    if told is not None:
        return _cell(name, f"radio{told}", "form")
    for word, group in (("sensitive", SENSITIVE), ("resistant", RESISTANT)):
        if primary in group:
            return _cell(name, f"radio{word} ({primary})", "derived", "by primary alone")
    ask = "give primary in the clinical form" if primary is None else f"{primary} lies between or is not listed"
    return _cell(name, "", "", f"{ask}; or give radiosensitivity")


def _mechanical(sins: Score | None) -> ScoreItem:
    if sins is None or sins.low is None or sins.high is None:
        return _cell("mechanical", "", "", "no SINS")
    ends = f"{sins.low:g}" if sins.low == sins.high else f"{sins.low:g} to {sins.high:g}"
    return _cell("mechanical", f"SINS {ends}, {sins.category}", "derived")


def _systemic(form: Mapping[str, Any]) -> ScoreItem:
    told = form.get("systemic_tolerance")
    if told is None:
        return _cell("systemic", "", "", "give systemic_tolerance in the clinical form")
    return _cell("systemic", f"{told} tolerance", "form")
