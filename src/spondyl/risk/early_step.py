"""Early disease in a study with an earlier one: every vertebra that both show, and why the others are not judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl import __version__
from spondyl.core import StepRecord
from spondyl.core.marrow import SINCE_LAST, VISIT_SIGNS, visit_signs
from spondyl.risk.early_file import read_early
from spondyl.risk.marrow import body_places, body_signals, moved_places
from spondyl.risk.step import MALIGNANT

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from spondyl.core import Case
    from spondyl.risk.early_file import EarlyModel

    Floats = NDArray[np.float64]

OVERT_MM3 = 1000.0
"""Volume from which a lesion is overt: below 1 mL detection is unreliable everywhere (Wuts 2025)."""

LEAST_VERTEBRAE = 3
"""Vertebrae in both studies without which none has neighbors to be compared with. Chosen by us."""

LEAST_CHANGES = 6
"""Signs of change that must be known: those of two sequences. Chosen by us."""

BEYOND = 0.5
"""How far outside the values learned from a sign may lie, in their range. Chosen by us."""

N_SHOWN = 4
"""Signs named for each vertebra."""

NO_PRIOR = "no earlier study was given, and early disease is told by what has changed (--prior)"

WORDS = {(True, False): "none", (False, True): "early disease"}
"""What a prediction set with one class says."""

CANNOT_TELL = "cannot be told"


def assess_early(
    case: Case, prior: Case | None, *, irradiated: Collection[int] = (), model: EarlyModel | None = None
) -> Case:
    """Add the probability of early disease of each vertebra.

    Parameters
    ----------
    case : Case
        Analyzed, and compared with the earlier study.
    prior : Case or None
        The earlier study, analyzed; None where there is none.
    irradiated : collection of int, optional
        Instances of vertebrae known to have been irradiated.
    model : EarlyModel, optional
        The model; the shipped one where left out.

    Returns
    -------
    Case
        With ``risk["early_disease"]``; where nothing can be said, the reason stands in it.
    """
    used = model or read_early()
    said: dict[str, Any] = {
        "learned_from": used.learned_from,
        "not_assessable": _reason(case, prior),
        "sequences": [],
        "days_since_prior": None,
        "vertebrae": [],
    }
    if not said["not_assessable"] and prior is not None:
        response = case.response
        said["days_since_prior"] = None if response is None else response.days_since_prior
        instances, table, sequences = _features(case, prior)
        said["sequences"] = sequences
        if len(instances) < LEAST_VERTEBRAE:
            said["not_assessable"] = (
                f"{len(instances)} vertebrae are whole and measurable in both studies, {LEAST_VERTEBRAE} are wanted"
            )
        elif not sequences:
            said["not_assessable"] = "no sequence that shows marrow is in both studies"
        else:
            said["vertebrae"] = _judged(case, used, instances, table, irradiated)
    methods = (
        "Early disease of a vertebra was judged from its marrow beside its neighbors, at this study and as changed "
        f"since the earlier one at the same places, by a model learned from {used.learned_from}."
    )
    record = StepRecord("early disease", __version__, methods="" if said["not_assessable"] else methods)
    return case.with_(risk={**case.risk, "early_disease": said}, history=(*case.history, record))


def _reason(case: Case, prior: Case | None) -> str:
    if prior is None:
        return NO_PRIOR
    if case.response is None or not case.response.assessable:
        why = "" if case.response is None else f": {case.response.reason}"
        return f"the studies could not be compared{why}"
    return ""


def _features(case: Case, prior: Case) -> tuple[list[int], Floats, list[str]]:
    """Vertebrae whole in both studies, from the head down; their signs; and the sequences compared."""
    whole = {v.instance for v in case.vertebrae if not v.at_edge}
    whole_then = {v.instance for v in prior.vertebrae if not v.at_edge}
    matches = () if case.response is None else case.response.vertebrae
    motion = {
        m.instance: np.linalg.inv(np.asarray(m.prior_to_current))
        for m in matches
        if m.instance in whole and m.prior_instance in whole_then
    }
    places = body_places(case, sorted(motion))
    then = moved_places(places, motion)
    instances = sorted(places)
    now = body_signals(case, [places[i] for i in instances])
    before = body_signals(prior, [then[i] for i in instances])
    sequences = [s.value for s in now if s in before]
    return instances, visit_signs(now, [before]) if instances else np.empty((0, len(VISIT_SIGNS))), sequences


def _judged(
    case: Case, model: EarlyModel, instances: list[int], table: Floats, irradiated: Collection[int]
) -> list[dict[str, Any]]:
    overt = {
        lesion.vertebra_instance
        for lesion in case.lesions
        if lesion.volume_mm3 >= OVERT_MM3 and lesion.probabilities.get("malignant", 0.0) >= MALIGNANT
    }
    suspicious = {x.vertebra_instance for x in case.lesions if x.probabilities.get("malignant", 0.0) >= MALIGNANT}
    levels = {v.instance: v.level for v in case.vertebrae}
    rows = []
    for instance, signs in zip(instances, table, strict=True):
        known: dict[str, float] = dict(zip(VISIT_SIGNS, signs.tolist(), strict=True))
        days = None if case.response is None else case.response.days_since_prior
        known |= {
            "overt_lesions": float(len(overt - {None})),
            "overt_nearby": float(bool(overt & {instance - 1, instance + 1})),
            "irradiated": float(instance in irradiated),
            "days_since_last": float("nan") if days is None else float(days),
        }
        row = np.array([known.get(name, np.nan) for name in model.columns])
        why = "an overt lesion lies in it" if instance in overt else ""
        why = why or ("a malignant candidate was outlined in it" if instance in suspicious else _refusal(model, row))
        rows.append(
            {"instance": instance, "level": levels.get(instance), "not_assessable": why} | _said(model, row, why)
        )
    return rows


def _refusal(model: EarlyModel, row: Floats) -> str:
    e = model.estimator
    change = [i for i, name in enumerate(model.columns) if name.startswith(SINCE_LAST)]
    if np.isfinite(row[change]).sum() < LEAST_CHANGES:
        return "too few sequences show it in both studies"
    room = BEYOND * (e.high_ - e.low_)
    outside = np.isfinite(row) & ((row < e.low_ - room) | (row > e.high_ + room))
    names = [sign_words(model.columns[i]) for i in np.flatnonzero(outside)[:3]]
    return f"far outside what was learned from: {', '.join(names)}" if names else ""


def _said(model: EarlyModel, row: Floats, why: str) -> dict[str, Any]:
    if why:
        return {"probability": None, "verdict": "", "contributions": {}, "signs": []}
    e = model.estimator
    x = row[None]
    keeps = e.prediction_sets(x)[0]
    parts = {name or "always": float(v[0]) for name, v in e.contributions(x).items()}
    z = (row - e.center_) / e.scale_
    signs = [i for i, name in enumerate(model.columns) if name in VISIT_SIGNS and np.isfinite(z[i])]
    leading = sorted(signs, key=lambda i: -abs(z[i]))[:N_SHOWN]
    return {
        "probability": float(e.predict_proba(x)[0, 1]),
        "verdict": WORDS.get((bool(keeps[0]), bool(keeps[1])), CANNOT_TELL),
        "contributions": parts,
        "signs": [{"sign": sign_words(model.columns[i]), "deviations": round(float(z[i]), 2)} for i in leading],
    }


def sign_words(name: str) -> str:
    """Say a sign in words.

    Parameters
    ----------
    name : str
        A column of a model.

    Returns
    -------
    str
        Such as ``"new: darkest places on T1"``.
    """
    new = name.startswith(SINCE_LAST)
    sequence, _, kind = name.removeprefix(SINCE_LAST).partition("_")
    words = {"level": "signal on", "dark": "darkest places on", "bright": "brightest places on"}
    if kind in words:
        return f"{'new: ' if new else ''}{words[kind]} {sequence.upper()}"
    together = {"lytic": "places that look lytic", "sclerotic": "places that look sclerotic"}
    what = together.get(name.removeprefix(SINCE_LAST), name.replace("_", " "))
    return f"{'new: ' if new else ''}{what}"
