"""The whole of reading: what goes in comes out at its place, or is listed with a reason."""

from __future__ import annotations

import io
import logging
import zipfile

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from pydicom import config, dcmread
from pydicom.data import get_testdata_file
from pydicom.sequence import Sequence as Items
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, RLELossless

from spondyl.core import InputError, Sequence
from spondyl.io.study import read_study

from .dicom_factory import PLANES, PLANTED, enhanced, header, item, rotated, save, series, signal_at, store

OBLIQUE = {f"{name} oblique": rotated(o, (17, -11)) for name, o in PLANES.items()}


def only_image(study):
    (image,) = study.case.images.values()
    return image


def assert_in_place(image):
    """Every voxel lies where its signal says."""
    lps_mm = image.grid.ijk_to_lps(np.stack(np.indices(image.grid.shape), axis=-1))
    np.testing.assert_allclose(image.array, signal_at(lps_mm), atol=0.51)


@pytest.mark.parametrize("orientation", [*PLANES.values(), *OBLIQUE.values()], ids=[*PLANES, *OBLIQUE])
@pytest.mark.parametrize("step_mm", [4.4, -4.4])
def test_every_voxel_is_where_the_scanner_put_it(tmp_path, rng, orientation, step_mm):
    save(series(orientation=orientation, step_mm=step_mm), tmp_path, rng)
    assert_in_place(only_image(read_study(tmp_path)))


def test_sagittal_slices_come_in_the_working_orientation(tmp_path, rng):
    save(series(), tmp_path, rng)
    assert only_image(read_study(tmp_path)).grid.orientation == "LIP"


def test_enhanced_and_classic_give_the_same_image(tmp_path, rng):
    slices = series("T2", orientation=OBLIQUE["sagittal oblique"], RescaleSlope=2, RescaleIntercept=-10)
    classic = only_image(read_study(save(slices, tmp_path / "classic", rng)))
    study = read_study(save([enhanced([slices[k] for k in rng.permutation(7)])], tmp_path / "enhanced"))
    assert classic.grid.same_space(only_image(study).grid, 1e-6)
    np.testing.assert_array_equal(classic.array, only_image(study).array)
    assert only_image(study).sequence is Sequence.T2


@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_each_slice_finds_its_source_frame(tmp_path, rng, kind):
    slices = series()
    save(slices if kind == "classic" else [enhanced(slices[::-1])], tmp_path, rng)
    study = read_study(tmp_path)
    source = study.sources[only_image(study).source.series_uid]
    assert len(source.datasets) == (7 if kind == "classic" else 1)
    for k, (index, number) in enumerate(source.frame_numbers):
        ds = source.datasets[index]
        if kind == "enhanced":
            ds = ds.PerFrameFunctionalGroupsSequence[number - 1].PlanePositionSequence[0]
        np.testing.assert_allclose(ds.ImagePositionPatient, only_image(study).grid.ijk_to_lps((k, 0, 0)), atol=1e-4)
        assert "PixelData" not in source.datasets[index]


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless], ids=lambda s: s.name)
def test_compressed_pixels_are_read(tmp_path, syntax):
    slices = series(n=3, size=(64, 64))
    for ds in slices:
        ds.compress(syntax, generate_instance_uid=False)
    save(slices, tmp_path)
    assert_in_place(only_image(read_study(tmp_path)))


def test_lossless_jpeg_is_read(tmp_path):
    slices = series(n=3)
    for ds in slices:
        writer = SimpleITK.ImageFileWriter()
        writer.SetFileName(str(tmp_path / "jpeg.dcm"))
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.Execute(SimpleITK.GetImageFromArray(ds.pixel_array[None]))
        packed = dcmread(tmp_path / "jpeg.dcm")
        assert packed.file_meta.TransferSyntaxUID == JPEGLosslessSV1
        ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        ds["PixelData"] = packed["PixelData"]
    assert_in_place(only_image(read_study(save(slices, tmp_path / "study"))))


@pytest.mark.parametrize("kind", ["RLE", "bigendian", "implicit", "jp2klossless", "jpeg_ls_lossless"])
def test_every_transfer_syntax_gives_the_same_pixels(kind):
    plain, packed = (read_study(get_testdata_file(f"MR_small{k}.dcm")) for k in ("", f"_{kind}"))
    np.testing.assert_array_equal(only_image(plain).array, only_image(packed).array)


def test_echoes_of_one_series_are_apart(tmp_path, rng):
    save(series("T2") + series("T2", EchoTime=20.0, SeriesDescription="dual echo"), tmp_path, rng)
    study = read_study(tmp_path)
    assert set(study.case.images) == {Sequence.T2, Sequence.PD}
    assert len(study.sources) == 2
    assert {s.series_uid for s in study.sources.values()} == {"1.2.3.1"}


