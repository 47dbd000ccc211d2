"""A synthetic patient on disk: readable as a study, with the truth beside it."""

import json

import pytest
from typer.testing import CliRunner

from spondyl.app.cli import app
from spondyl.app.simulate import simulate_study
from spondyl.core import OutputError, Sequence, SettingsError
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


def test_a_foreign_folder_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(OutputError, match="holds other files"):
        simulate_study(1, tmp_path)


def test_an_unknown_kind_of_lesion_is_a_wrong_call(tmp_path):
    with pytest.raises(SettingsError):
        simulate_study(1, tmp_path / "p", lesions="purple")
    result = CliRunner().invoke(app, ["simulate", "patient", "--out", str(tmp_path / "p"), "--lesions", "purple"])
    assert result.exit_code == 2
