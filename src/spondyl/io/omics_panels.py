"""Omics as a report shows them: place and token, signature scores, mutations, burden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.io.token_map import MapPoints, token_map

if TYPE_CHECKING:
    from spondyl.core import Case

SET_WORDS = {
    "bone_metastasis": "bone metastasis",
    "tgf_beta_stroma": "TGF-β response of stroma",
    "summary": "summary score",
}
"""Names of gene sets where they differ from their keys."""

FLAG_WORDS = {
    "imaging_missing": "no lesion was found, so the image says nothing",
    "imaging_incomplete": "less than half of the reference's imaging features could be measured",
    "imaging_scanner_unknown": "the scanner is none of the reference's; what scanners do counts as doubt",
    "mutations_missing": "no variants were given",
    "expression_missing": "no expression was given",
    "expression_incomplete": "less than half of the reference's genes were measured",
    "mutations_incomplete": "less than half of the reference's genes were looked at",
    "pathology_missing": "no slide embedding of the reference's encoder was given",
    "pathology_scanner_unknown": "the laboratory is none of the reference's; what stains do counts as doubt",
}


def omics_section(case: Case) -> dict[str, Any] | None:
    """Lay out what omics say.

    Parameters
    ----------
    case : Case
        Analyzed.

    Returns
    -------
    dict or None
        What the template ``omics.html`` shows; None without omics.
    """
    summary, socce = case.omics.get("summary"), case.omics.get("socce")
    if summary is None or socce is None:
        return None
    token = socce["lesion_token"]
    card = socce["reference"].get("tokens", {}).get(socce["nearest_token"], {})
    return {
        "sentence": _sentence(socce),
        "token": token,
        "marks": ", ".join(card.get("marks", [])),
        "synthetic": "synthetic" in socce["reference"].get("data", ""),
        "reference": socce["reference"].get("data", ""),
        "probabilities": sorted(socce["token_probabilities"].items(), key=lambda item: -item[1]),
        "signatures": [_signature(name, s) for name, s in summary["signatures"].items()],
        "drivers": summary["drivers"],
        "tmb": summary["tmb"],
        "variants": summary["variants"],
        "kinds": ", ".join(f"{n} {kind.replace('_', ' ').lower()}" for kind, n in summary["variants_by_kind"].items()),
        "grade": summary["grade"],
        "sources": ", ".join(summary["sources"]),
        "notes": [*map(_flag_words, socce["flags"]), *socce["notes"], *summary["notes"]],
        "map": _map(case, socce),
    }


def _flag_words(flag: str) -> str:
    return FLAG_WORDS.get(flag, flag.replace("_", " "))


def _sentence(socce: dict[str, Any]) -> str:
    told = ", ".join(socce["modalities"])
    if not told:
        return "Nothing that was given can be placed among the reference cohort."
    nearest, sure = socce["nearest_token"], socce["confidence"]
    if socce["lesion_token"] == "reject":  # noqa: S105 - a lesion token, no password
        given = "is given no token of the reference, being far from all or between several"
        return f"By {told}, this patient {given}; the nearest is {nearest} (probability {sure:.2f} among them)."
    return f"By {told}, this patient is most like {nearest} (probability {sure:.2f})."


def _signature(name: str, score: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": SET_WORDS.get(name, name.replace("_", " ")),
        "value": None if score["score"] is None else f"{score['score']:+.2f}",
        "bar": 0.5 if score["score"] is None else score["score"] + 0.5,
        "missing": f"{score['missing']:.0%}",
        "note": score["note"],
    }


def _map(case: Case, socce: dict[str, Any]) -> Any:
    drawn = case.omics.get("_map")
    if drawn is None or not socce["modalities"]:
        return None
    tokens = list(drawn["tokens"])
    points = MapPoints(
        np.asarray(drawn["places"]),
        [f"reference patient, {t}" for t in tokens],
        np.full(len(tokens), 0.5),
        {"lesion token of the reference": tokens},
    )
    return token_map(points, name="omics", here=(np.asarray(socce["map"]), "this patient"))
