"""Read a study: the door through which every image enters.

A study in, a `Case` out, and beside it the source headers that results will point at and a list of what was not used.
One bad file or series never costs the rest; only a study with nothing usable, or of two patients, is an error.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from spondyl.core import Case, Image, InputError, Sequence, Source
from spondyl.io import nifti, words
from spondyl.io.acquisition import HeaderFacts
from spondyl.io.choose import confidence_flags, primaries, settle_contrast
from spondyl.io.cues import fluid_cue
from spondyl.io.dicom import quiet, read_headers, text_of
from spondyl.io.files import SetAside, StudyFile, open_study
from spondyl.io.recognize import Recognition, confirm, recognize
from spondyl.io.stations import join_stations, unseen_flags, with_stations
from spondyl.io.volumes import Reading, SourceSeries, is_mr, read_series, series_name, with_recognition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from spondyl.io.dicom import Instance
    from spondyl.io.stations import Refused

__all__ = ["SetAside", "SourceSeries", "Study", "case_of_images", "read_study"]

CASE_ID_DIGITS = 12
"""Hexadecimal digits of a pseudonym: 48 bits, no collision to be expected among millions of studies."""

SIDECAR_SUFFIXES = (".json", ".bval", ".bvec", ".tsv", ".csv", ".txt", ".md")
"""Files beside NIfTI images (BIDS 1.9) that need no mention, since they are no images."""

MAX_STUDY_VOXELS = 2**28
"""Most voxels kept of one study: 1 GiB as float32. Further images are set aside. Chosen by us."""

TOO_MUCH = f"The study has more than {MAX_STUDY_VOXELS} voxels."
"""Why a further image is set aside."""


@dataclass(frozen=True, eq=False)
class Study:
    """What was read.

    Parameters
    ----------
    case : Case
        The record, with one image for each sequence, joined where it came in stations, and the rest in `others`.
    sources : mapping of str to SourceSeries
        By ``image.source.series_uid``, or by that of each station of an image. Where one series gave several images,
        the further ones are named with a number behind their UID, such as ``"1.2.3#2"``; `SourceSeries.series_uid` is
        always the UID. NIfTI has none.
    set_aside : tuple of SetAside
        What was not used, and why.
    """

    case: Case
    sources: Mapping[str, SourceSeries]
    set_aside: tuple[SetAside, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", MappingProxyType(dict(self.sources)))


def read_study(path: Path, *, sequence_files: Mapping[Sequence, Path] | None = None) -> Study:
    """Read one imaging study.

    Parameters
    ----------
    path : Path
        A DICOM folder of any depth, a zip, a DICOMDIR, a DICOM file, a NIfTI file or a folder of them.
    sequence_files : mapping of Sequence to Path, optional
        NIfTI files whose sequence is known; only they are read. A relative path that does not exist is looked for
        in `path`.

    Returns
    -------
    Study
        Images in LPS, named by sequence; never a patient's name or number.

    Raises
    ------
    InputError
        If nothing usable is found, or if the files belong to two patients.
    """
    if sequence_files:
        return _from_named(Path(path), sequence_files)
    with open_study(Path(path)) as (files, refused):
        niftis = tuple(f for f in files if f.is_nifti)
        instances, unreadable = read_headers(tuple(f for f in files if not f.is_nifti))
        if instances:
            reason = "The study is DICOM, so this NIfTI file is not used."
            beside = [SetAside(f.where, reason, "Give it by itself to analyze it.") for f in niftis]
            return _from_dicom(instances, [*refused, *unreadable, *beside])
        if niftis:
            numbers = {f.where for f in files if f.name.lower().endswith(SIDECAR_SUFFIXES)}
            return _from_nifti(niftis, [*refused, *(u for u in unreadable if u.what not in numbers)])
    msg = f"expected DICOM or NIfTI, got {len(files)} files that are neither. Check that the path is that of a study"
    raise InputError(msg)


def pseudonym(secret: bytes) -> str:
    """Give a case its name.

    Parameters
    ----------
    secret : bytes
        StudyInstanceUID, or what else tells studies apart.

    Returns
    -------
    str
        ``"case-"`` and a hash from which the input cannot be read.
    """
    return f"case-{hashlib.sha256(secret).hexdigest()[:CASE_ID_DIGITS]}"


def _from_dicom(instances: tuple[Instance, ...], set_aside: list[SetAside]) -> Study:
    with quiet():
        _check_one_patient(instances)
        study_uid, chosen, left_out = _one_study(instances)
        set_aside += left_out
        readings: list[Reading] = []
        budget = MAX_STUDY_VOXELS
        for members in _by_series(chosen):
            if not is_mr(members[0]):
                reason = f"{len(members)} objects are not MR images."
                set_aside.append(SetAside(series_name(members), reason, "None needed."))
                continue
            read, refused = read_series(members)
            set_aside += refused
            for reading in read:
                budget -= reading.image.array.size
                if budget < 0:
                    set_aside.append(SetAside(series_name(members), TOO_MUCH, "Analyze this series by itself."))
                else:
                    readings.append(reading)
    return _study(pseudonym(study_uid.encode()), *join_stations(settle_contrast(readings)), set_aside)


def _check_one_patient(instances: Iterable[Instance]) -> None:
    """Compare identities without ever showing one."""
    seen: dict[str, dict[str, Instance]] = {k: {} for k in ("PatientID", "PatientBirthDate", "PatientName")}
    for instance in instances:
        for keyword, known in seen.items():
            value = text_of(instance.header, keyword).strip().upper()
            if value:
                known.setdefault(value, instance)
    if seen["PatientID"]:  # a name is spelled in many ways, so it counts only where there is no number
        del seen["PatientName"]
    different = max(seen.values(), key=len)
    if len(different) > 1:
        where = " and ".join(series_name([i]) for i in list(different.values())[:2])
        msg = f"expected the images of one patient, got {len(different)} patients: {where}. Give one patient's study"
        raise InputError(msg)


def _one_study(instances: Iterable[Instance]) -> tuple[str, list[Instance], list[SetAside]]:
    """Keep the study with most MR images' series, and list the others."""
    by_study: dict[str, list[Instance]] = {}
    for instance in instances:
        by_study.setdefault(text_of(instance.header, "StudyInstanceUID"), []).append(instance)

    def size(uid: str) -> tuple[int, int, str]:
        usable = [i for i in by_study[uid] if is_mr(i)]
        return len({text_of(i.header, "SeriesInstanceUID") for i in usable}), len(usable), uid

    best = max(by_study, key=size)
    left_out = [
        SetAside(f"study {uid or 'without UID'}", f"It is another study of {len(found)} files.", "Give it by itself.")
        for uid, found in by_study.items()
        if uid != best
    ]
    return best, by_study[best], left_out


