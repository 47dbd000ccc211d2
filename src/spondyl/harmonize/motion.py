"""Motion during an acquisition, told by the ripple that it leaves in an image's spectrum.

Lines of k-space are taken one after the other. What changes meanwhile, because the patient breathes, swallows or moves,
weighs each line by when it was taken, and shows as ghosts: copies of the image along the direction of phase encoding
(Wood and Henkelman 1985, doi 10.1118/1.595645). One copy at a distance of `d` pixels makes the power of the spectrum
rise and fall `d` times over the sampled frequencies, on every line across alike; anatomy does not, since what repeats
in it does so at one height or the other. Bogert, Healy and Tukey found echoes in this way (1963, The quefrency alanysis
of time series for echoes). Neither air around the patient nor the direction of phase encoding need be known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import fft
from scipy.signal import windows

from spondyl.core import SAGITTAL, Image, QualityFlag, Sequence, reorient

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]

BAND = (0.03, 0.22)
"""Frequencies that are looked at, in cycles per pixel: anatomy's outline lies below, and above scanners fill with zeros
where they interpolate by two. Chosen by us."""

ACROSS = 0.2
"""Frequencies across, up to which lines are averaged, in cycles per pixel. Chosen by us: noise prevails above."""

LEAST_SHIFT_PX = 12
"""Distance of a ghost below which its ripple is as wide as what anatomy leaves in a spectrum. Chosen by us."""

LEAST_LINES = 24
"""Frequencies in the band below which no ripple can be told, such as in images of fewer than 128 pixels."""

SMOOTH_DEGREE = 5
"""Degree of the polynomial that stands for a spectrum without ripple. Chosen by us."""

TAPER = 0.2
"""Share of an image's length over which it fades in and out, both ends together. Chosen by us."""

LEAST_POWER = 1e-6
"""Part of the mean power that is added to all, so that what was filled with zeros has a logarithm."""

LEAST_END = 0.06
"""Frequency below which what was sampled never ends, in cycles per pixel. Chosen by us."""

STEEP = 2.0
"""Fall of the log power over `STEEP_LINES` lines that no anatomy makes, but the end of what was sampled."""

STEEP_LINES = 3

MOVED = 0.18
"""Ripple of the log power from which the patient is said to have moved: ghosts that take a sixth of the signal. Chosen
by us on four synthetic patients (0.08 and less) and 19 real lumbar volumes (0.09 and less); how it does on others, and
on motion put into the real ones, is what benchmarks/motion.py prints."""

NOT_TOLD = (Sequence.DWI, Sequence.ADC)
"""Echo-planar images: their matrix is small, each slice is taken at once, and their ghosts have another origin."""


class Ripple(NamedTuple):
    """How strongly a spectrum rises and falls.

    Parameters
    ----------
    amplitude : float
        Of the log power; NaN where it cannot be told.
    shift_px : int
        Distance of the ghosts, in pixels.
    axis : int
        Array axis along which they lie.
    """

    amplitude: float
    shift_px: int
    axis: int

    @property
    def share(self) -> float:
        """Share of the signal that lies in ghosts, if they are two on either side, the farther half as strong.

        With a share of s, ghosts weigh lines by 1 - s + s / 2 cos, whose log power has the amplitude s / (1 - s).
        """
        return self.amplitude / (1 + self.amplitude)


