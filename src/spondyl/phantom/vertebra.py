"""What the bones of one vertebra and the disc below it are like, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Disc:
    """The disc below a vertebra.

    Parameters
    ----------
    height_mm : float
        Distance of the endplates' rims.
    degeneration : float
        0 for a young disc to 1 for a black, collapsed one.
    radius : float
        Size relative to the endplates.
    bulge_posterior, bulge_anterior : float
        How far it passes the endplates, relative to their size.
    nucleus_radius, nucleus_offset : float
        Size and posterior shift of the nucleus relative to the endplates.
    cleft_mm : float
        Half thickness of the intranuclear cleft; 0 for none.
    vacuum_mm : float
        Half thickness of a gas-filled cleft; 0 for none.
    herniation_mm : float
        Focal posterior protrusion.
    herniation_left_mm : float
        Where it lies, to the left of the midline.
    fissure : bool
        Whether fluid lies in a tear of the posterior annulus.
    """

    height_mm: float
    degeneration: float
    radius: float
    bulge_posterior: float
    bulge_anterior: float
    nucleus_radius: float
    nucleus_offset: float
    cleft_mm: float
    vacuum_mm: float
    herniation_mm: float
    herniation_left_mm: float
    fissure: bool


class Spurs(NamedTuple):
    """How far the rims of a body stick out, in mm.

    Parameters
    ----------
    top_front, top_back, bottom_front, bottom_back : float
        At the upper and lower rim, before and behind.
    """

    top_front: float = 0.0
    top_back: float = 0.0
    bottom_front: float = 0.0
    bottom_back: float = 0.0


class Dent(NamedTuple):
    """A healed hollow of an endplate, as an old Schmorl node leaves it.

    Parameters
    ----------
    left_mm, behind_mm : float
        Where it lies in the vertebra's frame.
    radius_mm, depth_mm : float
        Its size; a depth of 0 is none.
    """

    left_mm: float = 0.0
    behind_mm: float = 0.0
    radius_mm: float = 5.0
    depth_mm: float = 0.0


@dataclass(frozen=True, eq=False)
class VertebraShape:
    """Frame and shape of one vertebra.

    Parameters
    ----------
    level : str
        Level name.
    center_lps_mm : ndarray, shape (3,)
        Center of the body.
    axes : ndarray, shape (3, 3)
        Columns: unit vectors to the left, to posterior and upward of the vertebra, in LPS.
    half_width_mm, half_depth_mm, height_mm : float
        Size of the body.
    exponent : float
        Superquadric exponent of the outline seen from above; 2 is an ellipse.
    waist, flare : float
        Narrowing at mid height; widening toward the top (sacrum).
    concavity_top_mm, concavity_bottom_mm : float
        Depth of the endplates.
    apex : float
        Posterior shift of the endplates' deepest point relative to the half depth.
    rim : float
        Sharpness of the endplates' rim.
    ripple_mm, ripple_phase : float
        Height and place of the endplates' waves.
    dent_top, dent_bottom : Dent
        Old hollows of the endplates.
    edge_mm : float
        Radius of the rounding between wall and endplate.
    wedge : float
        Slope of each endplate; positive when taller in front.
    back : float
        Position of the flat back wall relative to the half depth.
    back_concavity_mm : float
        Depth of the back wall's hollow; negative where it bulges.
    spurs : Spurs
        Osteophytes.
    cortex_mm, endplate_mm : float
        Thickness of the dark shell at the sides and at the endplates.
    cartilage_mm : float
        Thickness of the growing cartilage on each endplate; 0 in adults.
    vein : tuple of float
        Basivertebral vein: depth it begins (mm from the center), height, half thickness and half width in mm.
    canal_depth_mm, canal_width_mm : float
        Bony canal behind the body.
    pedicle_mm, pedicle_height_mm : float
        Pedicle width and height.
    spinous_mm, spinous_drop, spinous_height_mm, spinous_width_mm : float
        Spinous process.
    transverse_mm : float
        Length of the transverse processes.
    lamina_mm : float
        Thickness of the lamina.
    pillar_mm, facet_forward_mm : float
        Radius of the articular pillars, and how far the upper facets lean to the front.
    disc : Disc
        The disc below.
    collapse : str
        ``"wedge"``, ``"biconcave"`` or ``"crush"`` where the body has collapsed, else empty.
    slip_mm : float
        How far it has slipped on the vertebra below; negative to the front.
    transitional : bool
        Whether it is half lumbar, half sacral.
    height_loss : float
        Share of the height that a collapse took from the third that lost most.
    """

    level: str
    center_lps_mm: NDArray[np.float64]
    axes: NDArray[np.float64]
    half_width_mm: float
    half_depth_mm: float
    height_mm: float
    exponent: float
    waist: float
    flare: float
    concavity_top_mm: float
    concavity_bottom_mm: float
    apex: float
    rim: float
    ripple_mm: float
    ripple_phase: float
    dent_top: Dent
    dent_bottom: Dent
    edge_mm: float
    wedge: float
    back: float
    back_concavity_mm: float
    spurs: Spurs
    cortex_mm: float
    endplate_mm: float
    cartilage_mm: float
    vein: tuple[float, float, float, float]
    canal_depth_mm: float
    canal_width_mm: float
    pedicle_mm: float
    pedicle_height_mm: float
    spinous_mm: float
    spinous_drop: float
    spinous_height_mm: float
    spinous_width_mm: float
    transverse_mm: float
    lamina_mm: float
    pillar_mm: float
    facet_forward_mm: float
    disc: Disc
    collapse: str = ""
    slip_mm: float = 0.0
    transitional: bool = False
    height_loss: float = 0.0

    @property
    def is_sacral(self) -> bool:
        """Whether it belongs to the sacrum."""
        return self.level.startswith("S")

    @property
    def spinous_tip_lps_mm(self) -> NDArray[np.float64]:
        """End of the spinous process, shape (3,)."""
        behind = self.half_depth_mm * self.back + self.canal_depth_mm + 2 + self.spinous_mm
        drop = 0.3 * self.height_mm + self.spinous_mm * self.spinous_drop
        tip: NDArray[np.float64] = self.center_lps_mm + behind * self.axes[:, 1] - drop * self.axes[:, 2]
        return tip
