"""The step that tells what may become of the patient, from what was found and a small shipped model."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from spondyl import __version__
from spondyl.core import ModelError, SettingsError, StepRecord
from spondyl.risk.small import read_model

if TYPE_CHECKING:
    from spondyl.core import Case
    from spondyl.risk.small import SmallRiskModel

MALIGNANT = 0.5
"""Probability from which a lesion counts as malignant here: more likely than not."""

MM3_PER_ML = 1000.0


@dataclass(frozen=True)
class RiskSettings:
    """Settings of the risk step.

    Parameters
    ----------
    enabled : bool
        Whether a risk is given.
    horizons_months : tuple of float
        Times by which risks are given, rising; the middle one is explained.
    model : str
        File of a model that ``spondyl cohort risk`` wrote, its times in months; empty for the one that is shipped.
    """

    enabled: bool = True
    horizons_months: tuple[float, ...] = (6.0, 12.0, 24.0)
    model: str = ""

    def __post_init__(self) -> None:
        h = tuple(self.horizons_months)
        if not h or h[0] <= 0 or any(a >= b for a, b in pairwise(h)):
            msg = f"horizons_months must be rising and above 0, got {h}"
            raise SettingsError(msg)


def case_features(case: Case) -> dict[str, float | None]:
    """Take the features of the shipped model from a case.

    Parameters
    ----------
    case : Case
        With lesions, the clinical form and the summary of omics, as far as there are any.

    Returns
    -------
    dict of str to (float or None)
        By name; None where it cannot be known.
    """
    malignant = [lesion for lesion in case.lesions if lesion.probabilities.get("malignant", 0.0) >= MALIGNANT]
    involved = {lesion.vertebra_instance for lesion in malignant if lesion.vertebra_instance is not None}
    judged = any(lesion.compartment for lesion in case.lesions) or not case.lesions
    epidural = sum(lesion.compartment == "epidural" for lesion in malignant)
    return {
        **_told(case),
        "malignant_lesions": float(len(malignant)),
        "malignant_volume_ml": sum(lesion.volume_mm3 for lesion in malignant) / MM3_PER_ML,
        "largest_diameter_mm": max((lesion.longest_diameter_mm for lesion in malignant), default=0.0),
        "epidural_lesions": float(epidural) if judged else None,
        "vertebrae_involved_share": len(involved) / len(case.vertebrae) if case.vertebrae else None,
    }


def _told(case: Case) -> dict[str, float | None]:
    """What the clinical form and omics add."""
    form, omics = case.clinical, case.omics.get("summary") or {}
    organs, tmb = form.get("organ_metastases"), omics.get("tmb") or {}
    sequenced = omics.get("variants") is not None
    return {
        "karnofsky": form.get("karnofsky"),
        "albumin_g_l": form.get("albumin_g_l"),
        "organ_metastases": None if organs is None else float(organs != "none"),
        "tp53_altered": float(bool((omics.get("mutated_genes") or {}).get("TP53"))) if sequenced else None,
        "mutations_per_mb": tmb.get("value"),
    }


def chosen_model(settings: RiskSettings) -> SmallRiskModel:
    """Read the model that risks come from.

    Parameters
    ----------
    settings : RiskSettings
        Which.

    Returns
    -------
    SmallRiskModel
        The shipped one unless another is named.

    Raises
    ------
    ModelError
        If the model named cannot be read, or does not count in months.
    """
    model = read_model(Path(settings.model) if settings.model else None)
    if "month" not in model.time_unit.lower():
        msg = (
            f"risks are given by months, but the model learned from times in column {model.time_unit!r}; fit it to a "
            "column of months, named so"
        )
        raise ModelError(msg)
    return model


def assess_risk(case: Case, settings: RiskSettings) -> Case:
    """Add the risk of a skeletal event and of death.

    Parameters
    ----------
    case : Case
        With lesions.
    settings : RiskSettings
        How.

    Returns
    -------
    Case
        With `risk`; where it cannot be given, the reason stands in it.

    Raises
    ------
    ModelError
        If the model named cannot be read, or does not count in months.
    """
    methods = ""
    risk: dict[str, object] = {}
    if settings.enabled:
        found = case_features(case)
        model = chosen_model(settings)
        risk = model.assess(found, settings.horizons_months)
        if not settings.model and not found["malignant_lesions"]:
            reason = "no lesion that is rather malignant was found, and the model knows patients with one only"
            risk |= {"not_assessable": reason, "events": []}
        methods = (
            "Risks of a skeletal event and of death before it come from a small Cox model for competing events, "
            f"learned from {model.learned_from}; a model for each of imaging, clinical form and omics was joined late. "
            "Parts of a risk are Shapley values."
        )
    record = StepRecord("risk", __version__, settings=vars(settings), methods=methods)
    return case.with_(risk=risk, history=(*case.history, record))
