"""The MR sequences Spondyl knows, and what the scanner said about how one was taken."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Sequence(StrEnum):
    """What an image shows, whatever its vendor called it."""

    T1 = "T1"
    T1CE = "T1CE"
    T2 = "T2"
    T2FS = "T2FS"
    STIR = "STIR"
    PD = "PD"
    DWI = "DWI"
    ADC = "ADC"
    DIXON_WATER = "DIXON_WATER"
    DIXON_FAT = "DIXON_FAT"
    DIXON_IN = "DIXON_IN"
    DIXON_OUT = "DIXON_OUT"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Acquisition:
    """How an image was taken, as far as the header tells; `None` or an empty string means it does not.

    Parameters
    ----------
    field_strength_t : float, optional
        MagneticFieldStrength (0018,0087) in tesla.
    echo_time_ms, repetition_time_ms, inversion_time_ms : float, optional
        TE, TR and TI in ms.
    flip_angle_deg : float, optional
        Flip angle in degrees.
    echo_train_length : int, optional
        EchoTrainLength (0018,0091).
    b_value_s_mm2 : float, optional
        Diffusion weighting in s/mm².
    fat_suppressed : bool, optional
        Whether fat is suppressed, by whatever method.
    contrast_given : bool, optional
        Whether contrast agent had been given.
    vendor, model, software, coil, station : str
        Manufacturer family (``"siemens"``, ``"ge"``, ``"philips"``, ``"canon"``, ``"uih"`` or as written), scanner
        model, software version, receive coil, and a name of the scanner that holds no patient data.
    slice_thickness_mm : float, optional
        SliceThickness (0018,0050) in mm; the spacing of slice centers stands in the grid.
    bandwidth_hz_px : float, optional
        PixelBandwidth (0018,0095) in Hz per pixel.
    acquired_s : float, optional
        Time of acquisition in seconds since midnight, to order series around a contrast injection.
    """

    field_strength_t: float | None = None
    echo_time_ms: float | None = None
    repetition_time_ms: float | None = None
    inversion_time_ms: float | None = None
    flip_angle_deg: float | None = None
    echo_train_length: int | None = None
    b_value_s_mm2: float | None = None
    fat_suppressed: bool | None = None
    contrast_given: bool | None = None
    vendor: str = ""
    model: str = ""
    software: str = ""
    coil: str = ""
    station: str = ""
    slice_thickness_mm: float | None = None
    bandwidth_hz_px: float | None = None
    acquired_s: float | None = None
