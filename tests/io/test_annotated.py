"""Annotated data are found by folder or table, read on the image's voxels, and refused without naming anybody."""

from __future__ import annotations

import numpy as np
import pytest

from dicom_fakes import fake_case, lumbar_image
from spondyl.core import GeometryError, Grid, Image, InputError, LabelMap, Sequence
from spondyl.io.annotated import list_annotated, read_annotated
from spondyl.io.dicom_results import write_results
from spondyl.io.mr_writer import SyntheticStudy, write_series
from spondyl.io.nifti import write_nifti
from spondyl.io.study import read_study

AFFINE = np.array([[4.0, 0, 0, -20], [0, 0, 1.5, -60], [0, -1.5, 0, 80], [0, 0, 0, 1]])
GRID = Grid((6, 40, 32), AFFINE)


def _write(folder, name, *, end="_labels", grid=GRID, label_grid=None, offset=0.0):
    rng = np.random.default_rng(1)
    labels = np.zeros(GRID.shape, np.uint16)
    labels[1:4, 5:12, 6:20] = 2
    label_grid = label_grid or grid
    write_nifti(Image(rng.normal(100, 9, grid.shape), grid), folder / f"{name}_image.nii.gz")
    write_nifti(LabelMap(labels, label_grid), folder / f"{name}{end}.nii.gz")
    if offset:
        write_nifti(Image(labels + offset, label_grid), folder / f"{name}{end}.nii.gz")


@pytest.fixture
def dicom_result(tmp_path):
    """A DICOM study of two series, and a segmentation of its T1 as another program would leave it."""
    image, study = lumbar_image(vendor="siemens"), SyntheticStudy("SYN-2")
    write_series(image, tmp_path / "study" / "t1", study=study, series_number=1)
    other = Image(image.array, image.grid, Sequence.T2, acquisition=image.acquisition)
    write_series(other, tmp_path / "study" / "t2", study=study, series_number=2)
    read = read_study(tmp_path / "study" / "t1")
    (found,) = read.case.images.values()
    case = fake_case(found.grid).with_(images={found.sequence: found}, reference=found.sequence)
    written = write_results(case, read.sources, tmp_path / "seg")
    return tmp_path / "study", written.files["lesions.dcm"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "labels.toml").write_text('[labels]\n2 = "body+cortex"\n')
    return tmp_path


def test_names_in_a_folder_say_what_belongs_together(folder):
    _write(folder, "case7_T1_repeat", end="_vertebrae")
    _write(folder, "case7_STIR")
    _write(folder, "t2tse_02")
    (folder / "case9_T2_image.nii.gz").write_bytes(b"without labels")
    rows = list_annotated(folder)
    assert [(r.number, r.patient, r.sequence) for r in rows] == [
        (1, "case7", Sequence.STIR),
        (2, "case7", Sequence.T1),
        (3, "t2tse_02", Sequence.UNKNOWN),
    ]
    assert all(r.meaning == {"2": "body+cortex"} for r in rows)


def test_an_image_is_read_with_its_labels(folder):
    _write(folder, "case7_STIR")
    (row,) = list_annotated(folder)
    image, labels = read_annotated(row)
    assert image.sequence is Sequence.STIR
    assert image.grid.same_space(labels.grid)
    assert labels.array.sum() == 2 * 3 * 7 * 14
    assert labels.array[2, 6, 7] == 2


def test_labels_with_axes_in_another_order_come_back_in_place(folder):
    _write(folder, "a_T2")
    turned = GRID.reoriented("RAS")
    array = np.zeros(GRID.shape, np.uint16)
    array[1:4, 5:12, 6:20] = 2
    moved = np.ascontiguousarray(array.transpose(0, 2, 1)[::-1, ::-1, ::-1])
    write_nifti(LabelMap(moved, turned), folder / "a_T2_labels.nii.gz")
    (row,) = list_annotated(folder)
    assert (read_annotated(row)[1].array == array).all()


