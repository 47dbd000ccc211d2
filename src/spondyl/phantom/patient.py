"""A whole synthetic patient: anatomy, tissues, a study on one scanner, and the truth."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import LabelMap, Sequence, Structure
from spondyl.core.anatomy import STRUCTURE_NAMES
from spondyl.phantom.anatomy import build_anatomy
from spondyl.phantom.bench import Artifacts, Subject
from spondyl.phantom.placement import cut, find_landmarks, object_grid, place
from spondyl.phantom.protocol import LUMBAR_SEQUENCES
from spondyl.phantom.relaxation import sample_parameters
from spondyl.phantom.scanner import scan
from spondyl.phantom.stations import compose, station_heights
from spondyl.phantom.study import spine_study
from spondyl.phantom.texture import cells_of, texture_volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spondyl.core import Grid, Image
    from spondyl.phantom.anatomy import Anatomy
    from spondyl.phantom.arrays import Array
    from spondyl.phantom.kinds import LesionKind
    from spondyl.phantom.lesion_plan import PlannedLesion
    from spondyl.phantom.placement import Landmarks
    from spondyl.phantom.protocol import Protocol
    from spondyl.phantom.relaxation import TissueParameters

EXTENT_MM = {
    "lumbar": (88.0, 322.0, 256.0),
    "thoracolumbar": (88.0, 382.0, 256.0),
    "thoracic": (88.0, 402.0, 256.0),
    "cervical": (88.0, 262.0, 256.0),
    "whole": (88.0, 830.0, 310.0),
}
"""Tissue made around each part of the spine: as far as the largest field of view reaches."""

AXIAL_WIDTH_MM = 190.0
"""An axial field of view reaches farther to the sides than sagittal slices do."""

SPACING_MM = {False: (1.3, 0.85, 0.85), True: (2.0, 1.0, 1.0)}
"""Voxels of the anatomy, by whether speed matters more than detail; a whole spine is always made of the coarser."""

VERTEBRA_STRUCTURES = (Structure.BODY, Structure.CORTEX, Structure.POSTERIOR, Structure.S1, Structure.SACRUM)
"""Structures that carry a vertebra's number in the label map of vertebrae."""


@dataclass(frozen=True, eq=False)
class SyntheticPatient:
    """A patient with images and truth.

    Parameters
    ----------
    seed : int
        What the patient was drawn from.
    images : tuple of Image
        In the order of acquisition.
    protocols : tuple of Protocol
        The protocol of each image, in the same order.
    anatomy : Anatomy
        The truth on its own grid, with the tables of vertebrae and lesions.
    parameters : TissueParameters
        MR properties of the patient's tissues before contrast agent.
    age_years : float
        Age in years.
    sex : str
        ``"F"`` or ``"M"``.
    """

    seed: int
    images: tuple[Image, ...]
    protocols: tuple[Protocol, ...]
    anatomy: Anatomy
    parameters: TissueParameters
    age_years: float
    sex: str

    def labels_on(self, grid: Grid) -> dict[str, LabelMap]:
        """Give the truth on a grid.

        Parameters
        ----------
        grid : Grid
            Such as an image's.

        Returns
        -------
        dict of str to LabelMap
            ``"structures"``, ``"vertebrae"``, ``"discs"`` and ``"lesions"``, as in `Case.labels`; each voxel takes
            the label at its center.
        """
        return labels_on(self.anatomy, grid)


def labels_on(anatomy: Anatomy, grid: Grid) -> dict[str, LabelMap]:
    """Give the truth of an anatomy on a grid.

    Parameters
    ----------
    anatomy : Anatomy
        The patient.
    grid : Grid
        Where labels are wanted.

    Returns
    -------
    dict of str to LabelMap
        As `SyntheticPatient.labels_on`.
    """
    structure, instance, lesion = (
        cut(getattr(anatomy, name), anatomy.grid, grid).astype(np.uint16)
        for name in ("structure", "instance", "lesion")
    )
    levels = {v.instance: v.level for v in anatomy.vertebrae}
    vertebrae = np.where(np.isin(structure, VERTEBRA_STRUCTURES), instance, 0)
    discs = np.where(structure == Structure.DISC, instance, 0)
    return {
        "structures": LabelMap(structure, grid, {int(k): v for k, v in STRUCTURE_NAMES.items()}),
        "vertebrae": LabelMap(vertebrae, grid, levels),
        "discs": LabelMap(discs, grid, {n: f"disc below {level}" for n, level in levels.items()}),
        "lesions": LabelMap(lesion, grid, {item.label: item.kind for item in anatomy.lesions}),
    }


