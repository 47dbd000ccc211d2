"""Biopsy grades as pathologists write them, by primary."""

from __future__ import annotations

import re

from spondyl.core import InputError

GLEASON_TO_ISUP = {(3, 4): 2, (4, 3): 3}
"""ISUP grade groups of Gleason sum 7; others follow from the sum (Epstein 2016, Am J Surg Pathol 40:244)."""

SYSTEMS = {"prostate": "ISUP grade group", "breast": "Nottingham", "kidney": "WHO/ISUP", "myeloma": "R-ISS"}
"""Grading system of a primary."""

RANGES = {"ISUP grade group": (1, 5), "Nottingham": (1, 3), "WHO/ISUP": (1, 4), "R-ISS": (1, 3)}

ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5}


def read_grade(primary: str, text: str) -> dict[str, object]:
    """Read a grade.

    Parameters
    ----------
    primary : str
        Primary tumor, such as ``"prostate"``.
    text : str
        As written: ``"Gleason 4+3"``, ``"ISUP 4"``, ``"G2"``, ``"3+2+2"`` (Nottingham scores), ``"II"``.

    Returns
    -------
    dict of str to object
        ``system``, ``grade`` (a number, or None where the primary has no system that is known) and ``text``.

    Raises
    ------
    InputError
        If the grade does not exist in the primary's system.
    """
    system = SYSTEMS.get(primary.lower(), "")
    if not system:
        return {"system": "", "grade": None, "text": text}
    number = _number(system, text)
    low, high = RANGES[system]
    if number is None or not low <= number <= high:
        msg = f"a {system} grade of {primary} lies between {low} and {high}, got {text!r}; write it as a number"
        raise InputError(msg)
    return {"system": system, "grade": number, "text": text}


def _number(system: str, text: str) -> int | None:
    parts = [int(p) for p in re.findall(r"\d+", text)]
    if system == "ISUP grade group" and "+" in text and len(parts) >= 2:
        return _isup(parts[0], parts[1])
    if system == "Nottingham" and len(parts) == 3 and "+" in text:
        return 1 if sum(parts) <= 5 else 2 if sum(parts) <= 7 else 3
    if parts:
        return parts[-1]
    word = re.search(r"\b(IV|V|III|II|I)\b", text.upper())
    return ROMAN[word.group(1)] if word else None


def _isup(first: int, second: int) -> int | None:
    if not (1 <= first <= 5 and 1 <= second <= 5):
        return None
    total = first + second
    if total <= 6:
        return 1
    if total == 7:
        return GLEASON_TO_ISUP.get((first, second))
    return 4 if total == 8 else 5
