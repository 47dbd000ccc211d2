"""From frames to volumes: split what one series mixes, order slices by position, place them in the patient.

One DICOM series may hold several echoes, b-values, Dixon parts, time points or stacks, and slices in any order, with
some missing or twice. Nothing but positions and orientations decides where a slice lies: InstanceNumber, SliceLocation
and SpacingBetweenSlices are never trusted for it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import GeometryError, Grid, QualityFlag
from spondyl.io.diffusion import b_value_s_mm2, rounded_b_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from spondyl.io.dicom import Frame

SAME_POSITION_MM = 0.05
"""Slices closer than this along the normal are the same slice: far below any slice spacing. Chosen by us."""

SAME_ORIENTATION_DEG = 0.1
"""Slices within this angle belong to one stack; rounding in headers stays below it. Chosen by us."""

SAME_ECHO_MS = 0.3
"""Echo times closer than this belong to one echo. In- and opposed-phase echoes at 3 T lie 1.1 ms apart, while scanners
let one echo's time vary by 0.1 ms between slices. Chosen by us."""

SAME_FIELD_MM = 30.0
"""Frames whose first voxels lie farther apart than this within their plane, with none between, show different parts of
the body: stations of a long study, between which the table moved. Neighbors in a slanted stack lie nearer. Our choice.
"""

SPACING_TOLERANCE = 0.05
"""How far a slice may lie from its regular place, as a part of the spacing. Chosen by us."""

MIN_SPACING_TOLERANCE_MM = 0.1
"""The same in mm, where slices are thin. Chosen by us."""

MAX_MISSING_IN_A_ROW = 2
"""Up to so many neighboring slices may be filled in; a longer gap splits the stack. Chosen by us."""

MIN_STACK_SLICES = 3
"""Shorter pieces of a broken stack are not kept, since no structure can be followed through them. Chosen by us."""

MIN_SPACING_MM, MAX_SPACING_MM = 0.05, 30.0
"""Pixel and slice spacing outside these bounds, in mm, is no MRI of a spine. Chosen by us."""

ASSUMED_THICKNESS_MM = 4.0
"""Thickness in mm of a single slice whose header has none, as usual for the spine. Chosen by us; only volumes in a
single slice depend on it."""

MISMATCH_TOLERANCE = 0.1
"""Positions and SpacingBetweenSlices that differ by more than this part are reported. Chosen by us."""


@dataclass(frozen=True, eq=False)
class Part:
    """Frames of one series that show the same thing, each position once.

    Parameters
    ----------
    frames : tuple of Frame
        Any order.
    repeat : int
        Which repetition (time point, gradient direction) it is, from 1.
    n_repeats : int
        How many there are.
    n_duplicates : int
        How many frames at positions already taken were dropped.
    """

    frames: tuple[Frame, ...]
    repeat: int = 1
    n_repeats: int = 1
    n_duplicates: int = 0


@dataclass(frozen=True, eq=False)
class Stack:
    """Parallel, evenly spaced slices.

    Parameters
    ----------
    frames : tuple of Frame
        One for each slice; for a filled slice the nearest frame.
    filled : tuple of int
        Indices of slices that were not acquired.
    grid : Grid
        Where the voxels are; axes are slices, rows (down), columns (to the right of the picture).
    flags : tuple of QualityFlag
        What limits it.
    """

    frames: tuple[Frame, ...]
    filled: tuple[int, ...]
    grid: Grid
    flags: tuple[QualityFlag, ...] = ()


@dataclass(frozen=True, eq=False)
class _Slice:
    frame: Frame
    position: NDArray[np.float64] = field(repr=False)
    along_mm: float


def split(frames: Iterable[Frame]) -> list[Part]:
    """Split the frames of one series into parts that show one thing each.

    Parameters
    ----------
    frames : iterable of Frame
        Frames of one series that have a position and an orientation.

    Returns
    -------
    list of Part
        By echo time, field of view and b-value, then time; frames that repeat a position become further repeats, or
        are dropped as duplicates where only a few positions repeat.
    """
    frames = list(frames)
    echoes = _clustered(frames, lambda f: f.number_of("EchoTime"), SAME_ECHO_MS)
    orientations = _orientations(frames)
    fields = _fields(frames, orientations)
    groups: dict[tuple[Any, ...], list[Frame]] = {}
    for frame, echo, orientation, field_of in zip(frames, echoes, orientations, fields, strict=True):
        groups.setdefault((echo, orientation, *field_of, *_kind(frame)), []).append(frame)
    parts: list[Part] = []
    for _, group in sorted(groups.items(), key=lambda item: str(item[0])):
        parts += _repeats(group)
    return parts


