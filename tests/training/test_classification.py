"""Batches are what studies could be, a network learns from them, and its graph gives the same answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spondyl.models.crops import CROP_CHANNELS, CROP_SHAPE
from spondyl.models.study_inputs import N_CHANNELS, N_FACTS, Slot
from spondyl.training.classification import (
    NETWORKS,
    ClassifierSettings,
    StudyBatches,
    answers,
    class_loss,
    fold_of,
    given_slots,
    group_logits,
    site_tensors,
    train_classifier,
)
from spondyl.training.classifier_export import Answers, calibrate, export_classifier, write_classifiers
from spondyl.training.classifiers import Width
from spondyl.training.vertebrae import GROUPS, UNKNOWN, PatientCrops, SiteTruth

SMALL = Width(resnet=(4, 4, 6, 8), densenet=(4, 4, 2, 2), token=16, heads=2, layers=1)
SLOTS = (Slot.T1, Slot.T2, Slot.FLUID)


def patient_like(seed: int) -> PatientCrops:
    """Noise in which malignant sites are dark on T1."""
    rng = np.random.default_rng(seed)
    kinds = [("", 0), ("RED_MARROW", 1), ("LYTIC", 2)]
    rows = [kinds[rng.integers(3)] for _ in range(5)]
    sites = [SiteTruth(kind, group, i > 3, float(i), "", 1.0) for i, (kind, group) in enumerate(rows)]
    crops = rng.normal(0, 0.2, (5, CROP_CHANNELS, *CROP_SHAPE))
    crops[:, [i for i, s in enumerate(Slot) if s not in SLOTS]] = 0
    crops[:, -1] = 0
    crops[:, -1, 3:7, 8:16, 10:20] = 1
    crops[:, 0] -= np.array([group for _, group in rows])[:, None, None, None]
    facts = np.zeros((len(Slot), N_FACTS // len(Slot)), np.float32)
    facts[[i for i, s in enumerate(Slot) if s in SLOTS], 0] = 1
    return PatientCrops(crops.astype(np.float16), facts.reshape(-1), sites)


@pytest.fixture(scope="module")
def cohort():
    return {seed: patient_like(seed) for seed in range(1_000_000, 1_000_012)}


def test_sequences_left_out_leave_neither_voxels_nor_facts(cohort):
    patient = cohort[1_000_000]
    crops, facts, position = site_tensors(patient, [0, 4], [Slot.T2])
    assert not crops[:, 0].any()
    assert crops[:, 2].any()
    assert facts[:, :N_FACTS].reshape(2, len(Slot), -1)[:, :, 0].nonzero()[:, 1].tolist() == [2, 2]
    assert (facts[:, -1].tolist(), position.tolist()) == ([0, 1], [0, 4])


def test_a_batch_holds_whole_studies_and_at_least_one_sequence(cohort):
    crops, facts, position, study, subtype, group = next(
        iter(StudyBatches(list(cohort.values()), ClassifierSettings(sites=12), 0))
    )
    assert len(crops) >= 12
    assert len({len(x) for x in (crops, facts, position, study, subtype, group)}) == 1
    assert (facts[:, :N_FACTS].reshape(len(facts), len(Slot), -1)[:, :, 0].sum(1) >= 1).all()


def test_a_patient_always_lies_in_the_same_fold(cohort):
    assert [fold_of(s) for s in cohort] == [fold_of(s) for s in cohort]
    assert {fold_of(s) for s in range(200)} == set(range(5))


def test_the_loss_falls_with_the_right_class_and_an_unknown_subtype_counts_by_class():
    group = torch.tensor([2])
    right, wrong = torch.zeros(1, len(GROUPS)), torch.zeros(1, len(GROUPS))
    right[0, GROUPS.index(2)], wrong[0, 0] = 5.0, 5.0
    unknown = torch.tensor([UNKNOWN])
    assert class_loss(right, unknown, group) < class_loss(wrong, unknown, group)
    assert group_logits(right).argmax() == 2


@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_answers_as_its_network_does(name, cohort, tmp_path):
    from spondyl.models import ModelCard, OpenVinoNetwork

    torch.manual_seed(1)
    network = NETWORKS[name](GROUPS, SMALL).eval()
    path = tmp_path / "x.onnx"
    digest = export_classifier(network, name, path, half=False)
    card = ModelCard(name, "1", "", "x.onnx", digest, (4.0, 1.5, 1.5), (2.6, 5.2), (1, 1, 1), (), ())
    graph = OpenVinoNetwork(card, path, threads=1)
    patient = cohort[1_000_003]
    crops, facts, position = site_tensors(patient, range(5), given_slots(patient))
    if name == "context":
        from spondyl.models.crops import tokens_of

        tokens = tokens_of(crops, facts)
        inputs = (tokens.crops, tokens.facts, tokens.slot.float(), position[tokens.site], tokens.site.float())
        found = graph.run(*(i.numpy() for i in inputs))[0][:: len(SLOTS)]
    else:
        found = graph.run(crops.numpy(), facts.numpy())[0]
    np.testing.assert_allclose(found, answers(network, patient), rtol=1e-3, atol=1e-3)


def test_calibration_fits_on_one_half_and_checks_on_the_other():
    rng = np.random.default_rng(4)
    group = rng.integers(0, 3, 2000)
    logits = rng.normal(0, 1, (2000, len(GROUPS)))
    for label in range(3):
        logits[np.ix_(group == label, np.array(GROUPS) == label)] += 2.0
    subtype = np.array([GROUPS.index(g) for g in group])
    fitted = calibrate(Answers({"context": logits, "resnet": logits}, group, subtype, rng.integers(0, 50, 2000)))
    assert fitted["measured"]["covered"] == pytest.approx(0.9, abs=0.04)
    assert set(fitted["temperatures"]) == {"context", "resnet"}


def test_training_goes_on_and_the_cards_say_how_networks_are_asked_together(cohort, tmp_path):
    from spondyl.io.weights import read_card
    from spondyl.models.classify import scheme_of

    settings = ClassifierSettings(network="resnet", steps=2, sites=8, precision="32-true", fold=1, devices="1")
    checkpoint = train_classifier(cohort, tmp_path / "run", settings)
    (path,) = write_classifiers({"resnet": checkpoint}, cohort, tmp_path / "out", version="1", fold=1)
    card = read_card(path)
    assert scheme_of(card).groups == GROUPS
    assert not scheme_of(card).takes_tokens
    assert len(card.details["ensemble"]["quantiles"]) == 3
    assert card.details["training"]["steps"] == 2


def test_channels_of_the_cohort_fit_the_study_input():
    assert patient_like(1_000_001).crops.shape[1] == N_CHANNELS + 1
