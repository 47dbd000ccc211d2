"""Classifiers of real patients are measured and calibrated by patient, and start from weights that fit."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from spondyl.core import InputError, ModelError, SettingsError
from spondyl.io.weights import load_network, read_card
from spondyl.models.classify import scheme_of
from spondyl.models.crops import CROP_CHANNELS, CROP_FACTS, CROP_SHAPE
from spondyl.models.study_inputs import N_FACTS, Slot
from spondyl.training.classification import ClassifierSettings
from spondyl.training.finetune import Origin
from spondyl.training.own_classes import OwnClassSettings, new_classifier, train_on_studies, truth_of_row
from spondyl.training.vertebrae import CLASSES, SUBTYPES, PatientCrops

pytest.importorskip("onnx")

LOOP = ClassifierSettings(steps=1, network="resnet", precision="32-true", sites=4)


def _study(number):
    """Four vertebrae on T1; malignant ones are dark."""
    rng = np.random.default_rng(number)
    names = [CLASSES[i] for i in rng.permutation([0, 0, 1, 2])]
    crops = rng.normal(0, 0.2, (4, CROP_CHANNELS, *CROP_SHAPE)).astype(np.float16)
    crops[[n == "malignant" for n in names], 0] -= 1
    crops[:, -1] = 1  # the mask of what is meant
    facts = np.zeros((len(Slot), N_FACTS // len(Slot)), np.float32)
    facts[0] = 1
    truths = [truth_of_row(n, "", f"L{i + 1}", float(i), where="row") for i, n in enumerate(names)]
    return PatientCrops(crops, facts.reshape(-1), truths)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    cohort = {n: _study(n) for n in (1, 2, 3)}
    patients = {1: "Zwicky", 2: "Zwicky", 3: "Quandt"}
    return out, train_on_studies(cohort, patients, out, OwnClassSettings(LOOP, folds=2), origin=Origin(), name="ours")


@pytest.mark.slow
def test_every_vertebra_is_answered_by_a_fold_that_never_saw_its_patient(run):
    out, _ = run
    rows = list(csv.DictReader((out / "metrics.csv").read_text().splitlines()))
    assert sorted((r["study"], r["level"]) for r in rows) == sorted(
        (str(s), f"L{i}") for s in (1, 2, 3) for i in range(1, 5)
    )
    fold_of = {r["study"]: r["fold"] for r in rows}
    assert fold_of["1"] == fold_of["2"] != fold_of["3"]
    for r in rows:
        assert sum(float(r[name]) for name in CLASSES) == pytest.approx(1, abs=1e-3)
        assert set(r["set"].split("+")) <= set(CLASSES)


@pytest.mark.slow
def test_the_card_is_that_of_a_classifier_and_the_graph_runs(run):
    _, path = run
    card = read_card(path)
    assert scheme_of(card).subtypes == tuple(SUBTYPES)
    assert "2-fold cross-validation by patient" in card.details["ensemble"]["measured_on"]
    assert 0 <= card.details["ensemble"]["measured"]["accuracy"] <= 1
    assert card.details["training"]["data"] == "3 studies of 2 patients, 12 vertebrae"
    network = load_network(str(path), threads=1)
    logits, _ = network.run(
        np.zeros((3, CROP_CHANNELS, *CROP_SHAPE), np.float32), np.zeros((3, CROP_FACTS), np.float32)
    )
    assert logits.shape == (3, len(SUBTYPES))


@pytest.mark.slow
def test_nothing_that_is_written_names_a_patient(run):
    out, _ = run
    for path in out.rglob("*"):
        if path.suffix in (".toml", ".json", ".csv", ".jsonl"):
            assert "Zwicky" not in path.read_text()
            assert "Quandt" not in path.read_text()


@pytest.mark.parametrize("subtype", list(SUBTYPES))
def test_every_subtype_of_a_table_is_the_one_that_is_learnt(subtype):
    truth = truth_of_row(SUBTYPES[subtype], subtype, "L1", 0.0, where="row 1")
    assert list(SUBTYPES)[truth.subtype] == subtype
    assert CLASSES[truth.group] == SUBTYPES[subtype]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("cancer", ""), "row 4 wants a class"),
        (("benign", "metastasis_lytic"), "row 4 wants no subtype or one of heman"),
    ],
)
def test_classes_that_do_not_fit_are_refused(words, fault):
    with pytest.raises(InputError, match=fault):
        truth_of_row(*words, "L1", 0.0, where="row 4")


def test_a_medical_resnet_fills_all_but_the_first_convolution():
    from monai.networks.nets import ResNet

    settings = OwnClassSettings(LOOP, preset="medical")
    given = ResNet("basic", [1, 1, 1, 1], [64, 128, 256, 512], n_input_channels=1, conv1_t_size=7, feed_forward=False)
    weights = given.state_dict()
    network = new_classifier(Origin("resnet_10", weights), settings)
    assert torch.equal(network.body.layer4[0].conv2.weight, weights["layer4.0.conv2.weight"])
    with pytest.raises(ModelError, match="at least 50%"):
        new_classifier(Origin("resnet_10", weights), OwnClassSettings(LOOP))


def test_a_classifier_starts_from_one_of_its_kind():
    first = new_classifier(Origin(), OwnClassSettings(LOOP))
    with torch.no_grad():
        first.out.weight += 1
    second = new_classifier(Origin("first", first.state_dict()), OwnClassSettings(LOOP))
    assert torch.equal(second.out.weight, first.out.weight)


@pytest.mark.parametrize("wrong", [{"folds": 1}, {"preset": "huge"}, {"loop": ClassifierSettings(network="forest")}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError):
        OwnClassSettings(**{"loop": LOOP, **wrong})