def _by_series(instances: Iterable[Instance]) -> list[list[Instance]]:
    """Group by series, MR and other objects apart, in the order of series number and UID."""
    groups: dict[tuple[str, bool], list[Instance]] = {}
    for instance in instances:
        groups.setdefault((text_of(instance.header, "SeriesInstanceUID"), is_mr(instance)), []).append(instance)

    def order(members: list[Instance]) -> tuple[float, str]:
        number = members[0].frames[0].number_of("SeriesNumber")
        return (float("inf") if number is None else number), text_of(members[0].header, "SeriesInstanceUID")

    return sorted(groups.values(), key=order)


def _from_nifti(files: tuple[StudyFile, ...], set_aside: list[SetAside]) -> Study:
    readings: list[Reading] = []
    digest = hashlib.sha256()
    failures: list[InputError] = []
    for file in files:
        try:
            volume = nifti.read_nifti(file)
        except InputError as error:
            failures.append(error)
            set_aside.append(SetAside(file.where, f"It cannot be used: {error}.", "Export it again."))
            continue
        if volume.is_label_map or {"label map", "other modality"} & volume.facts.said:
            reason = "It is a label map or of another modality, not an MR image."
            set_aside.append(SetAside(file.where, reason, "Name its sequence with --sequence if it is an image."))
            continue
        if volume.array.size + sum(r.image.array.size for r in readings) > MAX_STUDY_VOXELS:
            set_aside.append(SetAside(file.where, TOO_MUCH, "Analyze this file by itself."))
            continue
        recognition = confirm(recognize(volume.facts), fluid_cue(volume.array, volume.grid))
        readings.append(_nifti_reading(volume, recognition, len(readings) + 1))
        digest.update(volume.array.tobytes())
    if len(files) == 1 and failures:
        raise failures[0]
    return _study(pseudonym(digest.digest()), *join_stations(settle_contrast(readings)), set_aside)


