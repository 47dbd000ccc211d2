"""b-values of every vendor, traces, and the unit of ADC maps."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from spondyl.io.dicom import Frame, Instance
from spondyl.io.diffusion import adc_factor, b_value_s_mm2, rounded_b_value, trace_weighted


def frame(**tags):
    ds = Dataset()
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    return Frame(Instance(None, ds), 1)


def private(group, creator, element, vr, value, *, block=0x10):
    ds = Dataset()
    ds.add_new((group, block), "LO", creator)
    ds.add_new((group, (block << 8) + element), vr, value)
    return Frame(Instance(None, ds), 1)


@pytest.mark.parametrize(
    ("given", "b_value"),
    [
        (frame(DiffusionBValue=800.0), 800),
        (private(0x0019, "SIEMENS MR HEADER", 0x0C, "IS", "750"), 750),
        (private(0x0019, "SIEMENS MR HEADER", 0x0C, "IS", "750", block=0x12), 750),
        (private(0x0043, "GEMS_PARM_01", 0x39, "IS", ["600", "8", "0", "0"]), 600),
        (private(0x0043, "GEMS_PARM_01", 0x39, "IS", ["1000000600", "8", "0", "0"]), 600),
        (private(0x0043, "GEMS_PARM_01", 0x39, "UN", b"600\\8\\0\\0"), 600),
        (private(0x2001, "Philips Imaging DD 001", 0x03, "FL", 1000.0), 1000),
        (frame(SequenceName="*ep_b400t"), 400),
        (frame(ImageComments="b=700(0.1,0.2,0.3)"), 700),
        (frame(DiffusionDirectionality="NONE"), 0),
        (private(0x0019, "SOMEONE ELSE", 0x0C, "IS", "750"), None),
        (frame(EchoTime=80), None),
    ],
)
def test_the_b_value_is_found(given, b_value):
    assert b_value_s_mm2(given) == b_value


def test_jitter_of_b_values_is_rounded_away():
    assert rounded_b_value(799.0) == rounded_b_value(801.0) == 800
    assert rounded_b_value(None) is None


def test_the_trace_is_the_geometric_mean_and_keeps_zeros():
    a, b = np.array([[[4.0, 0.0]]], np.float32), np.array([[[9.0, 5.0]]], np.float32)
    np.testing.assert_allclose(trace_weighted([a, b]), [[[6.0, 0.0]]], rtol=1e-6)


@pytest.mark.parametrize(("scale", "factor"), [(1.0, 1.0), (1e-3, 1e3), (1e-6, 1e6)])
def test_the_unit_of_an_adc_map_is_told_by_its_values(rng, scale, factor):
    values = (rng.uniform(300, 3000, (4, 5, 6)) * scale).astype(np.float32)
    assert adc_factor(values) == factor
    assert adc_factor(values, "mm2/s") == factor  # a unit that cannot be true does not win


def test_an_impossible_adc_map_has_no_unit():
    assert adc_factor(np.zeros((2, 2, 2), np.float32)) is None
    assert adc_factor(np.full((2, 2, 2), 1e9, np.float32)) is None
