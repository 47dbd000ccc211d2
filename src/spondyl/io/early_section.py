"""The part of the report on early disease: a row for each vertebra that two studies show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spondyl.core import Case


def early_section(case: Case) -> dict[str, Any]:
    """Lay out what is said of early disease.

    Parameters
    ----------
    case : Case
        The analyzed case.

    Returns
    -------
    dict
        What the template ``early.html`` shows; empty where it was not asked for.
    """
    early = case.risk.get("early_disease")
    if not early:
        return {}
    days = early["days_since_prior"]
    return {
        "learned_from": early["learned_from"],
        "not_assessable": early["not_assessable"],
        "since": "an earlier study of unknown date" if days is None else f"{days} days ago",
        "sequences": ", ".join(early["sequences"]),
        "rows": [_row(vertebra) for vertebra in early["vertebrae"]],
    }


def _row(vertebra: Mapping[str, Any]) -> dict[str, Any]:
    parts = {k: v for k, v in vertebra["contributions"].items() if k != "always"}
    return {
        "instance": vertebra["instance"],
        "level": vertebra["level"] or f"vertebra {vertebra['instance']} from the top",
        "probability": vertebra["probability"],
        "says": vertebra["not_assessable"] or vertebra["verdict"],
        "suspicious": vertebra["verdict"] == "early disease",
        "parts": ", ".join(f"{name} {value:+.1f}" for name, value in parts.items()),
        "signs": ", ".join(f"{s['sign']} {s['deviations']:+.1f}" for s in vertebra["signs"]),
    }
