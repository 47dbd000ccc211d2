"""Calibrate trained classifiers on patients kept aside, and write them as graphs with their cards."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn

from spondyl.evaluation.calibration import expected_calibration_error
from spondyl.evaluation.roc import roc_areas
from spondyl.models.card import CARD_VERSION
from spondyl.models.confidence import conformal_quantiles, fit_pool, fit_temperature, group, prediction_set, softmax
from spondyl.models.crops import CROP_CHANNELS, CROP_FACTS, CROP_SHAPE, TOKEN_CHANNELS, TOKEN_FACTS
from spondyl.training.classification import (
    NETWORKS,
    ClassifierSettings,
    answers,
    fold_of,
    seen_slots,
    steps_of,
    train_classifier,
)
from spondyl.training.export import load_average, write_graph
from spondyl.training.loop import SETTINGS_FILE
from spondyl.training.tables import toml_text
from spondyl.training.vertebrae import (
    CLASSES,
    FIRST_PATIENT,
    GROUPS,
    SPACING_MM,
    SUBTYPES,
    load_cohort,
    make_cohort,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from spondyl.training.vertebrae import PatientCrops

SLICE_RANGE_MM = (2.6, 5.2)
"""Slice spacings that are not resampled, as for the other networks."""

ERROR = 0.1
"""Share of each class whose prediction set may miss the truth. Chosen by us."""

LOOKS = 3
"""Choices of sequences that each patient is looked at with for calibration."""

LIMITS = [
    "Research use only, not for clinical diagnosis.",
    "Trained and calibrated on synthetic patients alone: on a hospital's patients both must be measured anew.",
    "Prediction sets keep their promise on patients like those of the calibration; synthetic ones are not like yours.",
    "Rare subtypes were seen a few dozen times.",
]


class Answers(NamedTuple):
    """What networks answered for sites of patients kept aside.

    Parameters
    ----------
    logits : mapping of str to ndarray, each of shape (n, n_subtypes)
        By network.
    group, subtype, patient : ndarray of int, shape (n,)
        True class and subtype, and whose site it is.
    """

    logits: Mapping[str, np.ndarray]
    group: np.ndarray
    subtype: np.ndarray
    patient: np.ndarray


class _ContextGraph(nn.Module):
    """The context transformer as it is run: one study, and every input a float."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        crops: torch.Tensor,
        facts: torch.Tensor,
        slot: torch.Tensor,
        position: torch.Tensor,
        site: torch.Tensor,
    ) -> torch.Tensor:
        study = torch.zeros_like(site).long()
        return self.network(crops, facts, slot.long(), position, site.long(), study)