def _nifti_reading(volume: nifti.NiftiVolume, recognition: Recognition, number: int) -> Reading:
    volume.array.setflags(write=False)
    source = Source(series_uid=f"nifti-{number}")
    image = Image(volume.array, volume.grid, acquisition=volume.facts.acquisition, source=source)
    return Reading(with_recognition(image, recognition), volume.facts, None, volume.flags)


def _from_named(path: Path, sequence_files: Mapping[Sequence, Path]) -> Study:
    """Read NIfTI files whose sequences the user named; any one that fails is an error, since it was asked for."""
    readings = []
    digest = hashlib.sha256()
    for number, (sequence, given) in enumerate(sequence_files.items(), 1):
        place = Path(given) if Path(given).is_file() else path / given
        if not place.is_file() or not StudyFile(number, place, place.name).is_nifti:
            msg = f"expected a NIfTI file (.nii, .nii.gz) for {sequence}, got none. Check the path behind --sequence"
            raise InputError(msg)
        volume = nifti.read_nifti(StudyFile(number, place, place.name))
        volume = replace(volume, facts=HeaderFacts(acquisition=volume.facts.acquisition))
        recognition = Recognition(Sequence(sequence), 1.0, ("named by the user",))
        readings.append(_nifti_reading(volume, recognition, number))
        digest.update(volume.array.tobytes())
    return _study(pseudonym(digest.digest()), readings, [], [])


def case_of_images(case_id: str, images: Iterable[Image]) -> Case:
    """Join and choose among images that are named already, as for a study that is read.

    Parameters
    ----------
    case_id : str
        A pseudonym.
    images : iterable of Image
        At least one.

    Returns
    -------
    Case
        Stations joined, one image for each sequence, and the rest in `others`.

    Raises
    ------
    InputError
        If there is no image.
    """
    readings = [
        Reading(image, HeaderFacts(image.acquisition, said=words.found(image.source.description))) for image in images
    ]
    return _study(case_id, *join_stations(readings), []).case


def _study(case_id: str, readings: list[Reading], refused: Iterable[Refused], set_aside: list[SetAside]) -> Study:
    if not readings:
        raise InputError(_nothing_usable(set_aside))
    chosen = primaries(readings)
    unseen = unseen_flags(readings, chosen, refused)
    first = {id(r) for r in chosen.values()}
    ordered = [*chosen.values(), *(r for r in readings if id(r) not in first)]
    ordered = _distinct(ordered)
    images = {s: r.image for s, r in zip(chosen, ordered, strict=False)}
    others = tuple(r.image for r in ordered[len(chosen) :])
    flags = dict.fromkeys(f for r in ordered for f in r.flags)
    case = Case(case_id, images, others=others, quality=(*flags, *unseen, *confidence_flags(chosen)))
    taken = [part for r in ordered for part in (r.stations or (r,))]
    sources = {r.image.source.series_uid: r.source for r in taken if r.source is not None}
    return Study(case, sources, tuple(set_aside))


def _distinct(readings: list[Reading]) -> list[Reading]:
    """Number the further images of one series, so that each finds its own source frames."""
    seen: Counter[str] = Counter()

    def numbered(reading: Reading) -> Reading:
        if reading.stations:
            return with_stations(reading, tuple(numbered(part) for part in reading.stations))
        uid = reading.image.source.series_uid
        seen[uid] += 1
        if seen[uid] == 1:
            return reading
        source = replace(reading.image.source, series_uid=f"{uid}#{seen[uid]}")
        return replace(reading, image=replace(reading.image, source=source))

    return [numbered(reading) for reading in readings]


def _nothing_usable(set_aside: list[SetAside]) -> str:
    """Say why nothing could be used, in one line."""
    reasons = Counter(s.reason for s in set_aside)
    told = "; ".join(f"{reason} ({n} times)" if n > 1 else reason for reason, n in reasons.most_common(3))
    where = next((s.what for s in set_aside if s.what.startswith("series")), "")
    lead = "expected at least one usable MR image, got none"
    return f"{lead}{': ' + where if where else ''}. {told or 'No MR image was found.'} Export the MR series again"
