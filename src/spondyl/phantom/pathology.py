"""What is wrong in a patient's spine: bodies collapse, hardware and lesions are painted, and the truth is written down.

What lies where is chosen in `spondyl.phantom.lesion_plan`; how it looks follows from the tissues that `tumors`,
`mimics`, `intradural` and `treatment` paint, and their MR properties.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import SettingsError, Structure
from spondyl.phantom import intradural, mimics, treatment, tumors
from spondyl.phantom.compression import paint_compression
from spondyl.phantom.kinds import CLASS_OF_KIND, MALIGNANT, Compartment, LesionClass, LesionKind, compartment_of
from spondyl.phantom.lesion_plan import Plan, PlannedLesion, make_plan
from spondyl.phantom.site import Site
from spondyl.phantom.skeleton import instance_numbers
from spondyl.phantom.spine import collapsed, with_collapse
from spondyl.phantom.tissue import Tissue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from spondyl.phantom.canvas import Canvas
    from spondyl.phantom.person import Person
    from spondyl.phantom.vertebra import VertebraShape

EPIDURAL_MM3, PARASPINAL_MM3 = 30.0, 100.0
"""Volume in the canal and in soft tissue, in mm³, from which a lesion counts as growing there. Chosen by us."""

TOUCHED_MM3 = 30.0
"""Volume in a vertebra, in mm³, from which a lesion counts as involving it. Chosen by us."""

MAX_LESIONS = 255
"""Labels that the lesion map can hold."""

__all__ = [
    "CLASS_OF_KIND",
    "MALIGNANT",
    "Compartment",
    "LesionClass",
    "LesionKind",
    "LesionTruth",
    "collapse_bodies",
    "paint_lesions",
    "plan_lesions",
]


@dataclass(frozen=True)
class LesionTruth:
    """What is true of one lesion of the phantom.

    Parameters
    ----------
    label : int
        Its number in the lesion map.
    kind : LesionKind
        What it is.
    lesion_class : LesionClass
        What a reader would call it.
    malignant : bool
        Whether it is a malignant tumor.
    compartment : Compartment
        Where it grows from.
    level : str
        Level it grows from; the upper one of a disc's two.
    instance : int
        That vertebra's number.
    instances : tuple of int
        Numbers of all vertebrae whose bone it involves; that of `instance` alone where it lies outside bone.
    volume_mm3 : float
        Painted volume.
    epidural, paraspinal : bool
        Whether it grows into the canal or the soft tissue.
    escc : str
        Grade of epidural compression where it was planned, else empty.
    number : int
        Its place in the plan, from 1: the same at every visit of a patient.
    """

    label: int
    kind: LesionKind
    lesion_class: LesionClass
    malignant: bool
    compartment: Compartment
    level: str
    instance: int
    instances: tuple[int, ...]
    volume_mm3: float
    epidural: bool
    paraspinal: bool
    escc: str = ""
    number: int = 0


def plan_lesions(
    rng: np.random.Generator,
    hosts: list[VertebraShape],
    lesions: str | Iterable[tuple[str, LesionKind] | PlannedLesion],
    person: Person,
) -> Plan:
    """Draw a patient's lesions, or take those asked for.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all variation.
    hosts : list of VertebraShape
        Vertebrae in the field of view, from below upward.
    lesions : str or iterable of (str, LesionKind) or of PlannedLesion
        A mix, as in `build_anatomy`, or level and kind of each lesion.
    person : Person
        Age and sex.

    Returns
    -------
    Plan
        Lesions and hardware.

    Raises
    ------
    SettingsError
        If the mix, a level or a kind is not known.
    """
    if isinstance(lesions, str):
        return make_plan(rng, hosts, lesions, person)
    at = {s.level: s for s in hosts}
    planned = []
    for lesion in lesions:
        asked = lesion if isinstance(lesion, PlannedLesion) else PlannedLesion(*lesion)
        level, kind = asked.level, asked.kind
        if level not in at or kind not in set(LesionKind):
            seen = ", ".join(s.level for s in hosts[::-1])
            msg = f"a lesion needs a level in the field of view ({seen}) and a LesionKind, got {level!r} and {kind!r}"
            raise SettingsError(msg)
        z, half = float(at[level].center_lps_mm[2]), 0.75 * at[level].height_mm
        span = asked.span_mm if any(asked.span_mm) else (z - half, z + half)
        planned.append(replace(asked, kind=LesionKind(kind), span_mm=span))
    if len(planned) > MAX_LESIONS:
        msg = f"a patient has at most {MAX_LESIONS} lesions, got {len(planned)}"
        raise SettingsError(msg)
    return Plan(tuple(planned))


def collapse_bodies(rng: np.random.Generator, shapes: list[VertebraShape], plan: Plan) -> list[VertebraShape]:
    """Let the bodies of planned fractures collapse, each as its cause makes it.

    A tumor pushes the back wall out; weak bone breaks in and throws a corner into the canal.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all variation.
    shapes : list of VertebraShape
        The column, from S5 upward.
    plan : Plan
        What the patient has.

    Returns
    -------
    list of VertebraShape
        Stacked anew; what lies below the lowest fracture stays where it was.
    """
    at = {s.level: s for s in shapes}
    broken: dict[str, VertebraShape] = {}
    for lesion in plan.lesions:
        if lesion.kind is LesionKind.PATHOLOGICAL_FRACTURE:
            low = collapsed(rng, at[lesion.level])
            broken[lesion.level] = replace(low, back_concavity_mm=-float(rng.uniform(0.5, 4.5)))
        elif lesion.kind in (LesionKind.OSTEOPOROTIC_FRACTURE, LesionKind.OSTEOPOROTIC_FRACTURE_OLD):
            low = collapsed(rng, at[lesion.level])
            corner = float(rng.uniform(1, 5)) if rng.random() < 0.5 else low.spurs.top_back
            broken[lesion.level] = replace(low, spurs=low.spurs._replace(top_back=corner))
    return with_collapse(shapes, broken) if broken else shapes


def paint_lesions(
    rng: np.random.Generator, canvas: Canvas, shapes: list[VertebraShape], plan: Plan
) -> tuple[LesionTruth, ...]:
    """Paint a patient's hardware and lesions.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all variation; each lesion draws from a stream of its own.
    canvas : Canvas
        A finished anatomy, painted in place.
    shapes : list of VertebraShape
        The column, from S5 upward, collapsed where it has.
    plan : Plan
        What to paint.

    Returns
    -------
    tuple of LesionTruth
        What was painted, in order of label.
    """
    numbers = dict(zip((s.level for s in shapes), instance_numbers(shapes), strict=True))
    at = {s.level: s for s in shapes}
    metal, *streams = rng.spawn(1 + len(plan.lesions))
    treatment.paint_hardware(metal, canvas, at, plan.hardware)
    below = {upper.level: lower for lower, upper in pairwise(shapes)}
    painted_as: dict[int, str] = {}
    for label, (lesion, stream) in enumerate(zip(plan.lesions, streams, strict=True), start=1):
        site = Site.around(stream, canvas, at[lesion.level], numbers[lesion.level], label)
        if site is None:
            continue
        site.scale = lesion.scale
        lower = below.get(lesion.level)
        partner = None if lower is None else Site.around(stream, canvas, lower, numbers[lower.level], label)
        painted_as[label] = _paint(lesion, site, partner)
    # A lesion may miss the grid or lie under later ones: only now is it known what each of them covers.
    visible = np.unique(canvas.lesion[canvas.lesion > 0]).tolist()
    relabel = np.zeros(len(plan.lesions) + 1, np.uint8)
    relabel[visible] = np.arange(1, len(visible) + 1)
    canvas.lesion[:] = relabel[canvas.lesion]
    painted = [replace(plan.lesions[number - 1], escc=painted_as[number]) for number in visible]
    return tuple(
        replace(_measure(canvas, label, lesion, numbers[lesion.level]), number=number)
        for label, (number, lesion) in enumerate(zip(visible, painted, strict=True), start=1)
    )


def _paint(lesion: PlannedLesion, site: Site, below: Site | None) -> str:
    """Paint a lesion and give its grade of epidural compression where one was planned."""
    if lesion.escc:
        return paint_compression(site, lesion.escc)
    if lesion.kind is LesionKind.RADIATION:
        treatment.paint_radiation(site, lesion.span_mm)
    elif lesion.kind in _ACROSS_DISCS:
        _ACROSS_DISCS[lesion.kind](site, below)
    else:
        _PAINTERS[lesion.kind](site)
    return ""


def _measure(canvas: Canvas, label: int, lesion: PlannedLesion, instance: int) -> LesionTruth:
    where = canvas.lesion == label
    structure, voxel = canvas.structure[where], canvas.grid.voxel_volume_mm3
    bone = np.isin(structure, (Structure.BODY, Structure.CORTEX, Structure.POSTERIOR, Structure.S1, Structure.SACRUM))
    counts = np.bincount(canvas.instance[where][bone], minlength=1) * voxel
    counts[0] = 0
    touched = set(np.flatnonzero(counts > min(TOUCHED_MM3, 0.25 * max(counts.max(), 1))).tolist()) or {instance}
    compartment = compartment_of(lesion.kind)
    in_canal = (structure == Structure.CANAL).sum() * voxel
    return LesionTruth(
        label=label,
        kind=lesion.kind,
        lesion_class=CLASS_OF_KIND[lesion.kind],
        malignant=lesion.kind in MALIGNANT,
        compartment=compartment,
        level=lesion.level,
        instance=instance,
        instances=tuple(sorted(touched)),
        volume_mm3=len(structure) * voxel,
        epidural=bool(in_canal > EPIDURAL_MM3) and compartment not in _INSIDE_DURA,
        paraspinal=bool((structure == Structure.BACKGROUND).sum() * voxel > PARASPINAL_MM3),
        escc=lesion.escc,
    )


_K = LesionKind

_INSIDE_DURA = (Compartment.INTRADURAL, Compartment.INTRAMEDULLARY)

_ACROSS_DISCS: dict[LesionKind, Callable[[Site, Site | None], None]] = {
    _K.MODIC_1: partial(mimics.paint_modic, tissue=Tissue.EDEMA),
    _K.MODIC_2: partial(mimics.paint_modic, tissue=Tissue.FATTY_MARROW),
    _K.MODIC_3: partial(mimics.paint_modic, tissue=Tissue.SCLEROSIS),
    _K.DISCITIS: mimics.paint_discitis,
}

_PAINTERS: dict[LesionKind, Callable[[Site], None]] = {
    _K.LYTIC: tumors.paint_lytic,
    _K.SCLEROTIC: tumors.paint_sclerotic,
    _K.MIXED: tumors.paint_mixed,
    _K.EXPANSILE: tumors.paint_expansile,
    _K.HEMORRHAGIC: tumors.paint_bright,
    _K.EPIDURAL: tumors.paint_epidural,
    _K.PARASPINAL: tumors.paint_paraspinal,
    _K.TREATED: treatment.paint_treated_metastasis,
    _K.PATHOLOGICAL_FRACTURE: tumors.paint_pathological_fracture,
    _K.MYELOMA: tumors.paint_myeloma,
    _K.DIFFUSE: tumors.paint_diffuse,
    _K.MICRONODULAR: tumors.paint_micronodular,
    _K.LYMPHOMA: tumors.paint_lymphoma,
    _K.PLASMACYTOMA: tumors.paint_plasmacytoma,
    _K.CHORDOMA: tumors.paint_chordoma,
    _K.HEMANGIOMA: mimics.paint_hemangioma,
    _K.HEMANGIOMA_ATYPICAL: mimics.paint_atypical_hemangioma,
    _K.FATTY: mimics.paint_fatty,
    _K.RED_MARROW: mimics.paint_red_marrow,
    _K.BONE_ISLAND: mimics.paint_bone_island,
    _K.FACET_EDEMA: mimics.paint_facet_edema,
    _K.SCHMORL: partial(mimics.paint_schmorl, acute=False),
    _K.SCHMORL_ACUTE: partial(mimics.paint_schmorl, acute=True),
    _K.OSTEOPOROTIC_FRACTURE: partial(mimics.paint_osteoporotic_fracture, old=False),
    _K.OSTEOPOROTIC_FRACTURE_OLD: partial(mimics.paint_osteoporotic_fracture, old=True),
    _K.CEMENT: treatment.paint_cement,
    _K.MENINGIOMA: intradural.paint_meningioma,
    _K.SCHWANNOMA: intradural.paint_schwannoma,
    _K.LEPTOMENINGEAL: intradural.paint_leptomeningeal,
    _K.EPENDYMOMA: partial(intradural.paint_cord_tumor, kind="ependymoma"),
    _K.ASTROCYTOMA: partial(intradural.paint_cord_tumor, kind="astrocytoma"),
    _K.CORD_METASTASIS: partial(intradural.paint_cord_tumor, kind="metastasis"),
}
