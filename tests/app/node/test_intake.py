"""The door of the node: what is kept, what goes into quarantine and why, and that nothing gets anywhere else."""

import json
import os

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from node_fakes import PLANTED, write_study
from spondyl.app.data_folder import DataFolder
from spondyl.app.node.intake import Intake, Reason


@pytest.fixture
def intake(tmp_path):
    told = []
    made = Intake(DataFolder(tmp_path / "data"), told.append, max_object_mib=1, min_free_mib=0)
    made.told = told
    return made


@pytest.fixture
def dataset(tmp_path):
    write_study(tmp_path / "in")
    return pydicom.dcmread(tmp_path / "in" / "000.dcm")


def give(intake, dataset, **how):
    path = intake.folder.scratch / "coming"
    dataset.save_as(path, enforce_file_format=True)
    return intake.take(path, **how)


def test_an_mr_image_goes_into_its_study_and_is_announced(intake, dataset):
    verdict = give(intake, dataset)
    kept = list(intake.folder.incoming(verdict.study_key).iterdir())
    assert (verdict.reason, len(kept), intake.told) == (None, 1, [verdict.study_key])
    assert pydicom.dcmread(kept[0]).SOPInstanceUID == dataset.SOPInstanceUID
    assert not list(intake.folder.scratch.iterdir())


def test_an_instance_that_comes_again_is_taken_once_and_not_announced_again(intake, dataset):
    give(intake, dataset)
    again = give(intake, dataset)
    assert (again.reason, again.repeated, len(intake.told)) == (None, True, 1)
    assert len(list(intake.folder.incoming(again.study_key).iterdir())) == 1


def test_an_instance_that_comes_again_is_told_as_such(intake, dataset):
    again = []
    intake._came_again = again.append
    first, second = give(intake, dataset), give(intake, dataset)
    assert (intake.told, again) == ([first.study_key], [second.study_key])


def deflated(dataset):
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def large(dataset):
    dataset.add_new(0x00091010, "OB", os.urandom(2 * 1024**2))


def other(keyword, value):
    return lambda dataset: setattr(dataset, keyword, value)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (other("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2"), Reason.NOT_MR),
        (other("SOPClassUID", "1.2.840.10008.5.1.4.1.1.66.4"), Reason.NOT_MR),
        (other("StudyInstanceUID", "../../../../tmp/evil"), Reason.INVALID_UID),
        (other("SOPInstanceUID", "/etc/passwd"), Reason.INVALID_UID),
        (other("SeriesInstanceUID", "1.2." + "3" * 80), Reason.INVALID_UID),
        (other("StudyInstanceUID", ""), Reason.INVALID_UID),
        (other("Rows", 60000), Reason.TRUNCATED),
        (deflated, Reason.DEFLATED),
        (large, Reason.TOO_LARGE),
    ],
)
def test_what_cannot_be_analyzed_is_put_aside_with_its_reason(intake, dataset, spoil, reason):
    with pydicom.config.disable_value_validation():
        spoil(dataset)
        verdict = give(intake, dataset)
    note = json.loads(next(intake.folder.quarantine.glob("*.json")).read_text())
    assert (verdict.reason, note["reason"], intake.counts[str(reason)]) == (reason, str(reason), 1)
    assert len(list(intake.folder.quarantine.glob("*.dcm"))) == 1
    assert (list(intake.folder.studies.iterdir()), intake.told) == ([], [])
    assert PLANTED not in json.dumps(note)


def test_a_number_of_half_its_bytes_is_put_aside(intake, dataset):
    path = intake.folder.scratch / "coming"
    dataset.save_as(path, enforce_file_format=True)
    rows = b"\x28\x00\x10\x00US\x02\x00"
    path.write_bytes(path.read_bytes().replace(rows, rows[:-2] + b"\x03\x00"))
    assert intake.take(path).reason is Reason.UNREADABLE
    assert not list(intake.folder.scratch.iterdir())


@pytest.mark.parametrize("content", [b"", b"\0" * 200, b"\0" * 128 + b"DICM", b"PK\x03\x04" + b"x" * 500, b"<html>"])
def test_what_is_no_dicom_is_put_aside(intake, content):
    path = intake.folder.scratch / "coming"
    path.write_bytes(content)
    assert intake.take(path).reason in (Reason.UNREADABLE, Reason.INVALID_UID)
    assert not list(intake.folder.studies.iterdir())


def test_every_truncation_of_an_image_is_refused_or_harmless(intake, dataset):
    path = intake.folder.scratch / "whole"
    dataset.save_as(path, enforce_file_format=True)
    whole = path.read_bytes()
    path.unlink()
    for length in range(0, len(whole) - 1, 61):
        coming = intake.folder.scratch / "coming"
        coming.write_bytes(whole[:length])
        assert intake.take(coming).reason is not None, length
    assert intake.told == []


def test_what_was_announced_must_be_what_comes(intake, dataset):
    announced = (dataset.SOPClassUID, dataset.SOPInstanceUID)
    assert give(intake, dataset, announced=(dataset.SOPClassUID, "1.2.3")).reason is Reason.MISMATCH
    assert give(intake, dataset, study_uid="1.2.3").reason is Reason.MISMATCH
    assert give(intake, dataset, announced=announced, study_uid=dataset.StudyInstanceUID).reason is None


def test_quarantine_does_not_fill_the_disk(intake, dataset, monkeypatch):
    monkeypatch.setattr("spondyl.app.node.intake.QUARANTINE_MIB", 0.004)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    for number in range(4):
        dataset.SOPInstanceUID = f"1.2.{number}"
        give(intake, dataset)
    notes = [json.loads(p.read_text())["kept"] for p in sorted(intake.folder.quarantine.glob("*.json"))]
    assert sorted(notes) == [False, False, False, True]
    assert len(list(intake.folder.quarantine.glob("*.dcm"))) == 1


def test_a_full_disk_is_seen(tmp_path):
    assert not Intake(DataFolder(tmp_path), print, min_free_mib=1e12).has_room
    assert Intake(DataFolder(tmp_path), print, min_free_mib=0).has_room
