"""What the worklist and the metrics need of a result: urgency, scanner, sequences and a few numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spondyl.app.catalog import Urgency

if TYPE_CHECKING:
    from collections.abc import Mapping

CORD_GRADES = ("2", "3")
"""Grades of epidural compression in which the cord is compressed (Bilsky 2010, doi 10.3171/2010.3.SPINE09459)."""

ESCC_CODE = "bilsky_escc"
"""Code of the score of epidural compression in results; its category names the grades that are possible."""

NEAR_CORD = ("epidural", "intradural", "intramedullary")
"""Compartments of a lesion that lies in the canal."""

SUSPECT_PROBABILITY = 0.5
"""A lesion at or above this probability of malignancy makes a study urgent. Chosen by us."""


def urgency(document: Mapping[str, Any]) -> Urgency:
    """Say how soon somebody should look at a study.

    It orders a worklist, nothing else: a study that nobody finds urgent here is read in its turn, as it would be
    without Spondyl.

    Parameters
    ----------
    document : mapping
        The result document.

    Returns
    -------
    Urgency
        ``"emergency"`` where the cord may be compressed by its grade or a probably malignant lesion lies in the canal;
        ``"urgent"`` where any lesion is probably malignant; else ``"routine"``; ``"unknown"`` where nothing was judged.
    """
    lesions = document.get("lesions", [])
    if any(_compresses(score) for score in _scores(document)):
        return Urgency.EMERGENCY
    suspects = [x for x in lesions if (x.get("probabilities") or {}).get("malignant", 0.0) >= SUSPECT_PROBABILITY]
    if any(x.get("compartment") in NEAR_CORD for x in suspects):
        return Urgency.EMERGENCY
    if suspects:
        return Urgency.URGENT
    return Urgency.ROUTINE if document.get("vertebrae") else Urgency.UNKNOWN


def _scores(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    scores = document.get("scores", [])
    return [s for s in scores if isinstance(s, dict)] if isinstance(scores, list) else []


def _categories(document: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Count how often each score came to each of its categories."""
    found: dict[str, dict[str, int]] = {}
    for score in _scores(document):
        code, category = str(score.get("code") or ""), str(score.get("category") or "not assessable")
        if code:
            counts = found.setdefault(code, {})
            counts[category] = counts.get(category, 0) + 1
    return found


def _compresses(score: Mapping[str, Any]) -> bool:
    possible = str(score.get("category", "")).split(" or ")
    return score.get("code") == ESCC_CODE and any(grade in CORD_GRADES for grade in possible)


def scanner(document: Mapping[str, Any]) -> str:
    """Name the scanner of a study as its kind, never as the one machine.

    Parameters
    ----------
    document : mapping
        The result document.

    Returns
    -------
    str
        Vendor, model and field strength, as far as known; empty if not.
    """
    for sequence in document.get("sequences", []):
        acquisition = sequence.get("acquisition") or {}
        words = [str(acquisition.get(k) or "").strip() for k in ("vendor", "model")]
        field_t = acquisition.get("field_strength_t")
        words.append(f"{field_t:.1f} T" if isinstance(field_t, int | float) and field_t else "")
        if any(words):
            return " ".join(w for w in words if w)[:200]
    return ""


def numbers(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give the numbers of a result that the worklist shows and the metrics watch.

    Parameters
    ----------
    document : mapping
        The result document.

    Returns
    -------
    dict
        Plain numbers and short words.
    """
    lesions, vertebrae = document.get("lesions", []), document.get("vertebrae", [])
    malignant = [float((x.get("probabilities") or {}).get("malignant", 0.0)) for x in lesions]
    return {
        "n_vertebrae": len(vertebrae),
        "n_lesions": len(lesions),
        "most_malignant": round(max(malignant, default=0.0), 4),
        "n_levels_uncertain": sum(bool(v.get("level_uncertain")) for v in vertebrae),
        "n_flags": len(document.get("quality", [])),
        "scores": _categories(document),
        "timings_s": dict(document.get("timings_s", {})),
    }


def sequences(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the sequences of a study.

    Parameters
    ----------
    document : mapping
        The result document.

    Returns
    -------
    tuple of str
        Each once, in the order of the result.
    """
    primary = [s for s in document.get("sequences", []) if s.get("role", "primary") == "primary"]
    return tuple(dict.fromkeys(str(s["sequence"]) for s in primary))
