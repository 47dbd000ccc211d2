"""Which earlier study is chosen, and that no archive can pass off another patient's."""

from dataclasses import replace

import pydicom
import pytest

from node_fakes import write_study
from spondyl.app.node.priors import Current, Earlier, Series, choose, current_of, ranked, regions_in

CURRENT = Current("A1", "19500101", "1.9", "20240601", "120000", frozenset({"lumbar"}))
PRIOR = Earlier("A1", "19500101", "1.1", "20240101", "080000", "MRT LWS", ("MR",))


@pytest.mark.parametrize(
    "change",
    [
        {"patient_id": "A11"},
        {"patient_id": "a1"},
        {"birth_date": "19500102"},
        {"study_uid": "1.9"},
        {"study_uid": ""},
        {"date": "20240602"},
        {"date": "20240601", "time": "120000"},
        {"date": "20240601", "time": ""},
        {"date": "20190101"},
        {"date": ""},
        {"date": "yesterday"},
        {"modalities": ("CT", "SR")},
    ],
)
def test_what_cannot_be_the_prior_is_left_out(change):
    assert ranked(CURRENT, [replace(PRIOR, **change)], max_days=1000) == []


@pytest.mark.parametrize(
    "change",
    [{}, {"birth_date": ""}, {"date": "20240601", "time": "115959"}, {"modalities": ()}, {"patient_id": "A1 "}],
)
def test_what_may_be_the_prior_stays(change):
    assert len(ranked(CURRENT, [replace(PRIOR, **change)], max_days=1000)) == 1


def test_the_nearest_comes_first():
    days = ["20220505", "20240531", "20230101"]
    found = ranked(CURRENT, [replace(PRIOR, date=d, study_uid=f"1.{d}") for d in days])
    assert [f.date for f in found] == ["20240531", "20230101", "20220505"]


def chosen(*studies):
    """Choose among studies given as the body part and description of their one series, nearest first."""
    found = {f"1.{n}": words for n, words in enumerate(studies)}
    series = lambda one: [Series("9.9", *found[one.study_uid])]  # noqa: E731
    candidates = [replace(PRIOR, study_uid=uid, description="") for uid in found]
    choice = choose(CURRENT, candidates, series)
    return None if choice is None else int(choice[0].study_uid[2:])


@pytest.mark.parametrize(
    ("studies", "expected"),
    [
        ([("MR", "LSPINE", "T2 SAG")], 0),
        ([("MR", "HEAD", "T2 AX"), ("MR", "LSSPINE", "")], 1),
        ([("MR", "CSPINE", "T2 SAG"), ("MR", "SPINE", "")], 1),
        ([("MR", "", "T2 TSE SAG"), ("MR", "", "MRT LWS nativ")], 1),
        ([("MR", "", "T2 TSE SAG"), ("MR", "KNEE", "PD SAG")], 0),
        ([("CT", "LSPINE", "")], None),
        ([("MR", "KNEE", "")], None),
        ([], None),
    ],
)
def test_the_same_part_of_the_spine_goes_before_what_says_nothing(studies, expected):
    assert chosen(*studies) == expected


@pytest.mark.parametrize(
    ("words", "regions"),
    [
        ("CTSPINE", {"cervical", "thoracic"}),
        ("TLSPINE", {"thoracic", "lumbar"}),
        ("L_SPINE", {"lumbar"}),
        ("RACHIS LOMBAIRE", {"lumbar"}),
        ("HWS", {"cervical"}),
        ("WHOLESPINE", set()),
        ("T2_TSE_SAG", set()),
    ],
)
def test_parts_of_the_spine_are_told_from_words(words, regions):
    assert regions_in([words]) == regions


def test_patient_day_and_part_are_read_from_the_files(tmp_path):
    uid = write_study(tmp_path, StudyDate="20240601", StudyTime="120000", BodyPartExamined="TSPINE")
    (tmp_path / "broken.dcm").write_bytes(b"nothing")
    found = current_of(tmp_path)
    assert (found.patient_id, found.study_uid, found.date) == ("PLANTED-0", uid, "20240601")
    assert found.regions == {"thoracic"}


@pytest.mark.parametrize("keyword", ["PatientID", "StudyDate"])
def test_without_patient_or_day_nothing_is_looked_for(tmp_path, keyword):
    write_study(tmp_path, StudyDate="20240601")
    for file in tmp_path.iterdir():
        dataset = pydicom.dcmread(file)
        setattr(dataset, keyword, "")
        dataset.save_as(file, enforce_file_format=True)
    assert current_of(tmp_path) is None