def simulate_patient(
    seed: int,
    *,
    region: str = "lumbar",
    sequences: Iterable[Sequence] = LUMBAR_SEQUENCES,
    vendor: str | None = None,
    field_strength_t: float | None = None,
    lesions: str | Iterable[tuple[str, LesionKind] | PlannedLesion] = "mixed",
    settings: PatientSettings | None = None,
) -> SyntheticPatient:
    """Draw a patient and take the images of one study.

    Parameters
    ----------
    seed : int
        The same seed and arguments give the same patient and images.
    region : str, optional
        Part of the spine, as in `build_anatomy`.
    sequences : iterable of Sequence, optional
        Series to take; DWI brings its ADC map, DIXON_WATER all four Dixon images.
    vendor : str, optional
        A vendor family; drawn where it is None.
    field_strength_t : float, optional
        Field strength in tesla; drawn where it is None.
    lesions : str or iterable of (str, LesionKind) or of PlannedLesion, optional
        As in `build_anatomy`.
    settings : PatientSettings, optional
        What is rarely changed.

    Returns
    -------
    SyntheticPatient
        Images and truth.

    Raises
    ------
    SettingsError
        If a region, a vendor or a sequence is not known.
    """
    chosen = settings or PatientSettings()
    rng = np.random.default_rng([seed, 10])
    axial = (*chosen.axial, *([Sequence.T2] if chosen.axial_t2 else []))
    study = spine_study(
        rng,
        region=region,
        sequences=sequences,
        axial=axial,
        vendor=vendor,
        field_strength_t=field_strength_t,
        unseen=chosen.unseen_timing,
    )
    wide, tall, deep = EXTENT_MM[region]
    anatomy = build_anatomy(
        seed,
        region=region,
        spacing_mm=SPACING_MM[chosen.fast or region == "whole"],
        extent_mm=(AXIAL_WIDTH_MM if axial else wide, tall, deep),
        lesions=lesions,
        age_years=chosen.age_years,
        dealt_ribs=chosen.dealt_ribs,
    )
    person, field = anatomy.person, study[0].field_strength_t
    parameters = sample_parameters(rng, field_strength_t=field, age_years=person.age_years, female=person.female)
    images, protocols = scan_study(
        anatomy, parameters, study, seed=seed, artifacts=chosen.artifacts, visit=chosen.visit
    )
    if chosen.composed:
        images, protocols = compose(images, protocols, np.random.default_rng([seed, 13]))
    return SyntheticPatient(seed, images, protocols, anatomy, parameters, person.age_years, person.sex)


@dataclass(frozen=True)
class PatientSettings:
    """What is rarely changed about a synthetic patient.

    Parameters
    ----------
    axial_t2 : bool
        Whether an axial T2 is added to the study.
    axial : tuple of Sequence
        Axial series to add.
    fast : bool
        Whether the anatomy is coarser, for twice the speed.
    age_years : float or None
        Age in years; drawn where it is None.
    artifacts : Artifacts or None
        How strongly imperfections show; drawn for each series where it is None.
    unseen_timing : bool
        Whether TE and TR lie beyond all that training draws from.
    composed : bool
        Whether the stations of a whole spine are joined to one image each, as scanners offer.
    visit : int
        Number of the visit: later ones of the same patient have other noise and another prescription.
    dealt_ribs : bool
        Whether ribs are dealt out by chance to any vertebra above the sacrum. No spine is like that; it is for learning
        to tell ribs apart from the vertebrae that usually bear them.
    """

    axial_t2: bool = False
    axial: tuple[Sequence, ...] = ()
    fast: bool = False
    age_years: float | None = None
    artifacts: Artifacts | None = None
    unseen_timing: bool = False
    composed: bool = False
    visit: int = 0
    dealt_ribs: bool = False


def draw_artifacts(rng: np.random.Generator) -> Artifacts:
    """Draw how strongly imperfections show in one series.

    Parameters
    ----------
    rng : Generator
        Source of randomness.

    Returns
    -------
    Artifacts
        Mostly slight, now and then disturbing.
    """
    return Artifacts(
        ghosting=float(rng.gamma(1.5, 0.03)),
        bulk_motion=float(rng.gamma(1.2, 0.012)),
        fat_failure=float(rng.beta(1.0, 4.0)),
        distortion_mm=float(rng.uniform(0.5, 5.0)),
        noise=float(rng.lognormal(0.0, 0.25)),
        shading=float(rng.uniform(0.6, 1.1)),
    )


