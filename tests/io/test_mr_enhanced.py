"""Enhanced multi-frame files: valid, in place, and read like the classic ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest

from dicom_fakes import lumbar_image
from spondyl.core import Image, Sequence
from spondyl.io.mr_enhanced import write_enhanced
from spondyl.io.mr_writer import SyntheticStudy
from spondyl.io.study import read_study

KINDS = {
    Sequence.T1: {"echo_time_ms": 11.0, "repetition_time_ms": 560.0, "echo_train_length": 3},
    Sequence.T2: {"echo_time_ms": 102.0, "repetition_time_ms": 3600.0, "echo_train_length": 19},
    Sequence.STIR: {"echo_time_ms": 42.0, "repetition_time_ms": 4200.0, "inversion_time_ms": 160.0},
    Sequence.T1CE: {"echo_time_ms": 11.0, "repetition_time_ms": 620.0, "contrast_given": True, "fat_suppressed": True},
    Sequence.DWI: {"echo_time_ms": 70.0, "repetition_time_ms": 5000.0, "b_value_s_mm2": 800.0},
    Sequence.ADC: {"echo_time_ms": 70.0, "repetition_time_ms": 5000.0},
    Sequence.DIXON_WATER: {"echo_time_ms": 2.3, "repetition_time_ms": 6.4},
    Sequence.DIXON_OUT: {"echo_time_ms": 2.3, "repetition_time_ms": 6.4},
}
STUDY = SyntheticStudy("SYN-0003", study_uid="1.2.826.0.1.3680043.8.498.3")


def _image(sequence: Sequence, **more: object) -> Image:
    settings = {"vendor": "siemens", "field_strength_t": 3.0, "coil": "SP", **KINDS[sequence], **more}
    return replace(lumbar_image(**settings), sequence=sequence)


@pytest.mark.parametrize("sequence", KINDS)
def test_every_sequence_passes_dciodvfy(sequence, tmp_path, dciodvfy):
    path = write_enhanced(_image(sequence), tmp_path / "a.dcm", study=STUDY, series_number=1)
    assert dciodvfy(path) == []


@pytest.mark.parametrize("sequence", KINDS)
def test_a_written_file_is_recognized_in_place(sequence, tmp_path):
    image = _image(sequence)
    write_enhanced(image, tmp_path / "a.dcm", study=STUDY, series_number=1)
    read = read_study(tmp_path).case.images[sequence]
    found = np.unravel_index(np.argmax(read.array), read.array.shape)
    wanted = np.unravel_index(np.argmax(image.array), image.array.shape)
    np.testing.assert_allclose(read.grid.ijk_to_lps(found), image.grid.ijk_to_lps(wanted), atol=1e-5)
    for name in ("field_strength_t", "echo_time_ms", "repetition_time_ms", "inversion_time_ms", "b_value_s_mm2"):
        assert getattr(read.acquisition, name) == getattr(image.acquisition, name), name


def test_several_b_values_share_a_file_and_are_told_apart(tmp_path, dciodvfy):
    images = [_image(Sequence.DWI, b_value_s_mm2=b) for b in (0.0, 50.0, 800.0)]
    path = write_enhanced(images, tmp_path / "a.dcm", study=STUDY, series_number=1)
    assert dciodvfy(path) == []
    case = read_study(tmp_path).case
    assert {i.acquisition.b_value_s_mm2 for i in (*case.images.values(), *case.others)} == {0.0, 50.0, 800.0}


def test_a_file_says_that_its_patient_is_synthetic(tmp_path):
    ds = pydicom.dcmread(write_enhanced(_image(Sequence.T2), tmp_path / "a.dcm", study=STUDY, series_number=1))
    assert str(ds.PatientName) == "SYNTHETIC^SYN-0003"
    assert ds.NumberOfFrames == len(ds.PerFrameFunctionalGroupsSequence) == 5
