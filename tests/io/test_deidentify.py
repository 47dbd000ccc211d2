"""De-identification: nothing of the patient is left, whatever a header holds, and everything still fits together."""

import copy

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from dicom_fakes import PLANES, as_file, classic_source, enhanced_source, fake_case, source_grid
from spondyl.core import InputError
from spondyl.io.deidentify import Deidentification, action_of, deidentified, leaks
from spondyl.io.dicom import quiet
from spondyl.io.dicom_results import write_results
from spondyl.io.seg import read_segmentation
from spondyl.io.store import save

HOW = Deidentification(b"k" * 32)
WORDS = ("Planted", "Jane", "PID-77", "19600229", "ACC-0815", "Dr. Who", "Ward 7", "1.2.826.0.1.99")
"""What stands in a hostile header and must be nowhere in the copy."""


def _image():
    source = classic_source(source_grid("sagittal"))
    image = as_file(source.datasets[0])
    image.PatientName, image.PatientID, image.PatientBirthDate = "Planted^Jane^^Dr. Who", "PID-77", "19600229"
    image.AccessionNumber, image.StudyDate, image.PatientAge, image.PatientSex = "ACC-0815", "20240229", "093Y", "F"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = (f"1.2.826.0.1.99.{n}" for n in (1, 2, 3))
    image.SeriesDescription, image.ProtocolName = "T2 for Planted", "spine Ward 7"
    image.SequenceName, image.EchoTime = "tse2d", 90.0
    return image


def _hostile(image):
    """Names where they have no business to be."""
    block = image.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", b"\0\1PatientName Planted^Jane\0")
    block.add_new(0x20, "SQ", [Dataset()])
    image[0x0029, 0x1020].value[0].PatientName = "Planted^Jane"
    image.add_new(0x60000010, "US", 8)
    image.add_new(0x60003000, "OW", b"Planted^Jane1234")
    image.add_new(0x60004000, "LT", "Planted, Jane")
    image.add_new(0x60021500, "LO", "Planted")
    image.add_new(0x50003000, "OW", b"Planted!")
    image.add_new(0x50102500, "LO", "Ward 7")
    image.add_new(0x00187777, "LO", "Planted^Jane")  # in no dictionary
    image.ScanOptions = "PLANTED"  # not in the table, and of no use to a name
    image.ImageComments, image.AdditionalPatientHistory = "Planted was here", "of Ward 7"
    image.OtherPatientIDsSequence = [Dataset()]
    image.OtherPatientIDsSequence[0].PatientID = "PID-77"
    request = Dataset()
    request.RequestedProcedureDescription, request.RequestingPhysician = "MR of Planted", "Dr. Who"
    request.ScheduledStepAttributesSequence = [Dataset()]
    image.RequestAttributesSequence = [request]
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "T-1", "99X", "Spine of Planted"
    image.AnatomicRegionSequence = [code]
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = image.SOPClassUID, "1.2.826.0.1.99.4"
    image.ReferencedImageSequence = [reference]
    image.StationName, image.InstitutionName, image.OperatorsName = "Ward 7", "Ward 7", "Dr. Who"
    image.preamble = b"Planted^Jane".ljust(128, b"\0")
    image.file_meta.SourceApplicationEntityTitle = "WARD7 Planted"[:16]
    image.file_meta.PrivateInformationCreatorUID, image.file_meta.PrivateInformation = "1.2.826.0.1.99.5", b"Planted!"
    return image


def test_whatever_a_header_holds_nothing_of_the_patient_is_left(tmp_path):
    image = _hostile(_image())
    before = copy.deepcopy(image)
    made = deidentified(image, HOW)
    assert leaks(made, WORDS) == []
    raw = save(made, tmp_path / "x.dcm").read_bytes().lower()
    assert [word for word in WORDS if word.lower().encode() in raw] == []
    assert image == before, "the source was changed"
    read = pydicom.dcmread(tmp_path / "x.dcm")
    assert (read.EchoTime, read.SequenceName, read.PatientIdentityRemoved) == (90.0, "tse2d", "YES")
    assert not [e for e in read.iterall() if e.tag.is_private]
    assert {e.tag.group for e in read if e.tag.group >= 0x5000 and e.tag.group < 0x7000} == set()


def test_it_says_that_and_how_it_was_done():
    made = deidentified(_image(), HOW)
    assert [c.CodeValue for c in made.DeidentificationMethodCodeSequence] == ["113100"]
    assert "PS3.15" in made.DeidentificationMethod
    assert made.LongitudinalTemporalInformationModified == "REMOVED"
    assert made.PatientName == made.PatientID == HOW.pseudonym("\\PID-77")
    assert (made.PatientBirthDate, made.StudyDate) == ("", "")