def test_b_values_of_one_series_are_apart_and_800_is_chosen(tmp_path, rng):
    b_values = (0.0, 50.0, 800.0)
    save([ds for b in b_values for ds in series("DWI", DiffusionBValue=b)], tmp_path, rng)
    case = read_study(tmp_path).case
    assert case.images[Sequence.DWI].acquisition.b_value_s_mm2 == 800
    assert sorted(i.acquisition.b_value_s_mm2 for i in case.others) == [0, 50]


def test_gradient_directions_become_one_trace_image(tmp_path, rng):
    save(series("DWI", DiffusionBValue=800.0) + series("DWI", DiffusionBValue=800.0), tmp_path, rng)
    image = only_image(read_study(tmp_path))
    assert_in_place(image)
    assert any("2 gradient directions" in e for e in image.source.evidence)


def test_dixon_parts_of_one_series_are_apart(tmp_path, rng):
    tags = {"EchoTime": 2.4, "RepetitionTime": 6.0, "ScanningSequence": "GR", "SeriesDescription": "mDIXON sag"}
    parts = [series(**tags, ImageType=["DERIVED", "PRIMARY", kind, kind]) for kind in ("W", "F", "IP", "OP")]
    save([ds for part in parts for ds in part], tmp_path, rng)
    names = {Sequence.DIXON_WATER, Sequence.DIXON_FAT, Sequence.DIXON_IN, Sequence.DIXON_OUT}
    assert set(read_study(tmp_path).case.images) == names


def test_a_sagittal_series_stands_for_its_sequence_and_the_axial_one_is_kept(tmp_path, rng):
    axial = series("T2", orientation=PLANES["axial"], n=15, SeriesInstanceUID="1.2.3.2", SeriesNumber=4)
    save(axial, tmp_path / "a", rng)
    save(series("T2"), tmp_path / "b" / "deep", rng)
    case = read_study(tmp_path).case
    assert case.images[Sequence.T2].grid.plane == "sagittal"
    assert [i.grid.plane for i in case.others] == ["axial"]


def test_a_missing_slice_is_filled_in_and_flagged(tmp_path, rng):
    slices = series()
    del slices[3]
    save(slices, tmp_path, rng)
    study = read_study(tmp_path)
    assert_in_place(only_image(study))
    assert "slices_missing" in {f.code for f in study.case.quality}
    assert len(study.sources["1.2.3.1"].filled) == 1


def test_duplicate_positions_are_dropped_and_flagged(tmp_path, rng):
    slices = series()
    save([*slices, *series()[2:4]], tmp_path, rng)
    study = read_study(tmp_path)
    assert_in_place(only_image(study))
    assert "duplicates_dropped" in {f.code for f in study.case.quality}


def test_the_same_file_twice_is_read_once(tmp_path, rng):
    slices = series()
    save(slices, tmp_path / "a", rng)
    save(slices, tmp_path / "b", rng)
    study = read_study(tmp_path)
    assert_in_place(only_image(study))
    assert not study.case.others


def test_a_jump_between_slices_gives_two_stacks(tmp_path, rng):
    save(series(n=6) + series(n=5, origin=(60.0, -40.0, 30.0)), tmp_path, rng)
    study = read_study(tmp_path)
    assert [i.grid.shape[0] for i in (*study.case.images.values(), *study.case.others)] == [6, 5]
    for image in (*study.case.images.values(), *study.case.others):
        assert_in_place(image)


def test_spacing_that_contradicts_positions_is_flagged(tmp_path):
    save([store_tag(ds, SpacingBetweenSlices=0.4) for ds in series()], tmp_path)
    study = read_study(tmp_path)
    assert_in_place(only_image(study))
    assert "inconsistent_spacing" in {f.code for f in study.case.quality}


def store_tag(ds, **tags):
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    return ds


def test_a_single_slice_is_usable_and_flagged(tmp_path):
    save(series(n=1), tmp_path)
    study = read_study(tmp_path)
    assert_in_place(only_image(study))
    assert "single_slice" in {f.code for f in study.case.quality}


