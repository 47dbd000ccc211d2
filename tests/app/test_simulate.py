"""A synthetic patient on disk: readable as a study, with the truth beside it."""

import json

import pytest
from typer.testing import CliRunner

from spondyl.app.cli import app
from spondyl.app.simulate import planned_visits, simulate_study, simulate_visits
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


@pytest.mark.parametrize("days", ["soon", "0,x", "quarterly:soon", "quarterly:0", "irregular:-3"])
def test_visits_that_are_no_days_are_a_wrong_call(tmp_path, days):
    result = CliRunner().invoke(app, ["simulate", "patient", "--out", str(tmp_path / "p"), "--visits", days])
    assert result.exit_code == 2
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("days", ["0,nan", "0,90,30", "5,90"])
def test_days_that_do_not_ascend_from_0_are_a_wrong_call(tmp_path, days):
    with pytest.raises(SettingsError, match="ascend from 0"):
        simulate_visits(1, tmp_path / "p", planned_visits(days, 1))
    assert not (tmp_path / "p").exists()


def test_a_schedule_is_drawn_from_the_seed():
    first, again, other = (planned_visits("quarterly:12", seed) for seed in (7, 7, 8))
    assert first == again != other
    assert 2 <= len(first) <= 6
    assert first[0].day == 0
    assert max(v.day for v in first) <= 366
    assert planned_visits("irregular:12", 7) != first


def test_series_that_are_asked_for_are_taken_at_every_visit_of_a_schedule():
    assert {v.sequences for v in planned_visits("quarterly", 7, (Sequence.T2,))} == {(Sequence.T2,)}


@pytest.mark.slow
def test_a_schedule_on_the_command_line_gives_a_study_for_each_visit(tmp_path):
    call = ["simulate", "patient", "--out", str(tmp_path / "p"), "--seed", "9", "--sequence", "T2"]
    result = CliRunner().invoke(app, [*call, "--visits", "quarterly:4"])
    assert result.exit_code == 0, result.output
    days = json.loads((tmp_path / "p" / "truth" / "truth.json").read_text())["days"]
    assert len(days) == len(planned_visits("quarterly:4", 9)) > 1
    assert all((tmp_path / "p" / f"visit-{n}" / "dicom").is_dir() for n in range(1, len(days) + 1))


def test_a_foreign_folder_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(OutputError, match="holds other files"):
        simulate_study(1, tmp_path)


def test_an_unknown_kind_of_lesion_is_a_wrong_call(tmp_path):
    with pytest.raises(SettingsError):
        simulate_study(1, tmp_path / "p", lesions="purple")
    result = CliRunner().invoke(app, ["simulate", "patient", "--out", str(tmp_path / "p"), "--lesions", "purple"])
    assert result.exit_code == 2