def test_shifted_dates_keep_their_distances_and_leave_no_birth_date():
    how = Deidentification(b"k" * 32, dates="shift", characteristics=True)
    first, second = _image(), _image()
    second.StudyDate, second.AcquisitionDateTime = "20240310", "20240310101500.5+0100"
    days = [pydicom.valuerep.DA(deidentified(image, how).StudyDate) for image in (first, second)]
    assert (days[1] - days[0]).days == 10
    assert str(days[0]) != "20240229"
    made = deidentified(second, how)
    assert made.AcquisitionDateTime == made.StudyDate + "101500.5+0100"
    assert (made.PatientBirthDate, made.PatientAge, made.PatientSex) == ("", "090Y", "F")
    assert {c.CodeValue for c in made.DeidentificationMethodCodeSequence} == {"113100", "113107", "113108"}
    with quiet():
        second.StudyDate = "Planted"
        assert deidentified(second, how).StudyDate == ""


def test_one_key_gives_one_pseudonym_and_another_key_another():
    image, other = _image(), Deidentification(b"o" * 32)
    assert deidentified(image, HOW).SOPInstanceUID == deidentified(image, HOW).SOPInstanceUID
    for name in ("SOPInstanceUID", "PatientID", "FrameOfReferenceUID"):
        assert getattr(deidentified(image, HOW), name) != getattr(deidentified(image, other), name)
    assert "k" * 32 not in repr(HOW)


@pytest.mark.parametrize(("keyword", "letter"), [("PatientName", "Z"), ("StudyInstanceUID", "U"), ("PatientAge", "X")])
def test_the_table_is_that_of_the_standard(keyword, letter):
    assert action_of(pydicom.tag.Tag(keyword)).letter == letter


def test_what_cannot_be_cleaned_is_refused():
    burned, capture = _image(), _image()
    burned.BurnedInAnnotation = "YES"
    capture.SOPClassUID = SecondaryCaptureImageStorage
    with pytest.raises(InputError, match="burned"):
        deidentified(burned, HOW)
    with pytest.raises(InputError, match="neither"):
        deidentified(capture, HOW)
    foreign = _image()
    foreign.SOPClassUID, foreign.ManufacturerModelName = "1.2.840.10008.5.1.4.1.1.88.34", "Other"
    with pytest.raises(InputError, match="neither"):
        deidentified(foreign, HOW)


@pytest.mark.parametrize("make", [classic_source, enhanced_source])
@pytest.mark.parametrize("plane", ["sagittal", "axial oblique"])
def test_results_still_point_at_their_images_and_lie_in_place(plane, make, tmp_path, dciodvfy):
    grid = source_grid(plane)
    source = make(grid)
    written = write_results(fake_case(grid, source), {source.series_uid: source}, tmp_path)
    images = [deidentified(as_file(ds), HOW) for ds in source.datasets]
    uids = {image.SOPInstanceUID for image in images}
    assert uids.isdisjoint({ds.SOPInstanceUID for ds in source.datasets})
    for name, path in written.files.items():
        given = pydicom.dcmread(path)
        made = deidentified(given, HOW)
        save(made, tmp_path / "clean.dcm")
        assert dciodvfy(tmp_path / "clean.dcm") == [], name
        assert leaks(made, ("Fake", "FAKE-1", "1.2.826.0.1.3680043", "A1B2")) == [], name
        assert (made.StudyInstanceUID, "RESEARCH USE ONLY" in made.SeriesDescription) == (
            images[0].StudyInstanceUID,
            True,
        )
        pointed = {e.value for e in made.iterall() if e.keyword == "ReferencedSOPInstanceUID"}
        own = {HOW.uid(pydicom.dcmread(p).SOPInstanceUID) for p in written.files.values()}
        assert pointed
        assert pointed <= uids | own, name
        if name == "lesions.dcm":
            read = read_segmentation(tmp_path / "clean.dcm", on=grid)
            before = read_segmentation(path, on=grid)
            for (info, mask), (was, there) in zip(read, before, strict=True):
                np.testing.assert_array_equal(mask.array, there.array)
                np.testing.assert_array_equal(mask.grid.affine, there.grid.affine)
                assert info.label == was.label
                assert mask.array.any()
    assert plane in PLANES