def _kind(frame: Frame) -> tuple[Any, ...]:
    """What two frames of one image have in common, as far as it can be compared exactly."""
    spacing = frame.numbers("PixelSpacing", 2) or (0.0, 0.0)
    b_value = rounded_b_value(b_value_s_mm2(frame))
    return (
        -1.0 if b_value is None else b_value,
        frame.text("DiffusionDirectionality").upper() == "ISOTROPIC",
        frame.words("ImageType"),
        frame.text("ComplexImageComponent"),
        frame.text("StackID"),
        round(frame.number_of("InversionTime") or 0.0),
        round(frame.number_of("FlipAngle") or 0.0),
        (frame.get("Rows"), frame.get("Columns"), round(spacing[0], 3), round(spacing[1], 3)),
        frame.text("FrameOfReferenceUID"),
    )


def _clustered(frames: list[Frame], fact: Callable[[Frame], float | None], gap: float) -> list[int]:
    """Number each frame by the cluster of its fact; clusters are more than `gap` apart."""
    values = [-1.0 if (v := fact(f)) is None else v for f in frames]
    ordered = sorted(set(values))
    cluster = dict(zip(ordered, np.cumsum(np.diff(ordered, prepend=ordered[:1]) > gap).tolist(), strict=True))
    return [cluster[v] for v in values]


def _orientations(frames: list[Frame]) -> list[int]:
    """Number each frame by its orientation."""
    known: list[NDArray[np.float64]] = []
    numbers = []
    # Half of what separates two unit vectors at the tolerance is far more than rounding in the header.
    tolerance = np.deg2rad(SAME_ORIENTATION_DEG)
    for frame in frames:
        cosines = np.array(frame.numbers("ImageOrientationPatient", 6) or (0,) * 6, np.float64)
        match = [n for n, k in enumerate(known) if np.abs(k - cosines).max() <= tolerance]
        if not match:
            known.append(cosines)
        numbers.append(match[0] if match else len(known) - 1)
    return numbers


def _fields(frames: list[Frame], orientations: list[int]) -> list[tuple[int, int]]:
    """Number each frame by where its field of view lies among those of its orientation, along rows and columns."""
    fields = [(0, 0)] * len(frames)
    for orientation in set(orientations):
        own = [n for n, o in enumerate(orientations) if o == orientation]
        within = orientation_of(frames[own[0]])[:2]
        places = np.array([frames[n].numbers("ImagePositionPatient", 3) for n in own], np.float64) @ within.T
        clusters = [_clustered_values(along.tolist(), SAME_FIELD_MM) for along in places.T]
        for n, *found in zip(own, *clusters, strict=True):
            fields[n] = (found[0], found[1])
    return fields


def _repeats(frames: list[Frame]) -> list[Part]:
    """Split frames that take the same positions several times."""
    frames = sorted(frames, key=_time_order)
    normal = orientation_of(frames[0])[2]
    along = [float(normal @ np.asarray(f.numbers("ImagePositionPatient", 3))) for f in frames]
    places = dict(zip((id(f) for f in frames), _clustered_values(along, SAME_POSITION_MM), strict=True))
    counts = Counter(places.values())
    most = max(counts.values())
    if most == 1:
        return [Part(tuple(frames))]
    if sum(c > 1 for c in counts.values()) * 2 <= len(counts):  # a few positions twice are duplicates, not repeats
        first = {places[id(f)]: f for f in reversed(frames)}
        return [Part(tuple(first.values()), n_duplicates=len(frames) - len(first))]
    seen: Counter[int] = Counter()
    repeats: list[list[Frame]] = [[] for _ in range(most)]
    for frame in frames:
        repeats[seen[places[id(frame)]]].append(frame)
        seen[places[id(frame)]] += 1
    return [Part(tuple(r), n + 1, most) for n, r in enumerate(repeats)]


