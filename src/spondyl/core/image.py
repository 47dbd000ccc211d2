"""Voxels with their place: scalar images and label maps. Frozen: a change makes a new one."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import GeometryError
from spondyl.core.sequence import Acquisition, Sequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from spondyl.core.geometry import Grid


@dataclass(frozen=True, eq=False)
class Station:
    """One of the overlapping fields of view that an image was joined from.

    Parameters
    ----------
    series_uid : str
        As in `Source`.
    series_number : int or None
        As in `Source`.
    grid : Grid
        Where its voxels were before joining.
    """

    series_uid: str
    series_number: int | None
    grid: Grid


@dataclass(frozen=True)
class Source:
    """Where an image came from, enough to point back at it from a DICOM result.

    Parameters
    ----------
    series_uid : str
        SeriesInstanceUID, or a made-up name for files that have none.
    series_number : int, optional
        SeriesNumber, for messages.
    description : str
        SeriesDescription; free text that may hold anything, so it never enters a log.
    evidence : tuple of str
        The cues that named the sequence, in words.
    stations : tuple of Station
        What the image was joined from, from the head down; empty for an image that is as it was read. Number and
        description are then those of the first, and `series_uid` is a name that no series has.
    """

    series_uid: str = ""
    series_number: int | None = None
    description: str = ""
    evidence: tuple[str, ...] = ()
    stations: tuple[Station, ...] = ()


def _freeze(array: NDArray, dtype: type | None, grid: Grid) -> NDArray:
    if array.shape != grid.shape:
        msg = f"voxels of shape {array.shape} do not fit a grid of shape {grid.shape}"
        raise GeometryError(msg)
    # A read-only view may still change through the array it looks at, so only a read-only owner is shared.
    may_change = array.flags.writeable or array.base is not None
    frozen = np.array(array, dtype=dtype, order="C", copy=may_change or None)
    frozen.setflags(write=False)
    return frozen


@dataclass(frozen=True, eq=False)
class Image:
    """A scalar volume.

    Parameters
    ----------
    array : ndarray of float32, shape ``grid.shape``
        Signal in arbitrary units, ADC in 10⁻⁶ mm²/s.
    grid : Grid
        Where the voxels are.
    sequence : Sequence
        What the image shows.
    sequence_confidence : float
        How sure the recognition is, from 0 to 1.
    acquisition : Acquisition
        How it was taken.
    source : Source
        Where it came from.

    Raises
    ------
    GeometryError
        If the voxels do not fit the grid.
    """

    array: NDArray[np.float32]
    grid: Grid
    sequence: Sequence = Sequence.UNKNOWN
    sequence_confidence: float = 1.0
    acquisition: Acquisition = field(default_factory=Acquisition)
    source: Source = field(default_factory=Source)

    def __post_init__(self) -> None:
        object.__setattr__(self, "array", _freeze(np.asarray(self.array), np.float32, self.grid))


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A volume of whole numbers, each the name of something.

    Parameters
    ----------
    array : ndarray of uint16, shape ``grid.shape``
        Label of each voxel; 0 is nothing.
    grid : Grid
        Where the voxels are.
    names : mapping of int to str
        What each label means.

    Raises
    ------
    GeometryError
        If the voxels do not fit the grid.
    """

    array: NDArray[np.uint16]
    grid: Grid
    names: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "array", _freeze(np.asarray(self.array), np.uint16, self.grid))
        object.__setattr__(self, "names", MappingProxyType(dict(self.names)))