def export_classifier(network: nn.Module, name: str, path: Path, *, half: bool = True) -> str:
    """Write a classifier as ONNX.

    Parameters
    ----------
    network : Module
        In evaluation mode.
    name : str
        One of `spondyl.training.classification.NETWORKS`.
    path : Path
        File to write.
    half : bool, optional
        Store the weights in half precision.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    if name == "context":
        example = (
            torch.zeros(3, TOKEN_CHANNELS, *CROP_SHAPE),
            torch.zeros(3, TOKEN_FACTS),
            torch.tensor([0.0, 2.0, 0.0]),
            torch.tensor([0.0, 0.0, 1.0]),
            torch.tensor([0.0, 0.0, 1.0]),
        )
        inputs, outputs = ("crops", "facts", "slot", "position", "site"), ("logits",)
        axes = {n: {0: "token"} for n in (*inputs, *outputs)}
        return write_graph(_ContextGraph(network), example, path, names=(inputs, outputs), axes=axes, half=half)
    crops, facts = torch.zeros(2, CROP_CHANNELS, *CROP_SHAPE), torch.zeros(2, CROP_FACTS)
    names = (("crops", "facts"), ("logits", "activation"))
    axes = {n: {0: "site"} for n in sum(names, ())}
    return write_graph(network, (crops, facts), path, names=names, axes=axes, half=half)


def ask(
    networks: Mapping[str, nn.Module], cohort: Mapping[int, PatientCrops], patients: Sequence[int], *, seed: int = 0
) -> Answers:
    """Ask networks about patients, each with several choices of sequences.

    Parameters
    ----------
    networks : mapping of str to Module
        In evaluation mode.
    cohort : mapping of int to PatientCrops
        Patients by seed.
    patients : sequence of int
        Whom to ask about.
    seed : int, optional
        Of the choices.

    Returns
    -------
    Answers
        One row for each site and choice.
    """
    rng = np.random.default_rng(seed)
    logits: dict[str, list[np.ndarray]] = {name: [] for name in networks}
    truth = []
    for seed_of_patient in patients:
        patient = cohort[seed_of_patient]
        for look in range(LOOKS):
            kept = None if look == 0 else seen_slots(patient, rng)
            for name, network in networks.items():
                logits[name].append(answers(network, patient, kept))
            truth += [(s.group, s.subtype, seed_of_patient) for s in patient.sites]
    group_, subtype, owner = (np.array(column) for column in zip(*truth, strict=True))
    return Answers({n: np.concatenate(parts) for n, parts in logits.items()}, group_, subtype, owner)


def calibrate(answers_: Answers) -> dict[str, Any]:
    """Fit temperatures and prediction sets on one half of the patients and check them on the other.

    Parameters
    ----------
    answers_ : Answers
        Of patients that no network was trained on.

    Returns
    -------
    dict
        ``"temperatures"`` and ``"weights"`` by network, ``"quantiles"`` of the prediction sets of their weighted mean,
        and as ``"measured"`` what the mean reached on the other half: share of truths in their set, share of sets that
        are indeterminate, areas under the ROC curve for malignant against all others and against benign, and
        calibration error of malignant.
    """
    fitted = answers_.patient % 2 == 0
    truth = answers_.group[fitted]
    temperatures = {name: fit_temperature(values[fitted], truth, GROUPS) for name, values in answers_.logits.items()}
    tempered = np.stack([class_probabilities(v, temperatures[name]) for name, v in answers_.logits.items()])
    weights = fit_pool(tempered[:, fitted], truth)
    mean = np.tensordot(weights, tempered, 1)
    quantiles = conformal_quantiles(mean[fitted], truth, error=ERROR)
    return {
        "temperatures": temperatures,
        "weights": dict(zip(answers_.logits, np.round(weights, 4).tolist(), strict=True)),
        "quantiles": quantiles.tolist(),
        "measured": _measured(mean[~fitted], answers_.group[~fitted], quantiles),
    }


def _measured(mean: np.ndarray, truth: np.ndarray, quantiles: np.ndarray) -> dict[str, float]:
    sets = [prediction_set(p, quantiles, CLASSES) for p in mean]
    malignant, found = truth == CLASSES.index("malignant"), truth > 0
    figures: dict[str, Any] = {
        "covered": np.mean([CLASSES[t] in s for t, s in zip(truth, sets, strict=True)]),
        "indeterminate": np.mean([len(s) != 1 for s in sets]),
        "calibration_error_malignant": expected_calibration_error(malignant, mean[:, -1]),
    }
    for name, rows in (("auc_malignant", truth >= 0), ("auc_malignant_against_benign", found)):
        if len(set(malignant[rows].tolist())) > 1:
            figures[name] = roc_areas(malignant[rows], mean[rows, -1]).areas[0]
    return {name: round(float(value), 3) for name, value in figures.items()}


def class_probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Give the class probabilities of one network.

    Parameters
    ----------
    logits : ndarray, shape (n, n_subtypes)
        What it answered.
    temperature : float
        Divides the logits.

    Returns
    -------
    ndarray of float, shape (n, n_classes)
        Probability of each class.
    """
    return group(softmax(logits, temperature), GROUPS, len(CLASSES))