def _clustered_values(values: list[float], gap: float) -> list[int]:
    order = np.argsort(values, kind="stable")
    steps = np.diff(np.asarray(values)[order], prepend=values[order[0]]) > gap
    numbers = np.empty(len(values), int)
    numbers[order] = np.cumsum(steps)
    return numbers.tolist()


def _time_order(frame: Frame) -> tuple[float, float, float, int]:
    return (
        frame.number_of("TemporalPosition") or 0.0,
        frame.number_of("AcquisitionNumber") or 0.0,
        frame.number_of("InstanceNumber") or 0.0,
        frame.number,
    )


def orientation_of(frame: Frame) -> NDArray[np.float64]:
    """Give the directions of a frame: along a row, down a column, and their normal.

    Parameters
    ----------
    frame : Frame
        A frame with ImageOrientationPatient.

    Returns
    -------
    ndarray of float, shape (3, 3)
        Unit vectors in LPS as rows.

    Raises
    ------
    GeometryError
        If the orientation is missing, or its two directions are not perpendicular.
    """
    cosines = frame.numbers("ImageOrientationPatient", 6)
    if cosines is not None:
        row, column = np.array(cosines[:3]), np.array(cosines[3:])
        lengths = np.linalg.norm(row), np.linalg.norm(column)
        if min(lengths) > 0.5 and abs(row @ column) < 0.01 * lengths[0] * lengths[1]:
            row, column = row / lengths[0], column / lengths[1]
            return np.stack([row, column, np.cross(row, column)])
    msg = "expected two perpendicular directions in ImageOrientationPatient, got none or others"
    raise GeometryError(msg)


def place(part: Part, where: str) -> list[Stack]:
    """Order the slices of a part and place them in the patient.

    Parameters
    ----------
    part : Part
        Frames of one orientation.
    where : str
        How flags name the series.

    Returns
    -------
    list of Stack
        One, or several where long gaps or jumps break the part; slices ascend along the body axis (to the left,
        posterior or superior) that their normal follows best, and the longest stack comes first.

    Raises
    ------
    GeometryError
        If spacing or orientation is missing or impossible, or no piece has enough slices.
    """
    directions = orientation_of(part.frames[0])
    normal = directions[2] * np.sign(directions[2][np.argmax(np.abs(directions[2]))])
    positions = [np.array(f.numbers("ImagePositionPatient", 3)) for f in part.frames]
    slices = [_Slice(f, p, float(normal @ p)) for f, p in zip(part.frames, positions, strict=True)]
    slices.sort(key=lambda s: s.along_mm)
    pieces = _pieces(slices)
    kept = [p for p in pieces if len(p) >= MIN_STACK_SLICES or len(pieces) == 1]
    if not kept:
        msg = f"expected evenly spaced slices, got {len(pieces)} pieces of less than {MIN_STACK_SLICES} slices"
        raise GeometryError(msg)
    kept.sort(key=len, reverse=True)
    stacks = [_stack(piece, directions, normal, where) for piece in kept]
    extra = []
    if len(pieces) > 1:
        text = f"Slice positions are uneven: read as {len(kept)} separate stacks, {len(pieces) - len(kept)} left out."
        extra.append(QualityFlag("uneven_slices", text, where=where))
    if part.n_duplicates:
        text = f"{part.n_duplicates} slices at positions already taken were dropped."
        extra.append(QualityFlag("duplicates_dropped", text, where=where))
    return [Stack(s.frames, s.filled, s.grid, (*s.flags, *extra)) for s in stacks]


def _pieces(slices: list[_Slice]) -> list[list[_Slice]]:
    """Cut where a step is not a small multiple of the usual one."""
    if len(slices) < 3:
        return [slices]
    steps = np.diff([s.position for s in slices], axis=0)
    usual, multiples = _steps(steps)
    tolerance = max(SPACING_TOLERANCE * float(np.linalg.norm(usual)), MIN_SPACING_TOLERANCE_MM)
    off = np.linalg.norm(steps - multiples[:, None] * usual, axis=1) > tolerance
    cuts = np.flatnonzero(off | (multiples > MAX_MISSING_IN_A_ROW + 1)) + 1
    return [slices[a:b] for a, b in zip([0, *cuts], [*cuts, len(slices)], strict=True)]


