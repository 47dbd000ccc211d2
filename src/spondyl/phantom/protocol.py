"""How the synthetic scanner is set: one protocol per series, drawn from the ranges in clinical use.

The ranges of TR, TE, TI, echo train, matrix and slices are those of published spine protocols (Mehta 1995, AJR
164:1051; the ACR-ASNR-SABI-SSR practice parameter for spine MRI, 2023; the MET-RADS-P core protocol, Padhani 2017, doi
10.1016/j.eururo.2016.05.033); the limits inside which we draw are chosen by us.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from spondyl.core import Acquisition, Sequence, SettingsError
from spondyl.phantom.signal import GYROMAGNETIC_MHZ_T, Pulse
from spondyl.phantom.vendors import CATALOG, describe, pick_vendor

LUMBAR_SEQUENCES = (Sequence.T1, Sequence.T2, Sequence.STIR, Sequence.DWI, Sequence.T1CE)
"""The usual lumbar study; DWI stands for the b-images and their ADC map, DIXON_WATER for all four Dixon images."""

PHASE_DIRECTIONS = ("HF", "AP", "RL")
"""Directions along which phase is encoded: head-feet, anterior-posterior, right-left."""


class _Range(NamedTuple):
    """Limits of one sequence at 1.5 T and, where they differ, at 3 T."""

    pulse: Pulse
    tr_ms: tuple[float, float]
    te_ms: tuple[float, float]
    ti_ms: tuple[tuple[float, float], tuple[float, float]] | None
    echoes: tuple[int, int]
    voxel_mm: tuple[float, float]
    snr: tuple[float, float]


_RANGES: dict[Sequence, _Range] = {
    Sequence.T1: _Range(Pulse.SPIN_ECHO, (450, 800), (7, 16), None, (2, 5), (0.75, 1.15), (75, 200)),
    Sequence.T1CE: _Range(Pulse.SPIN_ECHO, (450, 800), (7, 16), None, (2, 5), (0.75, 1.15), (75, 200)),
    Sequence.T2: _Range(Pulse.SPIN_ECHO, (2500, 5500), (85, 122), None, (12, 28), (0.70, 1.10), (70, 190)),
    Sequence.STIR: _Range(
        Pulse.INVERSION_RECOVERY, (3200, 6000), (32, 78), ((142, 172), (195, 235)), (8, 18), (0.85, 1.30), (70, 170)
    ),
    Sequence.DWI: _Range(Pulse.DIFFUSION_EPI, (3500, 8000), (58, 88), None, (1, 1), (1.7, 2.6), (90, 220)),
    Sequence.DIXON_WATER: _Range(Pulse.GRADIENT_ECHO, (5.5, 8.5), (2.3, 2.4), None, (1, 1), (0.95, 1.5), (350, 800)),
}
"""SNR is that of fully relaxed CSF protons at the vertebrae, before any weighting."""

_UNSEEN_TE_TR: dict[Sequence, tuple[tuple[float, float], tuple[float, float]]] = {
    Sequence.T1: ((21, 27), (860, 1000)),
    Sequence.T1CE: ((21, 27), (860, 1000)),
    Sequence.T2: ((132, 155), (5600, 7500)),
    Sequence.STIR: ((82, 98), (6100, 8000)),
    Sequence.DWI: ((90, 105), (3000, 3500)),
}
"""TE and TR in ms that no training image has: beyond the ranges above and those that training draws contrasts from."""

_TSE_DIXON = _Range(Pulse.SPIN_ECHO, (2800, 5500), (80, 105), None, (12, 24), (0.75, 1.15), (90, 200))
SNR_FIELDS_T, SNR_GAIN = (0.55, 1.5, 3.0), (0.55, 1.0, 1.35)
"""SNR relative to 1.5 T, and the fields in tesla where it holds: less than in proportion, as protocols spend time or
resolution on it. Chosen by us."""

FIELD_SHARES = {1.5: 0.62, 3.0: 0.38}
"""How often each field strength in tesla is drawn. Chosen by us."""

TSE_DIXON_SHARE = 0.5
"""Half of the spine's Dixon series are T2-weighted turbo spin echoes, half 3-D gradient echoes. Chosen by us."""

T1_FLAIR_TR_MS, T1_FLAIR_TE_MS, T1_FLAIR_TI_MS = (1800, 2800), (8, 25), (700, 1000)
"""GE, and some others at 3 T, give T1 contrast by an inversion pulse: limits in ms."""

