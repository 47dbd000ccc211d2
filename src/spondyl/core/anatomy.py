"""The words for the spine: levels and structures, as names. Numbers for them exist only here."""

from __future__ import annotations

from enum import IntEnum

CERVICAL = tuple(f"C{n}" for n in range(1, 8))
THORACIC = tuple(f"T{n}" for n in range(1, 14))
LUMBAR = tuple(f"L{n}" for n in range(1, 7))
SACRAL = tuple(f"S{n}" for n in range(1, 6))

LEVELS = CERVICAL + THORACIC + LUMBAR + SACRAL
"""Every level name from the head down, the numeric variants T13 and L6 included."""

VARIANT_LEVELS = ("T13", "L6")
"""Levels that few have: +1 mobile vertebra in 4.3 % of 418 whole spines (Tins 2016, doi 10.1007/s13244-016-0468-7)."""


class Structure(IntEnum):
    """What a voxel of the structure map is; the network's classes."""

    BACKGROUND = 0
    BODY = 1
    CORTEX = 2
    POSTERIOR = 3
    DISC = 4
    CANAL = 5
    CORD = 6
    S1 = 7
    SACRUM = 8


STRUCTURE_NAMES = {
    Structure.BODY: "vertebral body marrow",
    Structure.CORTEX: "vertebral body cortex and endplates",
    Structure.POSTERIOR: "posterior elements",
    Structure.DISC: "intervertebral disc",
    Structure.CANAL: "spinal canal without cord",
    Structure.CORD: "spinal cord",
    Structure.S1: "first sacral body",
    Structure.SACRUM: "sacrum below S1, and its wings",
}


def disc_name(upper: str | None, lower: str | None) -> str | None:
    """Name the disc between two levels, such as ``"L4/L5"``.

    Parameters
    ----------
    upper, lower : str or None
        Level names of the bodies above and below.

    Returns
    -------
    str or None
        None where a level is not known.
    """
    return None if upper is None or lower is None else f"{upper}/{lower}"
