"""What the report says in words."""

from dataclasses import replace

import pytest

from fake_case import analyzed_case
from spondyl.core import Acquisition, QualityFlag
from spondyl.io.wording import (
    count,
    headline,
    milliliters,
    opinion,
    remarks,
    scanner,
    summary,
    timing,
    uncertainty_word,
)


def test_the_headline_names_the_levels_of_the_lesions():
    assert headline(analyzed_case()) == "One lesion candidate: L3"


def test_no_candidate_is_never_said_to_exclude_disease():
    case = analyzed_case().with_(lesions=())
    assert headline(case) == "No lesion candidate found"
    assert summary(case)[0] == "That no candidate was found does not exclude disease."


def test_a_failed_search_is_not_told_as_no_lesion():
    case = analyzed_case().with_(lesions=()).flagged(QualityFlag("lesions_failed", "It failed.", "error"))
    assert headline(case) == "Lesions were not assessed"
    assert "nothing can be said" in summary(case)[0]


def test_the_summary_gives_size_probability_and_doubt():
    first, second, third = summary(analyzed_case())
    assert first == (
        "It lies in L3, measures 16 mm (2.1 mL) and is rated malignant with probability 0.82, "
        "with moderate uncertainty."
    )
    assert second == "Seven vertebrae were located, T12 to L5?. Two level names need checking (marked ?)."
    assert third.startswith("One remark")


def test_a_case_without_vertebrae_says_so():
    assert "No vertebra was located." in summary(analyzed_case().with_(vertebrae=(), lesions=()))


@pytest.mark.parametrize(
    ("compartment", "where", "lies"),
    [
        ("paraspinal", "outside bone", "outside bone"),
        ("bone", "bone without a level", "in bone without a level"),
    ],
)
def test_a_lesion_in_no_vertebra_is_placed_by_what_holds_it(compartment, where, lies):
    lesion = replace(analyzed_case().lesions[0], vertebra_instance=None, level=None, compartment=compartment)
    case = analyzed_case().with_(lesions=(lesion,))
    assert headline(case) == f"One lesion candidate: {where}"
    assert summary(case)[0].startswith(f"It lies {lies}, measures")


@pytest.mark.parametrize(("volume", "text"), [(270.0, "0.27"), (2140.0, "2.1"), (26800.0, "26.8")])
def test_volumes_are_given_in_milliliters(volume, text):
    assert milliliters(volume) == text


@pytest.mark.parametrize(("value", "word"), [(0.0, "low"), (0.5, "moderate"), (1.0, "high")])
def test_uncertainty_has_a_word(value, word):
    assert uncertainty_word(value) == word


def test_counts_are_words_while_small():
    assert [count(n, "vertebra", "vertebrae") for n in (1, 12, 24)] == [
        "one vertebra",
        "twelve vertebrae",
        "24 vertebrae",
    ]


def test_remarks_tell_what_to_check():
    cut = replace(analyzed_case().vertebrae[0], at_edge=True)
    assert remarks(cut) == "Cut by the field of view, so its volume is too small"
    assert remarks(analyzed_case().vertebrae[-1]) == "Level not known; the sacrum is cut off"


def test_timing_and_scanner_are_written_as_radiographers_do():
    acquisition = Acquisition(1.5, 60.0, 3500.0, 160.0, vendor="ge", model="Artist", b_value_s_mm2=800.0)
    assert timing(acquisition) == "TR 3500 · TE 60 · TI 160 ms · b 800"
    assert scanner(acquisition) == "GE Artist 1.5 T"
    assert (timing(Acquisition()), scanner(Acquisition())) == ("", "")


def test_a_clear_opinion_names_the_subtype_and_an_unclear_one_the_classes():
    lesion = analyzed_case().lesions[0]
    assert opinion(lesion) == "lytic metastasis (0.82)"
    unclear = replace(lesion, prediction_set=("malignant", "benign"))
    assert opinion(unclear) == "indeterminate: malignant or benign; most like lytic metastasis (0.82)"
    assert opinion(replace(lesion, prediction_set=())).startswith("indeterminate: like nothing known")


def test_finder_and_classifiers_that_disagree_are_not_smoothed_over():
    lesion = replace(analyzed_case().lesions[0], prediction_set=("benign",), subtype="bone_island")
    lesion = replace(lesion, subtype_probabilities={"bone_island": 0.48})
    assert max(lesion.probabilities, key=lesion.probabilities.get) == "malignant"
    assert opinion(lesion) == "classifiers disagree: benign; most like bone island (0.48)"


def test_what_was_not_judged_has_no_opinion():
    assert opinion(analyzed_case().vertebrae[0]) == ""
