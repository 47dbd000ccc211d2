"""A prior study must be an earlier one of the same patient, and no message says who or when."""

import pytest
from pydicom.dataset import Dataset

from spondyl.core import Case, InputError
from spondyl.io.prior import relation
from spondyl.io.study import Study
from spondyl.io.volumes import SourceSeries


def study(case_id, **header):
    dataset = Dataset()
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    return Study(Case(case_id, {}), {"1.2": SourceSeries("1.2", (dataset,), ())})


def test_the_same_number_confirms_and_dates_give_days():
    found = relation(
        study("a", PatientID="P1", StudyDate="20200401"), study("b", PatientID=" p1 ", StudyDate="20200101")
    )
    assert found == ("confirmed", 91)


def test_without_numbers_and_dates_nothing_is_claimed():
    assert relation(study("a"), study("b")) == ("not checkable", None)
    assert relation(study("a", StudyDate="20200401"), study("b", StudyDate="")) == ("not checkable", None)


@pytest.mark.parametrize(
    ("now", "then", "word"),
    [
        ({"PatientID": "SECRET1"}, {"PatientID": "SECRET2"}, "PatientID differs"),
        (
            {"PatientID": "SECRET1", "PatientBirthDate": "19500101"},
            {"PatientID": "SECRET1", "PatientBirthDate": "19600101"},
            "PatientBirthDate differs",
        ),
        ({"StudyDate": "20200101"}, {"StudyDate": "20200131"}, "30 days later"),
    ],
)
def test_another_patient_or_a_later_study_is_refused_without_naming_anybody(now, then, word):
    with pytest.raises(InputError, match=word) as caught:
        relation(study("a", **now), study("b", **then))
    said = str(caught.value)
    assert not any(value in said for value in (*now.values(), *then.values()))


def test_the_study_itself_is_no_prior():
    with pytest.raises(InputError, match="the study itself"):
        relation(study("a"), study("a"))
