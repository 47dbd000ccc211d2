"""The risk part of the report: a table of probabilities, and what each is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.io.page import svg
from spondyl.io.risk_figures import waterfall_picture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spondyl.core import Case


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
    if not risk:
        return {}
    missing = [_words(name) for name, value in risk["features"].items() if value is None]
    return {
        "learned_from": risk["learned_from"],
        "not_assessable": risk["not_assessable"],
        "times": [f"{time:g}" for time in risk["horizons_months"]],
        "missing": ", ".join(missing),
        "events": [_event(event, risk["features"]) for event in risk["events"]],
    }


def _event(event: Mapping[str, Any], features: Mapping[str, float | None]) -> dict[str, Any]:
    cells = [
        f"{100 * risk:.0f} % ({100 * low:.0f} to {100 * high:.0f})"
        for risk, low, high in zip(event["risk"], event["low"], event["high"], strict=True)
    ]
    time = event["explained_at_months"]
    caption = f"{event['event'].capitalize()} by {time:g} months: from the typical patient's risk to this one's."
    labels = [
        f"{_words(name)} {'unknown' if features[name] is None else f'{features[name]:.3g}'}"
        for name in event["contributions"]
    ]
    picture = waterfall_picture(
        labels,
        np.array(list(event["contributions"].values())),
        event["typical_risk"],
        axis="risk, %",
        caption=caption,
    )
    return {"name": event["event"], "cells": cells, "drawing": svg(picture), "caption": caption}


def _words(name: str) -> str:
    units = {"_ml": " (mL)", "_mm": " (mm)"}
    for ending, unit in units.items():
        if name.endswith(ending):
            return name.removesuffix(ending).replace("_", " ") + unit
    return name.replace("_", " ")
