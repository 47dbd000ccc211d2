"""The bones as numbers: a chain of vertebrae, walked up and down from the first sacral body.

Each vertebra is a rigid frame with a body (a waisted superquadric with concave endplates), posterior elements
(capsules and plates) and the disc below it. Nothing here knows of voxels; `spondyl.phantom.bones` turns the numbers
into distances.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from spondyl.phantom.bones import third_heights_mm
from spondyl.phantom.levels import LEVEL_SIZES, column_levels
from spondyl.phantom.person import Person
from spondyl.phantom.posture import sample_axes, stack, tilted
from spondyl.phantom.vertebra import Dent, Disc, Spurs, VertebraShape

if TYPE_CHECKING:
    from spondyl.phantom.levels import LevelSize

VARIANT_SHARES = {"L4": 0.033, "L6": 0.043}
"""Share of spines with one mobile vertebra less or more (Tins 2016, 418 spines, doi 10.1007/s13244-016-0468-7)."""

OLD_COLLAPSE_SHARE = ((45.0, 0.004), (65.0, 0.015), (85.0, 0.05))
"""Share of thoracic and lumbar bodies with a healed collapse by age in years: a quarter of women after the menopause
have at least one (Mauch 2018, AJNR). Chosen by us to reach that; men have half of it."""

SPONDYLOLISTHESIS_SHARE = {"L4": 0.06, "L5": 0.05}
"""Share of old backs whose L4 has slipped by wear, and of all whose L5 has by a defect of the arch. Chosen by us."""

TRANSITIONAL_SHARES = {"sacralized": 0.02, "lumbarized": 0.01}
"""Share of spines whose lowest lumbar vertebra joins the sacrum, and whose S1 leaves it (Tins 2016)."""

DENT_SHARE = 0.05
"""Share of endplates with an old Schmorl hollow. Chosen by us."""

WEDGE_BEND = 0.6
"""Share of a wedge's angle by which the column above bends forward; the discs make up for the rest. Chosen by us."""


@dataclass(frozen=True)
class _Habit:
    """What all vertebrae of one patient share."""

    person: Person
    scale: float
    width: float
    depth: float
    height: float
    disc: float
    degeneration: float
    exponent: float
    waist: float
    concavity_mm: float
    spur_mm: float
    ripple_mm: float
    rim: float
    cortex_mm: float
    canal: float
    pedicle: float
    spinous: float


def sample_spine(
    rng: np.random.Generator, *, top: str = "C1", fractures: bool = True, person: Person | None = None
) -> list[VertebraShape]:
    """Draw the bones of one patient.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all variation.
    top : str, optional
        The uppermost level to give; the whole column is drawn, so that any part of it is the same.
    fractures : bool, optional
        Whether a vertebra may have collapsed long ago.
    person : Person, optional
        Age and sex; a person of 55 years where it is None.

    Returns
    -------
    list of VertebraShape
        From S5 upward; the center of S1 lies at the origin.
    """
    person = person or Person(55.0, female=bool(rng.random() < 0.5))
    levels = _sample_levels(rng)
    habit = _sample_habit(rng, person)
    axes = sample_axes(rng, levels, person.age_years)
    shapes = [_sample_vertebra(rng, name, habit) for name in levels]
    shapes = _transitional(rng, [replace(s, axes=a) for s, a in zip(shapes, axes, strict=True)])
    if fractures:
        ages, shares = zip(*OLD_COLLAPSE_SHARE, strict=True)
        share = np.interp(person.age_years, ages, shares) * (1.0 if person.female else 0.5)
        broken = {s.level for s in shapes if s.level[0] in "TL" and rng.random() < share}
        shapes = with_collapse(shapes, {s.level: collapsed(rng, s) for s in shapes if s.level in broken})
    else:
        shapes = stack(shapes)
    names = [s.level for s in shapes]
    return shapes[: names.index(top) + 1] if top in names else shapes


def with_collapse(shapes: list[VertebraShape], collapsed_shapes: dict[str, VertebraShape]) -> list[VertebraShape]:
    """Give the column after some of its bodies collapsed: lower, and bent forward above each wedge.

    Parameters
    ----------
    shapes : list of VertebraShape
        From S5 upward.
    collapsed_shapes : dict of str to VertebraShape
        The collapsed shape by level name.

    Returns
    -------
    list of VertebraShape
        Stacked anew.
    """
    bend, settled = 0.0, []
    for old in shapes:
        new = collapsed_shapes.get(old.level, old)
        if new is not old:
            kept = min(
                after / before for before, after in zip(third_heights_mm(old), third_heights_mm(new), strict=True)
            )
            new = replace(new, height_loss=1 - (1 - old.height_loss) * min(kept, 1.0))
        own = WEDGE_BEND * 2 * np.arctan(old.wedge - new.wedge)
        settled.append(replace(new, axes=tilted(bend + own / 2) @ old.axes))
        bend += float(own)
    return stack(settled)


