"""What the images of one series share: encoding matrices, receive and transmit fields, and the patient."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spondyl.phantom import artifacts
from spondyl.phantom.encoding import edge_taper, encode, encoding_matrix, slice_matrix
from spondyl.phantom.signal import Pulse, fat_shift_hz
from spondyl.phantom.texture import smooth_field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Grid
    from spondyl.phantom.arrays import Array
    from spondyl.phantom.placement import Landmarks
    from spondyl.phantom.protocol import Protocol

WATER_T2_FOR_BLUR_MS, FAT_T2_FOR_BLUR_MS = 60.0, 110.0
"""T2 by which the echo train weights k-space, in ms: one for all water, as a filter per tissue would cost a matrix
each. Chosen by us."""

ANTERIOR_ARRAY_SHARE = 0.35
"""Share of series in which an array in front of the patient receives too. Chosen by us."""

EPI_ECHO_SPACING_MS = 0.40
"""Effective echo spacing of an echo-planar train after parallel imaging, in ms. Chosen by us."""


class Artifacts(NamedTuple):
    """How strongly each imperfection shows; 0 switches it off.

    Parameters
    ----------
    ghosting : float
        Ghost over source of breathing tissue.
    bulk_motion : float
        Ghost over source of the whole patient.
    fat_failure : float
        Largest share of the fat suppression that fails.
    distortion_mm : float
        Largest displacement of echo-planar images, in mm.
    noise : float
        Multiple of the protocol's noise.
    shading : float
        0 for an even receive field, 1 for the coil's own.
    """

    ghosting: float = 0.04
    bulk_motion: float = 0.02
    fat_failure: float = 0.15
    distortion_mm: float = 3.0
    noise: float = 1.0
    shading: float = 1.0


@dataclass(frozen=True, eq=False)
class Subject:
    """The patient, cut along the slices of one prescription.

    Parameters
    ----------
    cells : ndarray of uint16, shape (I, J, K)
        ``tissue * N_TEXTURE_LEVELS + texture``; the slice axis comes first.
    grid : Grid
        Where these voxels are.
    landmarks : Landmarks
        The back's surface and the front of the column.
    """

    cells: NDArray[np.uint16]
    grid: Grid
    landmarks: Landmarks


@dataclass(eq=False)
class Bench:
    """What the images of one series share.

    Parameters
    ----------
    subject : Subject
        The patient.
    protocol : Protocol
        Settings of the series.
    grid : Grid
        Voxels to acquire.
    settings : Artifacts
        How strongly imperfections show.
    rng : Generator
        Source of randomness.
    slices : ndarray, shape (S, I)
        From the subject's slices to the series'.
    rows, columns, rows_fat, columns_fat : ndarray
        From the subject to pixels in plane, for water and for displaced fat.
    sensitivity, factor : ndarray, shape ``grid.shape``
        Receive profile, 1 at the column; saturation and transmit field.
    noise_rows, noise_columns : ndarray
        From acquired to shown pixels.
    failure : ndarray or None
        Share of the fat suppression that fails.
    extras : dict
        What was drawn once and serves the later images of the series.
    """

    subject: Subject
    protocol: Protocol
    grid: Grid
    settings: Artifacts
    rng: np.random.Generator
    slices: Array
    rows: Array
    columns: Array
    rows_fat: Array
    columns_fat: Array
    sensitivity: Array
    factor: Array
    noise_rows: Array
    noise_columns: Array
    failure: Array | None = None
    extras: dict[str, Any] = field(default_factory=dict)


def _axis_positions(subject: Grid, grid: Grid) -> tuple[list[Array], list[Array]]:
    """Positions of object samples and of pixels along each axis, in mm from the middle of the image."""
    corner = grid.lps_to_ijk(subject.ijk_to_lps([0, 0, 0]))
    middle = (np.asarray(grid.shape) - 1) / 2
    ratio = np.asarray(subject.spacing_mm) / np.asarray(grid.spacing_mm)
    objects, pixels = [], []
    for axis in range(3):
        along = corner[axis] + np.arange(subject.shape[axis]) * ratio[axis] - middle[axis]
        objects.append(along * grid.spacing_mm[axis])
        pixels.append((np.arange(grid.shape[axis]) - middle[axis]) * grid.spacing_mm[axis])
    return objects, pixels


def set_up(subject: Subject, protocol: Protocol, grid: Grid, rng: np.random.Generator, settings: Artifacts) -> Bench:
    """Prepare what all images of one series share.

    Parameters
    ----------
    subject : Subject
        The patient, cut along the slices.
    protocol : Protocol
        What is scanned.
    grid : Grid
        The series' grid.
    rng : numpy.random.Generator
        Source of drift, filtering and fields.
    settings : Artifacts
        How strongly imperfections show.

    Returns
    -------
    Bench
        Ready to receive.
    """
    objects, pixels = _axis_positions(subject.grid, grid)
    phase = protocol.phase_axis
    readout = 3 - phase
    a = protocol.acquisition
    drift_mm = rng.normal(0.0, 0.35, 2)
    filtering = float(rng.uniform(0.05, 0.6))
    shift = {readout: _readout_shift_mm(protocol), phase: _phase_shift_mm(protocol, grid, phase)}
    decay_ms = (a.echo_train_length or 1) * protocol.echo_spacing_ms
    matrices: dict[tuple[str, int], Array] = {}
    for axis in (1, 2):
        period = grid.shape[axis] * grid.spacing_mm[axis] * (protocol.phase_oversampling if axis == phase else 2.2)
        taper = edge_taper(objects[axis], half_width_mm=grid.shape[axis] * grid.spacing_mm[axis] / 2)
        for pool, t2 in (("water", WATER_T2_FOR_BLUR_MS), ("fat", FAT_T2_FOR_BLUR_MS)):
            moved = objects[axis] + drift_mm[axis - 1] + (shift[axis] if pool == "fat" else 0.0)
            matrices[pool, axis] = taper * encoding_matrix(
                moved,
                pixels[axis],
                voxel_mm=protocol.phase_mm if axis == phase else protocol.readout_mm,
                period_mm=period,
                decay=min(decay_ms / t2, 3.0) if axis == phase and protocol.pulse is not Pulse.DIFFUSION_EPI else 0.0,
                centered=(a.echo_time_ms or 10) < 30,
                filtering=filtering,
            )
    sensitivity, factor = _fields(subject.landmarks, protocol, grid, rng, settings)
    return Bench(
        subject, protocol, grid, settings, rng,
        slices=slice_matrix(objects[0], pixels[0], thickness_mm=protocol.slice_thickness_mm),
        rows=matrices["water", 1], columns=matrices["water", 2],
        rows_fat=matrices["fat", 1], columns_fat=matrices["fat", 2],
        sensitivity=sensitivity, factor=factor,
        noise_rows=_noise_matrix(grid, 1, protocol, filtering), noise_columns=_noise_matrix(grid, 2, protocol,
        filtering), failure=_fat_failure(protocol, grid, rng, settings),
    )  # fmt: skip


def _readout_shift_mm(protocol: Protocol) -> float:
    if protocol.pulse is Pulse.DIFFUSION_EPI:
        return 0.0
    return (
        fat_shift_hz(protocol.field_strength_t) / (protocol.acquisition.bandwidth_hz_px or 200.0) * protocol.readout_mm
    )


def _phase_shift_mm(protocol: Protocol, grid: Grid, phase: int) -> float:
    if protocol.pulse is not Pulse.DIFFUSION_EPI:
        return 0.0
    fov_mm = grid.shape[phase] * grid.spacing_mm[phase] * protocol.phase_oversampling
    cycles = fat_shift_hz(protocol.field_strength_t) * EPI_ECHO_SPACING_MS * 1e-3
    return cycles * fov_mm


def _noise_matrix(grid: Grid, axis: int, protocol: Protocol, filtering: float) -> NDArray[np.float32]:
    """Interpolate noise from acquired to shown pixels, keeping its standard deviation at 1."""
    voxel = protocol.phase_mm if axis == protocol.phase_axis else protocol.readout_mm
    extent = grid.shape[axis] * grid.spacing_mm[axis]
    n = max(2, round(extent / voxel))
    acquired = (np.arange(n) - (n - 1) / 2) * (extent / n)
    shown = (np.arange(grid.shape[axis]) - (grid.shape[axis] - 1) / 2) * grid.spacing_mm[axis]
    matrix = encoding_matrix(acquired, shown, voxel_mm=extent / n, period_mm=extent, filtering=filtering)
    scaled: Array = (matrix / np.sqrt((matrix**2).sum(axis=1).mean())).astype(np.float32)
    return scaled


def coarse_positions(grid: Grid, step: int = 6) -> tuple[Array, tuple[Array, ...]]:
    """Give positions on a coarse lattice in plane, and what fills the pixels between.

    Parameters
    ----------
    grid : Grid
        The slices.
    step : int, optional
        Pixels between positions.

    Returns
    -------
    lps_mm : ndarray, shape (n_slices, n, m, 3)
        LPS positions.
    fill : tuple of ndarray
        For each in-plane axis the matrix that interpolates from its lattice to its pixels.
    """
    nodes = [np.arange(grid.shape[0], dtype=float)]
    fill = []
    for n in grid.shape[1:]:
        at = np.linspace(0, n - 1, max(2, n // step))
        nodes.append(at)
        fill.append(np.array([np.interp(np.arange(n), at, unit) for unit in np.eye(len(at))], np.float32).T)
    ijk = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1)
    return grid.ijk_to_lps(ijk), tuple(fill)


def _fields(
    landmarks: Landmarks, protocol: Protocol, grid: Grid, rng: np.random.Generator, settings: Artifacts
) -> tuple[Array, Array]:
    """Receive profile, 1 at the column, and the factor of saturation band and transmit field."""
    lps, fill = coarse_positions(grid)
    z = lps[..., 2]
    depth = np.maximum(landmarks.back_y_mm(z) - lps[..., 1] + float(rng.uniform(10, 30)), 2.0)
    spacing, start = float(rng.uniform(55, 110)), float(rng.uniform(0, 60))
    low, high = z.min() - 40 + start, z.max() + 30
    elements = tuple(float(e) for e in np.arange(low, high, spacing))
    profile = artifacts.loop_sensitivity(depth, z, elements_mm=elements, radius_mm=float(rng.uniform(65, 105)))
    # What the loops miss comes from the body coil, or, in a third of the studies, from an array laid on the belly.
    front = rng.uniform(0.3, 0.9) if rng.random() < ANTERIOR_ARRAY_SHARE else rng.uniform(0.05, 0.3)
    profile = profile + float(front) * float(np.median(profile))
    at_column = float(np.median(profile[np.abs(landmarks.front_distance_mm(lps) + 18) < 15] if profile.size else 1.0))
    profile = (profile / at_column) ** settings.shading
    bias = np.exp(smooth_field(rng, lps.shape[:3], cells=(2, 4, 4), spread=0.08 * settings.shading))
    factor = bias
    if protocol.saturation_band > 0:
        in_front = landmarks.front_distance_mm(lps) - float(rng.uniform(6, 22))
        factor = factor * artifacts.saturation_band(in_front, strength=protocol.saturation_band)
    return (
        encode(profile.astype(np.float32), fill[0], fill[1]),
        encode(factor.astype(np.float32), fill[0], fill[1]),
    )


def _fat_failure(
    protocol: Protocol, grid: Grid, rng: np.random.Generator, settings: Artifacts
) -> NDArray[np.float32] | None:
    """Share of spectral fat suppression that fails; inversion recovery does not depend on the field."""
    if not protocol.saturates_fat or settings.fat_failure <= 0:
        return None
    offset = smooth_field(rng, grid.shape, cells=(3, 4, 4), spread=1.0)
    failure: Array = (settings.fat_failure / (1 + np.exp(-4 * (offset - 1.3)))).astype(np.float32)
    return failure
