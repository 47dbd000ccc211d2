"""Headers of all vendors in one vocabulary."""

import pytest

from spondyl.io.acquisition import facts_of, scanner_name, seconds_since_midnight, vendor_family
from spondyl.io.dicom import Frame, Instance

from .dicom_factory import enhanced, header, series


def frame(ds):
    return Frame(Instance(None, ds), 1)


@pytest.mark.parametrize(
    ("written", "family"),
    [
        ("SIEMENS", "siemens"),
        ("Siemens Healthineers", "siemens"),
        ("GE MEDICAL SYSTEMS", "ge"),
        ("Philips Medical Systems", "philips"),
        ("TOSHIBA_MEC", "canon"),
        ("UIH", "uih"),
        ("Acme", "acme"),
    ],
)
def test_a_vendor_has_one_name(written, family):
    assert vendor_family(written) == family


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [("101010.5", 36610.5), ("20240102101010.500000", 36610.5), ("10:10:10", 36610), ("20240102101010+0100", 36610)],
)
def test_times_of_both_kinds_are_seconds_since_midnight(moment, seconds):
    assert seconds_since_midnight(moment) == seconds


def test_a_broken_time_is_missing():
    assert seconds_since_midnight("noon") is None


def test_a_scanner_has_a_stable_name_that_tells_nothing():
    name = scanner_name("SIEMENS", "Avanto", "4711", "MR1")
    assert name == scanner_name("SIEMENS", "Avanto", "4711", "MR1") != scanner_name("SIEMENS", "Avanto", "4712", "MR1")
    assert "4711" not in name
    assert scanner_name("", "") == ""


@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_timing_is_found_in_classic_and_enhanced_headers(kind):
    slices = series("T2", n=2)
    acquisition = facts_of(frame(slices[0] if kind == "classic" else enhanced(slices))).acquisition
    assert (acquisition.echo_time_ms, acquisition.repetition_time_ms) == (102, 3600)
    assert acquisition.acquired_s == 36610.5
    assert acquisition.vendor == "siemens"


@pytest.mark.parametrize(("agent", "given"), [("Gadovist", True), ("NONE", False), ("no", False), ("", False)])
def test_an_agent_that_says_none_is_none(agent, given):
    assert facts_of(frame(header(ContrastBolusAgent=agent))).agent is given


def test_a_protocol_name_never_tells_about_contrast():
    facts = facts_of(frame(header(SeriesDescription="sag", ProtocolName="T1 L spine post gd")))
    assert "t1" in facts.said
    assert "after contrast" not in facts.said


def test_an_inversion_time_of_zero_is_none():
    assert facts_of(frame(header(InversionTime=0))).acquisition.inversion_time_ms is None


def test_a_field_strength_in_gauss_is_tesla():
    assert facts_of(frame(header(MagneticFieldStrength=15000))).acquisition.field_strength_t == 1.5