def _steps(steps: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the usual step and how many of it each step is."""
    lengths = np.linalg.norm(steps, axis=1)
    usual = steps[int(np.argsort(lengths)[(len(lengths) - 1) // 2])]
    return usual, np.maximum(np.round(lengths / np.linalg.norm(usual)), 1)


def _stack(slices: list[_Slice], directions: NDArray[np.float64], normal: NDArray[np.float64], where: str) -> Stack:
    frame = slices[0].frame
    spacing = frame.numbers("PixelSpacing", 2)
    if spacing is None or not all(MIN_SPACING_MM <= s <= MAX_SPACING_MM for s in spacing):
        msg = f"expected PixelSpacing from {MIN_SPACING_MM} to {MAX_SPACING_MM} mm, got {spacing or 'none'}"
        raise GeometryError(msg)
    flags: list[QualityFlag] = []
    places = [0]
    if len(slices) == 1:
        step = normal * _thickness_mm(frame)
        flags.append(
            QualityFlag("single_slice", "Only one slice: nothing can be followed through slices.", where=where)
        )
    else:
        steps = np.diff([s.position for s in slices], axis=0)
        places += np.cumsum(_steps(steps)[1]).astype(int).tolist()
        step = (slices[-1].position - slices[0].position) / places[-1]
        flags += _spacing_flags(frame, float(np.linalg.norm(step)), where)
    if not MIN_SPACING_MM <= float(np.linalg.norm(step)) <= MAX_SPACING_MM:
        msg = f"expected slices {MIN_SPACING_MM} to {MAX_SPACING_MM} mm apart, got {np.linalg.norm(step):.3g} mm"
        raise GeometryError(msg)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([step, directions[1] * spacing[0], directions[0] * spacing[1]], axis=1)
    affine[:3, 3] = slices[0].position
    shape = (places[-1] + 1, int(frame.get("Rows") or 0), int(frame.get("Columns") or 0))
    grid = Grid(shape, affine, frame.text("FrameOfReferenceUID"))
    if not grid.frame_of_reference:
        text = "No frame of reference: positions cannot be compared with other series for certain."
        flags.append(QualityFlag("no_frame_of_reference", text, where=where))
    nearest = [int(np.argmin(np.abs(np.array(places) - k))) for k in range(shape[0])]
    filled = tuple(sorted(set(range(shape[0])) - set(places)))
    if filled:
        text = f"{len(filled)} of {shape[0]} slices are missing and were filled in from their neighbors."
        flags.append(QualityFlag("slices_missing", text, where=where))
    return Stack(tuple(slices[n].frame for n in nearest), filled, grid, tuple(flags))


def _thickness_mm(frame: Frame) -> float:
    named = (frame.number_of(k) for k in ("SliceThickness", "SpacingBetweenSlices"))
    return next((v for v in named if v and MIN_SPACING_MM <= v <= MAX_SPACING_MM), ASSUMED_THICKNESS_MM)


def _spacing_flags(frame: Frame, spacing_mm: float, where: str) -> list[QualityFlag]:
    """Compare positions with SpacingBetweenSlices, which some scanners fill with the gap instead."""
    named = frame.number_of("SpacingBetweenSlices")
    if not named or abs(abs(named) - spacing_mm) <= MISMATCH_TOLERANCE * spacing_mm:
        return []
    text = f"SpacingBetweenSlices says {abs(named):.3g} mm, positions say {spacing_mm:.3g} mm; positions were used."
    return [QualityFlag("inconsistent_spacing", text, "info", where)]


def fill(volume: NDArray[np.float32], filled: tuple[int, ...]) -> None:
    """Fill missing slices in place, linearly between the nearest ones that are there.

    Parameters
    ----------
    volume : ndarray of float32, shape (slices, rows, columns)
        Slices at `filled` are overwritten.
    filled : tuple of int
        Indices of missing slices.
    """
    have = np.setdiff1d(np.arange(len(volume)), filled)
    for k in filled:
        below, above = have[have < k], have[have > k]
        if not below.size or not above.size:
            volume[k] = volume[below[-1] if below.size else above[0]]
            continue
        a, b = below[-1], above[0]
        weight = np.float32((k - a) / (b - a))
        volume[k] = (1 - weight) * volume[a] + weight * volume[b]
