"""Where a voxel lies in the patient.

Inside Spondyl the world is **LPS** (x to the patient's left, y to posterior, z to superior), in millimeters, and an
index names the *center* of a voxel, as in DICOM (PS3.3 section C.7.6.2.1.1). Array axes have no anatomical meaning by
position: ask the affine. Only `spondyl.io.nifti` knows RAS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import GeometryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

SAME_SPACE_TOLERANCE_MM = 0.05
"""Largest corner displacement at which two grids count as one; a tenth of the finest spine voxel. Chosen by us."""

BOX_SLACK = 1e-6
"""Part of a voxel by which rounding may move a place, so that it asks for no voxel more."""

AXIS_LETTERS = (("L", "R"), ("P", "A"), ("S", "I"))
"""Direction letters of the positive and negative x, y and z axis of LPS."""

SAGITTAL = "LIP"
"""The working orientation: slices from right to left, rows from top to bottom, columns from anterior to posterior."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A box of voxels placed in the patient.

    Parameters
    ----------
    shape : tuple of int
        Number of voxels along each array axis, shape (3,).
    affine : array_like of float, shape (4, 4)
        Maps a homogeneous voxel index to the LPS position of the voxel's center, in mm.
    frame_of_reference : str, optional
        DICOM Frame of Reference UID; empty where there is none (NIfTI).

    Raises
    ------
    GeometryError
        If the shape is not three positive numbers, or the affine is not finite and invertible.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    frame_of_reference: str = field(default="")

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        affine = np.array(self.affine, dtype=np.float64)
        if len(shape) != 3 or min(shape, default=0) < 1:
            msg = f"a grid needs three positive sizes, got {shape}"
            raise GeometryError(msg)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            msg = f"a grid's affine must be a finite 4 x 4 matrix in mm, got shape {affine.shape}"
            raise GeometryError(msg)
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            msg = "a grid's affine must be invertible; its three axes span no volume (spacing of 0 mm or parallel axes)"
            raise GeometryError(msg)
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighboring voxel centers along each array axis, in mm."""
        a, b, c = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(a), float(b), float(c)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm³."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def directions(self) -> NDArray[np.float64]:
        """Unit vectors of the array axes in LPS, as columns, shape (3, 3)."""
        directions: NDArray[np.float64] = self.affine[:3, :3] / np.asarray(self.spacing_mm)
        return directions

    @property
    def orientation(self) -> str:
        """Three letters: the anatomical direction in which each array index grows, such as ``"LIP"``."""
        return "".join(AXIS_LETTERS[w][int(d[w] < 0)] for w, d in _closest_axes(self.directions))

    @property
    def plane(self) -> str:
        """``"sagittal"``, ``"coronal"`` or ``"axial"``: the plane of the slices stacked along the coarsest axis."""
        through = int(np.argmax(np.round(self.spacing_mm, 3)))
        world = dict(enumerate(w for w, _ in _closest_axes(self.directions)))[through]
        return ("sagittal", "coronal", "axial")[world]

    def ijk_to_lps(self, ijk: ArrayLike) -> NDArray[np.float64]:
        """Give the LPS positions of voxel indices.

        Parameters
        ----------
        ijk : array_like of float, shape (..., 3)
            Voxel indices; fractions lie between centers.

        Returns
        -------
        ndarray of float, shape (..., 3)
            Positions in LPS mm.
        """
        return np.asarray(ijk, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def lps_to_ijk(self, lps_mm: ArrayLike) -> NDArray[np.float64]:
        """Give the fractional voxel indices of LPS positions.

        Parameters
        ----------
        lps_mm : array_like of float, shape (..., 3)
            Positions in LPS mm.

        Returns
        -------
        ndarray of float, shape (..., 3)
            Voxel indices; a whole number is a voxel's center.
        """
        inverse = np.linalg.inv(self.affine)
        ijk: NDArray[np.float64] = np.asarray(lps_mm, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]
        return ijk

    def corners_lps_mm(self) -> NDArray[np.float64]:
        """Give the centers of the eight corner voxels.

        Returns
        -------
        ndarray of float, shape (8, 3)
            Positions in LPS mm; the last index changes fastest.
        """
        ends = [(0, n - 1) for n in self.shape]
        return self.ijk_to_lps([(i, j, k) for i in ends[0] for j in ends[1] for k in ends[2]])

    def displacement_mm(self, other: Grid) -> float:
        """Give the largest distance between corresponding corners of two grids.

        Parameters
        ----------
        other : Grid
            The grid to compare with.

        Returns
        -------
        float
            Distance in mm; infinity where the shapes differ.
        """
        if self.shape != other.shape:
            return float("inf")
        return float(np.linalg.norm(self.corners_lps_mm() - other.corners_lps_mm(), axis=1).max())

    def same_space(self, other: Grid, tolerance_mm: float = SAME_SPACE_TOLERANCE_MM) -> bool:
        """Say whether two grids put every voxel at the same place.

        Parameters
        ----------
        other : Grid
            The grid to compare with.
        tolerance_mm : float, optional
            Largest corner displacement allowed.

        Returns
        -------
        bool
            True if no corner is displaced by more than the tolerance.
        """
        return self.displacement_mm(other) <= tolerance_mm

    def reoriented(self, orientation: str) -> Grid:
        """Give the same voxels with permuted and reversed axes.

        Parameters
        ----------
        orientation : str
            Three letters as in `orientation`.

        Returns
        -------
        Grid
            A grid whose axes grow in the directions asked for; no voxel moves in space.
        """
        order, flips = axis_changes(self.orientation, orientation)
        affine = self.affine[:, [*order, 3]].copy()
        shape = tuple(self.shape[a] for a in order)
        for axis, flip in enumerate(flips):
            if flip:
                affine[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
                affine[:3, axis] *= -1
        return Grid(shape, affine, self.frame_of_reference)  # type: ignore[arg-type]

    def part(self, box: tuple[slice, ...]) -> Grid:
        """Give the grid of a part of the voxels.

        Parameters
        ----------
        box : tuple of slice
            One slice with a start and a stop for each axis.

        Returns
        -------
        Grid
            The same voxels at the same places.
        """
        affine = self.affine.copy()
        affine[:3, 3] = self.ijk_to_lps([s.start for s in box])
        return Grid(tuple(s.stop - s.start for s in box), affine, self.frame_of_reference)  # type: ignore[arg-type]

    def box_of(self, other: Grid, *, beyond: float = 0.5) -> tuple[slice, slice, slice]:
        """Give the smallest box of voxels that holds another grid, as far as this one reaches.

        Parameters
        ----------
        other : Grid
            What it is to hold.
        beyond : float, optional
            How far the other grid reaches beyond its outermost voxel centers, in its voxels.

        Returns
        -------
        tuple of slice
            At least one voxel along each axis: where the grids do not meet, the border nearest to the other.
        """
        ends = [(-beyond, n - 1 + beyond) for n in other.shape]
        corners = self.lps_to_ijk(other.ijk_to_lps([(i, j, k) for i in ends[0] for j in ends[1] for k in ends[2]]))
        size = np.asarray(self.shape)
        first = np.clip(np.floor(corners.min(0) + BOX_SLACK).astype(int), 0, size - 1)
        last = np.clip(np.ceil(corners.max(0) - BOX_SLACK).astype(int) + 1, first + 1, size)
        i, j, k = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
        return i, j, k

    def resampled(self, spacing_mm: tuple[float, float, float]) -> Grid:
        """Give a grid over the same extent with other voxel sizes.

        Parameters
        ----------
        spacing_mm : tuple of float
            Wanted spacing along each array axis, in mm.

        Returns
        -------
        Grid
            Same outer faces (to less than one voxel), same directions.
        """
        old = np.asarray(self.spacing_mm)
        new = np.asarray(spacing_mm, dtype=np.float64)
        shape = np.maximum(np.round(np.asarray(self.shape) * old / new), 1).astype(int)
        affine = self.affine.copy()
        affine[:3, :3] = self.directions * new
        affine[:3, 3] = self.ijk_to_lps((np.asarray(self.shape) - 1) / 2) - affine[:3, :3] @ ((shape - 1) / 2)
        return Grid(tuple(int(n) for n in shape), affine, self.frame_of_reference)  # type: ignore[arg-type]


def _closest_axes(directions: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Pair each array axis with the world axis it follows best, each world axis used once."""
    left, pairs = np.abs(directions).copy(), {}
    for _ in range(3):
        w, a = (int(i) for i in np.unravel_index(int(np.argmax(left)), (3, 3)))
        pairs[a] = w
        left[w, :] = left[:, a] = -1
    for axis in range(3):
        yield pairs[axis], directions[:, axis]