NORMALIZED_SHARE = 0.65
"""Share of studies whose images are corrected for the coil's profile. Chosen by us."""

DWI_B_VALUES_S_MM2 = ((0.0, 50.0), (800.0, 1000.0))
"""Low and high b-values in use (Padhani 2017, MET-RADS-P: 50-100 and 800-900)."""

OPPOSED_PHASE_TE_MS = {1.5: 2.3, 3.0: 1.15}
"""First echo time at which water and fat oppose each other, in ms; in phase at twice this."""


@dataclass(frozen=True)
class Protocol:
    """The settings of one series.

    Parameters
    ----------
    sequence : Sequence
        What it shows; DWI and DIXON_WATER stand for all images of their series.
    acquisition : Acquisition
        Timing, field strength and scanner, as the header will tell.
    pulse : Pulse
        Kind of pulse sequence.
    plane : str
        ``"sagittal"``, ``"coronal"`` or ``"axial"``.
    phase_direction : str
        ``"HF"``, ``"AP"`` or ``"RL"``.
    readout_mm, phase_mm : float
        Acquired voxel size along readout and phase, in mm.
    pixel_mm : float
        Size of the reconstructed pixel, in mm.
    fov_mm : float
        Side of the square field of view, in mm.
    slice_thickness_mm, slice_gap_mm : float
        Thickness, and distance between neighboring slices' faces, in mm.
    n_slices : int
        Number of slices.
    phase_oversampling : float
        Encoded over shown field of view along phase; 1 lets the body fold over.
    echo_spacing_ms : float
        Time between echoes of the train, in ms.
    snr : float
        Signal of fully relaxed CSF protons at the vertebrae over the noise.
    fat_residual : float
        Share of the fat signal that suppression leaves.
    saturation_band : float
        How strongly tissue in front of the spine is saturated, 0 to 1.
    normalized : bool
        Whether the vendor's correction of the coil profile was on.
    b_values_s_mm2 : tuple of float
        Diffusion weightings in s/mm²; empty otherwise.
    description : str
        Series description in the vendor's words.
    body_part : str
        BodyPartExamined (PS3.16 CID 4030).
    station, n_stations : int
        Which of the overlapping fields of a long study this series is, from the head down, and how many there are.
    """

    sequence: Sequence
    acquisition: Acquisition
    pulse: Pulse
    plane: str = "sagittal"
    phase_direction: str = "HF"
    readout_mm: float = 0.8
    phase_mm: float = 0.9
    pixel_mm: float = 0.7
    fov_mm: float = 280.0
    slice_thickness_mm: float = 4.0
    slice_gap_mm: float = 0.4
    n_slices: int = 15
    phase_oversampling: float = 1.6
    echo_spacing_ms: float = 10.0
    snr: float = 120.0
    fat_residual: float = 0.04
    saturation_band: float = 0.0
    normalized: bool = True
    b_values_s_mm2: tuple[float, ...] = ()
    description: str = ""
    body_part: str = "LSPINE"
    station: int = 0
    n_stations: int = 1

    @property
    def field_strength_t(self) -> float:
        """Field strength in tesla; 1.5 where the record does not tell."""
        return self.acquisition.field_strength_t or 1.5

    @property
    def saturates_fat(self) -> bool:
        """Whether fat is suppressed by its frequency, which needs an even field; inversion recovery does not."""
        return bool(self.acquisition.fat_suppressed) and self.pulse is not Pulse.INVERSION_RECOVERY

    @property
    def phase_axis(self) -> int:
        """Image axis along which phase is encoded: 1 for rows, 2 for columns."""
        along_rows = "AP" if self.plane == "axial" else "HF"
        return 1 if self.phase_direction == along_rows else 2

    @property
    def slice_spacing_mm(self) -> float:
        """Distance of slice centers in mm."""
        return self.slice_thickness_mm + self.slice_gap_mm

    def dicom_attributes(self) -> dict[str, object]:
        """Give what a header says beyond the record, by DICOM keyword.

        Returns
        -------
        dict
            Values for SeriesDescription, ScanningSequence and its like (PS3.3 section C.8.3.1).
        """
        return _dicom_attributes(self)


