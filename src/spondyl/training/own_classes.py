"""Train a classifier of vertebrae on studies of real patients, and measure and calibrate it by patient."""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spondyl.core import InputError, SettingsError
from spondyl.models.confidence import conformal_quantiles, fit_temperature, group, prediction_set, softmax
from spondyl.phantom.kinds import CLASS_OF_KIND, LesionKind
from spondyl.training.classification import NETWORKS, ClassifierSettings, answers, train_classifier
from spondyl.training.classifier_export import ERROR, classifier_card, export_classifier
from spondyl.training.classifiers import CropResNet, Width
from spondyl.training.export import load_average, run_facts
from spondyl.training.finetune import METRICS_FILE, OWN_LIMITS, Origin
from spondyl.training.folds import patient_folds
from spondyl.training.launch import is_main_process
from spondyl.training.tables import toml_text
from spondyl.training.transfer import load_weights
from spondyl.training.vertebrae import CLASSES, GROUPS, SUBTYPES, SiteTruth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from spondyl.training.vertebrae import PatientCrops

_log = logging.getLogger(__name__)

NO_FOLD = -1
"""Keeps nobody aside: who is trained on is chosen here."""

PRESETS = {"standard": Width(), "medical": Width(resnet=(64, 128, 256, 512))}
"""Sizes by name; the second is that of the pre-trained ResNet-10 of MedicalNet (Chen 2019, arXiv 1904.00625)."""


@dataclass(frozen=True)
class OwnClassSettings:
    """How long and how to train a classifier on studies of real patients.

    Parameters
    ----------
    loop : ClassifierSettings
        Of each training.
    folds : int
        Of the cross-validation by patient; calibration needs them.
    preset : str
        One of `PRESETS`; the second is for the ResNet alone.

    Raises
    ------
    SettingsError
        If a name is not known or a number is out of range.
    """

    loop: ClassifierSettings
    folds: int = 5
    preset: str = "standard"

    def __post_init__(self) -> None:
        if self.loop.network not in NETWORKS or self.preset not in PRESETS:
            msg = f"network must be one of {', '.join(NETWORKS)} and preset one of {', '.join(PRESETS)}"
            raise SettingsError(msg)
        if self.folds < 2 or self.loop.steps < 1:
            msg = "at least 2 folds and 1 step are needed: a classifier that was not measured cannot be calibrated"
            raise SettingsError(msg)


def truth_of_row(class_name: str, subtype: str, level: str, position: float, *, where: str) -> SiteTruth:
    """Give what a row of a table says of a vertebra.

    Parameters
    ----------
    class_name : str
        One of `CLASSES`.
    subtype : str
        One of `SUBTYPES`, or empty.
    level : str
        Name of the vertebra.
    position : float
        Its place along the column.
    where : str
        How messages name the row.

    Returns
    -------
    SiteTruth
        For training.

    Raises
    ------
    InputError
        If a class or subtype is not known, or they do not fit.
    """
    class_name, subtype = class_name.strip().lower(), subtype.strip().lower()
    if class_name not in CLASSES:
        msg = f"{where} wants a class of {', '.join(CLASSES)}, got {class_name!r}"
        raise InputError(msg)
    kind = ""
    if subtype not in ("", "normal"):
        if SUBTYPES.get(subtype) != class_name:
            fitting = ", ".join(name for name, of in SUBTYPES.items() if of == class_name)
            msg = f"{where} wants no subtype or one of {fitting} for {class_name}, got {subtype!r}"
            raise InputError(msg)
        stem = subtype.removesuffix("_malignant")
        kind = next(k.name for k in LesionKind if k in CLASS_OF_KIND and CLASS_OF_KIND[k].value == stem)
    return SiteTruth(kind, CLASSES.index(class_name), is_lesion=False, position=position, level=level, volume_mm3=0.0)


def new_classifier(origin: Origin, settings: OwnClassSettings) -> torch.nn.Module:
    """Build the classifier that is trained.

    Parameters
    ----------
    origin : Origin
        Where it starts: a classifier of this project, or a pre-trained 3D ResNet of its size.
    settings : OwnClassSettings
        Kind and size.

    Returns
    -------
    Module
        With its first weights.

    Raises
    ------
    ModelError
        If the weights fit too little of it.
    """
    torch.manual_seed(settings.loop.seed)
    network = NETWORKS[settings.loop.network](GROUPS, PRESETS[settings.preset])
    if origin.weights is not None:
        taking: torch.nn.Module = network
        if isinstance(network, CropResNet) and not any(n.startswith("body.") for n in origin.weights):
            taking = network.body
        left = load_weights(taking, origin.weights, source=origin.name)
        if left:
            _log.info("not in %s, so learnt anew: %s", origin.name, ", ".join(left))
    return network


