"""Evaluations on the command line: label maps, marks and classes against their truth."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from spondyl.app import cli
from spondyl.core import Grid, LabelMap
from spondyl.io.nifti import write_nifti


def _called(*arguments):
    return CliRunner().invoke(cli.app, ["evaluate", *map(str, arguments)])


def _results(out):
    assert {f.name for f in out.iterdir()} == {"results.json", "report.html", "report.pdf"}
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF-")
    document = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert document["schema"] == "spondyl-evaluation-1"
    assert document["research_use_only"] is True
    return document


def _table(folder, *lines):
    file = folder / "table.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def _write(folder, name, boxes, shape=(8, 6, 5)):
    array = np.zeros(shape, np.uint16)
    for label, length in boxes.items():
        array[:length, label, :] = label
    folder.mkdir(exist_ok=True)
    write_nifti(LabelMap(array, Grid(shape, np.diag([1.0, 1.0, 2.0, 1.0]))), folder / name)


@pytest.fixture
def maps(tmp_path):
    truth, predicted = tmp_path / "truth", tmp_path / "predicted"
    _write(truth, "a_SMITH.nii.gz", {1: 4, 2: 4})
    _write(predicted, "a_SMITH.nii.gz", {1: 4, 2: 2})
    _write(truth, "b.nii.gz", {1: 4, 2: 4})
    _write(predicted, "b.nii.gz", {1: 4})
    return truth, predicted


def test_overlap_of_boxes_is_what_counting_says_and_a_missed_label_counts(maps, tmp_path):
    result = _called("segmentations", *maps, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    document = _results(tmp_path / "out")
    dice = [[label["dice"] for label in study["labels"]] for study in document["studies"]]
    assert dice == [[1.0, pytest.approx(2 / 3)], [1.0, 0.0]]
    assert document["summary"]["means"]["dice"]["value"] == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert document["summary"]["outcomes"]["missed"] == 1


def test_file_names_do_not_reach_the_result(maps, tmp_path):
    result = _called("segmentations", *maps, "--out", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    numbers = (tmp_path / "out" / "results.json").read_text(encoding="utf-8")
    assert "SMITH" not in page + numbers + result.stderr


def test_only_the_labels_asked_for(maps, tmp_path):
    assert _called("segmentations", *maps, "--out", tmp_path / "out", "--label", 1).exit_code == 0
    assert _results(tmp_path / "out")["summary"]["means"]["dice"]["value"] == 1.0


def test_a_missing_prediction_is_refused_not_left_out(maps, tmp_path):
    (maps[1] / "b.nii.gz").unlink()
    result = _called("segmentations", *maps, "--out", tmp_path / "out")
    assert result.exit_code != 0
    assert "1 of 2 have none" in result.stderr
    assert not (tmp_path / "out").exists()


def test_another_grid_is_refused_by_the_number_of_the_file(maps, tmp_path):
    _write(maps[1], "b.nii.gz", {1: 4}, shape=(8, 6, 4))
    result = _called("segmentations", *maps, "--out", tmp_path / "out")
    assert result.exit_code != 0
    assert "file 2 of the folder's listing" in result.stderr


def test_sensitivity_at_false_positive_rates(tmp_path):
    file = _table(
        tmp_path,
        "patient,study,lesion,volume_ml,score",
        "p1,s1,1,0.5,0.9",
        "p1,s1,2,6,",
        "p1,s1,,,0.6",
        "p2,s2,1,2,0.4",
        "p2,s2,1,2,0.3",
        "p3,s3,,,",
    )
    result = _called("detections", file, "--out", tmp_path / "out", "--threshold", 0.5)
    assert result.exit_code == 0, result.stderr
    document = _results(tmp_path / "out")
    curve = document["froc"]
    assert (curve["n_studies"], curve["n_patients"], curve["n_lesions"], curve["n_false"]) == (3, 3, 3, 1)
    found = dict(zip(curve["rates"], (e["value"] for e in curve["at_rates"]), strict=True))
    assert found[0.25] == pytest.approx(1 / 3)  # below one false positive in three studies
    assert found[0.5] == pytest.approx(2 / 3)
    assert [g["sensitivity"]["value"] for g in document["by_size"]] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["patient,study,lesion,score", "p,s,1,1"], "missing: volume_ml"),
        (["patient,study,lesion,volume_ml,score", "p,s,1,,1"], "every lesion needs one volume_ml"),
        (["patient,study,lesion,volume_ml,score", "SMITH,s,1,1,1", "q,s,2,1,1"], "one patient"),
        (["patient,study,lesion,volume_ml,score", "p,s,1,1,high"], "score must be numbers"),
        (["patient,study,lesion,volume_ml,score", "p,s,,,1"], "at least one lesion"),
        (["patient,study,lesion,volume_ml,score", "p,,1,1,1"], "every row must name its study"),
    ],
)
def test_a_table_of_marks_that_does_not_fit_is_told_in_one_line(tmp_path, lines, said):
    result = _called("detections", _table(tmp_path, *lines), "--out", tmp_path / "out")
    assert result.exit_code != 0
    assert said in result.stderr
    assert "SMITH" not in result.stderr
    assert not (tmp_path / "out").exists()


def _scores(column):
    rows = [(1, 0.9), (1, 0.8), (1, 0.3), (0, 0.6), (0, 0.2), (0, 0.1), (0, 0.4), (1, 0.7)]
    return [f"truth,{column},patient", *(f"{t},{s},p{i}" for i, (t, s) in enumerate(rows))]


def test_a_page_tells_when_resamples_hold_no_lesion(tmp_path):
    lines = ["patient,study,lesion,volume_ml,score", "p1,s1,1,2,0.9", "p2,s2,,,", "p3,s3,,,0.2"]
    assert _called("detections", _table(tmp_path, *lines), "--out", tmp_path / "out").exit_code == 0
    assert "of the resamples have no value" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_area_and_decisions_of_scores(tmp_path):
    result = _called(
        "classifications", _table(tmp_path, *_scores("score")), "--out", tmp_path / "out", "--threshold", 0.5
    )
    assert result.exit_code == 0, result.stderr
    document = _results(tmp_path / "out")
    assert document["auc"]["value"] == pytest.approx(14 / 16)  # 14 of 16 pairs in order
    decisions = document["decisions"]
    assert [decisions[k] for k in ("true_positive", "false_positive", "false_negative", "true_negative")] == [
        3,
        1,
        1,
        3,
    ]
    assert "calibration" not in document


def test_probabilities_are_tested_for_calibration(tmp_path):
    result = _called("classifications", _table(tmp_path, *_scores("probability")), "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    document = _results(tmp_path / "out")
    squares = [0.1, 0.2, 0.7, 0.6, 0.2, 0.1, 0.4, 0.3]
    assert document["calibration"]["brier"] == pytest.approx(np.mean(np.square(squares)))


def test_calls_of_several_classes(tmp_path):
    lines = ["truth,called", "A,A", "A,B", "B,B", "C,C", "C,C"]
    result = _called("classifications", _table(tmp_path, *lines), "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    document = _results(tmp_path / "out")
    assert document["classes"]["confusion"] == [[1, 1, 0], [0, 1, 0], [0, 0, 2]]
    assert document["classes"]["balanced_accuracy"]["value"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert document["notes"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["truth,other", "1,1"], "none of them"),
        (["truth,score,called", "1,1,1"], "score, called"),
        (["truth,score", "1,0.5", "1,0.4"], "both classes"),
        (["truth,probability", "1,0.5", "0,4"], "from 0 to 1"),
        (["truth,called", "A,", "B,B"], "1 are empty"),
        (["truth,score,patient", "1,1,", "0,0,p"], "patient must be given in every row"),
    ],
)
def test_a_table_of_classes_that_does_not_fit_is_told_in_one_line(tmp_path, lines, said):
    result = _called("classifications", _table(tmp_path, *lines), "--out", tmp_path / "out")
    assert result.exit_code != 0
    assert said in result.stderr
    assert not (tmp_path / "out").exists()
