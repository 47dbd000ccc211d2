"""Synthetic series: valid, in place, in each maker's dialect, and nobody's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest

from dicom_fakes import lumbar_image, source_grid
from spondyl.core import Image, OutputError, Sequence, reorient
from spondyl.io.mr_vendors import MANUFACTURERS
from spondyl.io.mr_writer import SyntheticStudy, write_series
from spondyl.io.study import read_study

KINDS = {
    Sequence.T1: {"echo_time_ms": 11.0, "repetition_time_ms": 560.0, "echo_train_length": 3},
    Sequence.T2: {"echo_time_ms": 102.0, "repetition_time_ms": 3600.0, "echo_train_length": 19},
    Sequence.STIR: {"echo_time_ms": 42.0, "repetition_time_ms": 4200.0, "inversion_time_ms": 160.0},
    Sequence.T1CE: {"echo_time_ms": 11.0, "repetition_time_ms": 620.0, "contrast_given": True, "fat_suppressed": True},
    Sequence.DWI: {"echo_time_ms": 70.0, "repetition_time_ms": 5000.0, "b_value_s_mm2": 800.0},
    Sequence.ADC: {"echo_time_ms": 70.0, "repetition_time_ms": 5000.0},
    Sequence.DIXON_WATER: {"echo_time_ms": 2.3, "repetition_time_ms": 6.4},
    Sequence.DIXON_FAT: {"echo_time_ms": 2.3, "repetition_time_ms": 6.4},
}
SOFTWARE = {"ge": "27\\LX\\MR Software release:DV26.0_R03_1831.b", "siemens": "syngo MR E11"}


def _image(sequence: Sequence, vendor: str) -> Image:
    software = SOFTWARE.get(vendor, "R1")
    settings = {"field_strength_t": 1.5, "coil": "SPINE", "model": "M", "software": software, **KINDS[sequence]}
    return replace(lumbar_image(vendor=vendor, **settings), sequence=sequence)


@pytest.fixture
def study() -> SyntheticStudy:
    return SyntheticStudy("SYN-0001", sex="F", age_years=63.4, study_uid="1.2.826.0.1.3680043.8.498.1")


@pytest.mark.parametrize("vendor", MANUFACTURERS)
def test_every_sequence_of_every_maker_passes_dciodvfy(vendor, study, tmp_path, dciodvfy):
    for number, sequence in enumerate(KINDS, start=1):
        paths = write_series(_image(sequence, vendor), tmp_path / sequence, study=study, series_number=number)
        assert dciodvfy(paths[0]) == [], sequence


@pytest.mark.parametrize("vendor", MANUFACTURERS)
@pytest.mark.parametrize("sequence", KINDS)
def test_a_written_series_is_recognized_in_place(vendor, sequence, study, tmp_path):
    image = _image(sequence, vendor)
    write_series(image, tmp_path, study=study, series_number=4)
    case = read_study(tmp_path).case
    read = case.images[sequence]
    np.testing.assert_allclose(
        sorted(map(tuple, read.grid.corners_lps_mm().round(6))),
        sorted(map(tuple, image.grid.corners_lps_mm().round(6))),
        atol=1e-5,
    )
    brightest = np.unravel_index(np.argmax(image.array), image.array.shape)
    found = np.unravel_index(np.argmax(read.array), read.array.shape)
    np.testing.assert_allclose(read.grid.ijk_to_lps(found), image.grid.ijk_to_lps(brightest), atol=1e-5)
    for name in ("vendor", "field_strength_t", "echo_time_ms", "repetition_time_ms", "inversion_time_ms"):
        assert getattr(read.acquisition, name) == getattr(image.acquisition, name), name
    assert read.acquisition.b_value_s_mm2 == image.acquisition.b_value_s_mm2


@pytest.mark.parametrize("plane", ["sagittal", "coronal", "axial", "axial head down", "sagittal oblique"])
@pytest.mark.parametrize("orientation", [None, "LPS", "SRA"])
def test_slices_lie_where_the_image_is(plane, orientation, study, tmp_path):
    grid = source_grid(plane, (4, 12, 10))
    array = np.zeros(grid.shape)
    array[3, 2, 7] = 1000
    image = Image(array, grid)
    if orientation:
        image = Image(reorient(array, grid.orientation, orientation), grid.reoriented(orientation))
    (bright,) = [
        ds
        for p in write_series(image, tmp_path, study=study, series_number=1)
        if (ds := pydicom.dcmread(p)).pixel_array.any()
    ]
    row, column = np.argwhere(bright.pixel_array)[0]
    cosines = np.reshape(np.asarray(bright.ImageOrientationPatient, float), (2, 3))
    spacing = np.asarray(bright.PixelSpacing, float)
    found = np.asarray(bright.ImagePositionPatient, float) + cosines.T @ [column * spacing[1], row * spacing[0]]
    np.testing.assert_allclose(found, grid.ijk_to_lps([3, 2, 7]), atol=1e-6)


def test_patients_are_plainly_synthetic(study, tmp_path):
    ds = pydicom.dcmread(write_series(_image(Sequence.T1, "ge"), tmp_path, study=study, series_number=1)[0])
    assert str(ds.PatientName) == "SYNTHETIC^SYN-0001"
    assert (ds.PatientID, ds.PatientSex, ds.PatientAge) == ("SYN-0001", "F", "063Y")
    assert "no real person" in ds.PatientComments


def test_pixels_have_twelve_bits_and_ordinary_values_stay(study, tmp_path):
    grid = source_grid("sagittal", (1, 3, 4))
    image = Image(np.linspace(0, 2000, 12).round().reshape(grid.shape), grid)
    ds = pydicom.dcmread(write_series(image, tmp_path, study=study, series_number=1)[0])
    assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit) == (16, 12, 11)
    np.testing.assert_array_equal(ds.pixel_array, image.array[0])


@pytest.mark.parametrize(("high", "stored"), [(1.0, 4095), (50_000.0, 4095), (0.0, 0)])
def test_other_values_are_scaled_to_the_full_range(high, stored, study, tmp_path):
    grid = source_grid("sagittal", (1, 3, 4))
    array = np.linspace(-high / 10, high, 12).reshape(grid.shape)
    ds = pydicom.dcmread(write_series(Image(array, grid), tmp_path, study=study, series_number=1)[0])
    assert (ds.pixel_array.min(), ds.pixel_array.max()) == (0, stored)


def test_an_adc_map_keeps_its_unit(study, tmp_path):
    image = replace(_image(Sequence.ADC, "siemens"), array=np.full((5, 32, 28), 60.0))
    ds = pydicom.dcmread(write_series(image, tmp_path, study=study, series_number=1)[0])
    assert ds.pixel_array.max() == 60


@pytest.mark.parametrize("transfer_syntax", ["implicit", "rle", "jpeg2000"])
def test_compressed_pixels_come_back_exactly(transfer_syntax, study, tmp_path, dciodvfy):
    image = lumbar_image((2, 64, 64))
    paths = write_series(image, tmp_path, study=study, series_number=1, transfer_syntax=transfer_syntax)
    plain = write_series(image, tmp_path / "plain", study=study, series_number=1)
    assert dciodvfy(paths[0]) == []
    np.testing.assert_array_equal(pydicom.dcmread(paths[1]).pixel_array, pydicom.dcmread(plain[1]).pixel_array)


def test_what_no_encoder_takes_is_refused_with_a_remedy(study, tmp_path):
    with pytest.raises(OutputError, match="write them uncompressed"):
        write_series(lumbar_image((1, 4, 4)), tmp_path, study=study, series_number=1, transfer_syntax="jpeg2000")


def test_a_study_is_written_the_same_way_twice(study, tmp_path):
    image = _image(Sequence.T2, "philips")
    first, second = (write_series(image, tmp_path / n, study=study, series_number=2) for n in "ab")
    assert [p.name for p in first] == [p.name for p in second]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))


def test_file_order_and_names_do_not_follow_the_slices(study, tmp_path):
    names = [p.name for p in write_series(lumbar_image((12, 8, 8)), tmp_path, study=study, series_number=1)]
    assert names != sorted(names)


def test_b_values_of_one_series_are_kept_apart(study, tmp_path):
    images = [_image(Sequence.DWI, "ge")]
    images.append(replace(images[0], acquisition=replace(images[0].acquisition, b_value_s_mm2=50.0)))
    write_series(images, tmp_path, study=study, series_number=1)
    study_read = read_study(tmp_path)
    found = [*study_read.case.images.values(), *study_read.case.others]
    assert {i.acquisition.b_value_s_mm2 for i in found if i.sequence is Sequence.DWI} == {50.0, 800.0}


def test_given_attributes_win_but_not_over_what_an_image_is(study, tmp_path):
    given = {
        "SeriesDescription": "t2_tse_dixon_sag",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM"],
        "FlipAngle": 12.0,
    }
    path = write_series(
        _image(Sequence.DIXON_FAT, "siemens"), tmp_path, study=study, series_number=1, attributes=given
    )[0]
    ds = pydicom.dcmread(path)
    assert (ds.SeriesDescription, ds.FlipAngle) == ("t2_tse_dixon_sag_F", 12)
    assert list(ds.ImageType) == ["DERIVED", "PRIMARY", "DIXON", "F"]
