"""What the viewer is given lies where the images and the findings lie."""

import gzip

import numpy as np
import pytest

from fake_case import analyzed_case, structures
from spondyl.app.web.volumes import CANAL, DISPLAY_ORIENTATION, nifti_file, view_folder
from spondyl.core import Grid, InputError
from spondyl.io.files import StudyFile
from spondyl.io.nifti import read_nifti
from web_site import make_site


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    site = make_site(tmp_path_factory.mktemp("site"))
    key = site.add_study("1.2.826.0.1.3680043.8.498.71")
    return site.services.studies.folder.study(key)


def _numbers(view, entry):
    raw = gzip.decompress(view.file(entry["name"]).read_bytes())
    return np.frombuffer(raw, np.dtype(entry["dtype"]).newbyteorder("<")).reshape(entry["shape"])


def test_every_image_is_shown_with_anterior_to_the_left_and_head_up(study):
    view = view_folder(study)
    assert [e["name"] for e in view.manifest["images"]] == ["t1", "t2", "stir"]
    for entry in view.manifest["images"]:
        grid = Grid(tuple(entry["shape"]), np.array(entry["affine"]))
        assert grid.orientation == DISPLAY_ORIENTATION["sagittal"] == "LIP"


def test_values_come_back_in_their_unit(study):
    view = view_folder(study)
    entry = view.manifest["images"][0]
    values = _numbers(view, entry) * entry["scale"] + entry["offset"]
    grid = Grid(tuple(entry["shape"]), np.array(entry["affine"]))
    lesion = analyzed_case().lesions[0]
    there = tuple(np.rint(grid.lps_to_ijk(lesion.centroid_lps_mm)).astype(int))
    assert values[there] == pytest.approx(220, abs=60)  # the fake lesion on T1
    black, white = entry["window"]
    assert black < values[there] < white


def test_outlines_lie_on_what_they_name(study):
    view = view_folder(study)
    for entry in view.manifest["labels"]:
        grid = Grid(tuple(entry["shape"]), np.array(entry["affine"]))
        truth, found = structures(grid), _numbers(view, entry)
        if entry["name"] == "lesions":
            np.testing.assert_array_equal(found == 1, truth["lesions"] == 1)
        else:
            bodies = (truth["structures"] == 1) & (truth["vertebrae"] > 0)
            np.testing.assert_array_equal(
                np.where((found > 0) & (found < 64), found, 0)[bodies], truth["vertebrae"][bodies]
            )
            assert (found == CANAL).any()


def test_the_same_view_is_made_once_and_anew_for_another_result(study):
    first = view_folder(study)
    made = (first.path / "manifest.json").stat().st_mtime_ns
    assert view_folder(study).path == first.path
    assert (first.path / "manifest.json").stat().st_mtime_ns == made
    result = study / "result" / "result.json"
    before = result.read_text()
    result.write_text(before + "\n")
    second = view_folder(study)
    assert second.path != first.path
    assert not first.path.exists()
    result.write_text(before)


def test_a_damaged_object_is_named_and_the_rest_is_shown(study):
    path = study / "result" / "dicom" / "lesions.dcm"
    kept, result = path.read_bytes(), study / "result" / "result.json"
    said = result.read_text()
    path.write_bytes(b"no DICOM")
    result.write_text(said + "\n\n")
    manifest = view_folder(study).manifest
    assert "lesions" in manifest["missing"]
    assert [e["name"] for e in manifest["labels"]] == ["structures"]
    path.write_bytes(kept)
    result.write_text(said)


def test_niivue_gets_the_same_place(study):
    view = view_folder(study)
    entry = view.manifest["images"][0]
    read = read_nifti(StudyFile(1, nifti_file(view, "t1"), "t1.nii.gz"))
    assert read.grid.displacement_mm(Grid(tuple(entry["shape"]), np.array(entry["affine"]))) < 1e-3
    np.testing.assert_array_equal(read.array, _numbers(view, entry))


def test_a_name_that_is_no_volume_is_refused(study):
    with pytest.raises(InputError, match="no such volume"):
        view_folder(study).file("../manifest")