def write_classifiers(
    checkpoints: Mapping[str, Path], cohort: Mapping[int, PatientCrops], folder: Path, *, version: str, fold: int = 0
) -> list[Path]:
    """Calibrate and write the classifiers that are asked together.

    Parameters
    ----------
    checkpoints : mapping of str to Path
        Checkpoints by name of the network, all trained without the same fold.
    cohort : mapping of int to PatientCrops
        The patients they were trained on, and those kept aside.
    folder : Path
        Where cards and graphs are written.
    version : str
        Of the models.
    fold : int, optional
        The fold that was kept aside.

    Returns
    -------
    list of Path
        The cards, ``vertebrae_NAME.toml``.
    """
    loaded = {name: load_average(path, NETWORKS[name](GROUPS)) for name, path in checkpoints.items()}
    networks = {name: network for name, (network, _) in loaded.items()}
    aside = [seed for seed in cohort if fold_of(seed) == fold]
    fitted = calibrate(ask(networks, cohort, aside))
    folder.mkdir(parents=True, exist_ok=True)
    cards = []
    for name, (network, state) in loaded.items():
        graph = folder / f"vertebrae_{name}.onnx"
        digest = export_classifier(network, name, graph)
        table = classifier_card(name, version, (graph.name, digest), fitted)
        table["training"] = {
            "data": "synthetic patients of spondyl.phantom alone; no real image was seen",
            "patients": len(cohort) - len(aside),
            "patients_kept_aside": len(aside),
            "seeds": [min(cohort), max(cohort)],
            "steps": int(state["step"]),
            "hours": round(float(state["seconds"]) / 3600, 2),
            "settings": tomllib.loads((checkpoints[name].parent / SETTINGS_FILE).read_text(encoding="utf-8")),
            "parameters": sum(p.numel() for p in network.parameters()),
        }
        table["limits"] = LIMITS
        cards.append(folder / f"vertebrae_{name}.toml")
        cards[-1].write_text(toml_text(table), encoding="utf-8")
    return cards


def classifier_card(name: str, version: str, graph: tuple[str, str], fitted: Mapping[str, Any]) -> dict[str, Any]:
    """Give the card of a classifier, but for what it was trained on and its limits.

    Parameters
    ----------
    name : str
        One of `spondyl.training.classification.NETWORKS`.
    version : str
        Of the model.
    graph : tuple of str
        Name of the graph's file and its SHA-256.
    fitted : mapping of str to object
        From `calibrate`.

    Returns
    -------
    dict
        The card.
    """
    task = (
        "Tells normal, benign and malignant vertebrae and lesions, and their subtypes, on any MR sequences of a study"
    )
    return {
        "card_version": CARD_VERSION,
        "model": {
            "name": f"vertebrae_{name}",
            "version": version,
            "task": task,
            "weights": graph[0],
            "sha256": graph[1],
        },
        "input": {
            "channels": ["crops of a study's sequences, outlined structures and what is meant; facts of the study"],
            "spacing_mm": list(SPACING_MM),
            "slice_range_mm": list(SLICE_RANGE_MM),
            "multiple": [1, 1, 1],
        },
        "output": {"structures": [], "lesion_classes": []},
        "classification": {
            "classes": list(CLASSES),
            "subtypes": list(SUBTYPES),
            "class_of_subtype": list(SUBTYPES.values()),
            "temperature": fitted["temperatures"][name],
            "takes_tokens": name == "context",
        },
        "ensemble": {
            "members": [f"vertebrae_{n}" for n in fitted["temperatures"]],
            "weights": list(fitted["weights"].values()),
            "error": ERROR,
            "quantiles": fitted["quantiles"],
            "measured": fitted["measured"],
            "measured_on": "synthetic patients that neither training nor calibration saw, with changing sequences",
        },
    }


def make_classifiers(patients: Path, runs: Path, out: Path, *, count: int, steps: int) -> list[Path]:
    """Make patients, train the three networks without the first fold, calibrate them on it, and write them.

    Parameters
    ----------
    patients : Path
        Folder of synthetic patients; missing ones are made.
    runs : Path
        One folder for each network; a checkpoint in it is gone on with.
    out : Path
        Where cards and graphs are written.
    count : int
        Patients.
    steps : int
        Steps of the networks on crops; the context transformer takes more, as `steps_of` tells.

    Returns
    -------
    list of Path
        The cards.
    """
    make_cohort(patients, range(FIRST_PATIENT, FIRST_PATIENT + count))
    cohort = load_cohort(patients)
    checkpoints = {
        name: train_classifier(cohort, runs / f"{name}0", ClassifierSettings(network=name, steps=steps_of(name, steps)))
        for name in NETWORKS
    }
    return write_classifiers(checkpoints, cohort, out, version="3")
