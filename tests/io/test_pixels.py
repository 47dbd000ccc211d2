"""Stored values become the values the header means."""

import numpy as np

from spondyl.io.dicom import read_headers
from spondyl.io.files import StudyFile
from spondyl.io.pixels import decode

from .dicom_factory import enhanced, save, series


def frames_of(path):
    (instance,), _ = read_headers((StudyFile(1, path, path.name),))
    return list(instance.frames)


def test_slope_and_intercept_of_each_frame_are_applied(tmp_path):
    slices = series(n=2)
    slices[1].RescaleSlope, slices[1].RescaleIntercept = 2, -7
    save([enhanced(slices)], tmp_path)
    first, second = decode(frames_of(tmp_path / "IM0000"))
    np.testing.assert_array_equal(first, slices[0].pixel_array)
    np.testing.assert_array_equal(second, slices[1].pixel_array * 2.0 - 7)


def test_inverted_pictures_are_turned_back(tmp_path):
    ds = series(n=1)[0]
    upright = ds.pixel_array.astype(np.float32)
    ds.PhotometricInterpretation = "MONOCHROME1"
    save([ds], tmp_path)
    (image,) = decode(frames_of(tmp_path / "IM0000"))
    np.testing.assert_array_equal(image, upright.max() + upright.min() - upright)


def test_a_frame_without_pixels_is_none_and_the_others_are_decoded(tmp_path):
    slices = series(n=2)
    del slices[0].PixelData
    save(slices, tmp_path)
    missing, whole = decode(frames_of(tmp_path / "IM0000") + frames_of(tmp_path / "IM0001"))
    assert missing is None
    np.testing.assert_array_equal(whole, slices[1].pixel_array)