def sample_protocol(
    rng: np.random.Generator,
    sequence: Sequence,
    vendor: str | None = None,
    field_strength_t: float | None = None,
    *,
    plane: str = "sagittal",
    unseen: bool = False,
) -> Protocol:
    """Draw the settings of one series.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    sequence : Sequence
        T1, T1CE, T2, STIR, DWI or DIXON_WATER.
    vendor : str, optional
        A vendor family; drawn where it is None.
    field_strength_t : float, optional
        Field strength in tesla; 1.5 or 3 is drawn where it is None.
    plane : str, optional
        Plane of the slices.
    unseen : bool, optional
        Whether TE and TR are drawn beyond all that training draws from.

    Returns
    -------
    Protocol
        The settings.

    Raises
    ------
    SettingsError
        If there is no protocol for the sequence, or the vendor is not known.
    """
    if sequence not in _RANGES:
        known = ", ".join(_RANGES)
        msg = f"there is no protocol for sequence {sequence}; choose one of {known}"
        raise SettingsError(msg)
    vendor = pick_vendor(rng, vendor)
    field = pick_field(rng, field_strength_t)
    limits = _RANGES[sequence]
    if unseen and sequence in _UNSEEN_TE_TR:
        te, tr = _UNSEEN_TE_TR[sequence]
        limits = limits._replace(te_ms=te, tr_ms=tr)
    if sequence is Sequence.DIXON_WATER and rng.random() < TSE_DIXON_SHARE:
        limits = _TSE_DIXON
    high = field > 2
    flair = sequence is Sequence.T1 and high and not unseen and (vendor == "ge" or rng.random() < 0.12)
    acquisition = _sample_timing(rng, limits, field, flair=flair)
    acquisition = _with_scanner(rng, acquisition, vendor, field, sequence)
    voxel = float(rng.uniform(*limits.voxel_mm))
    thickness = float(rng.choice([3.0, 3.5, 4.0, 4.5])) if sequence is not Sequence.DWI else float(rng.choice([4, 5]))
    three_d = limits.pulse is Pulse.GRADIENT_ECHO
    if three_d:
        thickness = float(rng.choice([2.5, 3.0, 4.0]))
    normalized = bool(rng.random() < NORMALIZED_SHARE)
    b_values = tuple(float(rng.choice(b)) for b in DWI_B_VALUES_S_MM2) if sequence is Sequence.DWI else ()
    protocol = Protocol(
        sequence,
        replace(acquisition, slice_thickness_mm=thickness),
        Pulse.INVERSION_RECOVERY if flair else limits.pulse,
        plane=plane,
        phase_direction=_phase_direction(rng, sequence, plane),
        readout_mm=voxel * float(rng.uniform(0.85, 1.0)),
        phase_mm=voxel * float(rng.uniform(1.0, 1.25)),
        pixel_mm=voxel * float(rng.choice([0.5, 0.75, 1.0])) if voxel > 1.0 else voxel * float(rng.uniform(0.65, 1.0)),
        fov_mm=float(rng.uniform(160, 220) if plane == "axial" else rng.uniform(260, 320)),
        slice_thickness_mm=thickness,
        slice_gap_mm=0.0 if three_d else round(thickness * float(rng.uniform(0.08, 0.25)), 2),
        phase_oversampling=float(rng.choice([1.1, 1.4, 1.8, 2.0])),
        echo_spacing_ms=float(rng.uniform(7.5, 12.0)),
        snr=float(rng.uniform(*limits.snr) * np.interp(field, SNR_FIELDS_T, SNR_GAIN)),
        fat_residual=float(rng.uniform(0.03, 0.09)),
        saturation_band=float(rng.uniform(0.6, 0.95)) if sequence is not Sequence.DWI and rng.random() < 0.55 else 0.0,
        normalized=normalized,
        b_values_s_mm2=b_values,
        description=describe(vendor, sequence, plane, flair=flair, gradient_echo=three_d, b_values_s_mm2=b_values),
    )
    return replace(protocol, n_slices=_n_slices(protocol))


def pick_field(rng: np.random.Generator, field_strength_t: float | None = None) -> float:
    """Draw a field strength, or take the one given.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    field_strength_t : float, optional
        Field strength in tesla.

    Returns
    -------
    float
        Field strength in tesla.
    """
    return float(field_strength_t or rng.choice(list(FIELD_SHARES), p=list(FIELD_SHARES.values())))


def _n_slices(protocol: Protocol) -> int:
    # Sagittal slices reach from one pair of foramina to the other, 55 to 70 mm; axial ones over four or five discs.
    extent = 62.0 if protocol.plane == "sagittal" else 110.0
    return int(np.clip(round(extent / protocol.slice_spacing_mm), 11, 26))