def _sample_levels(rng: np.random.Generator) -> list[str]:
    draw, extra = rng.random(), VARIANT_SHARES
    n_lumbar = 4 if draw < extra["L4"] else 6 if draw < extra["L4"] + extra["L6"] else 5
    n_thoracic = int(rng.choice([11, 12, 13], p=[0.02, 0.96, 0.02]))
    return column_levels(n_thoracic=n_thoracic, n_lumbar=n_lumbar)


def _transitional(rng: np.random.Generator, shapes: list[VertebraShape]) -> list[VertebraShape]:
    """Let the lowest lumbar vertebra join the sacrum, or the first sacral one leave it, in a few."""
    draw, u = rng.random(), rng.uniform
    at = [s.level for s in shapes].index("S1")
    below, above = shapes[at], shapes[at + 1]
    if draw < TRANSITIONAL_SHARES["sacralized"]:
        disc = replace(above.disc, height_mm=above.disc.height_mm * u(0.25, 0.5), degeneration=0.6, herniation_mm=0.0)
        # Broad transverse processes meet the wings of the sacrum.
        joined = replace(
            above, disc=disc, transverse_mm=above.transverse_mm + u(6, 14), pillar_mm=above.pillar_mm * 1.3,
            flare=u(0.03, 0.09), slip_mm=0.0, transitional=True,
        )  # fmt: skip
        return [*shapes[: at + 1], joined, *shapes[at + 2 :]]
    if draw < sum(TRANSITIONAL_SHARES.values()):
        disc = replace(below.disc, height_mm=above.disc.height_mm * u(0.4, 0.8))
        freed = replace(below, disc=disc, flare=u(0.0, 0.06), wedge=u(-0.02, 0.02), transitional=True)
        return [*shapes[:at], freed, *shapes[at + 1 :]]
    return shapes


def _sample_habit(rng: np.random.Generator, person: Person) -> _Habit:
    u, n = rng.uniform, rng.normal
    degeneration = float(np.clip(n(person.wear, 0.2), 0, 1))
    return _Habit(
        person=person,
        scale=float(np.clip(n(0.97 if person.female else 1.04, 0.065), 0.8, 1.22)) * person.growth,
        width=u(0.9, 1.1),
        depth=u(0.9, 1.1),
        height=u(0.9, 1.1),
        disc=u(0.78, 1.25),
        degeneration=degeneration,
        exponent=u(2.0, 2.9),
        waist=u(0.05, 0.18),
        concavity_mm=u(0.7, 3.0),
        spur_mm=float(rng.gamma(1.6, 1.3)) * degeneration,
        ripple_mm=u(0.0, 0.25) + u(0, 0.45) * degeneration,
        rim=u(0.7, 1.6),
        cortex_mm=u(0.6, 1.6),
        canal=u(0.85, 1.15),
        pedicle=u(0.85, 1.15),
        spinous=u(0.8, 1.2),
    )


def _sample_vertebra(rng: np.random.Generator, level: str, habit: _Habit) -> VertebraShape:
    u, n = rng.uniform, rng.normal
    size, scale, age = LEVEL_SIZES[level], habit.scale, habit.person.age_years
    sacral, s1 = level.startswith("S"), level == "S1"
    disc = _sample_disc(rng, level, habit)
    back = u(0.84, 0.96)
    half_depth = size.depth_mm / (1 + back) * scale * habit.depth * n(1, 0.02)
    wedge = n(0, 0.02) + (u(0, 0.09) if level == "L5" else 0.0) + (u(-0.06, 0.02) if s1 else 0.0)
    concavity = 0.0 if sacral else habit.concavity_mm * (half_depth / 17)
    vein = (half_depth * u(-0.1, 0.5), n(0, 1.2), u(0.6, 2.4), u(2, 6.5)) if rng.random() < 0.7 else (99.0, 0, 1, 1)
    return VertebraShape(
        level=level,
        center_lps_mm=np.zeros(3),
        axes=np.eye(3),
        half_width_mm=size.width_mm / 2 * scale * habit.width * n(1, 0.02),
        half_depth_mm=half_depth,
        height_mm=size.height_mm * scale * habit.height * n(1, 0.03) * (0.95 if age < 10 else 1.0),
        exponent=habit.exponent * n(1, 0.03),
        waist=habit.waist * u(0.7, 1.3) * (0.5 if sacral else 1),
        flare=(u(0.10, 0.24) if s1 else u(0.06, 0.16)) if sacral else n(0, 0.012),
        concavity_top_mm=u(0, 0.8) if sacral else concavity * u(0.5, 1.6) + (u(1, 4) if rng.random() < 0.1 else 0),
        concavity_bottom_mm=u(0, 0.6) if sacral else concavity * u(0.5, 1.7) + (u(1, 4) if rng.random() < 0.1 else 0),
        apex=u(-0.05, 0.35),
        rim=habit.rim,
        ripple_mm=0.3 * habit.ripple_mm if sacral else habit.ripple_mm * u(0.3, 1.6),
        ripple_phase=u(0, 2 * np.pi),
        dent_top=Dent() if sacral else _sample_dent(rng, half_depth),
        dent_bottom=Dent() if sacral else _sample_dent(rng, half_depth),
        edge_mm=float(np.interp(age, [3, 14], [4.5, u(1.2, 2.6)])),
        wedge=wedge,
        back=back,
        back_concavity_mm=u(0.3, 2.4),
        spurs=_sample_spurs(rng, level, habit, disc),
        cortex_mm=habit.cortex_mm * u(0.75, 1.15),
        endplate_mm=habit.cortex_mm * u(0.8, 1.35),
        cartilage_mm=float(np.interp(age, [2, 8, 14, 17.5], [2.2, 1.2, 0.7, 0.0])),
        vein=(99.0, 0.0, 1.0, 1.0) if sacral else vein,
        disc=disc,
        slip_mm=_sample_slip(rng, level, habit, disc),
        collapse="",
        transitional=False,
        **_sample_arch(rng, level, size, habit),
    )


