"""In which compartment of the spine a lesion lies, and how much of it has grown into the others."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import edt
import numpy as np

from spondyl.core import Structure
from spondyl.lesions.candidates import BONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

BONE_SHARE = 0.2
"""Share of a lesion in bone from which it counts as one of bone. Chosen by us: what grows in both mostly
began in bone."""

CORD_SHARE = 0.5
"""Share of a lesion in the cord from which it counts as intramedullary. Chosen by us."""

CANAL_SHARE = 0.6
"""Share of a lesion in the canal from which it lies there rather than beside the spine. Chosen by us."""

EPIDURAL_MM = 2.5
"""Mean distance from the wall of the canal below which a lesion in it counts as epidural. Chosen by us."""


class Compartment(StrEnum):
    """Where a lesion lies."""

    BONE = "bone"
    EPIDURAL = "epidural"
    PARASPINAL = "paraspinal"
    INTRADURAL = "intradural"
    INTRAMEDULLARY = "intramedullary"


class Parts(NamedTuple):
    """How a lesion is divided between compartments.

    Parameters
    ----------
    compartment : Compartment
        Where it lies.
    bone_mm3, canal_mm3, paraspinal_mm3 : float
        Its volume in bone, in canal or cord, and beside them, in mm³.
    """

    compartment: Compartment
    bone_mm3: float
    canal_mm3: float
    paraspinal_mm3: float


def divide(where: NDArray[np.bool_], structures: NDArray[np.integer], spacing_mm: tuple[float, float, float]) -> Parts:
    """Divide a lesion between compartments.

    Parameters
    ----------
    where : ndarray of bool
        The lesion's voxels.
    structures : ndarray of int, same shape
        Values of `Structure` there, with a margin of at least one voxel around the canal.
    spacing_mm : tuple of float
        Voxel size along each axis, in mm.

    Returns
    -------
    Parts
        Its compartment and the volumes in each.
    """
    inside = structures[where]
    n, voxel = len(inside), float(np.prod(spacing_mm))
    bone = int(np.isin(inside, BONE).sum())
    cord = int((inside == Structure.CORD).sum())
    canal = int((inside == Structure.CANAL).sum()) + cord
    compartment = Compartment.PARASPINAL
    if bone >= BONE_SHARE * n:
        compartment = Compartment.BONE
    elif cord >= CORD_SHARE * n:
        compartment = Compartment.INTRAMEDULLARY
    elif canal >= CANAL_SHARE * n:
        dural = np.isin(structures, (Structure.CANAL, Structure.CORD))
        depth = edt.edt(np.asfortranarray(dural), anisotropy=spacing_mm)[where & dural]
        compartment = Compartment.EPIDURAL if depth.mean() < EPIDURAL_MM else Compartment.INTRADURAL
    return Parts(compartment, bone * voxel, canal * voxel, (n - bone - canal) * voxel)
