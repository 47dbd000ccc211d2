"""Readings become a study, and its design is recognized."""

import numpy as np
import pytest

from reader_fakes import drawn_study, example_study
from spondyl.core import InputError
from spondyl.evaluation.mrmc_data import Design, ReaderStudy, arrange_readings


def _without(study, missing):
    scores = study.scores.copy()
    scores[missing] = np.nan
    return ReaderStudy(study.modalities, study.readers, study.cases, study.truth, scores)


def test_the_example_is_a_crossed_study():
    study = example_study()
    assert study.scores.shape == (2, 5, 80)
    assert (study.n_positive, study.n_negative) == (40, 40)
    assert study.design is Design.CROSSED
    assert study.to_dict()["n_readings_missing"] == 0


def test_the_order_of_rows_does_not_matter():
    rows = [("B", "1", "x", 0.1), ("A", "2", "x", 0.4), ("A", "1", "x", 0.3), ("B", "2", "x", 0.2)]
    reader, case, modality, score = zip(*rows, strict=True)
    study = arrange_readings(reader, case, modality, score, {"1": True, "2": False})
    assert study.readers == ("B", "A")
    np.testing.assert_array_equal(study.scores, [[[0.1, 0.2], [0.3, 0.4]]])
    np.testing.assert_array_equal(study.truth, [True, False])


def test_a_truth_without_reading_is_passed_over():
    study = arrange_readings(["A"], ["1"], ["x"], [0.0], {"1": True, "2": False})
    assert study.cases == ("1",)


@pytest.mark.parametrize(
    ("missing", "design"),
    [
        (np.s_[:, :2, :15], Design.INCOMPLETE),
        (np.s_[0, 0, 3], Design.INCOMPLETE),
        (np.s_[0, :, ::2], Design.INCOMPLETE),
    ],
)
def test_missing_readings_without_a_pattern(missing, design):
    assert _without(drawn_study(1_000_001), missing).design is design


def test_nested_designs_are_recognized():
    study = drawn_study(1_000_002, n_cases=32)
    groups = np.repeat([0, 1, 2, 3], 8)
    own = np.arange(4)[:, None] == groups
    assert _without(study, np.broadcast_to(~own, study.scores.shape)).design is Design.CASES_IN_READERS
    pair = np.arange(4)[:, None] // 2 == groups // 2
    split = _without(study, np.broadcast_to(~pair, study.scores.shape))
    assert split.design is Design.SPLIT_PLOT
    assert split.case_groups == (0, 0, 1, 1)
    half = np.arange(2)[:, None, None] == groups // 2
    assert _without(study, np.broadcast_to(~half, study.scores.shape)).design is Design.CASES_IN_MODALITIES
    nested = np.arange(2)[:, None] == np.arange(4) // 2
    missing = np.broadcast_to(~nested[..., None], study.scores.shape)
    assert _without(study, missing).design is Design.READERS_IN_MODALITIES


def test_groups_of_unequal_size_are_incomplete():
    study = drawn_study(1_000_003, n_readers=3)
    own = np.array([0, 0, 1])[:, None] == np.arange(30) // 15
    assert _without(study, np.broadcast_to(~own, study.scores.shape)).design is Design.INCOMPLETE


def test_scores_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        example_study().scores[0, 0, 0] = 1.0


def test_a_part_keeps_what_was_asked_for():
    study = example_study()
    part = study.select(modalities=["testB"], readers=["reader3", "reader1"], cases=study.truth)
    assert part.scores.shape == (1, 2, 40)
    np.testing.assert_array_equal(part.scores[0, 1], study.scores[1, 0, study.truth])
    with pytest.raises(InputError, match=r"expected a reader of the study .*, got nobody"):
        study.select(readers=["nobody"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((["A", "A"], ["1", "1"], ["x", "x"], [1, 2]), r"1 readings come again \(first: readings 1 and 2\)"),
        ((["A"], ["9"], ["x"], [1]), r"needs a truth; 1 have none \(first: reading 1\)"),
        ((["A"], ["1"], ["x"], [1, 2]), "one reader, case, modality and score per row"),
        (([], [], [], []), "at least one row"),
        ((["A"], ["1"], ["x"], [np.inf]), "1 infinite"),
    ],
)
def test_what_is_no_study_is_refused(columns, message):
    with pytest.raises(InputError, match=message):
        arrange_readings(*columns, {"1": True})


def test_messages_name_no_case():
    with pytest.raises(InputError) as error:
        arrange_readings(["A", "A"], ["DOE^JANE"] * 2, ["x", "x"], [1, 2], {"DOE^JANE": True})
    assert "DOE" not in str(error.value)


def test_shapes_must_fit():
    with pytest.raises(InputError, match=r"got \(1, 1, 2\)"):
        ReaderStudy(("x",), ("A",), ("1",), np.array([True]), np.zeros((1, 1, 2)))
    with pytest.raises(InputError, match="none twice"):
        ReaderStudy(("x",), ("A", "A"), ("1",), np.array([True]), np.zeros((1, 2, 1)))


def test_the_table_counts_readings():
    assert "reader5  80     80" in str(example_study())
