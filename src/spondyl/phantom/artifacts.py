"""What goes wrong, or merely goes differently, on a real scanner: one small pure function each.

Fields are arrays in the image's shape and come from the caller, so that a function has no hidden randomness and runs on
numpy and torch alike; the few that need SciPy say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.ndimage

from spondyl.phantom.arrays import namespace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.arrays import Array

MAX_STORED = 4095
"""Largest stored value of a 12-bit image."""


def loop_sensitivity(depth_mm: Any, along_mm: Any, *, elements_mm: tuple[float, ...], radius_mm: float) -> Any:
    """Give the combined sensitivity of a row of loops behind the patient.

    Parameters
    ----------
    depth_mm : ndarray or Tensor
        Distance in front of the coil, in mm.
    along_mm : ndarray or Tensor
        Position along the body in mm, same shape.
    elements_mm : tuple of float
        Positions of the loops' centers along the body, in mm.
    radius_mm : float
        Radius of a loop in mm.

    Returns
    -------
    ndarray or Tensor
        Root sum of squares over the loops; 1 at the center of a lone loop.

    References
    ----------
    Field of a loop on its axis (Biot-Savart); Roemer 1990, Magn Reson Med 16:192, for the combination.
    """
    xp = namespace(depth_mm, along_mm)
    total = 0.0 * depth_mm
    for center in elements_mm:
        distance = (depth_mm**2 + (along_mm - center) ** 2) / radius_mm**2
        total = total + (1 + distance) ** -3
    return xp.sqrt(total)


def normalize_profile(image: Any, sensitivity: Any, *, strength: float) -> Any:
    """Divide out the coil's profile as vendors do, not quite completely.

    Parameters
    ----------
    image, sensitivity : ndarray or Tensor
        Image and profile, one shape.
    strength : float
        1 removes the profile, 0 leaves it.

    Returns
    -------
    ndarray or Tensor
        Flatter image, noisier where the coil sees little.
    """
    xp = namespace(image)
    return image / xp.clip(sensitivity, 0.02, None) ** strength


def saturation_band(in_front_mm: Any, *, strength: float, edge_mm: float = 6.0) -> Any:
    """Give the signal left by a saturation slab.

    Parameters
    ----------
    in_front_mm : ndarray or Tensor
        Distance into the slab from its rear face, in mm; negative outside.
    strength : float
        Share of the signal taken inside, 0 to 1.
    edge_mm : float, optional
        Softness of the face in mm.

    Returns
    -------
    ndarray or Tensor
        Factor from ``1 - strength`` to 1.
    """
    xp = namespace(in_front_mm)
    return 1 - strength / (1 + xp.exp(xp.clip(-in_front_mm / edge_mm, -30.0, 30.0)))


def ghosts(image: Any, moving: Any, *, axis: int, shift_px: int, strength: float, n: int = 2) -> Any:
    """Add ghosts of moving tissue along the phase direction.

    Parameters
    ----------
    image : ndarray or Tensor
        Signal.
    moving : ndarray or Tensor
        How much of each pixel moves, 0 to 1, same shape.
    axis : int
        Axis of phase encoding.
    shift_px : int
        Distance between ghosts in pixels.
    strength : float
        Ghost over source.
    n : int, optional
        Number of ghosts on either side.

    Returns
    -------
    ndarray or Tensor
        Image with ghosts and with the source weakened by as much.

    References
    ----------
    Wood and Henkelman 1985, Med Phys 12:143: periodic motion makes evenly spaced ghosts.
    """
    xp = namespace(image)
    source = image * moving
    total = image - strength * source
    for order in range(1, n + 1):
        share = strength / (2 * n) / order
        total = total + share * (
            xp.roll(source, order * shift_px, axis=axis) + xp.roll(source, -order * shift_px, axis=axis)
        )
    return total


def rician(image: Any, noise_real: Any, noise_imaginary: Any) -> Any:
    """Take the magnitude of a noisy complex signal.

    Parameters
    ----------
    image : ndarray or Tensor
        Noise-free real signal.
    noise_real, noise_imaginary : ndarray or Tensor
        Gaussian noise of both channels, same shape.

    Returns
    -------
    ndarray or Tensor
        Magnitude, which follows a Rice distribution.

    References
    ----------
    Gudbjartsson and Patz 1995, Magn Reson Med 34:910.
    """
    xp = namespace(image)
    return xp.sqrt((image + noise_real) ** 2 + noise_imaginary**2)


def unsuppressed_fat(fat: Any, failure: Any, *, residual: float) -> Any:
    """Bring back fat where the suppression failed.

    Parameters
    ----------
    fat : ndarray or Tensor
        Fat signal left by suppression.
    failure : ndarray or Tensor
        Share of the suppression that failed, 0 to 1, same shape.
    residual : float
        Share of the fat that a working suppression leaves.

    Returns
    -------
    ndarray or Tensor
        Fat signal, full where `failure` is 1.
    """
    return fat * (1 + failure * (1 / max(residual, 1e-3) - 1))


def epi_distortion(image: Array, shift_px: Array, *, axis: int) -> NDArray[np.float32]:
    """Displace an echo-planar image along its phase direction (SciPy).

    Parameters
    ----------
    image : ndarray, shape (S, R, C)
        Undistorted image.
    shift_px : ndarray, same shape
        Displacement along `axis`, in pixels.
    axis : int
        Axis of phase encoding, 1 or 2.

    Returns
    -------
    ndarray of float32, same shape
        Distorted image; signal piles up where the field is compressed.

    References
    ----------
    Jezzard and Balaban 1995, Magn Reson Med 34:65.
    """
    at = list(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in image.shape), indexing="ij"))
    at[axis] = at[axis] + shift_px
    pile = np.clip(1 + np.gradient(shift_px, axis=axis), 0.3, 2.5)
    moved = scipy.ndimage.map_coordinates(image, np.stack(at), order=1, mode="nearest", prefilter=False)
    distorted: Array = (moved * pile).astype(np.float32)
    return distorted


def metal_void(image: Any, distance_mm: Any, *, radius_mm: float, pile_up: float = 0.8) -> Any:
    """Take the signal around metal and pile it up at the rim.

    Parameters
    ----------
    image : ndarray or Tensor
        Signal.
    distance_mm : ndarray or Tensor
        Distance from metal in mm, same shape.
    radius_mm : float
        Reach of the void in mm; longer for gradient echo and echo-planar imaging than for turbo spin echo.
    pile_up : float, optional
        Height of the bright rim over the local signal.

    Returns
    -------
    ndarray or Tensor
        Image with a void and a bright rim.

    References
    ----------
    Hargreaves 2011, AJR 197:547: metal-induced artifacts in MRI.
    """
    xp = namespace(image)
    left = 1 / (1 + xp.exp(xp.clip((radius_mm - distance_mm) / (0.12 * radius_mm), -30.0, 30.0)))
    rim = xp.exp(-0.5 * ((distance_mm - 1.15 * radius_mm) / (0.12 * radius_mm)) ** 2)
    return image * (left + pile_up * rim * left)


def stored_values(image: Any, *, white: float, top: float) -> Any:
    """Scale a magnitude image to whole numbers of 12 bit.

    Parameters
    ----------
    image : ndarray or Tensor
        Magnitude, not negative.
    white : float
        Signal that becomes `top`.
    top : float
        Stored value of `white`, at most 4095.

    Returns
    -------
    ndarray or Tensor
        Whole numbers from 0 to 4095 in the image's type.
    """
    xp = namespace(image)
    return xp.clip(xp.round(image * (top / max(white, 1e-9))), 0.0, float(MAX_STORED))
