"""Typical sizes and tilts of every level, from the sacrum to C1.

Sizes are rounded from morphometry of dry bones and CT: Panjabi 1991 and 1992 (doi 10.1097/00007632-199108000-00002,
10.1097/00007632-199203000-00010) for bodies, canals and pedicles, Frostell 2016 (doi 10.3389/fneur.2016.00238) for
the cord, Zindrick 1987 (Spine 12:160) for the height of pedicles. Lower thoracic and lumbar bodies are set to the
upper half of those ranges, where bodies outlined on clinical MRI lie (about 27 mm high, 33 deep and 49 wide). Disc
heights are chosen by us between published normal ranges. Tilts give a lumbar lordosis (T12 to S1) of about 50 degrees,
that of standing adults, and a thoracic kyphosis of about 37; `spondyl.phantom.posture` lays the patient down.
"""

from __future__ import annotations

from typing import NamedTuple


class LevelSize(NamedTuple):
    """Mean sizes of one level in mm, and its tilt.

    Parameters
    ----------
    width_mm, depth_mm, height_mm : float
        Body: left-right, anterior-posterior, and height between the rims.
    disc_mm : float
        Height of the disc below.
    canal_width_mm, canal_depth_mm : float
        Bony canal.
    pedicle_mm, pedicle_height_mm : float
        Pedicle width and height.
    tilt_deg : float
        Angle of the body's axis from vertical; positive when its top leans to posterior.
    spinous_mm, spinous_drop : float
        Length of the spinous process, and how much it falls per mm of length.
    """

    width_mm: float
    depth_mm: float
    height_mm: float
    disc_mm: float
    canal_width_mm: float
    canal_depth_mm: float
    pedicle_mm: float
    pedicle_height_mm: float
    tilt_deg: float
    spinous_mm: float
    spinous_drop: float


LEVEL_SIZES: dict[str, LevelSize] = {
    "C1": LevelSize(20, 11, 10, 0.5, 28, 20, 8, 7, 5, 6, 0.0),
    "C2": LevelSize(18, 15, 18, 4.5, 24, 18, 7, 8, 5, 22, 0.1),
    "C3": LevelSize(18, 15, 12.5, 5, 24, 16, 5.5, 7, 2, 15, 0.3),
    "C4": LevelSize(18.5, 15.5, 12.5, 5, 24.5, 16, 5.5, 7, -4, 16, 0.3),
    "C5": LevelSize(19, 15.5, 12.5, 5, 25, 16, 5.8, 7, -10, 18, 0.3),
    "C6": LevelSize(20, 16, 12.5, 5.3, 25, 16, 6, 7, -18, 24, 0.3),
    "C7": LevelSize(22, 17, 14, 5.2, 24, 15, 6.5, 7.5, -24, 32, 0.4),
    "T1": LevelSize(25, 18, 15.5, 4.6, 21, 15.5, 8, 9.6, -25, 32, 0.5),
    "T2": LevelSize(25, 19, 16.5, 4.3, 19, 15, 7, 11.5, -23, 30, 0.7),
    "T3": LevelSize(24.5, 21, 17, 4.0, 18, 15, 6, 12, -19, 28, 0.9),
    "T4": LevelSize(25, 23, 17.5, 4.0, 17, 15.5, 4.8, 12, -14, 27, 1.1),
    "T5": LevelSize(25.5, 25, 18, 4.1, 17, 15.5, 4.6, 11.5, -9, 27, 1.2),
    "T6": LevelSize(26.5, 26.5, 18.5, 4.3, 17, 16, 4.8, 11.5, -4, 27, 1.3),
    "T7": LevelSize(28, 28, 19, 4.6, 17.5, 16, 5, 12, 1, 27, 1.3),
    "T8": LevelSize(29.5, 28.5, 19.5, 5, 17.5, 16, 5.3, 12.5, 5, 27, 1.2),
    "T9": LevelSize(31, 29, 20, 5.4, 18, 15.5, 6, 13.5, 8, 27, 1.0),
    "T10": LevelSize(33, 30, 21.5, 6, 18, 15.5, 7, 14.5, 10, 27, 0.8),
    "T11": LevelSize(38, 32, 24, 6.4, 19, 16, 8.5, 16.5, 12, 26, 0.5),
    "T12": LevelSize(41.5, 33, 25.5, 7, 21.5, 17.5, 8.5, 16.5, 13, 27, 0.3),
    "T13": LevelSize(42.5, 34, 26, 7.5, 22, 18, 8.5, 16, 12.5, 28, 0.2),
    "L1": LevelSize(44, 34.5, 27.5, 8.3, 23.5, 18, 8.5, 15.5, 11, 30, 0.1),
    "L2": LevelSize(46, 35.5, 28.5, 9.4, 24, 18, 9, 15, 6, 31, 0.05),
    "L3": LevelSize(48.5, 36, 29, 10.3, 24, 17.5, 10.5, 14.5, -1, 32, 0.05),
    "L4": LevelSize(50.5, 36.5, 29, 11, 25, 18, 13, 14.5, -9, 31, 0.1),
    "L5": LevelSize(52, 36.5, 28.2, 10.2, 27, 18, 16.5, 14, -20, 26, 0.2),
    "L6": LevelSize(52, 36, 27.5, 9.5, 28, 18, 17, 14, -27, 23, 0.25),
    "S1": LevelSize(50, 31, 28, 2.2, 30, 16, 18, 20, -38, 13, 0.1),
    "S2": LevelSize(38, 23, 23, 1.2, 26, 12, 14, 15, -46, 9, 0.1),
    "S3": LevelSize(30, 17, 19, 0.9, 20, 9, 12, 12, -34, 7, 0.1),
    "S4": LevelSize(23, 12, 16, 0.8, 14, 6, 9, 10, -18, 5, 0.1),
    "S5": LevelSize(17, 9, 13, 0.5, 10, 4, 7, 8, 2, 3, 0.1),
}


def column_levels(*, n_thoracic: int = 12, n_lumbar: int = 5, top: str = "C1") -> list[str]:
    """Name the levels of a column from S5 upward.

    Parameters
    ----------
    n_thoracic : int, optional
        Rib-bearing vertebrae: 11, 12 or 13.
    n_lumbar : int, optional
        Lumbar vertebrae: 4, 5 or 6.
    top : str, optional
        The uppermost level to include.

    Returns
    -------
    list of str
        Level names from S5 up to `top`.
    """
    names = [f"S{n}" for n in range(5, 0, -1)]
    names += [f"L{n}" for n in range(n_lumbar, 0, -1)]
    names += [f"T{n}" for n in range(n_thoracic, 0, -1)]
    names += [f"C{n}" for n in range(7, 0, -1)]
    return names[: names.index(top) + 1] if top in names else names