@pytest.mark.parametrize("kind", ["csv", "tsv", "toml"])
def test_a_table_names_images_relative_to_itself(tmp_path, kind):
    _write(tmp_path, "x")
    cells = ["p1", "x_image.nii.gz", "x_labels.nii.gz", "t2", "2=body; 0=ignored"]
    if kind == "toml":
        text = (
            '[labels]\n2 = "body"\n0 = "ignored"\n[[image]]\npatient = "p1"\nimage = "x_image.nii.gz"\n'
            'labels = "x_labels.nii.gz"\nsequence = "T2"\n'
        )
    else:
        sign = "," if kind == "csv" else "\t"
        text = sign.join(["patient", "image", "labels", "sequence", "meaning"]) + "\n" + sign.join(cells) + "\n"
    (tmp_path / f"table.{kind}").write_text(text)
    (row,) = list_annotated(tmp_path / f"table.{kind}")
    assert (row.patient, row.sequence, row.meaning) == ("p1", Sequence.T2, {"2": "body", "0": "ignored"})
    assert read_annotated(row)[1].array.max() == 2


def test_a_dicom_series_is_read_with_its_segmentation(tmp_path, dicom_result):
    study, segmentation = dicom_result
    table = tmp_path / "table.csv"
    table.write_text(f"patient,image,labels,sequence,meaning\np1,{study},{segmentation},T1,*=body\n")
    (row,) = list_annotated(table)
    image, labels = read_annotated(row)
    assert image.sequence is Sequence.T1
    assert labels.grid.same_space(image.grid)
    assert labels.array.max() > 0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("patient,image\nSecret,a\n", "row 1 of the table lacks 'labels'"),
        ("patient,image,labels,who\nSecret,a,b,c\n", "unknown column 'who'"),
        ("patient,image,labels,sequence\nSecret,a,b,CT\n", "row 1 of the table wants a sequence"),
        ("patient,image,labels,meaning\nSecret,a,b,body\n", "must look like"),
        ("patient,image,labels\nSecret,a,b\n", "what the labels of image 1"),
        ("patient,image,labels\n", "no annotated images"),
    ],
)
def test_a_table_that_is_wrong_is_refused(tmp_path, text, fault):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=fault) as error:
        list_annotated(tmp_path / "t.csv")
    assert "Secret" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.toml", b"image = 3"),
        ("t.toml", b"= ="),
        ("t.toml", b"labels = 4"),
        ("t.csv", b"\xff\xfe\x00"),
        ("t.xlsx", b""),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError):
        list_annotated(tmp_path / name)


def test_a_folder_without_meaning_says_what_to_write(tmp_path):
    _write(tmp_path, "x_T2")
    with pytest.raises(InputError, match=r"labels\.toml"):
        list_annotated(tmp_path)


def test_labels_on_other_voxels_are_refused(folder):
    shifted = AFFINE.copy()
    shifted[0, 3] += 4
    _write(folder, "x_T2", label_grid=Grid(GRID.shape, shifted))
    with pytest.raises(GeometryError, match="image 1 of the data cannot be used: its labels lie on other voxels"):
        read_annotated(list_annotated(folder)[0])


def test_labels_that_are_no_numbers_of_things_are_refused(folder):
    _write(folder, "x_T2", offset=0.5)
    with pytest.raises(InputError, match="whole numbers"):
        read_annotated(list_annotated(folder)[0])


def test_missing_and_damaged_files_are_refused_without_their_names(folder):
    _write(folder, "Secret_T2")
    (row,) = list_annotated(folder)
    row.labels.write_bytes(b"noise")
    with pytest.raises(InputError, match="image 1 of the data cannot be used") as error:
        read_annotated(row)
    assert "Secret" not in str(error.value)
    row.image.unlink()
    with pytest.raises(InputError, match="the image of image 1 of the data: there is no such file") as error:
        read_annotated(row)
    assert "Secret" not in str(error.value)


def test_a_study_of_several_sequences_must_say_which_was_outlined(tmp_path, dicom_result):
    study, segmentation = dicom_result
    for sequence, fault in (("", "say which was outlined"), ("ADC", "sequence ADC is wanted")):
        table = tmp_path / "t.csv"
        table.write_text(f"patient,image,labels,sequence,meaning\np1,{study},{segmentation},{sequence},*=body\n")
        with pytest.raises(InputError, match=fault):
            read_annotated(list_annotated(table)[0])
