"""The voxels being painted: coordinates of every voxel and the maps that anatomy and pathology fill in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Grid, Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.vertebra import VertebraShape

    Field = NDArray[np.float32]
    Box = tuple[slice, slice, slice]


def smooth_noise(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    spacing_mm: tuple[float, ...],
    wavelength_mm: float | tuple[float, ...],
) -> Field:
    """Draw smooth noise of unit variance.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the noise.
    shape : tuple of int
        Shape of the result.
    spacing_mm : tuple of float
        Spacing along each axis.
    wavelength_mm : float or tuple of float
        Distance of the independent values between which it interpolates, along each axis where they differ.

    Returns
    -------
    ndarray of float32, shape `shape`
        The noise.
    """
    wavelengths = np.broadcast_to(wavelength_mm, len(shape))
    coarse = [max(2, int(np.ceil(n * s / w)) + 1) for n, s, w in zip(shape, spacing_mm, wavelengths, strict=True)]
    noise = rng.standard_normal(coarse).astype(np.float32)
    # One small matrix product an axis, the shortest axis first, is ten times faster than a general resampling.
    for axis in np.argsort(shape):
        noise = np.moveaxis(np.tensordot(_linear(coarse[axis], shape[axis]), noise, (1, axis)), 0, axis)
    return np.ascontiguousarray(noise / (noise[::2].std() + 1e-6), dtype=np.float32)


def _linear(n_coarse: int, n_fine: int) -> NDArray[np.float32]:
    """Matrix of linear interpolation from few values to many, end to end."""
    at = np.linspace(0, n_coarse - 1, n_fine)[:, None]
    return np.clip(1 - np.abs(at - np.arange(n_coarse)), 0, 1).astype(np.float32)


@dataclass(eq=False)
class Canvas:
    """Maps under construction on one grid in orientation ``LIP``.

    Parameters
    ----------
    grid : Grid
        The voxels.
    x, y, z : ndarray of float32, shape ``grid.shape``
        LPS coordinates in mm at which each voxel looks the anatomy up: its own place plus a small smooth
        displacement, so that no surface is perfect.
    tissue, structure, instance, lesion : ndarray of uint8, shape ``grid.shape``
        What is painted so far.
    """

    grid: Grid
    x: Field
    y: Field
    z: Field
    tissue: NDArray[np.uint8]
    structure: NDArray[np.uint8]
    instance: NDArray[np.uint8]
    lesion: NDArray[np.uint8]

    @classmethod
    def blank(cls, grid: Grid, rng: np.random.Generator, roughness_mm: float) -> Canvas:
        """Start an empty canvas.

        Parameters
        ----------
        grid : Grid
            Voxels, in orientation ``LIP`` and not oblique.
        rng : numpy.random.Generator
            Source of the displacement.
        roughness_mm : float
            Standard deviation of the displacement.

        Returns
        -------
        Canvas
            Empty maps.
        """
        axes = [
            grid.affine[world, 3] + np.arange(n) * grid.affine[world, axis]
            for axis, (world, n) in enumerate(zip((0, 2, 1), grid.shape, strict=True))
        ]
        places = np.meshgrid(*[a.astype(np.float32) for a in axes], indexing="ij", sparse=True)
        noise = [
            smooth_noise(rng, grid.shape, grid.spacing_mm, rng.uniform(9, 22)) * np.float32(roughness_mm)
            for _ in range(3)
        ]
        x, z, y = (p + n for p, n in zip(places, noise, strict=True))
        maps = [np.zeros(grid.shape, np.uint8) for _ in range(4)]
        return cls(grid, x, y, z, *maps)

    def box(
        self, center_lps_mm: NDArray[np.float64], low_mm: tuple[float, ...], high_mm: tuple[float, ...]
    ) -> Box | None:
        """Give the slices that cover a box around a point.

        Parameters
        ----------
        center_lps_mm : ndarray, shape (3,)
            The point.
        low_mm, high_mm : tuple of float
            How far the box reaches toward right, anterior, inferior and toward left, posterior, superior.

        Returns
        -------
        tuple of slice or None
            None where the box misses the grid.
        """
        low = np.asarray(center_lps_mm) - low_mm
        high = np.asarray(center_lps_mm) + high_mm
        ends = np.stack([self.grid.lps_to_ijk(low), self.grid.lps_to_ijk(high)])
        first = np.maximum(np.floor(ends.min(0)).astype(int), 0)
        last = np.minimum(np.ceil(ends.max(0)).astype(int) + 1, self.grid.shape)
        if (last <= first).any():
            return None
        return slice(first[0], last[0]), slice(first[1], last[1]), slice(first[2], last[2])

    def local(self, box: Box, shape: VertebraShape) -> tuple[Field, Field, Field]:
        """Give the coordinates of a box in a vertebra's own frame.

        Parameters
        ----------
        box : tuple of slice
            Part of the grid.
        shape : VertebraShape
            The vertebra.

        Returns
        -------
        tuple of ndarray
            `v` to its left, `u` to its posterior, `w` upward, in mm.
        """
        c = shape.center_lps_mm.astype(np.float32)
        dx, dy, dz = self.x[box] - c[0], self.y[box] - c[1], self.z[box] - c[2]
        m = shape.axes.astype(np.float32)
        v, u, w = (m[0, i] * dx + m[1, i] * dy + m[2, i] * dz for i in range(3))
        return v, u, w

    def paint(
        self, box: Box, where: NDArray[np.bool_], *, tissue: int, structure: int | None = None, instance: int = 0
    ) -> None:
        """Paint voxels of a box.

        Parameters
        ----------
        box : tuple of slice
            Part of the grid.
        where : ndarray of bool
            Voxels of the box to paint.
        tissue : int
            Tissue to set.
        structure : int, optional
            Structure to set; left as it is when None.
        instance : int, optional
            Vertebra number to set.
        """
        self.tissue[box][where] = tissue
        self.structure[box][where] = Structure.BACKGROUND if structure is None else structure
        self.instance[box][where] = instance
