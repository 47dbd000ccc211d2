"""Does a series look like what it is called: spinal fluid against marrow tells T1 from T2, whatever the header says.

A wrong name reaches the networks where a user gave it, or where header and picture were both odd. Fluid has the longest
T1 and T2 of the spine: darker than marrow on T1, brighter on T2, and most of all where fat is suppressed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spondyl.core import QualityFlag
from spondyl.models.study_inputs import TISSUES, Slot

if TYPE_CHECKING:
    from spondyl.models.study import Study

FLUID_DARK, FLUID_BRIGHT = (Slot.T1, Slot.T1CE), (Slot.T2, Slot.FLUID)
"""Slots by what fluid is beside marrow."""

LEAST_GAP = 0.25
"""Difference of the medians of canal and marrow, in units of the input channels (twice the square root of the signal
over the spine's mean), from which the order counts as wrong: about a quarter of the spine's mean signal. Chosen by us:
on eight real lumbar volumes (T1, T2, STIR) the right order was 0.26 to 0.91 apart."""

_MARROW, _CANAL = 1, 1 + len(TISSUES) - 1


def contrast_flags(study: Study) -> list[QualityFlag]:
    """Say which series of a study show fluid and marrow in the wrong order for their name.

    Parameters
    ----------
    study : Study
        As the lesion network sees it.

    Returns
    -------
    list of QualityFlag
        One a series; empty where all fit, or canal or marrow were not measured.
    """
    table = study.facts.reshape(len(Slot), 1 + len(TISSUES))
    flags = []
    for slot, row in zip(Slot, table, strict=True):
        marrow, canal = float(row[_MARROW]), float(row[_CANAL])
        if not row[0] or 0.0 in (marrow, canal):
            continue
        wrong = canal - marrow if slot in FLUID_DARK else marrow - canal if slot in FLUID_BRIGHT else 0.0
        if wrong > LEAST_GAP:
            order = "brighter" if slot in FLUID_DARK else "darker"
            text = (
                f"The {slot.value} series shows spinal fluid {order} than marrow, unlike such a series; check its "
                "name, for lesions were looked for as if it were right."
            )
            flags.append(QualityFlag("contrast_unlike_its_name", text, where=slot.value))
    return flags
