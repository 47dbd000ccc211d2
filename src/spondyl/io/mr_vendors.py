"""What the makers of scanners write into MR headers, each in its own way, for synthetic series that look like theirs.

ImageType tokens, sequence names, private elements and descriptions differ between makers, and software that recognizes
sequences must meet all of them. The words are those of the makers' DICOM conformance statements; which of their many
forms is written here is chosen by us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spondyl.core import Sequence

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import Dataset

    from spondyl.core import Acquisition, Image

MANUFACTURERS = {
    "siemens": "SIEMENS",
    "ge": "GE MEDICAL SYSTEMS",
    "philips": "Philips Medical Systems",
    "canon": "TOSHIBA_MEC",
    "uih": "UIH",
}
"""Manufacturer (0008,0070) by family of `Acquisition.vendor`."""

GE_B_VALUE_OFFSET = 1_000_000_000
"""Added to the b-value in (0043,xx39) by GE software from DV24 on (dcm2niix, GE readme, section Diffusion)."""

_DIXON_TOKENS = {
    "siemens": ("W", "F", "IN_PHASE", "OPP_PHASE"),
    "ge": ("WATER", "FAT", "IN PHASE", "OUT PHASE"),
    "philips": ("W", "F", "IP", "OP"),
    "canon": ("WATER", "FAT", "IN_PHASE", "OUT_PHASE"),
    "uih": ("WATER", "FAT", "IN_PHASE", "OUT_PHASE"),
}
_DIXON_PARTS = (Sequence.DIXON_WATER, Sequence.DIXON_FAT, Sequence.DIXON_IN, Sequence.DIXON_OUT)
_DIXON_SUFFIXES = {
    "siemens": ("_W", "_F", "_in", "_opp"),
    "ge": ("WATER: ", "FAT: ", "InPhase: ", "OutPhase: "),
    "philips": (" W", " F", " IP", " OP"),
    "canon": (" Water", " Fat", " In-phase", " Out-phase"),
    "uih": ("_W", "_F", "_IP", "_OP"),
}


def vendor_of(acquisition: Acquisition) -> str:
    """Give the family whose habits a header follows.

    Parameters
    ----------
    acquisition : Acquisition
        How the image was taken.

    Returns
    -------
    str
        A key of `MANUFACTURERS`; Siemens for an unknown maker.
    """
    return acquisition.vendor if acquisition.vendor in MANUFACTURERS else "siemens"


def image_type(image: Image, given: list[str] | None = None) -> list[str]:
    """Give ImageType (0008,0008).

    Parameters
    ----------
    image : Image
        The image; diffusion and Dixon images have types of their own.
    given : list of str, optional
        The type of an ordinary image of its series.

    Returns
    -------
    list of str
        As the vendor writes it.
    """
    vendor, sequence = vendor_of(image.acquisition), image.sequence
    if sequence in _DIXON_PARTS:
        token = _DIXON_TOKENS[vendor][_DIXON_PARTS.index(sequence)]
        if vendor == "philips":
            return ["ORIGINAL", "PRIMARY", token, token, "DERIVED"]
        return ["DERIVED", "PRIMARY", "DIXON", token]
    if sequence is Sequence.ADC:
        return {
            "philips": ["DERIVED", "PRIMARY", "ADC", "ADC", "UNSPECIFIED"],
            "ge": ["DERIVED", "SECONDARY", "COMBINED", "ADC"],
        }.get(vendor, ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"])
    if sequence is Sequence.DWI:
        first, last = ("DERIVED", "TRACEW") if image.acquisition.b_value_s_mm2 else ("ORIGINAL", "NONE")
        return {
            "siemens": [first, "PRIMARY", "DIFFUSION", last],
            "philips": ["ORIGINAL", "PRIMARY", "M_SE", "M", "SE"],
            "ge": ["ORIGINAL", "PRIMARY", "OTHER"],
        }.get(vendor, ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"])
    ordinary = {
        "philips": ["ORIGINAL", "PRIMARY", "M_SE", "M", "SE"],
        "ge": ["ORIGINAL", "PRIMARY", "OTHER"],
    }.get(vendor, ["ORIGINAL", "PRIMARY", "M", "ND"])
    return given if given and vendor not in ("ge", "philips") else ordinary


def description(image: Image, text: str) -> str:
    """Give SeriesDescription for one image of a protocol.

    Parameters
    ----------
    image : Image
        The image.
    text : str
        The protocol's name; empty for a plain name by sequence.

    Returns
    -------
    str
        At most 64 characters, with the part where a protocol gives several images.
    """
    vendor, sequence = vendor_of(image.acquisition), image.sequence
    text = text or f"{sequence.value.lower()}_{image.grid.plane[:3]}"
    if sequence in _DIXON_PARTS:
        part = _DIXON_SUFFIXES[vendor][_DIXON_PARTS.index(sequence)]
        text = part + text if vendor == "ge" else text + part
    elif sequence is Sequence.ADC:
        text = {"siemens": f"{text}_ADC", "uih": f"{text}_ADC", "philips": f"d{text} ADC"}.get(vendor, f"ADC {text}")
    elif sequence is Sequence.DWI and vendor == "siemens":
        text = f"{text}_TRACEW"
    return text[:64]


def sequence_attributes(image: Image) -> dict[str, Any]:
    """Give the attributes that say how the signal was made.

    Parameters
    ----------
    image : Image
        The image.

    Returns
    -------
    dict
        Values by DICOM keyword (PS3.3 section C.8.3.1).
    """
    acquisition, vendor = image.acquisition, vendor_of(image.acquisition)
    kind = _kind(image)
    scanning = {"ir": ["SE", "IR"], "gre": ["GR"], "epi": ["EP"], "se": ["SE"]}[kind]
    if kind == "epi" and vendor == "ge":
        scanning = ["EP", "RM"]
    elif kind == "epi" and vendor == "philips":
        scanning = ["SE", "EP"]
    options = ["FS"] if acquisition.fat_suppressed and kind != "ir" else []
    if vendor == "ge":
        options = ["FAST_GEMS", *options]
    found: dict[str, Any] = {
        "ScanningSequence": scanning,
        "SequenceVariant": "SP" if kind == "gre" else "SK",
        "ScanOptions": options,
        "MRAcquisitionType": "3D" if kind == "gre" else "2D",
    }
    if name := _sequence_name(vendor, kind, acquisition):
        found["SequenceName"] = name
    if vendor == "ge" and kind != "gre":
        found["AngioFlag"] = "N"
    return found


def _kind(image: Image) -> str:
    sequence, acquisition = image.sequence, image.acquisition
    if sequence is Sequence.STIR or acquisition.inversion_time_ms:
        return "ir"
    if sequence in (Sequence.DWI, Sequence.ADC):
        return "epi"
    short = acquisition.repetition_time_ms is not None and acquisition.repetition_time_ms < 50
    return "gre" if short else "se"


def _sequence_name(vendor: str, kind: str, acquisition: Acquisition) -> str:
    train = acquisition.echo_train_length or 1
    if vendor == "siemens":
        b = acquisition.b_value_s_mm2
        diffusion = "*ep2d" if b is None else f"*ep_b{round(b)}" + ("t" if b else "")
        return {"ir": f"*tir2d1_{train}", "gre": "*fl3d2", "epi": diffusion, "se": f"*tse2d1_{train}"}[kind]
    if vendor == "canon":
        return {"ir": f"FIR{train}", "gre": "FFE3D", "epi": "SEEPI2D", "se": f"FSE2D{train}"}[kind]
    if vendor == "uih":
        return {"ir": "fse_ir", "gre": "gre_quick3d", "epi": "epi_dwi", "se": "fse"}[kind]
    return ""


def add_b_value(header: Dataset, acquisition: Acquisition) -> None:
    """Write the b-value where the vendor does.

    Parameters
    ----------
    header : Dataset
        Header of one image; changed in place.
    acquisition : Acquisition
        With or without a b-value.
    """
    if acquisition.b_value_s_mm2 is not None:
        _B_VALUE_WRITERS[vendor_of(acquisition)](header, float(acquisition.b_value_s_mm2))


def _siemens_b_value(header: Dataset, b: float) -> None:
    header.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", str(round(b)))


def _ge_b_value(header: Dataset, b: float) -> None:
    # Older software, recognized by its release number, writes the value as it is.
    new = "DV" in str(header.get("SoftwareVersions", ""))
    first = round(b) + (GE_B_VALUE_OFFSET if new else 0)
    header.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x39, "IS", [str(first), "8", "0", "0"])


def _philips_b_value(header: Dataset, b: float) -> None:
    header.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x03, "FL", b)
    header.DiffusionBValue = b


def _canon_b_value(header: Dataset, b: float) -> None:
    header.ImageComments = f"b={round(b)}"


def _uih_b_value(header: Dataset, b: float) -> None:
    header.private_block(0x0065, "Image Private Header", create=True).add_new(0x09, "FD", b)
    header.DiffusionBValue = b


_B_VALUE_WRITERS: dict[str, Callable[[Dataset, float], None]] = {
    "siemens": _siemens_b_value,
    "ge": _ge_b_value,
    "philips": _philips_b_value,
    "canon": _canon_b_value,
    "uih": _uih_b_value,
}
"""Private elements by creator: pydicom's private dictionary for the first three; dcm2niix for the others."""
