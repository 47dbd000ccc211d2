"""Prognostic scores of spinal metastasis from the clinical form: revised Tokuhashi, Tomita, modified Bauer, van der
Linden.

Of their items an MRI of a part of the spine supplies at most one, the number of vertebral metastases, and even that
only as a lower bound: it is taken from the form where the form has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spondyl.core import ScoreItem
from spondyl.lesions.points import Table, from_form, known, total, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spondyl.core import Score

TOKUHASHI = Table(
    "tokuhashi_revised",
    "Revised Tokuhashi score",
    ((0, "under 6 months"), (9, "6 months or more"), (12, "1 year or more")),
    "Tokuhashi 2005, Spine 30:2186, as corrected in NICE CG75",
)

TOKUHASHI_PRIMARY: Mapping[object, float] = {
    **dict.fromkeys(("lung", "osteosarcoma", "stomach", "bladder", "esophagus", "pancreas"), 0.0),
    **dict.fromkeys(("liver", "gallbladder", "unknown"), 1.0),
    **dict.fromkeys(("kidney", "uterus"), 3.0),
    "rectum": 4.0,
    **dict.fromkeys(("thyroid", "breast", "prostate", "carcinoid"), 5.0),
    **dict.fromkeys(
        ("melanoma", "colon", "ovary", "testis", "head_and_neck", "sarcoma", "myeloma", "lymphoma", "other"), 2.0
    ),
}
"""Points of the primary; 2 for those the table calls "others"."""

TOMITA = Table(
    "tomita",
    "Tomita score",
    ((2, "wide or marginal excision"), (4, "marginal or intralesional excision"), (6, "palliation"), (8, "support")),
    "Tomita 2001, Spine 26:298",
    verified=False,
)

TOMITA_PRIMARY: Mapping[object, float] = {
    **dict.fromkeys(("breast", "prostate", "thyroid"), 1.0),
    **dict.fromkeys(("kidney", "uterus"), 2.0),
    **dict.fromkeys(("lung", "liver", "stomach", "colon", "unknown"), 4.0),
}
"""Points of the primary, as far as the recalled table names them; any other is not known."""

BAUER = Table(
    "bauer_modified",
    "Modified Bauer score",
    ((0, "supportive care"), (2, "short-term palliation"), (3, "local control")),
    "Leithner 2008, Eur Spine J 17:1488",
)

BAUER_FAVORABLE = ("breast", "kidney", "lymphoma", "myeloma")
"""Primaries that score a point."""

VAN_DER_LINDEN = Table(
    "van_der_linden",
    "van der Linden score",
    ((0, "median survival 3 months"), (4, "median survival 9 months"), (6, "median survival 19 months")),
    "van der Linden 2005, Cancer 103:320",
)

ORGANS = "organ metastases: "


def prognostic_scores(form: Mapping[str, Any], *, seen_vertebrae: int = 0) -> tuple[Score, ...]:
    """Give the four scores.

    Parameters
    ----------
    form : mapping of str to object
        The clinical form.
    seen_vertebrae : int, optional
        Vertebrae with a suspicious lesion in this study, a lower bound of their number.

    Returns
    -------
    tuple of Score
        Empty where the form says nothing: four scores of which nothing is known help nobody.
    """
    if not form:
        return ()
    return (tokuhashi(form, seen_vertebrae=seen_vertebrae), tomita(form), bauer(form), van_der_linden(form))


def tokuhashi(form: Mapping[str, Any], *, seen_vertebrae: int = 0) -> Score:
    """Give the revised Tokuhashi score, 0 to 15.

    Parameters
    ----------
    form : mapping of str to object
        The clinical form.
    seen_vertebrae : int, optional
        Vertebrae with a suspicious lesion in this study.

    Returns
    -------
    Score
        More points, longer survival.
    """
    frankel: Mapping[object, float] = {"A": 0.0, "B": 0.0, "C": 1.0, "D": 1.0, "E": 2.0}
    organs: Mapping[object, float] = {"untreatable": 0.0, "treatable": 0.0, "removable": 1.0, "none": 2.0}
    return total(
        TOKUHASHI,
        (
            _banded(form, "karnofsky", "general condition", ((0, 0.0), (50, 1.0), (80, 2.0)), words="Karnofsky "),
            _banded(form, "extraspinal_bone_metastases", "extraspinal bone metastases", _FEWER),
            _vertebral(form, seen_vertebrae),
            from_form(form, "organ_metastases", "metastases of major organs", organs),
            from_form(form, "primary", "primary", TOKUHASHI_PRIMARY),
            from_form(form, "frankel", "palsy", frankel, words="Frankel "),
        ),
    )


_FEWER = ((0, 2.0), (1, 1.0), (3, 0.0))


def _vertebral(form: Mapping[str, Any], seen: int) -> ScoreItem:
    """One scores 2, two score 1, three or more none; what was seen is a lower bound, so three settle it."""
    name = "vertebral metastases"
    given = form.get("vertebral_metastases")
    if given is not None:
        return known(name, 2.0 if given <= 1 else 1.0 if given == 2 else 0.0, str(given), "form")
    if seen >= 3:
        return known(name, 0.0, f"{seen} seen", "image", "candidates of this study, to be confirmed")
    most = 1.0 if seen == 2 else 2.0
    return ScoreItem(
        name, f"{seen} seen", 0.0, most, "image", "this study may not show all: give vertebral_metastases in the form"
    )


def _banded(
    form: Mapping[str, Any], field: str, name: str, bands: tuple[tuple[float, float], ...], *, words: str = ""
) -> ScoreItem:
    """Give the points of the highest band that a number reaches."""
    value = form.get(field)
    points = [p for _, p in bands]
    if value is None:
        return unknown(name, (min(points), max(points)), f"give {field} in the clinical form")
    return known(name, next(p for start, p in reversed(bands) if value >= start), f"{words}{value:g}", "form")


def _solitary(form: Mapping[str, Any]) -> bool | None:
    """Whether there is one metastasis in the whole skeleton; None where it is not known."""
    spinal, other = form.get("vertebral_metastases"), form.get("extraspinal_bone_metastases")
    if (spinal or 0) + (other or 0) > 1:
        return False
    return None if spinal is None or other is None else True


def tomita(form: Mapping[str, Any]) -> Score:
    """Give the Tomita score, 2 to 10.

    Parameters
    ----------
    form : mapping of str to object
        The clinical form.

    Returns
    -------
    Score
        More points, shorter survival.
    """
    organs: Mapping[object, float] = {"none": 0.0, "removable": 2.0, "treatable": 2.0, "untreatable": 4.0}
    one, name = _solitary(form), "bone metastases"
    bones = (
        unknown(name, (1.0, 2.0), "give vertebral_metastases and extraspinal_bone_metastases in the clinical form")
        if one is None
        else known(name, 1.0 if one else 2.0, "solitary" if one else "multiple", "form")
    )
    primary = from_form(form, "primary", "growth of the primary", TOMITA_PRIMARY)
    if primary.low != primary.high and form.get("primary") is not None:
        primary = unknown("growth of the primary", (1.0, 4.0), "this primary is not in the table as recalled")
    return total(TOMITA, (primary, from_form(form, "organ_metastases", "visceral metastases", organs), bones))


def bauer(form: Mapping[str, Any]) -> Score:
    """Give the modified Bauer score, 0 to 4.

    Parameters
    ----------
    form : mapping of str to object
        The clinical form.

    Returns
    -------
    Score
        More points, longer survival.
    """
    primary = form.get("primary")
    ask, one = "give primary in the clinical form", _solitary(form)
    unknown_tumor = primary == "unknown"
    items = [
        from_form(form, "organ_metastases", "no visceral metastases", _NO_ORGANS, words=ORGANS),
        unknown("not lung cancer", (0.0, 1.0), ask)
        if primary is None or unknown_tumor
        else known("not lung cancer", float(primary != "lung"), str(primary), "form"),
        unknown("favorable primary", (0.0, 1.0), ask)
        if primary is None or unknown_tumor
        else known("favorable primary", float(primary in BAUER_FAVORABLE), str(primary), "form"),
        unknown(
            "solitary skeletal metastasis",
            (0.0, 1.0),
            "give vertebral_metastases and extraspinal_bone_metastases in the clinical form",
        )
        if one is None
        else known("solitary skeletal metastasis", float(one), "solitary" if one else "multiple", "form"),
    ]
    return total(BAUER, tuple(items))


_NO_ORGANS: Mapping[object, float] = {"none": 1.0, "removable": 0.0, "treatable": 0.0, "untreatable": 0.0}


def van_der_linden(form: Mapping[str, Any]) -> Score:
    """Give the van der Linden score, 0 to 6.

    Parameters
    ----------
    form : mapping of str to object
        The clinical form.

    Returns
    -------
    Score
        More points, longer survival.
    """
    primary, name = form.get("primary"), "primary"
    item = (
        unknown(name, (0.0, 3.0), "give primary in the clinical form")
        if primary is None
        else known(name, {"breast": 3.0, "prostate": 2.0, "lung": 1.0}.get(primary, 0.0), str(primary), "form")
    )
    return total(
        VAN_DER_LINDEN,
        (
            _banded(form, "karnofsky", "performance status", ((0, 0.0), (50, 1.0), (80, 2.0)), words="Karnofsky "),
            item,
            from_form(form, "organ_metastases", "no visceral metastases", _NO_ORGANS, words=ORGANS),
        ),
    )
