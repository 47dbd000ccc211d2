"""Fit the probabilities of vertebrae to studies as they come, and write them into the card of the classifiers.

Networks are trained on patients among whom disease is more frequent than in practice, and a mean of networks is less
sure than it may be. Both are mended on the results of whole analyses of patients that neither training nor any
benchmark has seen.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import InputError
from spondyl.evaluation.calibration import expected_calibration_error
from spondyl.models.confidence import Scaling, conformal_quantiles, fit_scaling
from spondyl.training.tables import toml_text
from spondyl.training.vertebrae import CLASSES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ERROR = 0.1
"""Share of each class whose prediction set may miss the truth. Chosen by us."""

FOLDS = 5
"""Folds of patients over which the calibration is checked. Chosen by us."""

LEAST_PATIENTS = 10
"""Fewer patients tell too little of how frequent disease is. Chosen by us."""


def calibrate_vertebrae(rows: Path, card: Path) -> dict[str, float]:
    """Fit the scaling of vertebrae to analyzed patients, and write it into a card.

    Parameters
    ----------
    rows : Path
        Lines of JSON, one a patient: ``"seed"``, and in ``"vertebrae"`` tables with ``"probabilities"`` by class, and
        whether one is ``"malignant"`` or ``"benign"``, as ``benchmarks/synthetic_patients.py`` writes them.
    card : Path
        Card of the classifier whose ``ensemble`` it belongs to; replaced. A scaling that is there already was used in
        the analyses, and the new one comes after it.

    Returns
    -------
    dict of str to float
        Calibration error of malignancy before, and after fitting on other patients (cross-validated), and the number
        of vertebrae.

    Raises
    ------
    InputError
        If there are too few patients, or lines that are not such results.
    """
    probabilities, truth, patient = _read(rows)
    table = tomllib.loads(card.read_text(encoding="utf-8"))
    held = table["ensemble"].get("vertebrae")
    fitted = fit_scaling(probabilities, truth)
    others = _cross_validated(probabilities, truth, patient)
    malignant = truth == CLASSES.index("malignant")
    figures = {
        "calibration_error_before": expected_calibration_error(malignant, probabilities[:, -1]),
        "calibration_error_cross_validated": expected_calibration_error(malignant, others[:, -1]),
        "vertebrae": float(len(truth)),
    }
    whole = fitted if held is None else fitted.after(Scaling(held["sharpness"], tuple(held["offsets"])))
    table["ensemble"]["vertebrae"] = {
        "sharpness": whole.sharpness,
        "offsets": list(whole.offsets),
        "quantiles": conformal_quantiles(others, truth, error=ERROR).tolist(),
        "measured": {name: round(float(value), 3) for name, value in figures.items()},
        "measured_on": f"{len(set(patient.tolist()))} synthetic patients that no network saw, analyzed from end to end",
    }
    part = card.with_suffix(".part")
    part.write_text(toml_text(table), encoding="utf-8")
    part.replace(card)
    return figures


def _read(rows: Path) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.int64]]:
    probabilities, truth, patient = [], [], []
    try:
        for line in rows.read_text(encoding="utf-8").splitlines():
            row: dict[str, Any] = json.loads(line)
            for v in row.get("vertebrae", ()):
                if v["probabilities"]:
                    probabilities.append([float(v["probabilities"][name]) for name in CLASSES])
                    truth.append(2 if v["malignant"] else 1 if v["benign"] else 0)
                    patient.append(int(row["seed"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"lines of JSON with vertebrae and their probabilities are wanted, {rows.name} holds something else"
        raise InputError(msg) from error
    if len(set(patient)) < LEAST_PATIENTS:
        msg = f"at least {LEAST_PATIENTS} patients with vertebrae are wanted, {rows.name} holds {len(set(patient))}"
        raise InputError(msg)
    return np.array(probabilities), np.array(truth, np.intp), np.array(patient)


def _cross_validated(
    probabilities: NDArray[np.float64], truth: NDArray[np.intp], patient: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Scale each patient as the others tell."""
    numbers = np.unique(patient)
    found = np.zeros_like(probabilities)
    for fold in range(FOLDS):
        aside = np.isin(patient, numbers[fold::FOLDS])
        found[aside] = fit_scaling(probabilities[~aside], truth[~aside])(probabilities[aside])
    return found
