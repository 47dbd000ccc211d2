"""A synthetic patient on disk: readable as a study, with the truth beside it."""

import json

import pytest
from typer.testing import CliRunner

from spondyl.app.cli import app
from spondyl.app.simulate import simulate_study, simulate_visits
from spondyl.core import OutputError, Sequence, SettingsError
from spondyl.io.clinical import read_clinical
from spondyl.io.prior import relation
from spondyl.io.study import read_study


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "patient"
    simulate_study(5, folder, sequences=(Sequence.T2, Sequence.DWI))
    return folder


@pytest.mark.slow
def test_the_study_is_read_back_as_what_was_simulated(patient):
    study = read_study(patient / "dicom")
    assert {Sequence.T2, Sequence.DWI, Sequence.ADC} <= set(study.case.images)
    assert study.set_aside == ()


@pytest.mark.slow
def test_the_truth_stands_beside_the_study(patient):
    truth = json.loads((patient / "truth" / "truth.json").read_text())
    assert truth["seed"] == 5
    assert truth["vertebrae"][0]["level"]
    assert "RESEARCH USE ONLY" in truth["notice"]
    assert (patient / "truth" / "structures.nii.gz").is_file()


@pytest.mark.slow
def test_visits_are_studies_of_one_patient_with_a_form_that_is_read(tmp_path):
    studies = simulate_visits(6, tmp_path / "p", (0.0, 90.0), sequences=(Sequence.T2,))
    first, second = (read_study(path) for path in studies)
    assert relation(second, first) == ("confirmed", 90)
    assert read_clinical(tmp_path / "p" / "form.toml")["days_since_prior"] == 90
    truth = json.loads((tmp_path / "p" / "truth" / "truth.json").read_text())
    assert truth["days"] == [0.0, 90.0]
    assert all(len(lesion["volumes_mm3"]) == 2 for lesion in truth["lesions"])


@pytest.mark.parametrize("days", ["soon", "0,x"])
def test_visits_that_are_no_days_are_a_wrong_call(tmp_path, days):
    result = CliRunner().invoke(app, ["simulate", "patient", "--out", str(tmp_path / "p"), "--visits", days])
    assert result.exit_code == 2


def test_a_foreign_folder_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(OutputError, match="holds other files"):
        simulate_study(1, tmp_path)


def test_an_unknown_kind_of_lesion_is_a_wrong_call(tmp_path):
    with pytest.raises(SettingsError):
        simulate_study(1, tmp_path / "p", lesions="purple")
    result = CliRunner().invoke(app, ["simulate", "patient", "--out", str(tmp_path / "p"), "--lesions", "purple"])
    assert result.exit_code == 2