def _phase_direction(rng: np.random.Generator, sequence: Sequence, plane: str) -> str:
    if plane == "axial":
        return "AP" if rng.random() < 0.7 else "RL"
    if sequence is Sequence.DWI:
        return "HF" if rng.random() < 0.4 else "AP"
    return "HF" if rng.random() < 0.75 else "AP"


def _sample_timing(rng: np.random.Generator, limits: _Range, field: float, *, flair: bool) -> Acquisition:
    tr, te = float(rng.uniform(*limits.tr_ms)), float(rng.uniform(*limits.te_ms))
    ti = None
    if limits.ti_ms is not None:
        ti = float(rng.uniform(*limits.ti_ms[int(field > 2)]))
    if flair:
        tr, te, ti = (float(rng.uniform(*span)) for span in (T1_FLAIR_TR_MS, T1_FLAIR_TE_MS, T1_FLAIR_TI_MS))
    elif limits.pulse is Pulse.SPIN_ECHO and tr < 1000 and field > 2:
        tr *= 1.2
    flip = 90.0
    if limits.pulse is Pulse.GRADIENT_ECHO:
        te, flip = 2 * OPPOSED_PHASE_TE_MS[3.0 if field > 2 else 1.5], float(rng.uniform(3, 12))
    elif limits.echoes[1] > 1:
        flip = float(rng.choice([120, 140, 150, 160, 180]))
    return Acquisition(
        field_strength_t=field,
        echo_time_ms=round(te, 2),
        repetition_time_ms=round(tr, 1),
        inversion_time_ms=None if ti is None else round(ti, 1),
        flip_angle_deg=round(flip, 1),
        echo_train_length=int(rng.integers(limits.echoes[0], limits.echoes[1] + 1)),
        bandwidth_hz_px=round(float(rng.uniform(130, 380)), 1),
    )


def _with_scanner(
    rng: np.random.Generator, acquisition: Acquisition, vendor: str, field: float, sequence: Sequence
) -> Acquisition:
    entry = CATALOG[vendor]
    models = entry.models.get(field, entry.models[3.0 if field > 2 else 1.5])
    model = models[int(rng.integers(len(models)))]
    return replace(
        acquisition,
        fat_suppressed=sequence in (Sequence.STIR, Sequence.DWI, Sequence.T1CE),
        contrast_given=sequence is Sequence.T1CE,
        vendor=vendor,
        model=model,
        software=entry.software[int(rng.integers(len(entry.software)))],
        coil=entry.coils[int(rng.integers(len(entry.coils)))],
        station=f"SPONDYL-{vendor.upper()}-{int(rng.integers(1, 5))}",
    )


_SCANNING_SEQUENCE = {
    Pulse.SPIN_ECHO: "SE",
    Pulse.INVERSION_RECOVERY: ["SE", "IR"],
    Pulse.GRADIENT_ECHO: "GR",
    Pulse.DIFFUSION_EPI: ["EP", "SE"],
}


def _dicom_attributes(protocol: Protocol) -> dict[str, object]:
    a, entry = protocol.acquisition, CATALOG[protocol.acquisition.vendor or "siemens"]
    # The standard asks for ROW or COL; which of the two follows from the order of axes the writer chose, so it is left.
    attributes: dict[str, object] = {
        "Manufacturer": entry.manufacturer,
        "SeriesDescription": protocol.description,
        "ProtocolName": protocol.description,
        "ScanningSequence": _SCANNING_SEQUENCE[protocol.pulse],
        "SequenceVariant": "SP" if protocol.pulse is Pulse.GRADIENT_ECHO else "SK",
        "ScanOptions": "FS" if protocol.saturates_fat else "",
        "MRAcquisitionType": "3D" if protocol.pulse is Pulse.GRADIENT_ECHO else "2D",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM" if protocol.normalized and entry.normalized else "ND"],
        "SpacingBetweenSlices": round(protocol.slice_spacing_mm, 3),
        "ImagingFrequency": round(GYROMAGNETIC_MHZ_T * protocol.field_strength_t, 4),
        "BodyPartExamined": protocol.body_part,
    }
    if a.contrast_given:
        attributes |= {"ContrastBolusAgent": "gadobutrol", "ContrastBolusRoute": "IV"}
    return attributes
