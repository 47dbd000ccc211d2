"""Diffusion weighting: the b-value of a frame, the trace of several directions, and the unit of an ADC map.

Every vendor wrote b-values into private elements before the standard had one, and many scanners still do. Private
elements are looked up by the name of their creator, never by a fixed block number, which a PACS may change.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spondyl.io.dicom import Frame

PRIVATE_B_VALUES = (
    (0x0019, "SIEMENS MR HEADER", 0x0C),
    (0x0043, "GEMS_PARM_01", 0x39),
    (0x2001, "Philips Imaging DD 001", 0x03),
    (0x0065, "Image Private Header", 0x09),
)
"""Group, creator and element of vendors' b-values in s/mm². The first three are in pydicom's private dictionary
(``pydicom._private_dict``: B_value, Slop_int_6, Diffusion B-Factor); the last is United Imaging's, as read by dcm2niix
(nii_dicom.cpp, kDiffusionBValueUIH)."""

WRITTEN_B_VALUES = (("SequenceName", re.compile(r"ep_b(\d+)")), ("ImageComments", re.compile(r"^b=(\d+)")))
"""Where older scanners write the b-value as text: Siemens in the sequence's name, Toshiba as the comment's first word
(dcm2niix, nii_dicom.cpp)."""

GE_B_VALUE_OFFSET = 1_000_000_000
"""Software of GE from DV24 on adds this to the b-value in (0043,xx39) (dcm2niix, GE readme, section Diffusion)."""

MAX_B_VALUE_S_MM2 = 20_000.0
"""Larger b-values in s/mm² are no b-values; whole-body scanners end far below. Chosen by us."""

B_VALUE_STEP_S_MM2 = 5.0
"""Frames whose b-values, in s/mm², round to the same multiple belong together: scanners jitter. Chosen by us."""

ADC_UNITS = {"um2/s": 1.0, "10-6mm2/s": 1.0, "10^-6mm2/s": 1.0, "mm2/s": 1e6, "10-3mm2/s": 1e3, "10^-3mm2/s": 1e3}
"""What to multiply by to get 1e-6 mm²/s, by unit as written in RescaleType, RealWorldValueMapping or by vendors
(UCUM, https://ucum.org: 1 um2/s is 1e-6 mm2/s)."""

ADC_RANGES = ((50.0, 20_000.0, 1.0), (0.05, 20.0, 1e3), (5e-5, 0.02, 1e6))
"""Lower and upper bound of the 90th percentile of an ADC map, and what to multiply by to get 1e-6 mm²/s. Free water at
body temperature has about 3000 e-6 mm²/s (Holz 2000, doi 10.1039/b005319h) and tissue lies below, so the three usual
units cannot be mistaken for each other."""


def b_value_s_mm2(frame: Frame) -> float | None:
    """Give a frame's diffusion weighting.

    Parameters
    ----------
    frame : Frame
        A frame of any vendor.

    Returns
    -------
    float or None
        In s/mm²; None where neither the standard element nor a known private one tells.

    References
    ----------
    DiffusionBValue (0018,9087), PS3.3 section C.8.13.5.9 (MR Diffusion macro).
    """
    standard = frame.number_of("DiffusionBValue")
    if standard is not None and 0 <= standard <= MAX_B_VALUE_S_MM2:
        return standard
    for group, creator, element in PRIVATE_B_VALUES:
        value = _first_number(frame.private(group, creator, element))
        if value is not None and creator == "GEMS_PARM_01" and value >= GE_B_VALUE_OFFSET:
            value %= GE_B_VALUE_OFFSET
        if value is not None and 0 <= value <= MAX_B_VALUE_S_MM2:
            return value
    if frame.text("DiffusionDirectionality").upper() == "NONE":  # PS3.3 section C.8.13.5.9: no weighting
        return 0.0
    written = (pattern.search(frame.text(keyword)) for keyword, pattern in WRITTEN_B_VALUES)
    return next((float(w[1]) for w in written if w and float(w[1]) <= MAX_B_VALUE_S_MM2), None)


def _first_number(value: object) -> float | None:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace").split("\\")[0]
    if isinstance(value, (list, tuple)):
        value = value[0] if value else None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def rounded_b_value(b_value: float | None) -> float | None:
    """Round a b-value so that those of one image are equal.

    Parameters
    ----------
    b_value : float or None
        In s/mm².

    Returns
    -------
    float or None
        In s/mm².
    """
    return None if b_value is None else B_VALUE_STEP_S_MM2 * round(b_value / B_VALUE_STEP_S_MM2)


def trace_weighted(directions: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Combine images of several gradient directions into one without direction.

    Parameters
    ----------
    directions : sequence of ndarray of float32, shape (I, J, K)
        One image for each direction at the same b-value.

    Returns
    -------
    ndarray of float32, shape (I, J, K)
        Their geometric mean, which for directions spread evenly is the trace-weighted image.

    References
    ----------
    Basser 1994, doi 10.1006/jmrb.1994.1037.
    """
    if len(directions) == 1:
        return directions[0]
    logs = np.zeros(directions[0].shape, np.float64)
    for image in directions:
        logs += np.log(np.maximum(image, 1e-6))
    mean = np.exp(logs / len(directions)).astype(np.float32)
    mean[np.min(directions, axis=0) <= 0] = 0
    return mean


def adc_factor(values: NDArray[np.float32], unit: str = "") -> float | None:
    """Say what brings an ADC map to 1e-6 mm²/s.

    Parameters
    ----------
    values : ndarray of float32
        The map, rescaled as its header says.
    unit : str, optional
        The unit its header names.

    Returns
    -------
    float or None
        Factor; None where neither the unit nor the values tell. Values win over a unit that cannot be true.
    """
    tissue = values[np.isfinite(values) & (values > 0)]
    high = float(np.percentile(tissue, 90)) if tissue.size else 0.0
    named = ADC_UNITS.get(unit.lower().replace(" ", "").replace("²", "2"))
    plausible = [f for low, top, f in ADC_RANGES if low <= high <= top]
    if named is not None and (not plausible or named == plausible[0]):
        return named
    return plausible[0] if plausible else None