def _letter_axis(letter: str) -> int:
    for world, letters in enumerate(AXIS_LETTERS):
        if letter in letters:
            return world
    msg = f"an orientation is made of L or R, P or A, S or I, got {letter!r}"
    raise ValueError(msg)


def axis_changes(have: str, want: str) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Say how array axes must be permuted and reversed to change orientation.

    Parameters
    ----------
    have, want : str
        Three letters each, as in `Grid.orientation`.

    Returns
    -------
    order : tuple of int
        For each new axis the old axis it comes from.
    flips : tuple of bool
        For each new axis whether it runs backwards.

    Raises
    ------
    ValueError
        If one of them does not name each body axis once.
    """
    worlds = [_letter_axis(c) for c in have]
    wanted = [_letter_axis(c) for c in want]
    if sorted(worlds) != [0, 1, 2] or sorted(wanted) != [0, 1, 2]:
        msg = f"an orientation names each body axis once, such as 'LIP'; got {have!r} and {want!r}"
        raise ValueError(msg)
    order = tuple(worlds.index(w) for w in wanted)
    return order, tuple(have[a] != c for a, c in zip(order, want, strict=True))


def reorient(array: NDArray, have: str, want: str) -> NDArray:
    """Permute and reverse the first three axes of an array.

    Parameters
    ----------
    array : ndarray, shape (I, J, K, ...)
        Voxels in orientation `have`.
    have, want : str
        Three letters each, as in `Grid.orientation`.

    Returns
    -------
    ndarray
        A view of the same voxels in orientation `want`.
    """
    order, flips = axis_changes(have, want)
    moved = array.transpose(*order, *range(3, array.ndim))
    return moved[tuple(slice(None, None, -1) if f else slice(None) for f in flips)]
