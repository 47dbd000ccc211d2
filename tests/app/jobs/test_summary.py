"""What the worklist is told of a result."""

import pytest

from spondyl.app.catalog import Urgency
from spondyl.app.jobs.summary import numbers, scanner, sequences, urgency


def lesion(malignant, compartment="bone"):
    return {"probabilities": {"malignant": malignant}, "compartment": compartment}


def escc(category):
    return {"code": "bilsky_escc", "category": category}


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ({}, Urgency.UNKNOWN),
        ({"vertebrae": [{}]}, Urgency.ROUTINE),
        ({"vertebrae": [{}], "lesions": [lesion(0.4)]}, Urgency.ROUTINE),
        ({"vertebrae": [{}], "lesions": [lesion(0.5)]}, Urgency.URGENT),
        ({"vertebrae": [{}], "lesions": [lesion(0.1, "epidural")]}, Urgency.ROUTINE),
        ({"vertebrae": [{}], "lesions": [lesion(0.6, "epidural")]}, Urgency.EMERGENCY),
        ({"vertebrae": [{}], "scores": [escc("2")]}, Urgency.EMERGENCY),
        ({"vertebrae": [{}], "scores": [escc("1b"), escc("1c or 2 or 3")]}, Urgency.EMERGENCY),
        ({"vertebrae": [{}], "scores": [escc("1b or 1c")]}, Urgency.ROUTINE),
        ({"vertebrae": [{}], "scores": [escc("")]}, Urgency.ROUTINE),
        ({"vertebrae": [{}], "scores": [{"code": "sins", "category": "2"}]}, Urgency.ROUTINE),
    ],
)
def test_a_threatened_cord_comes_first(document, wanted):
    assert urgency(document) is wanted


def test_a_scanner_is_named_by_its_kind():
    acquisition = {"vendor": "ACME", "model": "One", "field_strength_t": 1.5, "station": "ROOM-1"}
    assert scanner({"sequences": [{"acquisition": {}}, {"acquisition": acquisition}]}) == "ACME One 1.5 T"
    assert scanner({}) == ""


def test_sequences_and_numbers_are_those_of_the_result():
    document = {
        "sequences": [{"sequence": "T2"}, {"sequence": "T1", "role": "primary"}, {"sequence": "T1", "role": "other"}],
        "lesions": [lesion(0.2), lesion(0.9)],
        "vertebrae": [{"level_uncertain": True}, {}],
    }
    assert sequences(document) == ("T2", "T1")
    found = numbers(document)
    assert (found["n_lesions"], found["most_malignant"], found["n_levels_uncertain"]) == (2, 0.9, 1)
