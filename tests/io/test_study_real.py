"""Reading real files: scanners' DICOM against dcm2niix, and real spine volumes."""

from __future__ import annotations

import importlib.util
import logging
import warnings

import nibabel as nib
import numpy as np
import pytest

from spondyl.core import Grid, Sequence, reorient
from spondyl.io.study import read_study

pytestmark = pytest.mark.real

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def reference(path):
    image = nib.load(path)
    return Grid(image.shape[:3], RAS_TO_LPS @ image.affine), np.asarray(image.dataobj, np.float32)


def assert_same(image, grid, values, tolerance_mm=0.01):
    """Compare voxel centers and values, whatever the order of axes."""
    assert image.grid.reoriented("LPS").displacement_mm(grid.reoriented("LPS")) < tolerance_mm
    ours, theirs = (reorient(a, g.orientation, "LPS") for a, g in ((image.array, image.grid), (values, grid)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=0.51)


def test_philips_enhanced_magnitude_equals_dcm2niix_and_the_field_map_is_set_aside(shared_data):
    study = read_study(shared_data / "scanner_dicom/dicom_dcm_qa_enh/In/Philips")
    (image,) = study.case.images.values()
    grid, values = reference(shared_data / "scanner_dicom/dicom_dcm_qa_enh/Ref/Philips_WIP_B0_NS_801_e1.nii")
    # dcm2niix gives Philips' "floating point" values, which differ from displayed ones by a factor for the series.
    assert_same(image, grid, values * (image.array.max() / values.max()))
    assert any("field map" in s.reason for s in study.set_aside)


def test_siemens_enhanced_time_points_equal_dcm2niix(shared_data):
    study = read_study(shared_data / "scanner_dicom/dicom_dcm_qa_enh/In/Siemens")
    grid, values = reference(shared_data / "scanner_dicom/dicom_dcm_qa_enh/Ref/Siemens_REST1_w_SMS_PF7-8_6.nii")
    images = sorted([*study.case.images.values(), *study.case.others], key=lambda i: i.acquisition.acquired_s)
    assert len(images) == values.shape[3]
    for n, image in enumerate(images):
        assert_same(image, grid, values[..., n])


def test_ge_diffusion_has_its_b_values_and_equals_dcm2niix(shared_data):
    study = read_study(shared_data / "scanner_dicom/dicom_dcm_qa_ge/In")
    grid, values = reference(shared_data / "scanner_dicom/dicom_dcm_qa_ge/Ref/Ax_DWI_TENSOR_R2_1.nii")
    b_values = np.loadtxt(shared_data / "scanner_dicom/dicom_dcm_qa_ge/Ref/Ax_DWI_TENSOR_R2_1.bval")
    images = {i.acquisition.b_value_s_mm2: i for i in (study.case.images[Sequence.DWI], *study.case.others)}
    assert set(images) == set(b_values)
    assert_same(images[0.0], grid, values[..., 0])
    weighted = np.maximum(values[..., b_values == 1000], 1e-6)
    mean = np.where(weighted.min(-1) > 0.5, np.exp(np.log(weighted).mean(-1)), 0).astype(np.float32)
    assert_same(images[1000.0], grid, mean)


def test_siemens_classic_and_enhanced_sagittal_are_the_same_volume(shared_data):
    root = shared_data / "scanner_dicom/dicom_dcm_qa_sag/In/XA30"
    classic, enhanced = (next(iter(read_study(root / kind).case.images.values())) for kind in ("classic", "enhanced"))
    assert classic.grid.orientation == "LIP"
    assert classic.grid.displacement_mm(enhanced.grid) < 0.01
    np.testing.assert_array_equal(classic.array, enhanced.array)


def converter(shared_data):
    path = shared_data.parent / "measure" / "nifti_to_dicom.py"
    if not path.is_file():
        pytest.skip(f"converter not found: {path}")
    spec = importlib.util.spec_from_file_location("nifti_to_dicom", path)
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("volume", "kind", "sequence"),
    [
        ("caseA_T1", "T1", Sequence.T1),
        ("caseB_T2", "T2", Sequence.T2),
        ("caseA_STIR", "STIR", Sequence.STIR),
        ("dixon_01", "DIXON", Sequence.DIXON_WATER),
    ],
)
def test_a_lumbar_volume_sent_as_dicom_is_recognized_and_keeps_its_place(
    shared_data, tmp_path, caplog, recwarn, volume, kind, sequence
):
    path = shared_data / f"real_lumbar_mri/{volume}_image.nii.gz"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converter(shared_data).write(path, tmp_path / "dicom", kind, 4)
    with caplog.at_level(logging.DEBUG):
        study = read_study(tmp_path / "dicom")
    image = study.case.images[sequence]
    assert image.sequence_confidence > 0.8
    grid, values = reference(path)
    every_fourth = Grid(values[:, :, ::4].shape, grid.affine @ np.diag([1, 1, 4, 1]))
    assert_same(image, every_fourth, np.clip(values[:, :, ::4], 0, None))
    said = caplog.text + repr(study.set_aside) + repr(study.case.quality) + study.case.case_id
    assert "PLANTED" not in said
    assert not recwarn


def test_every_lumbar_nifti_is_named_by_its_file_or_its_pixels(shared_data):
    expected = {"T1": Sequence.T1, "T2": Sequence.T2, "STIR": Sequence.STIR, "discs": Sequence.T2}
    for path in sorted((shared_data / "real_lumbar_mri").glob("*_image.nii.gz")):
        (sequence,) = read_study(path).case.images
        wanted = next((s for word, s in expected.items() if word.lower() in path.name.lower()), None)
        assert wanted in (None, sequence), path.name


def test_pixels_alone_tell_t1_from_t2(shared_data, tmp_path):
    for volume, sequence in (("caseA_T1", Sequence.T1), ("caseB_T2", Sequence.T2), ("t2tse_02", Sequence.T2)):
        link = tmp_path / "scan.nii.gz"
        link.symlink_to(shared_data / f"real_lumbar_mri/{volume}_image.nii.gz")
        (image,) = read_study(link).case.images.values()
        assert image.sequence is sequence
        assert image.sequence_confidence < 0.6
        link.unlink()


def test_other_real_volumes_are_read(shared_data):
    folders = ("real_spine_crop", "real_cervical_mri/t1", "real_cervical_mri/t2", "real_spinal_cord_mri")
    for folder in folders:
        study = read_study(shared_data / folder)
        assert study.case.images
        assert all(np.isfinite(i.array).all() for i in study.case.images.values())


def test_a_series_of_volumes_is_read_and_flagged(shared_data):
    study = read_study(shared_data / "real_spinal_cord_mri/single_subject/data/dmri/dmri.nii.gz")
    assert [f.code for f in study.case.quality if "35 volumes" in f.message] == ["volumes_ignored"]
