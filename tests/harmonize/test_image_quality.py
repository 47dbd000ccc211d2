"""Noise is measured, and odd sampling and unknown contrast are told."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Grid, Image, Sequence
from spondyl.harmonize.image_quality import LOW_SNR, image_flags, sampling_doubt, signal_to_noise

SPACING = (4.0, 1.0, 1.0)


def _grid(spacing=SPACING, shape=(15, 200, 160)):
    affine = np.zeros((4, 4))
    affine[0, 0], affine[2, 1], affine[1, 2], affine[3, 3] = spacing[0], -spacing[1], spacing[2], 1
    return Grid(shape, affine)


def _tissue(snr, shape=(15, 200, 160)):
    """A body of smoothly varying signal around 400 in air, with white noise."""
    rng = np.random.default_rng(4)
    rows, columns = np.indices(shape[1:])
    body = (columns > 30) * (350 + 50 * np.sin(rows / 25) + 50 * np.cos(columns / 30))
    return (np.abs(body + rng.normal(0, 400 / snr, shape))).astype(np.float32)


@pytest.mark.parametrize("snr", [4.0, 15.0, 60.0])
def test_signal_over_noise_is_measured(snr):
    assert signal_to_noise(_tissue(snr), SPACING) == pytest.approx(snr, rel=0.25)


def test_signal_over_noise_does_not_depend_on_scale_or_axis_order():
    array = _tissue(20.0)
    snr = signal_to_noise(array, SPACING)
    assert signal_to_noise(1000 * array, SPACING) == pytest.approx(snr, rel=1e-3)
    assert signal_to_noise(array.transpose(1, 2, 0), (1.0, 1.0, 4.0)) == pytest.approx(snr, rel=1e-3)


def test_nothing_to_measure_is_said():
    assert np.isnan(signal_to_noise(np.zeros((3, 20, 20), np.float32), SPACING))
    assert signal_to_noise(np.full((3, 20, 20), 7, np.float32), SPACING) == np.inf


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        (_grid(), ""),
        (_grid((1.0, 1.0, 1.0), (80, 300, 200)), ""),
        (_grid((4.0, 2.5, 2.5)), "pixels of 2.5 mm"),
        (_grid((4.0, 0.1, 0.1)), "pixels of 0.1 mm"),
        (_grid((9.0, 1.0, 1.0)), "slices 9 mm apart"),
        (_grid(shape=(15, 60, 160)), "60 mm from head to foot"),
        (_grid(shape=(3, 200, 160)), "stack 12 mm wide"),
    ],
)
def test_odd_sampling_is_told_in_words(grid, said):
    assert sampling_doubt(grid).startswith(said) if not said else said in sampling_doubt(grid)
    if not said:
        assert sampling_doubt(grid) == ""


@pytest.mark.parametrize("orientation", ["LIP", "RAS", "PSR"])
def test_orientation_changes_no_doubt(orientation):
    assert "head to foot" in sampling_doubt(_grid(shape=(15, 60, 160)).reoriented(orientation))


def test_flags_name_the_series_and_nothing_else():
    usual = Image(_tissue(30.0), _grid(), Sequence.T2)
    assert image_flags(usual) == []
    unknown = Image(_tissue(LOW_SNR / 2), _grid(), Sequence.UNKNOWN)
    assert [f.code for f in image_flags(unknown)] == ["unknown_contrast", "low_signal_to_noise"]
    assert {f.where for f in image_flags(unknown)} == {"UNKNOWN"}
    coarse = Image(_tissue(30.0), _grid((9.0, 1.0, 1.0)), Sequence.T1)
    assert [f.code for f in image_flags(coarse)] == ["outside_training_range"]
