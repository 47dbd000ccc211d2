"""Vertebrae and lesions on every displayed series: in place, the same findings, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from dicom_fakes import classic_source, fake_case, source_grid
from spondyl.core import Grid, Image, Sequence, Source
from spondyl.io.dicom_results import write_results
from spondyl.io.displayed import placed
from spondyl.io.seg import read_segmentation

FINE = 0.5
"""Voxel size of the second series in mm, in which the lesions have many voxels."""


def with_second_series(plane, *, frame_of_reference=""):
    """The fake case with a T2 series of another plane over the same place; gives case, sources and its grid."""
    grid = source_grid("sagittal")
    first = classic_source(grid)
    case = fake_case(grid, first)
    frame = frame_of_reference or grid.frame_of_reference
    other = source_grid(plane, (12, 40, 40), frame)
    affine = other.affine.copy()
    affine[:3, :3] = other.directions * (2.0, FINE, FINE)
    lesion = np.argwhere(case.labels["lesions"].array == 2).mean(axis=0)
    affine[:3, 3] = grid.ijk_to_lps(lesion) - affine[:3, :3] @ (6, 20, 20)
    other = Grid(other.shape, affine, frame)
    second = classic_source(other)
    for dataset in second.datasets:
        dataset.StudyInstanceUID = first.datasets[0].StudyInstanceUID
    image = Image(np.zeros(other.shape), other, Sequence.T2, source=Source(series_uid=second.series_uid))
    case = case.with_(images={**case.images, Sequence.T2: image})
    return case, {s.series_uid: s for s in (first, second)}, other


def written(case, sources, folder):
    return write_results(case, sources, folder).files


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal oblique", "sagittal mirrored"])
def test_a_lesion_lies_at_the_same_place_on_a_series_of_another_plane(plane, tmp_path, dciodvfy):
    case, sources, grid = with_second_series(plane)
    path = written(case, sources, tmp_path)["lesions_t2.dcm"]
    found = {info.label: np.asarray(mask.array) > 0 for info, mask in read_segmentation(path, on=grid)}
    wanted = case.labels["lesions"]
    centers = np.stack([grid.ijk_to_lps(index) for index in np.argwhere(found["lesion 2, level unknown"])])
    truth = np.rint(np.stack([wanted.grid.lps_to_ijk(c) for c in centers])).astype(int)
    assert (wanted.array[tuple(truth.T)] == 2).all()
    assert len(centers) > 10
    assert dciodvfy(path) == []


def test_it_is_the_same_finding_and_points_at_its_own_series(tmp_path):
    case, sources, _ = with_second_series("axial")
    files = written(case, sources, tmp_path)
    first, second = dcmread(files["lesions.dcm"]), dcmread(files["lesions_t2.dcm"])
    tracked = {s.TrackingID: s.TrackingUID for s in first.SegmentSequence}
    assert all(tracked[s.TrackingID] == s.TrackingUID for s in second.SegmentSequence)
    assert second.ReferencedSeriesSequence[0].SeriesInstanceUID == case.images[Sequence.T2].source.series_uid
    assert second.SeriesInstanceUID != first.SeriesInstanceUID
    assert second.SeriesNumber > 9105
    known = {d.SOPInstanceUID for s in sources.values() for d in s.datasets}
    frames = [f.DerivationImageSequence[0].SourceImageSequence[0] for f in second.PerFrameFunctionalGroupsSequence]
    assert {f.ReferencedSOPInstanceUID for f in frames} <= known


@pytest.mark.parametrize("plane", ["axial", "sagittal oblique", "sagittal mirrored", "sagittal"])
def test_vertebrae_lie_at_the_same_place_under_the_same_names(plane, tmp_path, dciodvfy):
    case, sources, grid = with_second_series(plane)
    files = written(case, sources, tmp_path)
    assert dciodvfy(files["vertebrae_t2.dcm"]) == []
    (first, second) = (
        {i.label: np.asarray(m.array) > 0 for i, m in read_segmentation(files[name], on=on)}
        for name, on in (("vertebrae.dcm", case.labels["structures"].grid), ("vertebrae_t2.dcm", grid))
    )
    assert second.keys() <= first.keys()
    assert "spinal canal" in second
    home = case.labels["structures"].grid
    for name, found in second.items():
        index = np.rint(home.lps_to_ijk(grid.ijk_to_lps(np.argwhere(found)))).astype(int)
        assert first[name][tuple(index.T)].mean() > 0.99, name
    tracked = {s.TrackingID: s.TrackingUID for s in dcmread(files["vertebrae.dcm"]).SegmentSequence}
    described = dcmread(files["vertebrae_t2.dcm"]).SegmentSequence
    assert [s.SegmentNumber for s in described] == list(range(1, len(second) + 1))
    assert all(tracked[s.TrackingID] == s.TrackingUID for s in described)


def test_parallel_grids_are_sampled_as_any_others():
    case, _, grid = with_second_series("sagittal")
    labels = case.labels["structures"]
    tilted = grid.affine.copy()
    tilted[:3, 1] += 1e-4 * tilted[:3, 0]  # no longer parallel, and nowhere a hundredth of a voxel away
    straight, general = (placed(labels, g).array for g in (grid, Grid(grid.shape, tilted, grid.frame_of_reference)))
    assert straight.any()
    assert (straight != general).mean() < 0.002


def test_a_series_of_another_frame_of_reference_gets_none(tmp_path):
    case, sources, _ = with_second_series("axial", frame_of_reference=generate_uid())
    assert not {"lesions_t2.dcm", "vertebrae_t2.dcm"} & written(case, sources, tmp_path).keys()


def test_a_series_that_shows_no_lesion_gets_none(tmp_path):
    case, sources, grid = with_second_series("axial")
    affine = grid.affine.copy()
    affine[:3, 3] += 500
    far = replace(case.images[Sequence.T2], grid=Grid(grid.shape, affine, grid.frame_of_reference))
    case = case.with_(images={**case.images, Sequence.T2: far})
    assert not placed(case.labels["lesions"], far.grid).array.any()
    assert "lesions_t2.dcm" not in written(case, sources, tmp_path)
