import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from spondyl.core import InputError, SettingsError
from spondyl.socce.encoder import SOCCE
from spondyl.socce.graph import ConfounderGraph


def test_tokens_are_the_subtypes(placed, omics):
    assert adjusted_rand_score(omics.truth["subtype"], placed.assignment.nearest) > 0.75


def test_adding_patients_changes_nobody(model, omics, placed):
    few = omics.patients.index[[5, 70, 200]]
    alone = model.embed(omics.modalities, omics.patients.loc[few])
    rows = omics.patients.index.get_indexer(few)
    np.testing.assert_array_equal(alone.mean, placed.mean[rows])
    np.testing.assert_array_equal(alone.covariance, placed.covariance[rows])
    np.testing.assert_array_equal(alone.coordinates, placed.coordinates[rows])
    np.testing.assert_array_equal(alone.assignment.probabilities, placed.assignment.probabilities[rows])


def test_fitting_twice_gives_the_same(model, omics, placed):
    again = SOCCE(model.graph).fit(omics.modalities, omics.patients).embed(omics.modalities, omics.patients)
    np.testing.assert_array_equal(again.mean, placed.mean)


def test_every_missing_modality_adds_doubt(model, omics):
    patients = omics.patients.loc[
        [i for i in omics.patients.index if all(i in t.index for t in omics.modalities.values())][:5]
    ]
    tables = dict(omics.modalities)
    sizes = []
    for gone in (None, "pathology", "expression", "mutations", "imaging"):
        tables.pop(gone, None)
        found = model.embed(tables, patients)
        sizes.append(np.linalg.slogdet(found.covariance)[1])
    assert (np.diff(np.array(sizes), axis=0) >= -1e-9).all()
    np.testing.assert_allclose(found.covariance, np.broadcast_to(np.eye(model.dimension_), found.covariance.shape))
    assert "imaging_missing" in found.flags[0]


def test_scanner_effects_are_gone_beside_disease(placed, omics):
    subtype = pd.get_dummies(omics.truth["subtype"]).to_numpy(float)
    programs = omics.truth.drop(columns="subtype").to_numpy()
    site = pd.get_dummies(omics.patients["scanner"]).to_numpy(float)[:, 1:]
    free = np.hstack([subtype, programs])
    left = placed.mean - free @ np.linalg.lstsq(free, placed.mean, rcond=None)[0]
    both = np.hstack([free, site])
    less = placed.mean - both @ np.linalg.lstsq(both, placed.mean, rcond=None)[0]
    explained = 1 - (less**2).sum(axis=0) / (left**2).sum(axis=0)
    assert explained.max() < 0.12  # five columns of noise explain about 0.02


def test_a_saved_model_places_alike(model, omics, placed, tmp_path):
    model.save(tmp_path / "model.npz")
    again = SOCCE.load(tmp_path / "model.npz").embed(omics.modalities, omics.patients)
    np.testing.assert_array_equal(again.mean, placed.mean)
    assert again.token_names() == placed.token_names()


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_a_damaged_model_is_refused(tmp_path, content):
    (tmp_path / "model.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.npz is no saved encoder"):
        SOCCE.load(tmp_path / "model.npz")


def test_a_small_cohort_is_refused_with_a_way_out(omics):
    with pytest.raises(InputError, match="at least 30 patients, got 3; place few patients"):
        SOCCE().fit(omics.modalities, omics.patients.iloc[:3])


def test_columns_that_are_not_there_are_named(omics):
    with pytest.raises(InputError, match="no column 'room'"):
        SOCCE(ConfounderGraph.usual(["room"])).fit(omics.modalities, omics.patients)


def test_ids_that_stand_twice_are_refused(omics):
    with pytest.raises(InputError, match="one row"):
        SOCCE().fit(omics.modalities, pd.concat([omics.patients, omics.patients]))


def test_dimension_must_be_a_number(omics):
    with pytest.raises(SettingsError, match="dimension"):
        SOCCE(dimension=0).fit(omics.modalities, omics.patients)


def test_imaging_alone_can_be_learned_and_is_said(omics):
    model = SOCCE(ConfounderGraph.usual(["vendor"])).fit({"imaging": omics.modalities["imaging"]}, omics.patients)
    assert "only one modality" in model.notes_[0]
    assert np.isfinite(model.embed({"imaging": omics.modalities["imaging"]}, omics.patients).mean).all()


def test_a_scanner_never_seen_is_flagged_and_adds_doubt(model, omics):
    one = omics.patients.iloc[:1]
    table = {"imaging": omics.modalities["imaging"]}
    known, new = model.embed(table, one), model.embed(table, one.assign(vendor="other", site="other"))
    assert "imaging_scanner_unknown" in new.flags[0]
    assert np.linalg.det(new.covariance[0]) > np.linalg.det(known.covariance[0])