def _sample_arch(rng: np.random.Generator, level: str, size: LevelSize, habit: _Habit) -> dict[str, float]:
    u, scale = rng.uniform, habit.scale
    lumbar, sacral = level.startswith("L"), level.startswith("S")
    # The canal is nearly full-grown at five years, when the body still is not.
    canal = scale / habit.person.growth**0.6
    # Worn facet joints thicken.
    thick = 1 + 0.3 * habit.degeneration * u(0, 1)
    return {
        "canal_depth_mm": size.canal_depth_mm * canal * habit.canal * u(0.94, 1.06),
        "canal_width_mm": size.canal_width_mm * canal * habit.canal * u(0.94, 1.06),
        "pedicle_mm": size.pedicle_mm * scale * habit.pedicle * u(0.9, 1.1),
        "pedicle_height_mm": size.pedicle_height_mm * scale * u(0.9, 1.1),
        "spinous_mm": size.spinous_mm * scale * habit.spinous * u(0.85, 1.15),
        "spinous_drop": size.spinous_drop * u(0.7, 1.3) + u(0, 0.1),
        "spinous_height_mm": (u(8.5, 13) if lumbar else u(3.5, 5.5)) * scale * (0.6 if sacral else 1),
        "spinous_width_mm": u(2.2, 4.2) * scale,
        "transverse_mm": 0.0 if sacral else float(u(14, 24) if lumbar else u(9, 15)) * scale,
        "lamina_mm": u(3.5, 7.0) * scale * (0.6 if sacral else 1),
        "pillar_mm": (u(5.2, 7.5) if lumbar else u(3.5, 5)) * scale * thick,
        "facet_forward_mm": (u(1, 5) if lumbar else u(0, 1.5)) * scale,
    }


def _sample_disc(rng: np.random.Generator, level: str, habit: _Habit) -> Disc:
    u, size = rng.uniform, LEVEL_SIZES[level]
    sacral, s1 = level.startswith("S"), level == "S1"
    # The two lowest discs wear first, thoracic ones last.
    place = 0.12 if level in ("L4", "L5", "L6", "C5", "C6") else -0.12 if level.startswith("T") else 0.0
    degeneration = 0.0
    if habit.person.age_years > 14:
        degeneration = float(np.clip(habit.degeneration + place + rng.normal(0, 0.18), 0, 1))
    height = size.disc_mm * habit.scale * habit.disc * float(np.clip(rng.normal(1, 0.1), 0.7, 1.35))
    loss = max(degeneration - 0.45, 0) / 0.55
    if sacral:
        height = u(0.4, 3.0 if s1 else 1.8)
    else:
        height *= 1 - u(0.0, 0.3) * loss - (u(0.2, 0.5) if rng.random() < 0.45 * loss else 0)
    herniated = not sacral and rng.random() < 0.04 + 0.16 * degeneration
    worn = degeneration > 0.7 and not sacral
    return Disc(
        height_mm=max(height, 0.4 if sacral else 1.8 * habit.scale),
        degeneration=degeneration,
        radius=u(0.94, 1.03),
        bulge_posterior=u(-0.02, 0.05) + (u(0.03, 0.18) if rng.random() < 0.5 * degeneration else 0),
        bulge_anterior=u(-0.02, 0.08) + 0.05 * loss,
        nucleus_radius=u(0.5, 0.85) if habit.person.age_years > 20 else u(0.72, 0.92),
        nucleus_offset=u(-0.05, 0.15),
        cleft_mm=u(0.3, 1.2) * (rng.random() < 0.4),
        vacuum_mm=u(0.4, 1.1) if worn and rng.random() < 0.2 else 0.0,
        herniation_mm=u(2, 7) * min(1.0, habit.scale) if herniated else 0.0,
        herniation_left_mm=u(-8, 8),
        fissure=not sacral and 0.3 < degeneration < 0.85 and rng.random() < 0.15,
    )


