"""The reference is the image that shows most, and ADC is arithmetic."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from spondyl.core import Acquisition, Case, Grid, Image, InputError, Sequence, SettingsError
from spondyl.harmonize import HarmonizeSettings, harmonize
from spondyl.phantom.artifacts import ghosts

SAGITTAL = Grid((4, 20, 16), np.array([[4.0, 0, 0, 0], [0, 0, 1.5, 0], [0, -1.5, 0, 0], [0, 0, 0, 1]]))
AXIAL = Grid((16, 20, 4), np.diag([1.5, 1.5, 4.0, 1.0]))


def _image(sequence, grid=SAGITTAL, array=None, **acquisition):
    return Image(np.ones(grid.shape) if array is None else array, grid, sequence, 0.8, Acquisition(**acquisition))


def _case(*images, others=()):
    return Case("case-0a1b2c3d", {i.sequence: i for i in images}, others=others)


def _diffusion(b_values, adc, grid=SAGITTAL):
    s0 = np.linspace(200, 900, int(np.prod(grid.shape))).reshape(grid.shape)
    return [_image(Sequence.DWI, grid, s0 * np.exp(-b * adc * 1e-6), b_value_s_mm2=float(b)) for b in b_values]


@pytest.mark.parametrize(
    ("sequences", "wanted"),
    [
        (("T1", "STIR", "T2"), "T2"),
        (("STIR", "T1"), "T1"),
        (("DIXON_FAT", "DIXON_WATER"), "DIXON_WATER"),
        (("T1CE", "UNKNOWN"), "T1CE"),
        (("ADC", "DWI"), "DWI"),
    ],
)
def test_the_reference_is_the_sequence_that_shows_most(sequences, wanted):
    for order in itertools.permutations(sequences):
        case = harmonize(_case(*(_image(Sequence(s)) for s in order)), HarmonizeSettings())
        assert case.reference == wanted


def test_every_sequence_can_be_the_reference():
    for sequence in Sequence:
        assert harmonize(_case(_image(sequence)), HarmonizeSettings()).reference is sequence


def test_sagittal_comes_before_axial_and_axial_alone_is_said():
    case = harmonize(_case(_image(Sequence.T2, AXIAL), _image(Sequence.STIR)), HarmonizeSettings())
    assert case.reference is Sequence.STIR
    assert "no_sagittal_series" not in [f.code for f in case.quality]
    axial = harmonize(_case(_image(Sequence.T2, AXIAL)), HarmonizeSettings())
    assert ("no_sagittal_series", "T2") in [(f.code, f.where) for f in axial.quality]


def test_a_reference_asked_for_is_taken_or_named_as_missing():
    study = _case(_image(Sequence.T2), _image(Sequence.T1))
    assert harmonize(study, HarmonizeSettings(reference="T1")).reference is Sequence.T1
    with pytest.raises(InputError, match="STIR is wanted, the study has T2, T1"):
        harmonize(study, HarmonizeSettings(reference="STIR"))
    with pytest.raises(SettingsError, match="'t2w'"):
        HarmonizeSettings(reference="t2w")


def test_a_study_without_images_is_refused():
    with pytest.raises(InputError, match="got none"):
        harmonize(_case(), HarmonizeSettings())


@pytest.mark.parametrize("b_values", [(0, 800), (50, 400, 900), (1000, 0)])
def test_adc_of_two_or_more_b_values_is_exact(b_values, rng):
    truth = rng.uniform(200, 2500, SAGITTAL.shape)
    first, *rest = _diffusion(b_values, truth)
    case = harmonize(_case(_image(Sequence.T2), first, others=rest), HarmonizeSettings())
    np.testing.assert_allclose(case.images[Sequence.ADC].array, truth, rtol=1e-3)
    assert case.images[Sequence.ADC].sequence is Sequence.ADC
    assert "ADC was computed" in case.history[-1].methods


def test_adc_of_air_is_zero_and_never_negative():
    low, high = (np.full(SAGITTAL.shape, v) for v in (500.0, 100.0))
    low[0], high[0] = 2.0, 3.0
    low[1], high[1] = 300.0, 400.0
    images = [_image(Sequence.DWI, array=a, b_value_s_mm2=b) for a, b in ((low, 0.0), (high, 800.0))]
    adc = harmonize(_case(images[0], others=images[1:]), HarmonizeSettings()).images[Sequence.ADC].array
    assert not adc[:2].any()
    assert adc[2:].mean() == pytest.approx(np.log(5) / 800 * 1e6, rel=1e-4)


def test_adc_of_the_scanner_is_kept():
    first, *rest = _diffusion((0, 800), np.full(SAGITTAL.shape, 900.0))
    own = _image(Sequence.ADC, array=np.full(SAGITTAL.shape, 1234.0))
    case = harmonize(_case(first, own, others=rest), HarmonizeSettings())
    assert case.images[Sequence.ADC] is own


@pytest.mark.parametrize(
    ("b_values", "grids"),
    [((800,), (SAGITTAL,)), ((0, 50), (SAGITTAL, SAGITTAL)), ((0, 800), (SAGITTAL, AXIAL))],
    ids=["one b-value", "too close", "two grids"],
)
def test_adc_is_not_made_up(b_values, grids):
    images = [_diffusion((b,), np.full(g.shape, 900.0), g)[0] for b, g in zip(b_values, grids, strict=True)]
    case = harmonize(_case(images[0], others=images[1:]), HarmonizeSettings())
    assert Sequence.ADC not in case.images


def test_noise_matters_in_every_sequence_on_which_lesions_are_looked_for():
    rng = np.random.default_rng(1)
    clean, noisy = (100 + rng.normal(0, sd, SAGITTAL.shape) for sd in (1, 60))
    case = _case(
        _image(Sequence.T2, array=clean), _image(Sequence.STIR, array=noisy), _image(Sequence.ADC, array=noisy)
    )
    flagged = [f.where for f in harmonize(case, HarmonizeSettings()).quality if f.code == "low_signal_to_noise"]
    assert flagged == ["STIR"]


def test_motion_matters_in_every_sequence_on_which_lesions_are_looked_for():
    rng = np.random.default_rng(1)
    grid = Grid((8, 160, 160), np.diag([4.0, 1.0, 1.0, 1.0]))
    still = np.abs(500 + rng.normal(0, 60, grid.shape))
    moved = ghosts(still, np.ones_like(still), axis=1, shift_px=31, strength=0.5)
    case = _case(*(Image(a, grid, s) for s, a in ((Sequence.T2, still), (Sequence.T1, moved), (Sequence.ADC, moved))))
    flagged = [f.where for f in harmonize(case, HarmonizeSettings()).quality if f.code == "motion"]
    assert flagged == ["T1"]
