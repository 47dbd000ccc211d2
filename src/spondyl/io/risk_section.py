"""The risk part of the report: a table of probabilities, and what each is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.io.page import svg
from spondyl.io.risk_figures import waterfall_picture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spondyl.core import Case


BEYOND_IMAGES = {
    "karnofsky": "Karnofsky (%)",
    "albumin_g_l": "albumin (g/L)",
    "organ_metastases": "organ metastases",
    "tp53_altered": "TP53 altered",
    "mutations_per_mb": "mutations per Mb",
}
"""Features that no image tells, in words; where one is missing, its modality says so."""

YES_OR_NO = ("organ_metastases", "tp53_altered")


def risk_section(case: Case) -> dict[str, Any]:
    """Lay out the risk of a case.

    Parameters
    ----------
    case : Case
        The analyzed case.

    Returns
    -------
    dict
        What the template ``risk.html`` shows; empty where there is no risk.
    """
    risk = case.risk
    if "events" not in risk:
        return {}
    return risk_words(risk) | {"events": [_event(event, risk["features"]) for event in risk["events"]]}


def risk_words(risk: Mapping[str, Any]) -> dict[str, Any]:
    """Say what a risk rests on.

    Parameters
    ----------
    risk : mapping of str to object
        As ``result.json`` has it.

    Returns
    -------
    dict
        What it was learned from, why it is not assessable, times in months, what is missing, and the modalities used.
    """
    missing = [_words(name) for name, value in risk["features"].items() if value is None and name not in BEYOND_IMAGES]
    return {
        "learned_from": risk["learned_from"],
        "not_assessable": risk["not_assessable"],
        "times": [f"{time:g}" for time in risk["horizons_months"]],
        "missing": ", ".join(missing),
        "modalities": _modalities(risk.get("modalities") or {}),
    }


def _modalities(known: Mapping[str, Any]) -> str:
    """Say which modalities a risk rests on, and which are missing."""
    used = [name if seen == of else f"{name} ({seen} of {of} features)" for name, (seen, of) in known.items() if seen]
    absent = [name for name, (seen, _) in known.items() if not seen]
    words = f"From {', '.join(used)}" if used else ""
    return words + (f"; not given, and left out: {', '.join(absent)}" if absent and used else "")


def risk_cells(event: Mapping[str, Any]) -> list[str]:
    """Give the risks of an event as they are shown.

    Parameters
    ----------
    event : mapping of str to object
        An event as ``result.json`` has it.

    Returns
    -------
    list of str
        At each time, in percent with the interval.
    """
    return [
        f"{100 * risk:.0f} % ({100 * low:.0f} to {100 * high:.0f})"
        for risk, low, high in zip(event["risk"], event["low"], event["high"], strict=True)
    ]


def risk_parts(event: Mapping[str, Any], features: Mapping[str, float | None]) -> list[tuple[str, float]]:
    """Give what a risk is made of.

    Parameters
    ----------
    event : mapping of str to object
        An event as ``result.json`` has it.
    features : mapping of str to float or None
        What is known of the patient.

    Returns
    -------
    list of tuple of (str, float)
        Each known feature with its value in words, and what it adds to the typical patient's risk.
    """
    told = {name: part for name, part in event["contributions"].items() if features[name] is not None}
    return [(f"{_words(name)} {_shown(name, float(features[name] or 0))}", part) for name, part in told.items()]


def _event(event: Mapping[str, Any], features: Mapping[str, float | None]) -> dict[str, Any]:
    time = event["explained_at_months"]
    caption = f"{event['event'].capitalize()} by {time:g} months: from the typical patient's risk to this one's."
    parts = risk_parts(event, features)
    picture = waterfall_picture(
        [name for name, _ in parts],
        np.array([part for _, part in parts]),
        event["typical_risk"],
        axis="risk, %",
        caption=caption,
    )
    return {"name": event["event"], "cells": risk_cells(event), "drawing": svg(picture), "caption": caption}


def _shown(name: str, value: float) -> str:
    return ("yes" if value else "no") if name in YES_OR_NO else f"{value:.3g}"


def _words(name: str) -> str:
    if name in BEYOND_IMAGES:
        return BEYOND_IMAGES[name]
    units = {"_ml": " (mL)", "_mm": " (mm)"}
    for ending, unit in units.items():
        if name.endswith(ending):
            return name.removesuffix(ending).replace("_", " ") + unit
    return name.replace("_", " ")
