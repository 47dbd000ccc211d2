"""From the frames of one DICOM series to images with sequence, place and a way back to their source frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import GeometryError, Image, QualityFlag, Sequence, Source
from spondyl.io import series
from spondyl.io.acquisition import HeaderFacts, facts_of
from spondyl.io.cues import fluid_cue
from spondyl.io.dicom import MAX_VOXELS, MR_SOP_CLASSES, text_of, value_of
from spondyl.io.diffusion import adc_factor, trace_weighted
from spondyl.io.files import SetAside
from spondyl.io.pixels import decode
from spondyl.io.recognize import Recognition, confirm, reason_to_set_aside, recognize

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from spondyl.core import Grid
    from spondyl.io.dicom import Frame, Instance

MAX_REPEATS_KEPT = 6
"""How many time points of one series are read; a dynamic series has up to hundreds. Chosen by us."""

LOCALIZER_MAX_SLICES = 15
"""A series in steeply different planes with at most so many slices in each is a localizer. Chosen by us."""

LOCALIZER_MIN_ANGLE_DEG = 45.0
"""Angle between planes, in degrees, from which they are steeply different. Blocks of axial slices that follow the
discs differ too, by less: sacral slope plus upper lumbar tilt stay below it. Chosen by us."""

WANTED_NUMBERS = (("ImagePositionPatient", 3), ("PixelSpacing", 2))
"""What a frame must tell to be placed beside its orientation, and how many numbers (PS3.3 section C.7.6.2)."""

_DROPPED = "None needed."
_EXPORT = "Export the series again from the PACS or scanner."


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """The DICOM series behind an image, so that results can point at its frames.

    Parameters
    ----------
    series_uid : str
        SeriesInstanceUID as in the files.
    datasets : tuple of pydicom.Dataset
        Headers without pixels, in slice order; one multi-frame header for enhanced MR.
    frame_numbers : tuple of (int, int)
        For each slice (first axis) of the image: index into `datasets`, and frame number from 1.
    filled : tuple of int
        Slices that were not acquired but filled in; their entry in `frame_numbers` is the nearest frame.
    """

    series_uid: str
    datasets: tuple[Dataset, ...]
    frame_numbers: tuple[tuple[int, int], ...]
    filled: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Reading:
    """One image as read, with what is needed to choose among several.

    Parameters
    ----------
    image : Image
        The image, named and placed.
    facts : HeaderFacts
        What its header says.
    source : SourceSeries or None
        Where its slices come from; None for NIfTI, and for what was joined from others.
    flags : tuple of QualityFlag
        What limits it.
    stations : tuple of Reading
        What it was joined from, from the head down; empty for what was read as it is.
    gains : tuple of float
        By which factor the signal of each of these was scaled; empty where none was.
    """

    image: Image
    facts: HeaderFacts
    source: SourceSeries | None = None
    flags: tuple[QualityFlag, ...] = ()
    stations: tuple[Reading, ...] = ()
    gains: tuple[float, ...] = ()

    def named(self, recognition: Recognition) -> Reading:
        """Give the reading with another name for its sequence.

        Parameters
        ----------
        recognition : Recognition
            The new name, confidence and evidence.

        Returns
        -------
        Reading
            The changed one.
        """
        return replace(self, image=with_recognition(self.image, recognition))


def with_recognition(image: Image, recognition: Recognition) -> Image:
    """Give an image the answer of recognition.

    Parameters
    ----------
    image : Image
        An image.
    recognition : Recognition
        Its name.

    Returns
    -------
    Image
        With name, confidence and evidence, and what follows for its acquisition.
    """
    diffusion = recognition.sequence in {Sequence.DWI, Sequence.ADC}
    suppressed = recognition.fat_suppressed
    acquisition = replace(
        image.acquisition,
        # Philips writes b = 0 into every image.
        b_value_s_mm2=image.acquisition.b_value_s_mm2 if diffusion else None,
        fat_suppressed=image.acquisition.fat_suppressed if suppressed is None else suppressed,
        contrast_given=True if recognition.sequence is Sequence.T1CE else image.acquisition.contrast_given,
    )
    return replace(
        image,
        sequence=recognition.sequence,
        sequence_confidence=round(recognition.confidence, 3),
        acquisition=acquisition,
        source=replace(image.source, evidence=recognition.evidence),
    )


def series_name(instances: list[Instance]) -> str:
    """Name a series for messages.

    Parameters
    ----------
    instances : list of Instance
        Files of one series.

    Returns
    -------
    str
        Its number and UID.
    """
    header = instances[0].header
    number = instances[0].frames[0].number_of("SeriesNumber")
    uid = text_of(header, "SeriesInstanceUID") or "no UID"
    return f"series {int(number)} ({uid})" if number is not None else f"series without number ({uid})"


def is_mr(instance: Instance) -> bool:
    """Say whether a file holds MR images.

    Parameters
    ----------
    instance : Instance
        A DICOM file.

    Returns
    -------
    bool
        By SOP class and modality.
    """
    header = instance.header
    return text_of(header, "SOPClassUID") in MR_SOP_CLASSES and text_of(header, "Modality") == "MR"


def read_series(instances: list[Instance]) -> tuple[list[Reading], list[SetAside]]:
    """Read every image of one series.

    Parameters
    ----------
    instances : list of Instance
        MR files of one series.

    Returns
    -------
    readings : list of Reading
        The usable images.
    set_aside : list of SetAside
        What is not used, and why.
    """
    name = series_name(instances)
    frames, set_aside = _usable_frames(instances, name)
    if not frames:
        return [], set_aside
    if _is_localizer(frames):
        reason = "It is a localizer: few slices in steeply different planes."
        return [], [*set_aside, SetAside(name, reason, _DROPPED)]
    readings: list[Reading] = []
    families = _families(series.split(frames))
    n_echoes = len({round(f[0].frames[0].number_of("EchoTime") or 0.0, 1) for f in families})
    for family in families:
        facts = facts_of(family[0].frames[0], n_echoes=n_echoes)
        useless = reason_to_set_aside(facts)
        if useless:
            set_aside.append(SetAside(name, f"{len(family[0].frames)} slices are {useless}.", _DROPPED))
            continue
        read, refused = _read_family(family, facts, name)
        readings += read
        set_aside += refused
    return readings, set_aside


def _usable_frames(instances: list[Instance], name: str) -> tuple[list[Frame], list[SetAside]]:
    """Keep frames that can be placed and are of a sane size."""
    set_aside: list[SetAside] = []
    frames: list[Frame] = []
    without_place = 0
    for instance in instances:
        if not 0 < instance.n_voxels <= MAX_VOXELS:
            reason = f"It has {instance.n_voxels} voxels; from 1 to {MAX_VOXELS} are read."
            set_aside.append(SetAside(f"{name}, {instance.file.where}", reason, _EXPORT))
        elif instance.frames[0].get("SamplesPerPixel") not in (None, 1):
            reason = "It is a color image, such as a screen save or a fused map."
            set_aside.append(SetAside(f"{name}, {instance.file.where}", reason, _DROPPED))
        else:
            placed = [f for f in instance.frames if _has_place(f)]
            without_place += len(instance.frames) - len(placed)
            frames += placed
    if without_place:
        reason = (
            f"{without_place} slices have no valid position, orientation or pixel spacing, so they cannot be placed."
        )
        set_aside.append(SetAside(name, reason, _EXPORT))
    return frames, set_aside


def _has_place(frame: Frame) -> bool:
    try:
        series.orientation_of(frame)
    except GeometryError:
        return False
    return all(frame.numbers(keyword, count) is not None for keyword, count in WANTED_NUMBERS)


def _is_localizer(frames: list[Frame]) -> bool:
    normals: dict[tuple[float, ...], int] = {}
    for frame in frames:
        cosines = frame.numbers("ImageOrientationPatient", 6) or ()
        normal = tuple(float(c) for c in np.round(np.cross(cosines[:3], cosines[3:]), 1))
        normals[normal] = normals.get(normal, 0) + 1
    steep = np.cos(np.deg2rad(LOCALIZER_MIN_ANGLE_DEG))
    known = [np.array(n) / max(float(np.linalg.norm(n)), 1e-6) for n in normals]
    crossing = any(abs(float(a @ b)) < steep for a in known for b in known)
    return crossing and max(normals.values()) <= LOCALIZER_MAX_SLICES


def _families(parts: list[series.Part]) -> list[list[series.Part]]:
    """Bring repetitions of one image together again."""
    families: list[list[series.Part]] = []
    for part in parts:
        if part.repeat > 1:
            families[-1].append(part)
        else:
            families.append([part])
    return families


def _read_family(family: list[series.Part], facts: HeaderFacts, name: str) -> tuple[list[Reading], list[SetAside]]:
    """Read the repetitions of one image: time points one by one, gradient directions as their trace."""
    directions = len(family) > 1 and bool(facts.acquisition.b_value_s_mm2)
    kept = family if directions else family[:MAX_REPEATS_KEPT]
    set_aside: list[SetAside] = []
    if len(kept) < len(family):
        reason = f"It has {len(family)} time points; the first {len(kept)} are read."
        set_aside.append(SetAside(name, reason, _DROPPED))
    volumes: list[tuple[series.Stack, NDArray[np.float32]]] = []
    for part in kept:
        if sum(int(f.get("Rows") or 0) * int(f.get("Columns") or 0) for f in part.frames) > MAX_VOXELS:
            reason = f"It has more than {MAX_VOXELS} voxels."
            set_aside.append(SetAside(name, reason, "Crop or resample the series."))
            continue
        stacks, refused = _decoded(part, name)
        volumes += stacks
        set_aside += refused
    if directions and volumes:
        volumes, cue = _trace(volumes)
    else:
        cue = ""
    readings = []
    for stack, array in volumes:
        reading = _reading(stack, array, facts)
        evidence = (*reading.image.source.evidence, cue) if cue else reading.image.source.evidence
        source = replace(reading.image.source, evidence=evidence)
        readings.append(replace(reading, image=replace(reading.image, source=source)))
    return readings, set_aside


def _trace(
    volumes: list[tuple[series.Stack, NDArray[np.float32]]],
) -> tuple[list[tuple[series.Stack, NDArray[np.float32]]], str]:
    first = volumes[0][0].grid
    alike = [v for s, v in volumes if s.grid.same_space(first)]
    return [(volumes[0][0], trace_weighted(alike))], f"mean of {len(alike)} gradient directions or repetitions"


def _decoded(part: series.Part, name: str) -> tuple[list[tuple[series.Stack, NDArray[np.float32]]], list[SetAside]]:
    """Decode a part, then place what could be decoded."""
    arrays = decode(list(part.frames))
    pixels = {id(f): a for f, a in zip(part.frames, arrays, strict=True) if a is not None}
    set_aside = [
        SetAside(f"{name}, {f.instance.file.where}", "Its pixels are missing or damaged.", _EXPORT)
        for f in part.frames
        if id(f) not in pixels
    ]
    if not pixels:
        return [], set_aside
    whole = replace(part, frames=tuple(f for f in part.frames if id(f) in pixels))
    try:
        stacks = series.place(whole, name.split(" (")[0])
    except GeometryError as error:
        return [], [*set_aside, SetAside(name, f"Its slices cannot be placed: {error}.", _EXPORT)]
    volumes = []
    for stack in stacks:
        array = np.stack([pixels[id(f)] for f in stack.frames])
        series.fill(array, stack.filled)
        volumes.append((stack, array))
    return volumes, set_aside


def _reading(stack: series.Stack, array: NDArray[np.float32], facts: HeaderFacts) -> Reading:
    header = stack.frames[0]
    uid = header.text("SeriesInstanceUID")
    number = header.number_of("SeriesNumber")
    where = "" if number is None else f"series {int(number)}"
    recognition = confirm(recognize(facts), fluid_cue(array, stack.grid))
    flags = list(stack.flags)
    if recognition.sequence is Sequence.ADC:
        array, flag = _adc(array, header, where)
        flags += flag
    if np.ptp(array) == 0:
        flags.append(QualityFlag("constant_image", "All voxels have the same value.", "error", where))
    moments = [m for m in (facts_of(f).acquisition.acquired_s for f in (stack.frames[0], stack.frames[-1])) if m]
    acquisition = replace(facts.acquisition, acquired_s=min(moments) if moments else None)
    source = Source(uid, None if number is None else int(number), header.text("SeriesDescription"))
    array.setflags(write=False)
    image = Image(array, stack.grid, acquisition=acquisition, source=source)
    return Reading(with_recognition(image, recognition), facts, _source(stack, uid), tuple(flags))


def _adc(array: NDArray[np.float32], frame: Frame, where: str) -> tuple[NDArray[np.float32], list[QualityFlag]]:
    units = frame.get("MeasurementUnitsCodeSequence")
    real_world = frame.get("RealWorldValueMappingSequence")
    if not units and real_world:
        units = value_of(real_world[0], "MeasurementUnitsCodeSequence")
    unit = text_of(units[0], "CodeValue") if units else frame.text("RescaleType")
    factor = adc_factor(array, unit)
    if factor is None:
        text = "The unit of this ADC map is not told and its values fit none."
        return array, [QualityFlag("adc_unit_unknown", text, where=where)]
    return array * np.float32(factor), []


def _source(stack: series.Stack, uid: str) -> SourceSeries:
    datasets: list[Dataset] = []
    index: dict[int, int] = {}
    frame_numbers = []
    for frame in stack.frames:
        key = id(frame.instance)
        if key not in index:
            index[key] = len(datasets)
            datasets.append(frame.instance.header)
        frame_numbers.append((index[key], frame.number))
    return SourceSeries(uid, tuple(datasets), tuple(frame_numbers), stack.filled)


def extent_mm(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the box around a grid's corners.

    Parameters
    ----------
    grid : Grid
        Where voxels are.

    Returns
    -------
    low, high : ndarray of float, shape (3,)
        Smallest and largest LPS coordinates in mm.
    """
    corners = grid.corners_lps_mm()
    return corners.min(axis=0), corners.max(axis=0)
