"""Fat that its suppression left, put back into the crops of a patient.

Inversion recovery nulls fat at one inversion time only: where that is not met, fat keeps part of its signal, and fatty
marrow is bright with it (Delfaut et al. 1999, Fat suppression in MR imaging, doi
10.1148/radiographics.19.2.g99mr03373). A network that has never seen that may take it for edema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Structure
from spondyl.models.study_inputs import SHAPE_CHANNELS, TISSUES, Slot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.training.vertebrae import PatientCrops

TISSUE_OF_DISCS = TISSUES.index((Structure.DISC,))
"""Place of discs among the tissues that the facts of a study tell."""

LEAST_SHARE, MOST_SHARE = 0.05, 0.8
"""Share of the fat's signal on T1 that is put back. Chosen by us."""


def with_residual_fat(patient: PatientCrops, share: float) -> PatientCrops:
    """Put fat back into the fluid series, as far as T1 shows it.

    Parameters
    ----------
    patient : PatientCrops
        With crops of networks' channels.
    share : float
        Of the fat's signal on T1.

    Returns
    -------
    PatientCrops
        The same patient where there is no T1 or no fluid series.
    """
    facts = patient.facts.reshape(len(Slot), -1).copy()
    t1, fluid = list(Slot).index(Slot.T1), list(Slot).index(Slot.FLUID)
    if not (facts[t1, 0] and facts[fluid, 0]):
        return patient
    crops = np.array(patient.crops, np.float32)
    # Discs hold water alone, like the water in marrow.
    water = _signal(facts[t1, 1 + TISSUE_OF_DISCS])
    seen = (crops[:, t1] != 0) & (crops[:, fluid] != 0)
    fat = np.maximum(_signal(crops[:, t1]) - water, 0)
    spine = crops[:, len(Slot) : len(Slot) + len(SHAPE_CHANNELS)].sum(1) > 0.5
    # Channels are relative to the mean of the spine, which rises, too.
    rise = 1 + share * float(fat[spine & seen].mean()) if (spine & seen).any() else 1.0
    added = np.where(seen, share * fat, 0)
    crops[:, fluid] = np.where(crops[:, fluid] != 0, _channel((_signal(crops[:, fluid]) + added) / rise), 0)
    of_tissues = np.maximum(_signal(facts[t1, 1:]) - water, 0)
    facts[fluid, 1:] = _channel((_signal(facts[fluid, 1:]) + share * of_tissues) / rise)
    return patient._replace(crops=crops.astype(np.float16), facts=facts.reshape(-1))


def _signal(channel: NDArray[np.floating]) -> NDArray[np.float32]:
    """Signal over the spine's mean; see `spondyl.models.study_inputs.slot_channel`."""
    return np.asarray((channel / 2 + 1) ** 2, np.float32)


def _channel(signal: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(2 * np.sqrt(np.maximum(signal, 0)) - 2, np.float32)
