"""The bones as numbers: a chain of vertebrae, walked up and down from the first sacral body.

Each vertebra is a rigid frame with a body (a waisted superquadric with concave endplates), posterior elements
(capsules and plates) and the disc below it. Nothing here knows of voxels; `spondyl.phantom.bones` turns the numbers
into distances.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from spondyl.phantom.levels import LEVEL_SIZES, LevelSize, column_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

VARIANT_SHARES = {"L4": 0.033, "L6": 0.043}
"""Share of spines with one mobile vertebra less or more (Tins 2016, 418 spines, doi 10.1007/s13244-016-0468-7)."""


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
    herniation_mm : float
        Focal posterior protrusion.
    herniation_left_mm : float
        Where it lies, to the left of the midline.
    """

    height_mm: float
    degeneration: float
    radius: float
    bulge_posterior: float
    bulge_anterior: float
    nucleus_radius: float
    nucleus_offset: float
    cleft_mm: float
    herniation_mm: float
    herniation_left_mm: float


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
    wedge : float
        Slope of each endplate; positive when taller in front.
    back : float
        Position of the flat back wall relative to the half depth.
    back_concavity_mm : float
        Depth of the back wall's hollow.
    osteophyte_anterior, osteophyte_posterior : float
        Lipping at the rims relative to the size.
    cortex_mm, endplate_mm : float
        Thickness of the dark shell at the sides and at the endplates.
    vein : tuple of float
        Basivertebral vein: depth it begins (mm from the center), height, half thickness and half width in mm.
    canal_depth_mm, canal_width_mm : float
        Bony canal behind the body.
    pedicle_mm : float
        Pedicle width.
    spinous_mm, spinous_drop, spinous_height_mm, spinous_width_mm : float
        Spinous process.
    transverse_mm : float
        Length of the transverse processes.
    lamina_mm : float
        Thickness of the lamina.
    pillar_mm : float
        Radius of the articular pillars.
    disc : Disc
        The disc below.
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
    wedge: float
    back: float
    back_concavity_mm: float
    osteophyte_anterior: float
    osteophyte_posterior: float
    cortex_mm: float
    endplate_mm: float
    vein: tuple[float, float, float, float]
    canal_depth_mm: float
    canal_width_mm: float
    pedicle_mm: float
    spinous_mm: float
    spinous_drop: float
    spinous_height_mm: float
    spinous_width_mm: float
    transverse_mm: float
    lamina_mm: float
    pillar_mm: float
    disc: Disc

    @property
    def is_sacral(self) -> bool:
        """Whether it belongs to the sacrum."""
        return self.level.startswith("S")


@dataclass(frozen=True)
class _Habit:
    """What all vertebrae of one patient share."""

    scale: float
    width: float
    depth: float
    height: float
    disc: float
    degeneration: float
    exponent: float
    waist: float
    concavity_mm: float
    osteophyte: float
    rim: float
    cortex_mm: float
    canal: float
    pedicle: float
    spinous: float


def sample_spine(rng: np.random.Generator, *, top: str = "C1", fractures: bool = True) -> list[VertebraShape]:
    """Draw the bones of one patient.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all variation.
    top : str, optional
        The uppermost level to make.
    fractures : bool, optional
        Whether a vertebra may have collapsed.

    Returns
    -------
    list of VertebraShape
        From S5 upward; the center of S1 lies at the origin.
    """
    levels = _sample_levels(rng, top)
    habit = _sample_habit(rng)
    tilts = _sample_tilts(rng, levels)
    rolls, turns = _sample_scoliosis(rng, len(levels))
    shapes = [_sample_vertebra(rng, name, habit) for name in levels]
    if fractures:
        shapes = [_fractured(rng, s) if rng.random() < 0.04 and not s.is_sacral else s for s in shapes]
    axes = [_axes(t, r, a) for t, r, a in zip(tilts, rolls, turns, strict=True)]
    return _stack(rng, shapes, axes)


def _sample_levels(rng: np.random.Generator, top: str) -> list[str]:
    draw, extra = rng.random(), VARIANT_SHARES
    n_lumbar = 4 if draw < extra["L4"] else 6 if draw < extra["L4"] + extra["L6"] else 5
    n_thoracic = int(rng.choice([11, 12, 13], p=[0.02, 0.96, 0.02]))
    return column_levels(n_thoracic=n_thoracic, n_lumbar=n_lumbar, top=top)


def _sample_habit(rng: np.random.Generator) -> _Habit:
    u, n = rng.uniform, rng.normal
    return _Habit(
        scale=float(np.clip(n(1.0, 0.075), 0.8, 1.22)),
        width=u(0.9, 1.1),
        depth=u(0.9, 1.1),
        height=u(0.9, 1.1),
        disc=u(0.75, 1.25),
        degeneration=float(rng.beta(1.3, 1.5)),
        exponent=u(2.2, 3.2),
        waist=u(0.04, 0.14),
        concavity_mm=u(0.5, 2.6),
        osteophyte=u(0, 0.12) * (rng.random() < 0.6),
        rim=u(0.7, 1.6),
        cortex_mm=u(0.6, 1.7),
        canal=u(0.85, 1.15),
        pedicle=u(0.85, 1.15),
        spinous=u(0.8, 1.2),
    )


