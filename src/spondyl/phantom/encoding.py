"""What a scanner does to space, as three matrices: slices are weighted sums, phase and readout are band-limited.

Fourier encoding of a limited k-space is linear and separable, so one small matrix per axis holds at once the truncation
(Gibbs), the blur of the echo train, zero-filling to the shown pixel, chemical shift and the folding of what lies
outside the encoded field of view. Three matrix products make a series, on numpy and on torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import erf

from spondyl.phantom.arrays import constant, namespace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.arrays import Array

SLICE_EDGE = 0.12
"""Softness of a slice's faces, as the standard deviation over the thickness. Chosen by us for a short sinc pulse."""


def train_weights(k: Array, *, decay: float, centered: bool) -> Array:
    """Give how strongly an echo train weights k-space.

    Parameters
    ----------
    k : ndarray
        Position in k-space from -1 to 1 of its edge.
    decay : float
        Length of the echo train over T2.
    centered : bool
        True where the train starts in the middle of k-space (short effective echo time), which blurs; False where it
        crosses the middle halfway, which hardly does.

    Returns
    -------
    ndarray
        Weights, 1 in the middle.

    References
    ----------
    Constable and Gore 1992, Magn Reson Med 28:9: loss of detail in fast spin echo.
    """
    weights: Array = np.exp(-decay * np.abs(k)) if centered else np.cosh(min(decay, 1.5) * k / 2)
    return weights


def encoding_matrix(
    object_mm: Array,
    pixel_mm: Array,
    *,
    voxel_mm: float,
    period_mm: float,
    decay: float = 0.0,
    centered: bool = True,
    filtering: float = 0.3,
) -> NDArray[np.float32]:
    """Give the matrix that takes an object along one axis to the pixels of an image.

    Parameters
    ----------
    object_mm : ndarray, shape (N,)
        Positions of the object's samples in mm, evenly spaced.
    pixel_mm : ndarray, shape (M,)
        Positions of the image's pixels in mm.
    voxel_mm : float
        Acquired voxel size in mm, which sets the extent of k-space.
    period_mm : float
        Encoded field of view in mm; what lies farther apart than this folds over.
    decay : float, optional
        Length of the echo train over T2 along this axis, 0 along readout.
    centered : bool, optional
        As in `train_weights`.
    filtering : float, optional
        Strength of the raw-data filter against ringing, 0 to 1.

    Returns
    -------
    ndarray of float32, shape (M, N)
        Rows sum to about 1 inside the object.
    """
    step = float(object_mm[1] - object_mm[0]) if len(object_mm) > 1 else voxel_mm
    n = max(1, int(period_mm / (2 * voxel_mm)))
    k = np.arange(n + 1) / period_mm
    relative = k * 2 * voxel_mm
    # Samples of the object stand for straight lines between them, hence the squared sinc.
    weight = np.sinc(k * step) ** 2 * train_weights(relative, decay=decay, centered=centered)
    weight *= 1 - filtering * np.sin(np.pi * np.clip(relative, 0, 1) / 2) ** 2
    weight[1:] *= 2
    turns_in = (2 * np.pi * np.outer(k, object_mm)).astype(np.float32)
    turns_out = (2 * np.pi * np.outer(k, pixel_mm)).astype(np.float32)
    scaled = (weight[:, None] * (step / period_mm)).astype(np.float32)
    matrix: Array = np.cos(turns_out).T @ (scaled * np.cos(turns_in)) + np.sin(turns_out).T @ (
        scaled * np.sin(turns_in)
    )
    return matrix


def slice_matrix(object_mm: Array, slice_mm: Array, *, thickness_mm: float) -> NDArray[np.float32]:
    """Give the matrix that takes an object along the slice axis to slices.

    Parameters
    ----------
    object_mm : ndarray, shape (N,)
        Positions of the object's samples in mm, evenly spaced.
    slice_mm : ndarray, shape (S,)
        Centers of the slices in mm.
    thickness_mm : float
        Slice thickness in mm; gaps lie between the slices' centers by themselves.

    Returns
    -------
    ndarray of float32, shape (S, N)
        Rows sum to 1.
    """
    step = abs(float(object_mm[1] - object_mm[0])) if len(object_mm) > 1 else thickness_mm
    soft = np.sqrt(2.0) * np.hypot(SLICE_EDGE * thickness_mm, step / 3)
    away = object_mm[None, :] - slice_mm[:, None]
    profile = erf((away + thickness_mm / 2) / soft) - erf((away - thickness_mm / 2) / soft)
    profile[profile < 0.01] = 0
    total = profile.sum(axis=1, keepdims=True)
    weights: Array = (profile / np.where(total > 0, total, 1)).astype(np.float32)
    return weights


def slices_of(cells: Any, table: Any, weights: Array) -> Any:
    """Look up the signal of each voxel and sum it into slices.

    Parameters
    ----------
    cells : ndarray or Tensor of int, shape (I, J, K)
        Index of each voxel into the table; the slice axis comes first.
    table : ndarray or Tensor, shape (C,)
        Signal by index.
    weights : ndarray, shape (S, I)
        Matrix of `slice_matrix`.

    Returns
    -------
    ndarray or Tensor, shape (S, J, K)
        Signal in each slice on the object's grid.
    """
    xp = namespace(table)
    plane = tuple(int(n) for n in cells.shape[1:])
    total = [0.0 * xp.reshape(constant(np.zeros(plane, np.float32), table), plane) for _ in range(len(weights))]
    for i in np.flatnonzero(weights.any(axis=0)):
        indices = xp.reshape(xp.astype(cells[int(i)], xp.int64), (-1,))
        signal = xp.reshape(xp.take(table, indices, axis=0), plane)
        for s in np.flatnonzero(weights[:, i]):
            total[s] += float(weights[s, i]) * signal
    return xp.stack(total)


def encode(volume: Any, rows: Array, columns: Array) -> Any:
    """Apply the two in-plane matrices to every slice.

    Parameters
    ----------
    volume : ndarray or Tensor, shape (S, J, K)
        Slices on the object's grid.
    rows : ndarray, shape (R, J)
        Matrix along the first in-plane axis.
    columns : ndarray, shape (C, K)
        Matrix along the second in-plane axis.

    Returns
    -------
    ndarray or Tensor, shape (S, R, C)
        The image.
    """
    xp = namespace(volume)
    first, second = constant(rows, volume), constant(np.ascontiguousarray(columns.T), volume)
    return xp.matmul(xp.matmul(first, volume), second)


def edge_taper(position_mm: Array, *, half_width_mm: float, soft_mm: float = 25.0) -> NDArray[np.float32]:
    """Give how the excitation fades beyond the field of view.

    Parameters
    ----------
    position_mm : ndarray
        Distance from the middle of the field of view along one axis, in mm.
    half_width_mm : float
        Half the field of view in mm.
    soft_mm : float, optional
        Length over which the signal fades, in mm.

    Returns
    -------
    ndarray of float32
        1 inside, falling to 0 outside.
    """
    beyond = np.clip((np.abs(position_mm) - half_width_mm) / soft_mm, 0, 1)
    taper: Array = (0.5 + 0.5 * np.cos(np.pi * beyond)).astype(np.float32)
    return taper
