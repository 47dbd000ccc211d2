"""How well vertebrae and lesions of synthetic patients are told apart: three networks, and radiomics.

    python benchmarks/classifiers.py COHORT RUNS [--folds N] [--steps N] [--json FILE]

COHORT is made by `spondyl.training.vertebrae.make_cohort`; RUNS holds one folder for each network and fold, trained
where it is missing or unfinished and kept, so an interrupted benchmark goes on. Every figure is of synthetic patients
kept aside by their fold, and of no real one.
"""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.radiomics import features
from spondyl.evaluation.calibration import expected_calibration_error
from spondyl.evaluation.roc import roc_areas
from spondyl.models.confidence import group, softmax
from spondyl.models.crops import CROP_SPACING_MM
from spondyl.models.study_inputs import Slot
from spondyl.training.classification import (
    NETWORKS,
    SLOTS_OF,
    ClassifierSettings,
    answers,
    fold_of,
    given_slots,
    looks_at,
    steps_of,
    train_classifier,
)
from spondyl.training.export import load_average
from spondyl.training.study_contrast import Series
from spondyl.training.vertebrae import CLASSES, GROUPS, load_cohort

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spondyl.training.vertebrae import PatientCrops

SUBSETS: dict[str, tuple[Series, ...]] = {
    "all": tuple(Series),
    "T1 T2 fluid": (Series.T1, Series.T2, Series.FLUID),
    "T1 fluid": (Series.T1, Series.FLUID),
    "T1 alone": (Series.T1,),
    "T2 alone": (Series.T2,),
}
"""Sequences that a patient is looked at with."""

PAIRED = "T1 T2 fluid"
"""Sequences on which all are compared by pairs."""

MALIGNANT = CLASSES.index("malignant")


def slots_of(patient: PatientCrops, series: Sequence[Series]) -> list[Slot]:
    """Slots of a patient that these series fill."""
    wanted = {slot for one in series for slot in SLOTS_OF[one]}
    return [slot for slot in given_slots(patient) if slot in wanted]


def radiomic_rows(patient: PatientCrops) -> list[dict[str, float]]:
    """Features of every site on the three usual sequences; what is not given is missing."""
    used = [Slot.T1, Slot.T2, Slot.FLUID]
    rows = []
    for crop in np.asarray(patient.crops, np.float32):
        images = {slot.value: crop[list(Slot).index(slot)] for slot in used if slot in given_slots(patient)}
        rows.append(features(images, crop[-1] > 0.5, CROP_SPACING_MM))
    return rows


def radiomics_probabilities(
    cohort: Mapping[int, PatientCrops],
    features_of: Mapping[int, list[dict[str, float]]],
    trained: Sequence[int],
    tested: Sequence[int],
) -> np.ndarray:
    """Probability of malignancy by logistic regression on radiomic features."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(DictVectorizer(sparse=False), StandardScaler(), LogisticRegression(C=0.05, max_iter=2000))
    rows = [row for seed in trained for row in features_of[seed]]
    truth = [site.group for seed in trained for site in cohort[seed].sites]
    model.fit(rows, truth)
    return model.predict_proba([row for seed in tested for row in features_of[seed]])


def network_probabilities(
    checkpoint: Path, name: str, patients: Sequence[PatientCrops], series: Sequence[Series]
) -> np.ndarray:
    """Probability of each class by a trained network."""
    network, _ = load_average(checkpoint, NETWORKS[name](GROUPS))
    logits = [answers(network, p, slots_of(p, series)) for p in patients]
    return group(softmax(np.concatenate(logits)), GROUPS, len(CLASSES))


def figures(
    probability: np.ndarray, truth: np.ndarray, hard: np.ndarray, patient: np.ndarray, lesion: np.ndarray
) -> dict[str, float]:
    """Areas with standard errors that know of patients, calibration error and accuracy; outlined lesions also apart."""
    malignant = truth == MALIGNANT
    found: dict[str, float] = {}
    groups = {"auc": truth >= 0, "auc_vertebrae": ~lesion, "auc_lesions": lesion}
    groups |= {"auc_benign": truth > 0, "auc_hard": malignant | hard}
    for name, rows in groups.items():
        estimate = roc_areas(malignant[rows], probability[rows, MALIGNANT], patients=patient[rows]).estimate()
        found |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    found["auc_abnormal"] = float(roc_areas(truth > 0, 1 - probability[:, 0]).areas[0])
    found["calibration_error"] = expected_calibration_error(malignant, probability[:, MALIGNANT])
    found["accuracy"] = float((probability.argmax(1) == truth).mean())
    return {key: round(float(value), 3) for key, value in found.items()}


def main() -> None:
    """Train what is missing, ask everything, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cohort = load_cohort(arguments.cohort)
    looks = looks_at(cohort) if "context" in arguments.networks else {}
    features_of = {seed: radiomic_rows(patient) for seed, patient in cohort.items()}
    answered: dict[tuple[str, str], list[np.ndarray]] = {}
    truths: list[tuple[int, bool, int, bool]] = []
    for fold in range(arguments.folds):
        tested = [seed for seed in cohort if fold_of(seed) == fold]
        trained = [seed for seed in cohort if fold_of(seed) != fold]
        truths += [(s.group, s.is_hard_mimic, seed, s.is_lesion) for seed in tested for s in cohort[seed].sites]
        answered.setdefault(("radiomics", "T1 T2 fluid"), []).append(
            radiomics_probabilities(cohort, features_of, trained, tested)
        )
        for name in arguments.networks:
            settings = ClassifierSettings(network=name, fold=fold, steps=steps_of(name, arguments.steps))
            checkpoint = arguments.runs / f"{name}{fold}" / "checkpoint.pt"
            if not checkpoint.exists():
                train_classifier(cohort, checkpoint.parent, settings, looks=looks)
            patients = [looks[seed][0] if name == "context" else cohort[seed] for seed in tested]
            for subset in SUBSETS if name == "context" else (PAIRED,):
                found = network_probabilities(checkpoint, name, patients, SUBSETS[subset])
                answered.setdefault((name, subset), []).append(found)
    truth, hard, patient, lesion = (np.array(column) for column in zip(*truths, strict=True))
    whole = {key: np.concatenate(parts) for key, parts in answered.items()}
    table = {f"{name}, {subset}": figures(p, truth, hard, patient, lesion) for (name, subset), p in whole.items()}
    print(
        f"{len(truth)} sites of {len(set(patient.tolist()))} synthetic patients kept aside, {arguments.folds} fold(s)"
    )
    for name, row in table.items():
        print(name.ljust(24), " ".join(f"{key} {value:.3f}" for key, value in row.items()))
    compared = {name: whole[name, PAIRED] for name in ("radiomics", *arguments.networks)}
    scores = np.stack([p[:, MALIGNANT] for p in compared.values()])
    areas = roc_areas(truth == MALIGNANT, scores, names=list(compared), patients=patient)
    for first, second in combinations(compared, 2):
        gap = areas.compare(second, first)
        print(f"{second} over {first}, {PAIRED}: {gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})")
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
