"""NIfTI in and out: place, units, repairs and refusals."""

import gzip
import json

import nibabel as nib
import numpy as np
import pytest

from spondyl.core import GeometryError, Grid, Image, InputError, LabelMap, OutputError
from spondyl.io import nifti
from spondyl.io.files import StudyFile
from spondyl.io.nifti import read_nifti, write_nifti

OBLIQUE = np.array([[0.1, -0.9, 0.2, 12.0], [0.8, 0.1, 0.3, -40.0], [-0.2, 0.1, 3.5, 7.0], [0, 0, 0, 1]])


def write(path, array, affine=OBLIQUE, unit="mm"):
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return StudyFile(1, path, path.name)


def volume(rng, shape=(6, 7, 5)):
    return rng.normal(100, 20, shape).astype(np.float32)


def codes(read):
    return [f.code for f in read.flags]


def test_a_voxel_lies_where_nibabel_says_with_x_and_y_turned(tmp_path, rng):
    read = read_nifti(write(tmp_path / "a.nii.gz", volume(rng)))
    ras_mm = nib.affines.apply_affine(OBLIQUE, (1, 2, 3))
    np.testing.assert_allclose(read.grid.ijk_to_lps((1, 2, 3)), ras_mm * (-1, -1, 1), atol=1e-4)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_an_image_written_and_read_again_is_the_same(tmp_path, rng, suffix):
    image = Image(volume(rng), Grid((6, 7, 5), OBLIQUE))
    write_nifti(image, tmp_path / f"a{suffix}")
    read = read_nifti(StudyFile(1, tmp_path / f"a{suffix}", "a.nii"))
    assert read.grid.same_space(image.grid, 1e-4)
    np.testing.assert_array_equal(read.array, image.array)
    assert [p.name for p in tmp_path.iterdir()] == [f"a{suffix}"]


def test_a_label_map_written_and_read_again_keeps_its_labels(tmp_path):
    labels = np.zeros((6, 7, 5), np.uint16)
    labels[2:4, 3, 1] = 400
    write_nifti(LabelMap(labels, Grid((6, 7, 5), OBLIQUE)), tmp_path / "l.nii.gz")
    read = read_nifti(StudyFile(1, tmp_path / "l.nii.gz", "l.nii.gz"))
    np.testing.assert_array_equal(read.array, labels)
    assert read.is_label_map


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e-3), ("micron", 1e3)])
def test_other_units_are_converted_and_flagged(tmp_path, rng, unit, factor):
    affine = np.diag([factor] * 3 + [1]) @ OBLIQUE
    read = read_nifti(write(tmp_path / "a.nii", volume(rng), affine, unit))
    np.testing.assert_allclose(read.grid.spacing_mm, np.linalg.norm(OBLIQUE[:3, :3], axis=0), rtol=1e-5)
    assert codes(read) == ["units_converted"]


def test_meters_called_millimeters_are_refused(tmp_path, rng):
    file = write(tmp_path / "a.nii", volume(rng), np.diag([0.004, 0.0008, 0.0008, 1]))
    with pytest.raises(GeometryError, match=r"0\.004 x 0\.0008.*Correct the unit"):
        read_nifti(file)


def test_nan_and_infinity_are_replaced_and_flagged(tmp_path, rng):
    data = volume(rng)
    data[0, 0, 0], data[1, 1, 1] = np.nan, np.inf
    read = read_nifti(write(tmp_path / "a.nii", data))
    assert np.isfinite(read.array).all()
    assert codes(read) == ["not_a_number"]


def test_of_several_volumes_the_first_is_used_and_flagged(tmp_path, rng):
    data = volume(rng, (6, 7, 5, 4))
    read = read_nifti(write(tmp_path / "a.nii.gz", data))
    np.testing.assert_array_equal(read.array, data[..., 0])
    assert codes(read) == ["volumes_ignored"]


def test_one_slice_and_constant_images_are_flagged(tmp_path):
    assert codes(read_nifti(write(tmp_path / "a.nii", np.ones((6, 7), np.float32)))) == [
        "constant_image",
        "single_slice",
    ]


def test_a_huge_volume_is_refused_before_it_is_read(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(nifti, "MAX_VOXELS", 100)
    with pytest.raises(InputError, match="at most 100 voxels, got 210"):
        read_nifti(write(tmp_path / "a.nii", volume(rng)))


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "truncated gzip"])
def test_a_damaged_file_is_an_input_error_without_its_name(tmp_path, rng, damage):
    file = write(tmp_path / ("PLANTED.nii.gz" if "gzip" in damage else "PLANTED.nii"), volume(rng))
    content = file.path.read_bytes()
    broken = {"truncated": content[:400], "text": b"x" * 400, "empty": b"", "truncated gzip": content[:200]}
    file.path.write_bytes(broken[damage])
    with pytest.raises(InputError, match="file 1 of the folder's listing") as caught:
        read_nifti(file)
    assert "PLANTED" not in str(caught.value)


def test_a_degenerate_affine_is_refused(tmp_path, rng):
    file = write(tmp_path / "a.nii", volume(rng))
    content = bytearray(file.path.read_bytes())
    content[280:328] = bytes(48)  # srow_x, srow_y and srow_z
    file.path.write_bytes(content)
    with pytest.raises(GeometryError, match="invertible affine"):
        read_nifti(file)


def test_a_sidecar_tells_how_the_image_was_taken(tmp_path, rng):
    file = write(tmp_path / "sub-01_acq.nii.gz", volume(rng))
    told = {"EchoTime": 0.011, "RepetitionTime": 0.56, "Manufacturer": "GE", "PatientName": "PLANTED"}
    (tmp_path / "sub-01_acq.json").write_text(json.dumps(told))
    acquisition = read_nifti(file).facts.acquisition
    assert acquisition.echo_time_ms == pytest.approx(11)
    assert acquisition.vendor == "ge"


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path):
    image = Image(np.ones((2, 2, 2)), Grid((2, 2, 2), np.eye(4)))
    with pytest.raises(OutputError, match="Check permissions and space"):
        write_nifti(image, tmp_path / "missing" / "a.nii")


def test_a_compressed_file_that_lies_about_its_size_is_refused(tmp_path, rng):
    file = write(tmp_path / "a.nii.gz", volume(rng))
    content = bytearray(gzip.decompress(file.path.read_bytes()))
    content[42:48] = np.array([3000, 3000, 3000], "<i2").tobytes()
    file.path.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(InputError, match="at most"):
        read_nifti(file)