def spectral_ripple(array: Floats, spacing_mm: tuple[float, float, float]) -> Ripple:
    """Measure the strongest ripple along either axis of an image's slices.

    Parameters
    ----------
    array : ndarray, shape (I, J, K)
        Signal; slices lie along the coarsest axis, the first one of several, and the middle half of them is looked at.
    spacing_mm : tuple of float
        Voxel size.

    Returns
    -------
    Ripple
        Along the axis where it is largest.

    References
    ----------
    Wood and Henkelman 1985, doi 10.1118/1.595645; Bogert, Healy and Tukey 1963.
    """
    through = int(np.argmax(np.round(spacing_mm, 1)))
    planes = np.moveaxis(np.asarray(array, np.float32), through, 0)
    planes = planes[len(planes) // 4 : max(len(planes) - len(planes) // 4, 1)]
    axes = [axis for axis in range(3) if axis != through]
    lines = zip(axes, _lines(planes), planes.shape[1:], strict=False)
    found = [Ripple(*_strongest(*line, n), axis) for axis, line, n in lines]
    known = [ripple for ripple in found if not np.isnan(ripple.amplitude)]
    return max(known, default=Ripple(float("nan"), 0, axes[0]))


def motion_flags(image: Image) -> list[QualityFlag]:
    """Say whether the patient moved while a series was taken.

    Parameters
    ----------
    image : Image
        As acquired.

    Returns
    -------
    list of QualityFlag
        Empty where no motion is seen, or none can be told.
    """
    if image.sequence in NOT_TOLD:
        return []
    # Where voxels are as long in all directions, slices are sagittal, as they were before somebody resampled them.
    turned = image.grid.reoriented(SAGITTAL)
    ripple = spectral_ripple(reorient(image.array, image.grid.orientation, SAGITTAL), turned.spacing_mm)
    if not ripple.amplitude >= MOVED:
        return []
    where, mm = image.sequence.value, ripple.shift_px * turned.spacing_mm[ripple.axis]
    text = (
        f"The {where} series looks as if the patient had moved: ghosts about {mm:.0f} mm apart "
        f"({100 * ripple.share:.0f} % of the signal). Lesions may be hidden or feigned."
    )
    return [QualityFlag("motion", text, where=where)]


def _lines(planes: NDArray[np.float32]) -> list[tuple[Floats, Floats]]:
    """For rows and for columns of planes: frequencies, and the mean log power there; none where there is nothing."""
    if planes.size == 0 or not np.isfinite(planes).all() or not np.ptp(planes) > 0:
        return []
    # Tissue ends at the border of an image as if it were cut, which a spectrum shows on all lines.
    soft = [windows.tukey(n, TAPER).astype(np.float32) for n in planes.shape[1:]]
    spectrum = fft.rfft2((planes - planes.mean((1, 2), keepdims=True)) * soft[0][:, None] * soft[1])
    rows, columns = np.abs(fft.fftfreq(planes.shape[1])), fft.rfftfreq(planes.shape[2])
    inner = np.ix_(rows <= BAND[1], columns <= BAND[1])
    power = np.abs(spectrum[:, *inner]) ** 2
    log_power = np.log(power + LEAST_POWER * power.mean()).mean(0)
    rows, columns = rows[rows <= BAND[1]], columns[columns <= BAND[1]]
    # Lines of one frequency and its negative are told apart by nothing.
    known, which = np.unique(rows.round(9), return_inverse=True)
    along = log_power[:, columns <= ACROSS].mean(1)
    return [(known, np.bincount(which, along) / np.bincount(which)), (columns, log_power[rows <= ACROSS].mean(0))]


def _strongest(frequency: Floats, log_power: Floats, n: int) -> tuple[float, int]:
    """Amplitude and distance in pixels of the strongest ripple along an axis of `n` pixels; NaN where none is told."""
    highest_later = np.maximum.accumulate(log_power[::-1])[::-1]
    falls = log_power[:-STEEP_LINES] - highest_later[STEEP_LINES:] > STEEP  # and stays there
    ends = np.flatnonzero(falls & (frequency[:-STEEP_LINES] > LEAST_END))
    end = frequency[ends[0]] if len(ends) else BAND[1]
    seen = (frequency >= BAND[0]) & (frequency <= end)
    if seen.sum() < LEAST_LINES:
        return float("nan"), 0
    at, values = frequency[seen], log_power[seen]
    even = np.polynomial.Legendre.fit(at, values, SMOOTH_DEGREE)(at)
    window = np.hanning(len(at) + 2)[1:-1]
    shifts = np.arange(LEAST_SHIFT_PX, n // 2)
    waves = np.exp(-2j * np.pi * np.outer(shifts, at))
    amplitude = 2 * np.abs(waves @ (window * (values - even))) / window.sum()
    best = int(np.argmax(amplitude))
    return float(amplitude[best]), int(shifts[best])