def train_on_studies(
    cohort: Mapping[int, PatientCrops],
    patients: Mapping[int, str],
    out: Path,
    settings: OwnClassSettings,
    *,
    origin: Origin,
    name: str,
) -> Path:
    """Cross-validate by patient, calibrate on what the folds answered, and train on all studies.

    Parameters
    ----------
    cohort : mapping of int to PatientCrops
        Studies by number.
    patients : mapping of int to str
        Whose each is; never written.
    out : Path
        Holds ``fold-1`` and so on, ``final``, ``metrics.json`` and ``metrics.csv`` afterward.
    settings : OwnClassSettings
        How long and how.
    origin : Origin
        Where networks start.
    name : str
        Of the model.

    Returns
    -------
    Path
        Card of the final model.

    Raises
    ------
    InputError
        If there are too few patients for the folds.
    """
    studies = sorted(cohort)
    logits, rows = [], []
    for number, tested in enumerate(
        patient_folds([patients[s] for s in studies], settings.folds, settings.loop.seed), 1
    ):
        aside = [studies[i] for i in tested]
        network = _trained([s for s in studies if s not in aside], cohort, out / f"fold-{number}", settings, origin)[0]
        for study in aside:
            logits.append(answers(network, cohort[study]))
            rows += [{"fold": number, "study": study, "level": s.level, "group": s.group} for s in cohort[study].sites]
    fitted = _calibrated(np.concatenate(logits), rows, settings.loop.network)
    network, facts = _trained(studies, cohort, out / "final", settings, origin)
    card = out / "final" / f"{name}.toml"
    if is_main_process():
        _write_metrics(out, rows, fitted)
        graph = out / "final" / f"{name}.onnx"
        digest = export_classifier(network, settings.loop.network, graph)
        table = classifier_card(settings.loop.network, "1", (graph.name, digest), fitted)
        table["model"]["name"] = name
        table["ensemble"]["members"] = [name]
        table["ensemble"]["measured_on"] = f"{settings.folds}-fold cross-validation by patient on the training studies"
        table["training"] = {
            "data": f"{len(studies)} studies of {len(set(patients.values()))} patients, {len(rows)} vertebrae",
            "start": origin.name,
            **facts,
        }
        table["limits"] = OWN_LIMITS
        card.write_text(toml_text(table), encoding="utf-8")
    return card


def _trained(
    studies: Sequence[int], cohort: Mapping[int, PatientCrops], out: Path, settings: OwnClassSettings, origin: Origin
) -> tuple[torch.nn.Module, dict[str, Any]]:
    own = {study: cohort[study] for study in studies}
    checkpoint = train_classifier(own, out, replace(settings.loop, fold=NO_FOLD), new_classifier(origin, settings))
    network, state = load_average(checkpoint, new_classifier(Origin(), settings))
    return network, run_facts(checkpoint, network, state)


def _calibrated(logits: np.ndarray, rows: list[dict[str, Any]], network: str) -> dict[str, Any]:
    """Fit temperature and prediction sets to what the folds answered, and add what was answered to the rows."""
    truth = np.array([row.pop("group") for row in rows])
    temperature = fit_temperature(logits, truth, GROUPS)
    classes = group(softmax(logits, temperature), GROUPS, len(CLASSES))
    quantiles = conformal_quantiles(classes, truth, error=ERROR)
    sets = [prediction_set(p, quantiles, CLASSES) for p in classes]
    for row, t, p, names in zip(rows, truth, classes, sets, strict=True):
        row |= {"class": CLASSES[t], **{n: round(float(v), 4) for n, v in zip(CLASSES, p, strict=True)}}
        row["set"] = "+".join(names)
    malignant = truth == CLASSES.index("malignant")
    score = classes[:, CLASSES.index("malignant")]
    measured = {
        "covered": np.mean([CLASSES[t] in s for t, s in zip(truth, sets, strict=True)]),
        "indeterminate": np.mean([len(s) != 1 for s in sets]),
        "accuracy": np.mean(classes.argmax(1) == truth),
        "auc_malignant": _area(score[malignant], score[~malignant]),
    }
    return {
        "temperatures": {network: temperature},
        "weights": {network: 1.0},
        "quantiles": quantiles.tolist(),
        "measured": {name: round(float(value), 4) for name, value in measured.items()},
    }


def _area(positive: np.ndarray, negative: np.ndarray) -> float:
    """Area under the ROC curve: how often a positive scores above a negative; NaN without both."""
    if not len(positive) or not len(negative):
        return float("nan")
    above = np.sign(positive[:, None] - negative[None])
    return float((above.mean() + 1) / 2)


def _write_metrics(out: Path, rows: Sequence[Mapping[str, Any]], fitted: Mapping[str, Any]) -> None:
    with (out / "metrics.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (out / METRICS_FILE).write_text(json.dumps({**fitted, "vertebrae": list(rows)}, indent=1), encoding="utf-8")
