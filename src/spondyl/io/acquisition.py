"""What a header says about how an image was taken, in one vocabulary for all vendors."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spondyl.core import Acquisition
from spondyl.io import words
from spondyl.io.diffusion import b_value_s_mm2

if TYPE_CHECKING:
    from spondyl.io.dicom import Frame

VENDORS = (
    ("siemens", "siemens"),
    ("ge medical", "ge"),
    ("ge healthcare", "ge"),
    ("general electric", "ge"),
    ("philips", "philips"),
    ("toshiba", "canon"),
    ("canon", "canon"),
    ("united imaging", "uih"),
    ("uih", "uih"),
    ("hitachi", "hitachi"),
    ("fujifilm", "fujifilm"),
)
"""Beginning or part of Manufacturer (0008,0070) in lower case, and the family it stands for."""

NO_AGENT = frozenset({"", "none", "no", "0", "n/a", "na", "nein", "non", "without", "ohne", "-", "null", "false"})
"""Entries of ContrastBolusAgent (0018,0010) that mean that none was given, in lower case. Collected by us."""


@dataclass(frozen=True)
class HeaderFacts:
    """What recognition needs from a header.

    Parameters
    ----------
    acquisition : Acquisition
        How the image was taken.
    image_type : tuple of str
        ImageType or FrameType, and ComplexImageComponent, in upper case.
    scanning : frozenset of str
        ScanningSequence words, or their like from enhanced MR: SE, GR, IR, EP, RM.
    options : tuple of str
        ScanOptions, in upper case.
    said : frozenset of str
        Word lists that the description matches.
    contrast : str
        AcquisitionContrast (0008,9209), in upper case.
    sequence_name : str
        SequenceName or PulseSequenceName, in lower case.
    agent : bool
        Whether a contrast agent is named.
    n_echoes : int
        How many echoes the series has.
    """

    acquisition: Acquisition = field(default_factory=Acquisition)
    image_type: tuple[str, ...] = ()
    scanning: frozenset[str] = frozenset()
    options: tuple[str, ...] = ()
    said: frozenset[str] = frozenset()
    contrast: str = ""
    sequence_name: str = ""
    agent: bool = False
    n_echoes: int = 1


def vendor_family(manufacturer: str) -> str:
    """Give the family name of a manufacturer.

    Parameters
    ----------
    manufacturer : str
        As written in the header.

    Returns
    -------
    str
        Such as ``"siemens"``; an unknown one in lower case as written.
    """
    text = manufacturer.strip().lower()
    return next((family for part, family in VENDORS if part in text), "ge" if text == "ge" else text)


def seconds_since_midnight(moment: str) -> float | None:
    """Read a DICOM time or date and time.

    Parameters
    ----------
    moment : str
        A TM (``HHMMSS.ffffff``) or a DT (``YYYYMMDDHHMMSS.ffffff``), PS3.5 section 6.2.

    Returns
    -------
    float or None
        Seconds since midnight; None where it is neither.
    """
    text = moment.strip().replace(":", "")
    match = re.match(r"^(?:\d{8})?(\d{2})(\d{2})(\d{2})(\.\d+)?(?:[+-]\d{4})?$", text)
    if not match:
        return None
    hours, minutes, seconds = (int(match[n]) for n in (1, 2, 3))
    return hours * 3600.0 + minutes * 60.0 + seconds + float(match[4] or 0)


def scanner_name(*parts: str) -> str:
    """Give a scanner a name that is stable and tells nothing about patient or site.

    Parameters
    ----------
    *parts : str
        What identifies the device: manufacturer, model, serial number, station.

    Returns
    -------
    str
        ``"scanner-"`` and a short hash; empty where nothing is known.
    """
    return f"scanner-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:10]}" if any(parts) else ""


def _suppressed(frame: Frame, options: tuple[str, ...], said: frozenset[str]) -> bool | None:
    spectral = frame.text("SpectrallySelectedSuppression").upper()
    if spectral and spectral != "NONE":
        return spectral in {"FAT", "FAT_AND_WATER"}
    if {"FS", "SFS", "FAT_SAT", "SPIR", "SPAIR"} & set(options) or "fat suppressed" in said:
        return True
    return False if spectral == "NONE" else None


def _scanning(frame: Frame, sequence_name: str) -> frozenset[str]:
    """Give ScanningSequence, or what enhanced MR and sequence names say instead of it."""
    named = set(frame.words("ScanningSequence"))
    if not named:
        named |= {"SPIN": {"SE"}, "GRADIENT": {"GR"}, "BOTH": {"SE", "GR"}}.get(
            frame.text("EchoPulseSequence").upper(), set()
        )
        if not named and re.search(r"tse|fse|\bse|spc|tir|haste", sequence_name):
            named.add("SE")
        if not named and re.search(r"ffe|gre|\*?fl\d|vibe|fid", sequence_name):
            named.add("GR")
    if frame.text("InversionRecovery").upper() == "YES" or "tir" in sequence_name:
        named.add("IR")
    if frame.text("EchoPlanarPulseSequence").upper() == "YES" or re.search(r"\*?ep[_2fs]|epi", sequence_name):
        named.add("EP")
    return frozenset(named)


def facts_of(frame: Frame, *, n_echoes: int = 1) -> HeaderFacts:
    """Collect what a frame's header tells.

    Parameters
    ----------
    frame : Frame
        A frame of the image.
    n_echoes : int, optional
        How many echoes its series has.

    Returns
    -------
    HeaderFacts
        Normalized facts.
    """
    said = words.found(frame.text("SeriesDescription"))
    if not said & {"t1", "t2", "pd", "stir", "dwi", "adc", "dixon", "localizer"}:
        # A protocol's name often speaks of the whole examination, so it never tells about contrast.
        said |= words.found(frame.text("ProtocolName")) - {"after contrast", "before contrast", "with and without"}
    options = frame.words("ScanOptions")
    sequence_name = frame.text("SequenceName").lower()
    agent = frame.get("ContrastBolusAgent")
    has_agent = agent is not None and (not isinstance(agent, str) or agent.strip().lower() not in NO_AGENT)
    manufacturer, model = frame.text("Manufacturer"), frame.text("ManufacturerModelName")
    train = frame.number_of("EchoTrainLength")
    inversion = frame.number_of("InversionTime")
    acquisition = Acquisition(
        field_strength_t=_tesla(frame.number_of("MagneticFieldStrength")),
        echo_time_ms=frame.number_of("EchoTime"),
        repetition_time_ms=frame.number_of("RepetitionTime"),
        inversion_time_ms=inversion or None,  # Philips writes 0 where there is no inversion
        flip_angle_deg=frame.number_of("FlipAngle"),
        echo_train_length=None if train is None else int(train),
        b_value_s_mm2=b_value_s_mm2(frame),
        fat_suppressed=_suppressed(frame, options, said),
        contrast_given=True if has_agent else None,
        vendor=vendor_family(manufacturer),
        model=model,
        software=frame.text("SoftwareVersions"),
        coil=frame.text("ReceiveCoilName"),
        station=scanner_name(manufacturer, model, frame.text("DeviceSerialNumber"), frame.text("StationName")),
        slice_thickness_mm=frame.number_of("SliceThickness"),
        bandwidth_hz_px=frame.number_of("PixelBandwidth"),
        acquired_s=seconds_since_midnight(frame.text("AcquisitionMoment")),
    )
    return HeaderFacts(
        acquisition,
        image_type=(*frame.words("ImageType"), *frame.words("ComplexImageComponent")),
        scanning=_scanning(frame, sequence_name),
        options=options,
        said=said,
        contrast=frame.text("AcquisitionContrast").upper(),
        sequence_name=sequence_name,
        agent=has_agent,
        n_echoes=n_echoes,
    )


def _tesla(value: float | None) -> float | None:
    """Undo field strengths written in gauss, which older software did."""
    return value / 10_000 if value is not None and value > 100 else value