def _sample_spurs(rng: np.random.Generator, level: str, habit: _Habit, disc: Disc) -> Spurs:
    """Osteophytes grow where discs are worn; the front carries more of them than the canal."""
    if level.startswith("S") and level != "S1":
        return Spurs()
    size = min(habit.spur_mm, 7.0) * (0.4 + disc.degeneration)
    front, behind = np.minimum(size * rng.uniform(0, 1.3, 2), 8.0), size * 0.5 * rng.uniform(0, 1, 2)
    if level == "S1":
        return Spurs(float(front[0]) * 0.6, float(behind[0]), 0.0, 0.0)
    return Spurs(float(front[0]), float(behind[0]), float(front[1]), float(behind[1]))


def _sample_dent(rng: np.random.Generator, half_depth_mm: float) -> Dent:
    draw = rng.uniform(0, 1, 5)
    if draw[0] > DENT_SHARE:
        return Dent()
    a = half_depth_mm
    return Dent((draw[1] - 0.5) * 0.9 * a, (draw[2] - 0.4) * 0.8 * a, 3 + 4 * draw[3], 2 + 5 * draw[4])


def _sample_slip(rng: np.random.Generator, level: str, habit: _Habit, disc: Disc) -> float:
    """Slip on the vertebra below in mm: chance, wear (L4, and backward above a flat disc), or a broken arch (L5)."""
    slip, draw = rng.normal(0, 0.5), rng.random()
    if level.startswith("S"):
        return 0.0
    if level == "L4" and draw < SPONDYLOLISTHESIS_SHARE["L4"] * 2 * habit.degeneration:
        slip -= rng.uniform(2.5, 8)
    elif level == "L5" and draw < SPONDYLOLISTHESIS_SHARE["L5"]:
        slip -= rng.uniform(4, 12)
    elif level[0] in "LC" and disc.degeneration > 0.6 and draw > 0.92:
        slip += rng.uniform(1.5, 4)
    return float(slip * habit.scale)


def collapsed(
    rng: np.random.Generator, shape: VertebraShape, kind: str | None = None, loss: float | None = None
) -> VertebraShape:
    """Collapse a vertebra as a wedge, biconcave or crush fracture.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all variation.
    shape : VertebraShape
        The whole vertebra.
    kind : str, optional
        ``"wedge"``, ``"biconcave"`` or ``"crush"``; drawn where it is None.
    loss : float, optional
        Share of the height that is lost where most is, 0 to 0.8; drawn where it is None.

    Returns
    -------
    VertebraShape
        Lower; what stands on it tips forward when stacked anew.

    References
    ----------
    Genant 1993, J Bone Miner Res 8:1137 (doi 10.1002/jbmr.5650080915).
    """
    kind = kind or str(rng.choice(["wedge", "biconcave", "crush"], p=[0.5, 0.3, 0.2]))
    loss = float(np.clip(rng.lognormal(np.log(0.3), 0.4), 0.15, 0.75)) if loss is None else loss
    ripple = shape.ripple_mm + rng.uniform(0.2, 0.8)
    if kind == "wedge":
        slope = -min(loss, 0.6) * shape.height_mm / (4 * shape.half_depth_mm)
        height = shape.height_mm * (1 - loss / 2)
        return replace(shape, wedge=shape.wedge + slope, height_mm=height, ripple_mm=ripple, collapse=kind)
    if kind == "biconcave":
        share = rng.uniform(0.3, 0.7)
        room = 0.85 * shape.height_mm - shape.concavity_top_mm - shape.concavity_bottom_mm
        depth = min(loss * shape.height_mm, max(room, 0.0))
        return replace(
            shape,
            concavity_top_mm=shape.concavity_top_mm + share * depth,
            concavity_bottom_mm=shape.concavity_bottom_mm + (1 - share) * depth,
            rim=1.2,
            ripple_mm=ripple,
            collapse=kind,
        )
    return replace(
        shape,
        height_mm=shape.height_mm * (1 - loss),
        half_depth_mm=shape.half_depth_mm * (1 + 0.12 * loss),
        half_width_mm=shape.half_width_mm * (1 + 0.10 * loss),
        concavity_top_mm=shape.concavity_top_mm * (1 - loss),
        concavity_bottom_mm=shape.concavity_bottom_mm * (1 - loss),
        ripple_mm=ripple,
        collapse=kind,
    )
