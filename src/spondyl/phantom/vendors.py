"""Scanners and the words their makers use, so that a synthetic header looks like one a reader of DICOM will meet.

Model, coil and sequence names are those the makers print in their own product and conformance documents; which of them
a synthetic scanner gets is chosen by us.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spondyl.core import Sequence, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

VENDORS = ("siemens", "ge", "philips", "canon", "uih")
"""Vendor families, as in `Acquisition.vendor`."""

VENDOR_SHARE = (0.34, 0.26, 0.24, 0.09, 0.07)
"""How often each one is drawn: roughly the installed base. Chosen by us."""


@dataclass(frozen=True)
class Vendor:
    """What one maker writes into a header.

    Parameters
    ----------
    manufacturer : str
        Manufacturer (0008,0070) as written.
    models : mapping of float to tuple of str
        Model names by field strength in tesla.
    software, coils : tuple of str
        Software versions and receive coils.
    words : mapping of Sequence to str
        How series descriptions name a sequence, without plane.
    plane_words : mapping of str to str
        How they name the plane.
    dixon_3d : str
        How they name a 3-D gradient-echo Dixon series.
    normalized : str
        ImageType token of an image corrected for the coil's profile; empty where the vendor writes none.
    """

    manufacturer: str
    models: Mapping[float, tuple[str, ...]]
    software: tuple[str, ...]
    coils: tuple[str, ...]
    words: Mapping[Sequence, str]
    plane_words: Mapping[str, str]
    dixon_3d: str = ""
    normalized: str = ""


_S = Sequence
_LOWER = {"sagittal": "sag", "axial": "tra", "coronal": "cor"}
_UPPER = {"sagittal": "SAG", "axial": "AX", "coronal": "COR"}


def _words(t1: str, t2: str, stir: str, dwi: str, dixon: str, t1ce: str) -> dict[Sequence, str]:
    return {_S.T1: t1, _S.T2: t2, _S.STIR: stir, _S.DWI: dwi, _S.DIXON_WATER: dixon, _S.T1CE: t1ce}


CATALOG: dict[str, Vendor] = {
    "siemens": Vendor(
        "SIEMENS",
        {
            0.55: ("MAGNETOM Free.Max",),
            1.5: ("Avanto", "Aera", "MAGNETOM Sola"),
            3.0: ("Skyra", "Prisma", "MAGNETOM Vida"),
        },
        ("syngo MR B17", "syngo MR E11", "syngo MR XA20"),
        ("SP3;SP4;SP5", "SP2;SP3;SP4;SP5;SP6", "SpineMatrix"),
        _words("t1_tse", "t2_tse", "t2_tirm", "ep2d_diff_b{low}_{high}", "t2_tse_dixon", "t1_tse_fs_km"),
        _LOWER,
        "t1_vibe_dixon",
        "NORM",
    ),
    "ge": Vendor(
        "GE MEDICAL SYSTEMS",
        {1.5: ("Signa HDxt", "Optima MR450w", "SIGNA Artist"), 3.0: ("DISCOVERY MR750", "SIGNA Premier")},
        ("15\\LX\\MR Software release:15.0_M4_0910.a", "27\\LX\\MR Software release:DV26.0_R03_1831.b"),
        ("CTL_TOP", "HD CTL 456", "PA456"),
        _words("T1", "T2 FRFSE", "STIR", "DWI b{low}/{high}", "T2 FLEX", "T1 FS +C"),
        _UPPER,
        "LAVA FLEX",
    ),
    "philips": Vendor(
        "Philips Medical Systems",
        {1.5: ("Achieva", "Ingenia", "Ambition X"), 3.0: ("Achieva dStream", "Ingenia Elition X")},
        ("3.2.1", "5.3.0", "5.7.1"),
        ("SENSE-SPINE", "dStream Posterior", "MULTI COIL"),
        _words("T1W_TSE", "T2W_TSE", "STIR_TSE", "DWI_b{low}_{high}", "T2W_mDIXON", "T1W_SPIR_GD"),
        _UPPER,
        "mDIXON_FFE",
    ),
    "canon": Vendor(
        "TOSHIBA_MEC",
        {1.5: ("Titan", "Vantage Orian"), 3.0: ("Titan3T", "Vantage Galan 3T")},
        ("V3.51*P001", "V6.0*R003"),
        ("Spine SPEEDER", "Octave SPEEDER Spine"),
        _words("T1 FSE", "T2 FSE", "FIR STIR", "DWI", "WFS DIXON T2", "T1 FSE CE FatSat"),
        _UPPER,
        "WFS DIXON FE3D",
    ),
    "uih": Vendor(
        "UIH",
        {1.5: ("uMR 570", "uMR 588"), 3.0: ("uMR 780", "uMR 790")},
        ("R004", "uMR_V10"),
        ("Spine_32", "SPC"),
        _words("t1_fse", "t2_fse", "t2_fse_stir", "epi_dwi", "t2_wfi", "t1_fse_fs_ce"),
        _LOWER,
        "gre_quick3d_wfi",
    ),
}
"""What each maker writes."""


def pick_vendor(rng: np.random.Generator, vendor: str | None = None) -> str:
    """Draw a vendor, or check the one given.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    vendor : str, optional
        A family of `VENDORS`.

    Returns
    -------
    str
        A family of `VENDORS`.

    Raises
    ------
    SettingsError
        If the name is not known.
    """
    if vendor is None:
        return VENDORS[int(rng.choice(len(VENDORS), p=VENDOR_SHARE))]
    if vendor not in CATALOG:
        msg = f"vendor must be one of {', '.join(VENDORS)}, got {vendor!r}"
        raise SettingsError(msg)
    return vendor


def describe(
    vendor: str,
    sequence: Sequence,
    plane: str,
    *,
    flair: bool = False,
    gradient_echo: bool = False,
    b_values_s_mm2: tuple[float, ...] = (),
) -> str:
    """Name a series as a vendor's protocol would.

    Parameters
    ----------
    vendor : str
        A family of `VENDORS`.
    sequence : Sequence
        What it shows; an ADC map is named after its DWI, a Dixon part after its series.
    plane : str
        ``"sagittal"``, ``"coronal"`` or ``"axial"``.
    flair : bool, optional
        Whether the T1 contrast comes from an inversion pulse.
    gradient_echo : bool, optional
        Whether a Dixon series is a 3-D gradient echo.
    b_values_s_mm2 : tuple of float, optional
        Diffusion weightings in s/mm², lowest first.

    Returns
    -------
    str
        A series description.
    """
    entry = CATALOG[vendor]
    word = entry.dixon_3d if gradient_echo else entry.words[sequence]
    if b_values_s_mm2:
        word = word.format(low=round(b_values_s_mm2[0]), high=round(b_values_s_mm2[-1]))
    if flair:
        word = word.replace("T1", "T1 FLAIR", 1).replace("t1", "t1_flair", 1)
    where = entry.plane_words[plane]
    if vendor in ("siemens", "uih"):
        head, _, tail = word.partition("_")
        return f"{head}_{tail}_{where}" if vendor == "uih" else f"{word}_{where}"
    return f"{where} {word}" if vendor != "philips" else f"{where[:3]}_{word}"