def test_localizer_derived_and_foreign_objects_are_set_aside_with_a_reason(tmp_path, rng):
    save(series(), tmp_path / "good", rng)
    save(series(n=3, SeriesInstanceUID="1.2.3.2", SeriesDescription="localizer"), tmp_path / "loc")
    mip = ["DERIVED", "SECONDARY", "PROJECTION IMAGE"]
    save(series(n=3, SeriesInstanceUID="1.2.3.3", ImageType=mip), tmp_path / "mip")
    ct = [store_tag(ds, Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2") for ds in series(n=2)]
    save([store_tag(ds, SeriesInstanceUID="1.2.3.4") for ds in ct], tmp_path / "ct")
    crossing = [
        series(n=3, orientation=PLANES[p], SeriesInstanceUID="1.2.3.5") for p in ("sagittal", "coronal", "axial")
    ]
    save([ds for part in crossing for ds in part], tmp_path / "cross")
    study = read_study(tmp_path)
    assert_in_place(only_image(study))
    reasons = " ".join(s.reason for s in study.set_aside)
    for word in ("localizer or calibration", "projection", "not MR", "steeply different planes"):
        assert word in reasons


def test_a_second_study_is_listed_not_mixed_in(tmp_path, rng):
    save(series() + series("T2", SeriesInstanceUID="1.2.3.2"), tmp_path / "now", rng)
    save(series("STIR", StudyInstanceUID="1.2.4", SeriesInstanceUID="1.2.4.1"), tmp_path / "then", rng)
    study = read_study(tmp_path)
    assert set(study.case.images) == {Sequence.T1, Sequence.T2}
    assert any("1.2.4" in s.what for s in study.set_aside)


def test_the_case_is_named_by_its_study_not_its_patient(tmp_path):
    save(series(n=3), tmp_path / "a")
    save([store_tag(ds, PatientID="other") for ds in series(n=3)], tmp_path / "b")
    names = {read_study(tmp_path / k).case.case_id for k in "ab"}
    assert len(names) == 1
    assert names.pop().startswith("case-")


def test_damaged_and_foreign_files_do_not_cost_the_rest(tmp_path, rng):
    save(series(n=9), tmp_path, rng)
    one, two = sorted(tmp_path.iterdir())[:2]
    one.write_bytes(one.read_bytes()[:-500])
    two.write_bytes(two.read_bytes()[:300])
    (tmp_path / "notes.txt").write_text(PLANTED)
    study = read_study(tmp_path)
    assert study.case.images
    assert len(study.set_aside) == 3
    assert all("file" in s.what for s in study.set_aside)


def test_an_archive_is_read_without_leaving_anything_behind(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with zipfile.ZipFile(tmp_path / "study.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, ds in enumerate(series()):
            ds.save_as(packed := io.BytesIO(), enforce_file_format=True)
            archive.writestr(f"../../escape/{number}.dcm", packed.getvalue())
    assert_in_place(only_image(read_study(tmp_path / "study.zip")))
    assert not list(scratch.iterdir())
    assert not (tmp_path.parent / "escape").exists()


def test_an_archive_that_unpacks_beyond_bounds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("spondyl.io.files.MAX_UNPACKED_BYTES", 10_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(20_000))
    with pytest.raises(InputError, match="unpacks to at most"):
        read_study(tmp_path / "bomb.zip")


def test_links_in_a_loop_end(tmp_path, rng):
    save(series(), tmp_path / "a", rng)
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert_in_place(only_image(read_study(tmp_path)))


def test_a_dicomdir_leads_to_its_files_and_never_out_of_its_folder(tmp_path, rng):
    save(series(), tmp_path / "medium" / "dicom", rng)
    save(series("T2", SeriesInstanceUID="1.2.3.2"), tmp_path / "outside")
    directory = header()
    directory.SOPClassUID = directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    named = [["DICOM", f"IM{k:04d}"] for k in range(8)] + [["..", "outside", "IM0000"]]  # one is missing, one outside
    with config.disable_value_validation():
        directory.DirectoryRecordSequence = Items([item(ReferencedFileID=n) for n in named])
        directory.save_as(tmp_path / "medium" / "DICOMDIR", enforce_file_format=True)
    study = read_study(tmp_path / "medium" / "DICOMDIR")
    assert_in_place(only_image(study))
    assert "names 2 files" in study.set_aside[0].reason


def two_patients(folder):
    save(series(n=3), folder / "a")
    save([store_tag(ds, PatientID=f"{PLANTED}2") for ds in series(n=3)], folder / "b")


def no_geometry(folder):
    slices = series(n=3)
    for ds in slices:
        del ds.ImagePositionPatient
    save(slices, folder)


BAD_STUDIES = {
    "empty": (lambda folder: folder.mkdir(), "study given is empty"),
    "text": (lambda folder: (folder.mkdir(), (folder / f"{PLANTED}.txt").write_text("x")), "neither"),
    "two patients": (two_patients, "got 2 patients"),
    "no geometry": (no_geometry, "no valid position"),
    "no MR": (lambda folder: save([store_tag(ds, Modality="CT") for ds in series(n=2)], folder), "not MR"),
    "zero size": (lambda folder: save([store_tag(ds, Rows=0) for ds in series(n=2)], folder), "0 voxels"),
    "huge": (lambda folder: save([store_tag(ds, Rows=60_000, Columns=60_000) for ds in series(n=1)], folder), "voxels"),
    "no pixels": (lambda folder: save([header(**tags_of(ds)) for ds in series(n=2)], folder), "missing or damaged"),
    "bad spacing": (lambda folder: save([store_tag(ds, PixelSpacing=[900, 900]) for ds in series(n=3)], folder), "mm"),
    "bad orientation": (
        lambda folder: save([store_tag(ds, ImageOrientationPatient=[1, 0, 0, 1, 0, 0]) for ds in series(n=3)], folder),
        "no valid position",
    ),
}


def tags_of(ds):
    keywords = ("Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SeriesNumber")
    return {k: ds.get(k) for k in keywords}


@pytest.mark.parametrize("name", BAD_STUDIES)
def test_an_unusable_study_gives_one_clear_line_without_a_name(tmp_path, caplog, recwarn, name):
    make, says = BAD_STUDIES[name]
    make(tmp_path / PLANTED)
    with caplog.at_level(logging.DEBUG), pytest.raises(InputError, match=says) as caught:
        read_study(tmp_path / PLANTED)
    message = str(caught.value)
    assert "\n" not in message
    assert "PLANTED" not in message + caplog.text + "".join(str(w.message) for w in recwarn)
    assert caught.value.__cause__ is None
    assert "expected" in message


def test_a_path_that_does_not_exist_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_study(tmp_path / PLANTED)


def test_broken_values_in_the_header_are_not_quoted(tmp_path, caplog, recwarn):
    slices = series()
    for ds in slices:
        ds.PatientBirthDate = "PLANTED"
        ds.RepetitionTime = 560
        ds.file_meta.ImplementationVersionName = "X"
        ds["RepetitionTime"]._value = PLANTED  # what no library would write
    try:
        save(slices, tmp_path)
    except (TypeError, ValueError):
        pytest.skip("this pydicom refuses to write a broken header")
    recwarn.clear()
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        study = read_study(tmp_path)
    assert study.case.images
    assert "PLANTED" not in caplog.text + repr(study.set_aside) + repr(study.case.quality)
    assert not recwarn


def test_a_constant_image_is_flagged(tmp_path):
    save([store(ds, np.full((24, 20), 7)) for ds in series()], tmp_path)
    assert "constant_image" in {f.code for f in read_study(tmp_path).case.quality}


def test_adc_maps_come_in_one_unit(tmp_path, rng):
    adc = {"SeriesDescription": "ADC", "ImageType": ["DERIVED", "PRIMARY", "ADC"], "RescaleIntercept": 0}
    for number, slope in enumerate((1, 1e-3, 1e-6)):
        folder = save(series("DWI", **adc, RescaleSlope=slope), tmp_path / str(number), rng)
        image = read_study(folder).case.images[Sequence.ADC]
        np.testing.assert_allclose(np.median(image.array), 1940, rtol=0.2)


def write_nifti_file(path, array, affine=None, unit="mm"):
    image = nib.Nifti1Image(array, np.diag([3.0, 1.0, 1.0, 1.0]) if affine is None else affine)
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return path


def test_nifti_files_are_named_by_file_name_or_by_the_user(tmp_path, rng):
    volume = rng.normal(100, 20, (5, 30, 30)).astype(np.float32)
    write_nifti_file(tmp_path / "case_T2_sag.nii.gz", volume)
    other = write_nifti_file(tmp_path / "x.nii", volume)
    assert Sequence.T2 in read_study(tmp_path).case.images
    assert list(read_study(tmp_path, sequence_files={Sequence.STIR: other}).case.images) == [Sequence.STIR]
    assert list(read_study(tmp_path, sequence_files={Sequence.T1: "x.nii"}).case.images) == [Sequence.T1]


def test_a_label_map_beside_an_image_is_set_aside(tmp_path, rng):
    write_nifti_file(tmp_path / "T1.nii.gz", rng.normal(100, 20, (5, 30, 30)).astype(np.float32))
    labels = np.zeros((5, 30, 30), np.uint8)
    labels[2, 5:9, 5:9] = 3
    write_nifti_file(tmp_path / "T1_vertebrae.nii.gz", labels)
    study = read_study(tmp_path)
    assert len(study.case.images) == 1
    assert "label map" in study.set_aside[0].reason
