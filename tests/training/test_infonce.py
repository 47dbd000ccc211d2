"""Networks trained by contrast stand behind the estimator as the closed form does, and place patients without torch."""

from __future__ import annotations

import ast
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from spondyl.phantom.biology import CONFOUNDERS, BiologySettings, simulate_omics_cohort
from spondyl.socce.encoder import SOCCE
from spondyl.socce.graph import ConfounderGraph
from spondyl.socce.layers import LayerEncoder
from spondyl.socce.subspace import Subspace
from spondyl.training.infonce import InfoNCE, contrast

FAST = InfoNCE(epochs=15)


@pytest.fixture(scope="module")
def cohort():
    return simulate_omics_cohort(240, 2_000_400, BiologySettings(bend=0.6))


@pytest.fixture(scope="module")
def fitted(cohort):
    return SOCCE(ConfounderGraph.usual(CONFOUNDERS), encoder=FAST).fit(cohort.modalities, cohort.patients)


def test_guessing_costs_one_and_finding_ones_own_costs_nothing():
    n = 50
    there = {"a": torch.ones(n, dtype=torch.bool), "b": torch.ones(n, dtype=torch.bool)}
    nothing = {"a": torch.zeros((n, 3), dtype=torch.float64), "b": torch.zeros((n, 3), dtype=torch.float64)}
    own = {name: 30 * torch.eye(n, dtype=torch.float64) for name in there}
    assert float(contrast(nothing, there)) == pytest.approx(1)
    assert float(contrast(own, there)) < 1e-6


def test_patients_without_a_modality_take_no_part_in_its_pairs():
    x = torch.randn((20, 2), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    half = torch.arange(20) < 10
    spoiled = torch.where(half[:, None], x, 99.0)
    everyone = torch.ones(20, dtype=torch.bool)
    assert float(contrast({"a": x, "b": spoiled}, {"a": everyone, "b": half})) == pytest.approx(
        float(contrast({"a": x[:10], "b": x[:10]}, {"a": half[:10], "b": half[:10]}))
    )


def test_what_bends_is_found_by_networks_and_not_by_the_closed_form():
    """Two tables that share the square of what one of them shows: a straight line sees nothing."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=(1500, 2))
    values = {
        "imaging": z @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(1500, 6)),
        "expression": (z**2 - 1) @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(1500, 6)),
    }
    values = {name: (v - v.mean(axis=0)) / v.std(axis=0) for name, v in values.items()}
    encoders = InfoNCE(epochs=60, rate=1e-2)(values)

    def shared(scores):
        a, b = (s - s.mean(axis=0) for s in scores)
        a, b = (np.linalg.qr(s)[0] for s in (a, b))
        return np.linalg.svd(a.T @ b)[1][0]

    bent = shared([encoders[name].scores(v)[0] for name, v in values.items()])
    straight = shared([encoders[name].base.scores(v)[0] for name, v in values.items()])
    assert straight < 0.15
    assert bent > 0.6


def test_the_estimator_finds_subtypes_with_networks(fitted, cohort):
    assert all(isinstance(v.encoder, LayerEncoder) for v in fitted.views_.values())
    placed = fitted.embed(cohort.modalities, cohort.patients)
    assert adjusted_rand_score(cohort.truth["subtype"], placed.assignment.nearest) > 0.7


def test_adding_patients_changes_nobody_and_training_twice_gives_the_same(fitted, cohort):
    placed = fitted.embed(cohort.modalities, cohort.patients)
    few = cohort.patients.index[[3, 77, 150]]
    alone = fitted.embed(cohort.modalities, cohort.patients.loc[few])
    np.testing.assert_array_equal(alone.mean, placed.mean[[3, 77, 150]])
    np.testing.assert_array_equal(alone.covariance, placed.covariance[[3, 77, 150]])
    state = torch.random.get_rng_state()
    again = SOCCE(fitted.graph, encoder=FAST).fit(cohort.modalities, cohort.patients)
    np.testing.assert_array_equal(again.embed(cohort.modalities, cohort.patients).mean, placed.mean)
    assert torch.equal(torch.random.get_rng_state(), state)  # nobody else's random numbers are touched


def test_every_missing_modality_adds_doubt(fitted, cohort):
    everyone = [i for i in cohort.patients.index if all(i in t.index for t in cohort.modalities.values())]
    patients, tables, sizes = cohort.patients.loc[everyone[:5]], dict(cohort.modalities), []
    for gone in (None, "pathology", "expression", "mutations", "imaging"):
        tables.pop(gone, None)
        sizes.append(np.linalg.slogdet(fitted.embed(tables, patients).covariance)[1])
    assert (np.diff(np.array(sizes), axis=0) >= -1e-9).all()


def test_scores_keep_the_mean_and_covariance_that_their_precision_is_told_for(fitted, cohort):
    view = fitted.views_["imaging"]
    values = view.scale.apply(cohort.modalities["imaging"][list(view.scale.names)].to_numpy())
    before, after = view.encoder.base.scores(values)[0], view.encoder.scores(values)[0]
    assert np.abs(np.cov(after.T) - np.cov(before.T)).max() < 0.5


def test_a_saved_model_needs_no_torch(fitted, cohort, tmp_path):
    fitted.save(tmp_path / "encoder.npz")
    cohort.modalities["imaging"].iloc[:2].to_csv(tmp_path / "imaging.csv", index_label="patient_id")
    cohort.patients.iloc[:2].to_csv(tmp_path / "patients.csv", index_label="patient_id")
    program = (
        "import sys\n"
        "from spondyl.socce.encoder import SOCCE\nfrom spondyl.io.omics_cohort import read_cohort_tables\n"
        "from pathlib import Path\n"
        "t = read_cohort_tables(Path('.'))\n"
        "print(repr(SOCCE.load('encoder.npz').embed(t.modalities, t.patients).mean.tolist()))\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    wanted = fitted.embed({"imaging": cohort.modalities["imaging"]}, cohort.patients.iloc[:2]).mean
    np.testing.assert_allclose(np.array(ast.literal_eval(done.stdout)), wanted, atol=1e-9)


def test_modalities_that_few_patients_share_keep_the_closed_form():
    rng = np.random.default_rng(4)
    values = {name: rng.normal(size=(90, 5)) for name in ("imaging", "expression", "pathology")}
    values["pathology"][:60] = np.nan
    encoders = InfoNCE(epochs=1)(values)
    assert isinstance(encoders["imaging"], LayerEncoder)
    assert isinstance(encoders["pathology"], Subspace)
    alone = InfoNCE(epochs=1)({"imaging": values["imaging"]})
    assert isinstance(alone["imaging"], Subspace)