def scan_study(
    anatomy: Anatomy,
    parameters: TissueParameters,
    study: Iterable[Protocol],
    *,
    seed: int,
    artifacts: Artifacts | None = None,
    visit: int = 0,
) -> tuple[tuple[Image, ...], tuple[Protocol, ...]]:
    """Take all series of a study.

    Parameters
    ----------
    anatomy : Anatomy
        The patient.
    parameters : TissueParameters
        The patient's tissues before contrast agent.
    study : iterable of Protocol
        Series in the order of acquisition.
    seed : int
        Seed of texture, placement and noise.
    artifacts : Artifacts, optional
        How strongly imperfections show; drawn for each series where it is None.
    visit : int, optional
        Number of the visit; later ones have other noise and another prescription.

    Returns
    -------
    images : tuple of Image
        In the order of acquisition.
    protocols : tuple of Protocol
        The protocol of each image.
    """
    rng = np.random.default_rng([seed, 11])
    texture = texture_volume(rng, anatomy.tissue, anatomy.instance, anatomy.grid.spacing_mm)
    cells = cells_of(anatomy.tissue, texture)
    landmarks = find_landmarks(anatomy.grid, anatomy.tissue, anatomy.structure)
    later = (visit,) if visit else ()
    frame = synthetic_uid(seed, f"frame {visit}" if visit else "frame")
    rng = np.random.default_rng([seed, 14, visit]) if visit else rng
    # A technician lines up sagittal slices with the column, to a few degrees; every series copies the prescription.
    tilts = {"sagittal": (0.0, *rng.normal(0.0, 1.5, 2)), "axial": (float(rng.normal(0.0, 6.0)), 0.0, 0.0)}
    study = list(study)
    if rng.random() < 0.5 or any(p.n_stations > 1 for p in study):
        tilts["sagittal"] = (0.0, 0.0, 0.0)
    offset = np.array([rng.normal(0, 2), rng.normal(8, 8), rng.normal(0, 6)])
    center = np.asarray(landmarks.column_lps_mm) + offset
    images: list[Image] = []
    protocols: list[Protocol] = []
    subjects: dict[str, Subject] = {}
    for number, protocol in enumerate(study, start=1):
        grid = place(
            protocol,
            anatomy.grid,
            _center_of(protocol, anatomy, center),
            tilt_deg=tilts.get(protocol.plane, (0, 0, 0)),
            frame_of_reference=frame,
        )
        subject = _subject(subjects, cells, anatomy.grid, grid, landmarks)
        own = np.random.default_rng([seed, 12, number, *later])
        tissues = parameters.with_contrast(own.uniform(0.8, 1.2)) if protocol.acquisition.contrast_given else parameters
        taken = scan(subject, tissues, protocol, grid, rng=own, settings=artifacts or draw_artifacts(own))
        images += [_numbered(image, seed, (number, part), visit) for part, image in enumerate(taken)]
        protocols += [protocol] * len(taken)
    return tuple(images), tuple(protocols)


def _center_of(protocol: Protocol, anatomy: Anatomy, center: Array) -> tuple[float, float, float]:
    """Middle of a series: the column's, a station's, or, in axial slices, what presses on the sac."""
    x, y, z = (float(c) for c in center)
    if protocol.n_stations > 1:
        z = station_heights(anatomy.grid, protocol)[protocol.station]
    elif protocol.plane == "axial":
        pressing = [lesion.instance for lesion in anatomy.lesions if lesion.epidural]
        hosts = [v.center_lps_mm for v in anatomy.vertebrae if v.instance in pressing]
        x, y, z = hosts[0] if hosts else (x, y, z)
    return x, y, z


def _subject(kept: dict[str, Subject], cells: Array, patient: Grid, series: Grid, landmarks: Landmarks) -> Subject:
    """Cut the patient along a series, or take the cut of an earlier series that covers this one."""
    wanted = object_grid(patient, series)
    key = np.array2string(np.round(wanted.directions, 6))
    have = kept.get(key)
    if have is not None:
        corners = have.grid.lps_to_ijk(series.corners_lps_mm())
        margin = np.array([2.0, 12.0, 12.0]) / np.asarray(have.grid.spacing_mm)
        if (corners >= margin).all() and (corners <= np.asarray(have.grid.shape) - 1 - margin).all():
            return have
    kept[key] = Subject(cut(cells, patient, wanted), wanted, landmarks)
    return kept[key]


def _numbered(image: Image, seed: int, place: tuple[int, int], visit: int) -> Image:
    number, part = place
    name = f"series {number} part {part}" + (f" visit {visit}" if visit else "")
    source = replace(image.source, series_uid=synthetic_uid(seed, name), series_number=100 * number + part)
    return replace(image, source=source)


def synthetic_uid(seed: int, what: str) -> str:
    """Make a DICOM UID that is the same for the same patient.

    Parameters
    ----------
    seed : int
        The patient.
    what : str
        What the UID names.

    Returns
    -------
    str
        A UID under 2.25 (PS3.5 section B.2).
    """
    digest = hashlib.sha256(f"spondyl phantom {seed} {what}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:15], 'big')}"
