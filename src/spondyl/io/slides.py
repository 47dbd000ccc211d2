"""Embeddings of whole slides as HDF5: patches by numbers, in the layouts that CLAM and TRIDENT write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FEATURES, COORDINATES = "features", "coords"
"""Names of the datasets; older CLAM files have one more axis of length one in front of the features."""

ENCODER_ATTRIBUTES = ("encoder", "encoder_name", "model", "model_name")
"""Attributes that may name what made the numbers."""


@dataclass(frozen=True, eq=False)
class SlideEmbedding:
    """A slide by numbers.

    Parameters
    ----------
    features : ndarray of float, shape (n, D)
        One row a patch; a single row for an embedding of the whole slide.
    coordinates_px : ndarray of int, shape (n, 2), or None
        Upper left corner of each patch at the finest magnification.
    encoder : str
        What made the numbers; empty if not told.
    """

    features: NDArray[np.float64]
    coordinates_px: NDArray[np.int64] | None
    encoder: str = ""

    def pooled(self) -> NDArray[np.float64]:
        """Give one vector for the slide.

        Returns
        -------
        ndarray of float, shape (D,)
            Mean over the patches.
        """
        return np.asarray(self.features.mean(axis=0))


def read_slide(path: Path) -> SlideEmbedding:
    """Read the embedding of a slide.

    Parameters
    ----------
    path : Path
        An HDF5 file with ``features`` and, of patches, ``coords``.

    Returns
    -------
    SlideEmbedding
        Any number of patches and dimensions.

    Raises
    ------
    InputError
        If the file is damaged, has no features, or they do not fit together.
    """
    import h5py

    if not path.is_file():
        msg = f"the slide embedding {path.name} was not found; check the path"
        raise InputError(msg)
    try:
        with h5py.File(path, "r") as file:
            if FEATURES not in file:
                msg = f"{path.name} must have a dataset named {FEATURES}, it has {', '.join(file) or 'none'}"
                raise InputError(msg)
            dataset = file[FEATURES]
            values = np.asarray(dataset[()], dtype=np.float64)
            places = np.asarray(file[COORDINATES][()]) if COORDINATES in file else None
            told = {**dict(file.attrs), **dict(dataset.attrs)}
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        msg = f"{path.name} cannot be read as HDF5 ({type(error).__name__}); it may be empty or cut off, copy it again"
        raise InputError(msg) from error
    if values.ndim == 3 and values.shape[0] == 1:
        values = values[0]
    if values.ndim == 1:
        values = values[None]
    if values.ndim != 2 or not values.size:
        msg = f"{FEATURES} of {path.name} must have the shape (patches, dimensions), got {values.shape}"
        raise InputError(msg)
    if not np.isfinite(values).all():
        msg = f"{FEATURES} of {path.name} must be finite; {int((~np.isfinite(values)).sum())} numbers are not"
        raise InputError(msg)
    if places is not None:
        places = places.reshape(-1, 2).astype(np.int64) if places.size == 2 * len(values) else places
        if places.shape != (len(values), 2):
            msg = f"{path.name} must have one pair of coordinates for each of {len(values)} patches, got {places.shape}"
            raise InputError(msg)
    encoder = next((str(told[name]) for name in ENCODER_ATTRIBUTES if name in told), "")
    return SlideEmbedding(values, places, encoder)
