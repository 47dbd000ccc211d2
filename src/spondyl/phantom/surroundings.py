"""Everything around the bones but the canal: fat, muscle, vessels, organs and skin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from spondyl.phantom.canvas import smooth_noise
from spondyl.phantom.tissue import Tissue

if TYPE_CHECKING:
    from spondyl.phantom.canvas import Canvas, Field
    from spondyl.phantom.centerline import Centerline, ColumnFrame
    from spondyl.phantom.person import Person

NECK_RANK = 21.5
"""Index into a column of 29 vertebrae from the coccyx up at which the neck begins, between T1 and C7."""


def paint_surroundings(
    rng: np.random.Generator, canvas: Canvas, line: Centerline, frame: ColumnFrame, person: Person
) -> None:
    """Fill the canvas with the body around the spine.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all variation.
    canvas : Canvas
        Painted in place.
    line : Centerline
        The column.
    frame : ColumnFrame
        Coordinates relative to it.
    person : Person
        Whose muscles turn to fat with age.
    """
    _paint_organs(rng, canvas, line, frame)
    _paint_pelvis(rng, canvas)
    _paint_front_wall(rng, canvas, line)
    _paint_prevertebral(rng, canvas, line, frame)
    _paint_back_muscles(rng, canvas, line, frame, person)
    _paint_back_surface(rng, canvas, frame)


def _noise(rng: np.random.Generator, canvas: Canvas, wavelength_mm: float | tuple[float, ...]) -> Field:
    return smooth_noise(rng, canvas.grid.shape, canvas.grid.spacing_mm, wavelength_mm)


def _paint_organs(rng: np.random.Generator, canvas: Canvas, line: Centerline, frame: ColumnFrame) -> None:
    """Loops and lobes in front of the column: what they are matters little, that they vary matters."""
    u, tissue = rng.uniform, canvas.tissue
    tissue[:] = rng.choice([Tissue.VISCERAL_FAT, Tissue.BOWEL_WALL])
    recipes = (
        (Tissue.BOWEL_WALL, (14, 45), (-0.2, 0.6)),
        (Tissue.BOWEL_CONTENT, (12, 32), (0.2, 1.0)),
        (Tissue.VISCERAL_FAT, (8, 30), (-0.1, 0.8)),
        (Tissue.MUSCLE, (8, 22), (0.8, 1.5)),
        (Tissue.BOWEL_GAS, (14, 30), (1.1, 1.8)),
        (Tissue.VEIN, (5, 9), (1.0, 1.6)),
    )
    for kind, wavelength, threshold in recipes:
        tissue[_noise(rng, canvas, u(*wavelength)) > u(*threshold)] = kind
    rank = line.rank[frame.sample]
    if rng.random() < 0.6:
        top = u(8.5, 12.5)
        liver = (rank > top + 0.4 * _noise(rng, canvas, 40)) & (frame.left < u(-25, 40)) & (frame.behind < -u(30, 45))
        tissue[liver] = Tissue.LIVER
    if rng.random() < 0.7:
        chest = (rank > u(12.5, 14.5)) & (np.abs(frame.left) > u(14, 30) + 6 * _noise(rng, canvas, 30))
        tissue[chest & (frame.behind < u(10, 30))] = Tissue.LUNG
    for side in (-1, 1):
        if rng.random() < 0.5:
            at, half = u(7.0, 9.0), u(1.2, 1.9)
            center, behind = side * u(48, 62), u(-12, 12)
            q = (
                ((rank - at) / half) ** 2
                + ((frame.left - center) / u(18, 26)) ** 2
                + ((frame.behind - behind) / u(18, 26)) ** 2
            )
            tissue[q < 1] = Tissue.KIDNEY
            tissue[q < u(0.1, 0.3)] = Tissue.VISCERAL_FAT


def _paint_pelvis(rng: np.random.Generator, canvas: Canvas) -> None:
    """Bladder, uterus and a rectum in front of the sacrum: round things that must not be taken for sacral bodies."""
    u = rng.uniform
    for kind, count in ((Tissue.BLADDER, 1), (Tissue.MUSCLE, 1), (Tissue.BOWEL_GAS, 2), (Tissue.BOWEL_CONTENT, 2)):
        for _ in range(count):
            if rng.random() < 0.35:
                continue
            large = kind in (Tissue.BLADDER, Tissue.MUSCLE)
            center = np.array([u(-20, 20), u(-75, -20) if large else u(-35, 25), u(-100, -25)])
            radii = rng.uniform(18, 38, 3) if large else rng.uniform(7, 16, 3)
            box = canvas.box(center, tuple(radii * 1.3), tuple(radii * 1.3))
            if box is None:
                continue
            q = ((canvas.x[box] - center[0]) / radii[0]) ** 2 + ((canvas.y[box] - center[1]) / radii[1]) ** 2
            q = q + ((canvas.z[box] - center[2]) / radii[2]) ** 2
            canvas.tissue[box][q < 1.2] = Tissue.BOWEL_WALL
            canvas.tissue[box][q < 1] = kind


def _paint_front_wall(rng: np.random.Generator, canvas: Canvas, line: Centerline) -> None:
    u = rng.uniform
    if rng.random() < 0.45:
        return
    front = line.points_lps_mm[:, 1].min() - u(60, 125)
    depth = canvas.y - np.float32(front) + 12 * np.sin(canvas.z / np.float32(u(60, 120)) + np.float32(u(0, 6)))
    fat, muscle = u(5, 40), u(5, 12)
    for limit, kind in (
        (fat + muscle, Tissue.MUSCLE),
        (fat, Tissue.SUBCUTANEOUS_FAT),
        (2, Tissue.SKIN),
        (0, Tissue.AIR),
    ):
        canvas.tissue[depth < limit] = kind


def _paint_prevertebral(rng: np.random.Generator, canvas: Canvas, line: Centerline, frame: ColumnFrame) -> None:
    """Fat, ligament, great vessels and psoas beside and before the bodies."""
    u, k = rng.uniform, frame.sample
    a, b = line.half_depth_mm[k].astype(np.float32), line.half_width_mm[k].astype(np.float32)
    rank = line.rank[k].astype(np.float32)
    p, v = frame.behind, frame.left
    near = np.sqrt((p / (a + u(3, 12))) ** 2 + (v / (b + u(2, 10))) ** 2) < 1
    canvas.tissue[near & (p < 4)] = Tissue.VISCERAL_FAT
    canvas.tissue[(p > -(a + u(0.8, 2.5))) & (p < 0) & (np.abs(v) < b * 0.85)] = Tissue.LIGAMENT
    _paint_vessels(rng, canvas, (p + a, v, rank), b)
    size = np.clip((u(10, 12) - rank) / 4, 0, 1) * u(16, 28)
    psoas = (np.abs(v) - b - size * 0.75) ** 2 + ((p + u(-6, 6)) * 0.85) ** 2 < size * size
    canvas.tissue[psoas & (rank > 2.5)] = Tissue.MUSCLE
    if rank.max() > NECK_RANK + 0.5:
        _paint_neck(rng, canvas, (p + a, v, rank))


def _paint_vessels(rng: np.random.Generator, canvas: Canvas, at: tuple[Field, Field, Field], half_width: Field) -> None:
    """Aorta and cava against the bodies, the iliac vessels below, the vertebral arteries in the neck."""
    u = rng.uniform
    behind_front, v, rank = at
    sway = 4 * np.sin(rank * 0.9 + u(0, 6))
    split = u(5.4, 6.6)
    below = np.maximum(split - rank, 0)
    r, q = u(6.5, 11.5), u(7, 12)
    flat = u(0.5, 1)
    tubes = (
        (Tissue.ARTERY, r, r, u(-2, 14) + sway, u(0.3, 5), rank > split),
        (Tissue.VEIN, q, q * flat, -u(6, 18) + sway, u(0, 6), (rank > split - 0.4) & (rank < u(11, 15))),
    )
    for kind, across, deep, center, gap, where in tubes:
        tube = ((behind_front + deep + gap) / deep) ** 2 + ((v - center) / across) ** 2 < 1
        if rng.random() < 0.9:
            canvas.tissue[tube & where] = kind
    for kind, radius, spread in ((Tissue.ARTERY, 0.55 * r, u(20, 30)), (Tissue.VEIN, 0.6 * q, u(18, 28))):
        gap = radius + u(1, 6) + (2 * radius if kind == Tissue.ARTERY else 0)
        for direction in (-1, 1):
            center = (u(-6, 2) if kind == Tissue.VEIN else u(0, 8)) + direction * spread * below
            tube = ((behind_front + gap) / radius) ** 2 + ((v - center) / (1.3 * radius)) ** 2 < 1
            canvas.tissue[tube & (rank < split) & (rank > 3)] = kind
    beside = (np.abs(v) - half_width - 5) ** 2 + (behind_front - 8) ** 2 < u(1.6, 2.6) ** 2
    canvas.tissue[beside & (rank > NECK_RANK)] = Tissue.ARTERY


def _paint_neck(rng: np.random.Generator, canvas: Canvas, at: tuple[Field, Field, Field]) -> None:
    """Airway and gullet before the cervical bodies, and muscle around them instead of bowel."""
    u = rng.uniform
    behind_front, v, rank = at
    neck = (rank > NECK_RANK + 0.5 + 0.3 * np.sin(v * 0.1)) & (behind_front < 0)
    canvas.tissue[neck & ~np.isin(canvas.tissue, (Tissue.AIR, Tissue.SKIN, Tissue.SUBCUTANEOUS_FAT))] = Tissue.MUSCLE
    spots = _noise(rng, canvas, u(6, 12)) > u(0.3, 1.2)
    canvas.tissue[neck & spots & (canvas.tissue == Tissue.MUSCLE)] = Tissue.VISCERAL_FAT
    # Soft tissue before the bodies is thin down to C4 and thick behind the larynx.
    depth = np.interp(rank, [NECK_RANK, 24, 26, 28], [u(10, 18), u(8, 15), u(2, 6), u(2, 6)]).astype(np.float32)
    radius = u(6, 10)
    windpipe = ((behind_front + depth + radius) / radius) ** 2 + (v / (radius * u(0.8, 1.1))) ** 2
    canvas.tissue[(windpipe < 1.5) & (rank > NECK_RANK - 1)] = Tissue.MUSCLE
    canvas.tissue[(windpipe < 1) & (rank > NECK_RANK - 1)] = Tissue.TRACHEA
    # The throat lies closer to the column than the belly; the jaw above it farther.
    throat = u(42, 65) + np.clip(rank - 25.5, 0, 2) * u(10, 25)
    fat = u(3, 10)
    front = -behind_front - throat.astype(np.float32)
    for depth_mm, kind in ((-fat - 2, Tissue.SUBCUTANEOUS_FAT), (-2.0, Tissue.SKIN), (0.0, Tissue.AIR)):
        canvas.tissue[(front > depth_mm) & (rank > NECK_RANK + 0.5)] = kind


def _paint_back_muscles(
    rng: np.random.Generator, canvas: Canvas, line: Centerline, frame: ColumnFrame, person: Person
) -> None:
    """Back muscles: streaks and septa of fat along the fibers, fattier with age, near the midline and low down."""
    u, k = rng.uniform, frame.sample
    a = line.half_depth_mm[k].astype(np.float32)
    rank = line.rank[k].astype(np.float32)
    p, side = frame.behind, np.abs(frame.left)
    behind = p > a * u(0.2, 0.5)
    canvas.tissue[behind] = Tissue.MUSCLE
    fatty = person.wear * u(0, 2.2) + u(0, 0.4)
    deep = np.exp(-((side / 22) ** 2) - ((p - a - 30) / 22) ** 2) * np.clip((10 - rank) / 5, 0.25, 1)
    streaks = _noise(rng, canvas, (u(4, 10), u(14, 45), u(2.5, 6))) + np.float32(fatty) * deep
    canvas.tissue[behind & (streaks > u(1.3, 2.6))] = Tissue.INTERMUSCULAR_FAT
    midline = behind & (side < u(1.2, 4))
    canvas.tissue[midline] = Tissue.LIGAMENT
    canvas.tissue[midline & (_noise(rng, canvas, (6.0, 9.0, 5.0)) > u(-1.5, 0.6))] = Tissue.INTERMUSCULAR_FAT


def _paint_back_surface(rng: np.random.Generator, canvas: Canvas, frame: ColumnFrame) -> None:
    """Fascia, subcutaneous fat, skin and the air behind."""
    u = rng.uniform
    rows = canvas.grid.affine[2, 3] + np.arange(canvas.grid.shape[1]) * canvas.grid.affine[2, 1]
    tips = frame.tips_yz
    curve = np.interp(rows, tips[:, 1], tips[:, 0])
    # Fascia is stretched over the spinous processes: a smooth line through their tips that none passes.
    step = abs(float(canvas.grid.affine[2, 1]))
    flat = gaussian_filter1d(curve, u(8, 30) / step, mode="nearest")
    highest = maximum_filter1d(np.maximum(flat + u(0, 6), curve + 2), round(24 / step), mode="nearest")
    muscle = gaussian_filter1d(highest, 9 / step, mode="nearest") + u(0.5, 4)
    thickness = np.interp(rows, [-120, -20, 60, 200], [u(8, 60), u(5, 55), u(3, 28), u(2, 20)]) * u(0.4, 1.1)
    thickness = gaussian_filter1d(thickness, 12, mode="nearest") + 2
    x = canvas.grid.affine[0, 3] + np.arange(canvas.grid.shape[0]) * canvas.grid.affine[0, 0]
    groove = u(-8, 2) * np.exp(-((x / u(8, 16)) ** 2)) - (x / u(45, 80)) ** 2 * u(0, 12)
    # Muscles bulge beside the furrow; in it lie the tips of the spinous processes.
    groove = groove - groove[np.argmin(np.abs(x))]
    depth = canvas.y - (muscle[None, :, None] + 0.6 * groove[:, None, None]).astype(np.float32)
    skin = (thickness[None, :, None] - 0.3 * groove[:, None, None]).astype(np.float32)
    canvas.tissue[depth > 0] = Tissue.SUBCUTANEOUS_FAT
    canvas.tissue[(depth > -1.4) & (depth < 0.3)] = Tissue.LIGAMENT
    canvas.tissue[depth > skin - 1.8] = Tissue.SKIN
    canvas.tissue[depth > skin] = Tissue.AIR