def _sample_tilts(rng: np.random.Generator, levels: list[str]) -> NDArray[np.float64]:
    """Tilt of each vertebra in radians: posture, plus smooth and local deviations."""
    mean = np.array([LEVEL_SIZES[name].tilt_deg for name in levels])
    is_low = np.array([name[0] in "LS" for name in levels])
    pivot = mean[levels.index("L1")]
    lordosis, kyphosis = np.clip(rng.normal(1.0, 0.27), 0.25, 1.7), np.clip(rng.normal(1.0, 0.3), 0.2, 1.9)
    tilt = np.where(is_low, pivot + (mean - pivot) * lordosis, pivot + (mean - pivot) * kyphosis)
    n = len(levels)
    walk = gaussian_filter1d(np.cumsum(rng.normal(0, 2.2, n)), 1.5)
    tilt = tilt + rng.normal(0, 4) + walk - walk.mean() + rng.normal(0, 1.3, n)
    if rng.random() < 0.12:
        tilt[rng.integers(5, n) :] += rng.uniform(0, 14)
    return np.radians(tilt)


def _sample_scoliosis(rng: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coronal lean and axial rotation of each vertebra in radians; rotation follows the curve (coupled motion)."""
    amplitude = abs(rng.normal(0, 2.0)) if rng.random() < 0.8 else rng.uniform(4, 12)
    phase, wavelength = rng.uniform(0, 2 * np.pi), rng.uniform(7, 16)
    curve = np.sin(2 * np.pi * np.arange(n) / wavelength + phase)
    roll = amplitude * curve + rng.normal(0, 0.8, n)
    turn = -0.6 * amplitude * np.gradient(curve) * 2 + rng.normal(0, 0.8, n) + rng.normal(0, 2)
    return np.radians(roll), np.radians(turn)


def _axes(tilt: float, roll: float, turn: float) -> NDArray[np.float64]:
    """Columns left, posterior, up of a vertebra tilted about x, leaning about y and turned about its own axis."""
    ct, st, cr, sr, ca, sa = np.cos(tilt), np.sin(tilt), np.cos(roll), np.sin(roll), np.cos(turn), np.sin(turn)
    pitch = np.array([[1, 0, 0], [0, ct, st], [0, -st, ct]])
    lean = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
    spin = np.array([[ca, -sa, 0], [sa, ca, 0], [0, 0, 1]])
    return pitch @ lean @ spin


def _sample_vertebra(rng: np.random.Generator, level: str, habit: _Habit) -> VertebraShape:
    u, n = rng.uniform, rng.normal
    size = LEVEL_SIZES[level]
    sacral, s1 = level.startswith("S"), level == "S1"
    scale = habit.scale
    half_depth = size.depth_mm / 2 * scale * habit.depth * n(1, 0.02)
    wedge = n(0, 0.02) + (u(0, 0.09) if level == "L5" else 0.0) + (u(-0.06, 0.02) if s1 else 0.0)
    concavity = 0.0 if sacral else habit.concavity_mm * (half_depth / 17)
    vein = (half_depth * u(-0.1, 0.5), n(0, 1.2), u(0.6, 2.4), u(2, 6.5)) if rng.random() < 0.65 else (99.0, 0, 1, 1)
    return VertebraShape(
        level=level,
        center_lps_mm=np.zeros(3),
        axes=np.eye(3),
        half_width_mm=size.width_mm / 2 * scale * habit.width * n(1, 0.02),
        half_depth_mm=half_depth,
        height_mm=size.height_mm * scale * habit.height * n(1, 0.03),
        exponent=habit.exponent * n(1, 0.03),
        waist=habit.waist * u(0.7, 1.3) * (0.5 if sacral else 1),
        flare=(u(0.08, 0.22) if s1 else u(0.06, 0.16)) if sacral else n(0, 0.01),
        concavity_top_mm=u(0, 0.8) if sacral else concavity * u(0.5, 1.6) + (u(1, 4) if rng.random() < 0.1 else 0),
        concavity_bottom_mm=u(0, 0.6) if sacral else concavity * u(0.5, 1.7) + (u(1, 4) if rng.random() < 0.1 else 0),
        apex=u(-0.05, 0.3),
        rim=habit.rim,
        wedge=wedge,
        back=u(0.84, 0.96),
        back_concavity_mm=u(0.3, 2.2),
        osteophyte_anterior=0.0 if sacral and not s1 else habit.osteophyte * u(0.2, 1.5),
        osteophyte_posterior=0.0 if sacral else habit.osteophyte * 0.6 * u(0, 1.2),
        cortex_mm=habit.cortex_mm * u(0.75, 1.15),
        endplate_mm=habit.cortex_mm * u(0.9, 1.35),
        vein=(99.0, 0.0, 1.0, 1.0) if sacral else vein,
        spinous_height_mm=(u(8, 12) if level.startswith("L") else u(3.5, 5.5)) * scale * (0.6 if sacral else 1),
        spinous_width_mm=u(2.2, 4.2) * scale,
        transverse_mm=_transverse_mm(rng, level) * scale,
        lamina_mm=u(3.5, 7.0) * scale * (0.6 if sacral else 1),
        pillar_mm=(u(5, 7) if level.startswith("L") else u(3.5, 5)) * scale,
        disc=_sample_disc(rng, size, habit, sacral=sacral, s1=s1),
        **_canal_and_arch(rng, size, habit),
    )


def _canal_and_arch(rng: np.random.Generator, size: LevelSize, habit: _Habit) -> dict[str, float]:
    u, scale = rng.uniform, habit.scale
    return {
        "canal_depth_mm": size.canal_depth_mm * scale * habit.canal * u(0.94, 1.06),
        "canal_width_mm": size.canal_width_mm * scale * habit.canal * u(0.94, 1.06),
        "pedicle_mm": size.pedicle_mm * scale * habit.pedicle * u(0.9, 1.1),
        "spinous_mm": size.spinous_mm * scale * habit.spinous * u(0.85, 1.15),
        "spinous_drop": size.spinous_drop * u(0.7, 1.3) + u(0, 0.1),
    }


def _transverse_mm(rng: np.random.Generator, level: str) -> float:
    if level.startswith("S"):
        return 0.0
    return float(rng.uniform(14, 24) if level.startswith("L") else rng.uniform(9, 15))


def _sample_disc(rng: np.random.Generator, size: LevelSize, habit: _Habit, *, sacral: bool, s1: bool) -> Disc:
    u = rng.uniform
    degeneration = float(np.clip(habit.degeneration + rng.normal(0, 0.2), 0, 1))
    height = size.disc_mm * habit.scale * habit.disc * float(np.clip(rng.normal(1, 0.1), 0.65, 1.35))
    if sacral:
        height = u(0.4, 3.0 if s1 else 1.8)
    elif rng.random() < 0.1 + 0.12 * degeneration:
        height *= u(0.3, 0.75)
    herniated = not sacral and rng.random() < 0.12
    return Disc(
        height_mm=height,
        degeneration=degeneration,
        radius=u(0.94, 1.03),
        bulge_posterior=u(-0.02, 0.05) + (u(0.03, 0.18) if rng.random() < 0.25 else 0),
        bulge_anterior=u(-0.02, 0.08),
        nucleus_radius=u(0.5, 0.85),
        nucleus_offset=u(-0.05, 0.15),
        cleft_mm=u(0.3, 1.2) * (rng.random() < 0.4),
        herniation_mm=u(2, 7) if herniated else 0.0,
        herniation_left_mm=u(-8, 8),
    )


def _fractured(rng: np.random.Generator, shape: VertebraShape) -> VertebraShape:
    """Collapse a vertebra as a wedge, biconcave or crush fracture (Genant 1993, doi 10.1002/jbmr.5650080915)."""
    kind = rng.choice(["wedge", "biconcave", "crush"], p=[0.5, 0.3, 0.2])
    if kind == "wedge":
        loss = rng.uniform(0.15, 0.5)
        slope = -loss * shape.height_mm / (4 * shape.half_depth_mm)
        return replace(shape, wedge=shape.wedge + slope, height_mm=shape.height_mm * (1 - loss / 2))
    if kind == "biconcave":
        depth = rng.uniform(0.1, 0.25) * shape.height_mm
        return replace(shape, concavity_top_mm=depth, concavity_bottom_mm=depth * rng.uniform(0.5, 1), rim=1.2)
    return replace(
        shape,
        height_mm=shape.height_mm * rng.uniform(0.5, 0.8),
        half_depth_mm=shape.half_depth_mm * rng.uniform(1, 1.08),
    )


def _stack(
    rng: np.random.Generator, shapes: list[VertebraShape], axes: list[NDArray[np.float64]]
) -> list[VertebraShape]:
    """Place the vertebrae on each other, S1 at the origin."""
    centers = [np.zeros(3)]
    for below, above in zip(range(len(shapes) - 1), range(1, len(shapes)), strict=True):
        up_below, up_above = axes[below][:, 2], axes[above][:, 2]
        between = up_below + up_above
        gap = shapes[above].disc.height_mm * between / np.linalg.norm(between)
        step = up_below * shapes[below].height_mm / 2 + gap + up_above * shapes[above].height_mm / 2
        slip = np.array([rng.normal(0, 0.3), rng.normal(0, 0.45), 0.0])
        if not shapes[above].is_sacral and rng.random() < 0.03:
            slip[1] += rng.uniform(-5, 5)
        centers.append(centers[-1] + step + slip)
    origin = centers[[s.level for s in shapes].index("S1")]
    return [replace(s, center_lps_mm=c - origin, axes=a) for s, c, a in zip(shapes, centers, axes, strict=True)]
