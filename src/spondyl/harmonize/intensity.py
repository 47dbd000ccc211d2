"""Intensity scales that need no anatomy: robust z-score, percentiles, and the landmarks of Nyúl.

Each is learned from one image or many, applied to others, and kept as JSON. They make histograms alike, and so also
take away what disease changes in them; scaling by reference tissues does not.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import InputError
from spondyl.core.marrow import TO_SD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

LANDMARKS = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)
"""Percentiles that are mapped onto each other: deciles, and the ends beyond which voxels are extreme (Shah 2011,
Med Image Anal 15:267)."""

STANDARD = (0.0, 100.0)
"""Values of the end landmarks on Nyúl's standard scale; any two would do."""


def robust_z_score(array: NDArray, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Scale an image by the median and the median absolute deviation of its tissue.

    Parameters
    ----------
    array : ndarray of float
        Signal.
    mask : ndarray of bool, one shape
        Where there is tissue.

    Returns
    -------
    ndarray of float32
        Median 0 and standard deviation near 1 inside the mask.

    Raises
    ------
    InputError
        If there is no tissue, or it has one value.
    """
    values = _inside(array, mask)
    median = float(np.median(values))
    spread = TO_SD * float(np.median(np.abs(values - median)))
    if spread <= 0:
        msg = "a robust z-score needs tissue that varies, half of it has one value; check the mask"
        raise InputError(msg)
    return ((array - median) / spread).astype(np.float32)


def percentile_scale(
    array: NDArray, mask: NDArray[np.bool_], *, low: float = 1.0, high: float = 99.0
) -> NDArray[np.float32]:
    """Scale an image so that two percentiles of its tissue become 0 and 1.

    Parameters
    ----------
    array : ndarray of float
        Signal.
    mask : ndarray of bool, one shape
        Where there is tissue.
    low, high : float, optional
        The percentiles.

    Returns
    -------
    ndarray of float32
        Values beyond the percentiles lie beyond 0 and 1.

    Raises
    ------
    InputError
        If there is no tissue, or it has one value.
    """
    black, white = np.percentile(_inside(array, mask), [low, high])
    if white <= black:
        msg = f"percentiles {low:g} and {high:g} of the tissue must differ, both are {black:g}; check the mask"
        raise InputError(msg)
    return ((array - black) / (white - black)).astype(np.float32)


@dataclass(frozen=True)
class NyulScale:
    """A standard histogram of one sequence.

    Parameters
    ----------
    percentiles : tuple of float
        The landmarks.
    standard : tuple of float
        Where they lie on the standard scale, ascending.
    """

    percentiles: tuple[float, ...]
    standard: tuple[float, ...]

    @classmethod
    def learned(cls, images: Iterable[tuple[NDArray, NDArray[np.bool_]]]) -> NyulScale:
        """Learn the standard from images of one sequence.

        Parameters
        ----------
        images : iterable of (ndarray of float, ndarray of bool)
            Signal and tissue.

        Returns
        -------
        NyulScale
            Mean landmarks, after the ends of each image were brought to the ends of the standard.

        Raises
        ------
        InputError
            If there is no image, or one without tissue.

        References
        ----------
        Nyúl and Udupa 1999, Magn Reson Med 42:1072; Nyúl 2000, IEEE Trans Med Imaging 19:143.
        """
        marks = [_landmarks(array, mask, LANDMARKS) for array, mask in images]
        if not marks:
            msg = "a standard histogram needs at least one image, got none"
            raise InputError(msg)
        scaled = [np.interp(m, (m[0], m[-1]), STANDARD) for m in marks]
        return cls(LANDMARKS, tuple(float(v) for v in np.mean(scaled, axis=0)))

    def applied(self, array: NDArray, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Bring an image to the standard.

        Parameters
        ----------
        array : ndarray of float
            Signal.
        mask : ndarray of bool, one shape
            Where there is tissue.

        Returns
        -------
        ndarray of float32
            Linear between landmarks; beyond the ends continued with the slope of the whole.
        """
        marks = _landmarks(array, mask, self.percentiles)
        inner = np.interp(array, marks, self.standard)
        slope = (self.standard[-1] - self.standard[0]) / (marks[-1] - marks[0])
        beyond = np.minimum(array - marks[0], 0.0) + np.maximum(array - marks[-1], 0.0)
        return (inner + beyond * slope).astype(np.float32)

    def to_json(self) -> str:
        """Write the standard as JSON.

        Returns
        -------
        str
            An object with ``percentiles`` and ``standard``.
        """
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> NyulScale:
        """Read a standard.

        Parameters
        ----------
        text : str
            As written by `to_json`.

        Returns
        -------
        NyulScale
            The standard.

        Raises
        ------
        InputError
            If the text is no standard histogram.
        """
        try:
            found = json.loads(text)
            percentiles, standard = (tuple(float(v) for v in found[name]) for name in ("percentiles", "standard"))
        except (ValueError, KeyError, TypeError) as error:
            msg = f"a standard histogram is JSON with percentiles and standard, got other text ({type(error).__name__})"
            raise InputError(msg) from error
        ascending = all((np.diff(v) > 0).all() for v in (percentiles, standard))
        if len(percentiles) != len(standard) or len(standard) < 2 or not ascending:
            msg = "percentiles and standard of a standard histogram must be equally many and ascend; learn it again"
            raise InputError(msg)
        return cls(percentiles, standard)


def _inside(array: NDArray, mask: NDArray[np.bool_]) -> NDArray:
    if not mask.any():
        msg = "an intensity scale needs tissue, the mask is empty; check the image"
        raise InputError(msg)
    return np.asarray(array)[mask]


def _landmarks(array: NDArray, mask: NDArray[np.bool_], percentiles: tuple[float, ...]) -> NDArray[np.float64]:
    marks = np.percentile(_inside(array, mask), percentiles).astype(np.float64)
    # Images of few gray values repeat a landmark; the least step keeps the map single-valued.
    steps = np.maximum(np.diff(marks), 1e-6 * max(marks[-1] - marks[0], 1e-6))
    return np.concatenate([marks[:1], marks[0] + np.cumsum(steps)])
