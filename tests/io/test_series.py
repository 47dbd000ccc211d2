"""Splitting, ordering and placing slices."""

import numpy as np
import pytest

from spondyl.core import GeometryError
from spondyl.io.dicom import Frame, Instance
from spondyl.io.series import Part, fill, orientation_of, place, split

from .dicom_factory import PLANES, header, series


def frames(datasets):
    return [Frame(Instance(None, ds), 1) for ds in datasets]


def test_echo_times_that_jitter_are_one_echo_and_dixon_echoes_are_two():
    slices = series(n=6)
    for ds, te in zip(slices, (11.0, 11.1, 11.2, 11.0, 11.1, 11.2), strict=True):
        ds.EchoTime = te
    assert len(split(frames(slices))) == 1
    assert len(split(frames(series(EchoTime=1.23) + series(EchoTime=2.46)))) == 2


def test_blocks_of_axial_slices_along_the_discs_are_apart():
    tilted = (1, 0, 0, 0, np.cos(0.3), np.sin(0.3))
    assert len(split(frames(series(orientation=PLANES["axial"]) + series(orientation=tilted)))) == 2


def test_time_points_are_apart_and_in_order():
    late, early = series(AcquisitionNumber=2), series(AcquisitionNumber=1)
    parts = split(frames(late + early))
    assert [(p.repeat, p.n_repeats) for p in parts] == [(1, 2), (2, 2)]
    assert {f.get("AcquisitionNumber") for f in parts[0].frames} == {1}


def test_slices_are_ordered_by_position_whatever_their_number(rng):
    slices = series(n=9)
    for ds, number in zip(slices, rng.permutation(9), strict=True):
        ds.InstanceNumber = int(number)
    (stack,) = place(Part(tuple(frames([slices[k] for k in rng.permutation(9)]))), "series 3")
    along = [f.numbers("ImagePositionPatient", 3)[0] for f in stack.frames]
    assert along == sorted(along)


def test_a_long_gap_splits_the_stack_and_says_so():
    slices = series(n=14)
    stacks = place(Part(tuple(frames(slices[:5] + slices[9:12]))), "series 3")
    assert [len(s.frames) for s in stacks] == [5, 3]
    assert {f.code for f in stacks[0].flags} == {"uneven_slices"}


def test_steep_slices_keep_their_shear():
    slices = series(n=5)
    for k, ds in enumerate(slices):
        ds.ImagePositionPatient = [ds.ImagePositionPatient[0], ds.ImagePositionPatient[1] + 2.0 * k, 30.0]
    (stack,) = place(Part(tuple(frames(slices))), "")
    for k, frame in enumerate(stack.frames):
        np.testing.assert_allclose(stack.grid.ijk_to_lps((k, 0, 0)), frame.numbers("ImagePositionPatient", 3))


def test_no_frame_of_reference_is_flagged():
    slices = series()
    for ds in slices:
        del ds.FrameOfReferenceUID
    (stack,) = place(Part(tuple(frames(slices))), "series 3")
    assert [f.code for f in stack.flags] == ["no_frame_of_reference"]


def test_slices_too_far_apart_are_refused():
    with pytest.raises(GeometryError, match="apart"):
        place(Part(tuple(frames(series(step_mm=80.0)))), "")


@pytest.mark.parametrize("cosines", [None, [1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 1]])
def test_a_broken_orientation_is_refused(cosines):
    ds = header() if cosines is None else header(ImageOrientationPatient=cosines)
    with pytest.raises(GeometryError, match="two perpendicular directions"):
        orientation_of(Frame(Instance(None, ds), 1))


def test_missing_slices_are_filled_linearly():
    volume = np.array([[[1.0]], [[0.0]], [[0.0]], [[4.0]]], np.float32)
    fill(volume, (1, 2))
    np.testing.assert_allclose(volume.ravel(), [1, 2, 3, 4])
