"""The place of one lesion: the voxels around its vertebra, in the vertebra's own coordinates, and how to mark them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Structure
from spondyl.phantom.bones import body_distance
from spondyl.phantom.canvas import smooth_noise
from spondyl.phantom.tissue import Tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.bones import BodyDistance
    from spondyl.phantom.canvas import Box, Canvas, Field
    from spondyl.phantom.vertebra import VertebraShape

BONE = (Structure.BODY, Structure.CORTEX, Structure.POSTERIOR, Structure.S1, Structure.SACRUM)
BODY = (Structure.BODY, Structure.CORTEX, Structure.S1)
CORTICAL = (Tissue.CORTEX, Tissue.POSTERIOR_CORTEX, Tissue.SACRAL_CORTEX, Tissue.CARTILAGE)
SPARED = (Tissue.METAL, Tissue.CEMENT, Tissue.AIR)
"""Tissues that no lesion grows into."""

EDGE_WAVELENGTH_MM = 2.2
"""Size of the islets in an infiltrating margin, in mm: below a usual slice's thickness. Chosen by us."""


@dataclass(eq=False)
class Site:
    """The surroundings of one vertebra, to be painted on.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the lesion's variation.
    canvas : Canvas
        Painted in place.
    shape : VertebraShape
        The vertebra.
    number : int
        Its instance number.
    label : int
        Label of the lesion in the lesion map.
    box : tuple of slice
        The part of the grid around it.
    v, u, w : ndarray
        Coordinates of the box: to the left, to posterior, upward, in mm.
    scale : float
        Size of lumps relative to the one drawn: the same lesion at another time.
    """

    rng: np.random.Generator
    canvas: Canvas
    shape: VertebraShape
    number: int
    label: int
    box: Box
    v: Field
    u: Field
    w: Field
    scale: float = 1.0

    @classmethod
    def around(
        cls,
        rng: np.random.Generator,
        canvas: Canvas,
        shape: VertebraShape,
        number: int,
        label: int,
        reach_mm: tuple[float, float, float] = (22.0, 18.0, 14.0),
    ) -> Site | None:
        """Cut out the surroundings of a vertebra.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of the lesion's variation.
        canvas : Canvas
            The patient.
        shape : VertebraShape
            The vertebra.
        number, label : int
            Its instance number and the lesion's label.
        reach_mm : tuple of float, optional
            How far the box goes beyond the body to the sides, to the front, and up and down.

        Returns
        -------
        Site or None
            None where it misses the grid.
        """
        a, b, h = shape.half_depth_mm, shape.half_width_mm, shape.height_mm
        side, front, up = b + reach_mm[0], a + reach_mm[1], 0.9 * h + reach_mm[2]
        box = canvas.box(shape.center_lps_mm, (side, front, up), (side, a + 45, up))
        return None if box is None else cls(rng, canvas, shape, number, label, box, *canvas.local(box, shape))

    @property
    def tissue(self) -> NDArray[np.uint8]:
        """Tissue map of the box, to be painted on."""
        return self.canvas.tissue[self.box]

    @property
    def structure(self) -> NDArray[np.uint8]:
        """Structure map of the box."""
        return self.canvas.structure[self.box]

    @property
    def own(self) -> NDArray[np.bool_]:
        """Voxels of the vertebra and of the disc below it."""
        return self.canvas.instance[self.box] == self.number

    @property
    def bone(self) -> NDArray[np.bool_]:
        """Voxels of the vertebra's bone."""
        return self.own & np.isin(self.structure, BONE)

    @property
    def body(self) -> NDArray[np.bool_]:
        """Voxels of the vertebra's body."""
        return self.own & np.isin(self.structure, BODY)

    @cached_property
    def distance(self) -> BodyDistance:
        """Distances to the surface of the vertebra's body, in mm."""
        return body_distance(self.v, self.u, self.w, self.shape)

    @property
    def back_mm(self) -> float:
        """Place of the back wall behind the body's center, in mm."""
        return self.shape.half_depth_mm * self.shape.back

    def where(self, *structures: Structure) -> NDArray[np.bool_]:
        """Give the voxels of some structures.

        Parameters
        ----------
        *structures : Structure
            Which ones.

        Returns
        -------
        ndarray of bool
            In the shape of the box.
        """
        return np.isin(self.structure, structures)

    def noise(self, wavelength_mm: float | tuple[float, float, float]) -> Field:
        """Draw smooth noise of unit variance over the box.

        Parameters
        ----------
        wavelength_mm : float or tuple of float
            Distance of independent values, along each axis of the grid where they differ.

        Returns
        -------
        ndarray of float32
            In the shape of the box.
        """
        return smooth_noise(self.rng, self.v.shape, self.canvas.grid.spacing_mm, wavelength_mm)

    def blob(self, center_mm: tuple[float, float, float], radius_mm: float, lumps: float = 0.15) -> Field:
        """Give the distances to a lumpy, stretched ball.

        Parameters
        ----------
        center_mm : tuple of float
            Its center (v, u, w).
        radius_mm : float
            Its mean radius, before `scale`.
        lumps : float, optional
            Standard deviation of the radius, relative.

        Returns
        -------
        ndarray of float32
            Signed distance in mm, negative inside.
        """
        stretch = np.exp(self.rng.normal(0, 0.2, 3)).astype(np.float32)
        offsets = zip((self.v, self.u, self.w), center_mm, stretch, strict=True)
        r = np.sqrt(sum(((x - np.float32(c)) * s) ** 2 for x, c, s in offsets))
        lumpy = 1 + lumps * self.noise(max(3.0, radius_mm * 0.8))
        return (r - radius_mm * self.scale * lumpy).astype(np.float32)

    def mark(self, where: NDArray[np.bool_], tissue: int, *, label: bool = True) -> None:
        """Paint voxels as part of the lesion.

        Parameters
        ----------
        where : ndarray of bool
            Voxels of the box.
        tissue : int
            Their tissue.
        label : bool, optional
            Whether they belong to the lesion, not only to its company.
        """
        where = where & ~np.isin(self.tissue, SPARED)
        self.tissue[where] = tissue
        if label:
            self.canvas.lesion[self.box][where] = self.label

    def grow(self, distance: Field, within: NDArray[np.bool_], tissue: int, edge_mm: float = 0.0) -> None:
        """Paint a lesion with a margin that is sharp or infiltrates.

        Parameters
        ----------
        distance : ndarray
            Signed distance to its outline in mm.
        within : ndarray of bool
            Voxels it may take.
        tissue : int
            Its tissue.
        edge_mm : float, optional
            Width of the margin in which islets of healthy tissue remain: the label covers them, as a reader's outline
            would.
        """
        inside = within & (distance < 0) & ~np.isin(self.tissue, SPARED)
        self.canvas.lesion[self.box][inside] = self.label
        if edge_mm > 0:
            inside &= distance + np.float32(edge_mm) * (0.5 + 0.7 * self.noise(EDGE_WAVELENGTH_MM)) < 0
        self.tissue[inside] = tissue
