"""The synthetic patient's anatomy on a grid: bones, discs, canal, soft tissue, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spondyl.core import SettingsError, Structure
from spondyl.core.geometry import Grid
from spondyl.phantom.canal import paint_canal
from spondyl.phantom.canvas import Canvas
from spondyl.phantom.centerline import centerline, column_frame
from spondyl.phantom.pathology import LesionTruth, collapse_bodies, paint_lesions, plan_lesions
from spondyl.phantom.person import Person, sample_person
from spondyl.phantom.skeleton import instance_numbers, paint_bones, paint_marrow_patches, rib_bearers
from spondyl.phantom.spine import sample_spine
from spondyl.phantom.surroundings import paint_surroundings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from spondyl.phantom.lesion_plan import PlannedLesion
    from spondyl.phantom.pathology import LesionKind
    from spondyl.phantom.vertebra import VertebraShape


class Region(NamedTuple):
    """Where a field of view lies.

    Parameters
    ----------
    anchor : str
        The level that the field is placed by.
    above_mm : tuple of float
        Range of the height over the anchor's center at which the field begins, or ends where `from_above`.
    from_above : bool
        Whether it hangs from the anchor instead of standing on it.
    """

    anchor: str
    above_mm: tuple[float, float]
    from_above: bool = False


REGIONS = {
    "lumbar": Region("S1", (-115.0, -35.0)),
    "thoracolumbar": Region("L1", (-155.0, -55.0)),
    "thoracic": Region("L1", (-10.0, 70.0)),
    "cervical": Region("C1", (25.0, 65.0), from_above=True),
    "whole": Region("S1", (-110.0, -90.0)),
}
"""The parts of the spine that can be asked for."""


@dataclass(frozen=True)
class VertebraTruth:
    """What is true of one vertebra of the phantom.

    Parameters
    ----------
    instance : int
        Its number in the instance map.
    level : str
        Level name.
    center_lps_mm : tuple of float
        Center of the body.
    height_mm, half_depth_mm, half_width_mm : float
        Size of the body.
    collapse : str
        ``"wedge"``, ``"biconcave"`` or ``"crush"`` where the body has collapsed, else empty.
    disc_degeneration : float
        State of the disc below, from 0 (young) to 1 (black and flat).
    transitional : bool
        Whether it is half lumbar, half sacral.
    height_loss : float
        Share of the height that a collapse took from the third that lost most.
    bears_ribs : bool
        Whether it bears ribs, as every thoracic vertebra does and no other, unless ribs were dealt out by chance.
    """

    instance: int
    level: str
    center_lps_mm: tuple[float, float, float]
    height_mm: float
    half_depth_mm: float
    half_width_mm: float
    collapse: str = ""
    disc_degeneration: float = 0.0
    transitional: bool = False
    height_loss: float = 0.0
    bears_ribs: bool = False


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A patient on a grid.

    Parameters
    ----------
    grid : Grid
        Orientation ``LIP``.
    tissue : ndarray of uint8
        Values of `Tissue`.
    structure : ndarray of uint8
        Values of `Structure`; a lesion keeps the structure it grows in.
    instance : ndarray of uint8
        Number of the vertebra from the head down, 0 for none; a disc carries the number of the body above.
    lesion : ndarray of uint8
        `LesionTruth.label`, 0 for none.
    vertebrae : tuple of VertebraTruth
        Those whose body lies in the grid, from the head down.
    lesions : tuple of LesionTruth
        Those that cover at least one voxel.
    person : Person
        Age and sex.
    """

    grid: Grid
    tissue: NDArray[np.uint8]
    structure: NDArray[np.uint8]
    instance: NDArray[np.uint8]
    lesion: NDArray[np.uint8]
    vertebrae: tuple[VertebraTruth, ...]
    lesions: tuple[LesionTruth, ...]
    person: Person


def build_anatomy(
    seed: int,
    *,
    region: str = "lumbar",
    spacing_mm: tuple[float, float, float] = (2.0, 1.0, 1.0),
    extent_mm: tuple[float, float, float] = (88.0, 312.0, 256.0),
    lesions: str | Iterable[tuple[str, LesionKind] | PlannedLesion] = "mixed",
    age_years: float | None = None,
    dealt_ribs: bool = False,
) -> Anatomy:
    """Make one patient.

    Parameters
    ----------
    seed : int
        The same seed gives the same bones on every grid and in every region.
    region : str, optional
        A key of `REGIONS`.
    spacing_mm : tuple of float, optional
        Voxel size to the left, inferior and posterior.
    extent_mm : tuple of float, optional
        Size of the field.
    lesions : str or iterable of (str, LesionKind) or of PlannedLesion, optional
        ``"mixed"`` (all kinds, enriched), ``"malignant"``, ``"benign"``, ``"prevalence"`` (as frequent as published),
        ``"none"``, or level and kind of each lesion.
    age_years : float, optional
        Age in years, from 2 to 105; drawn from the seed where it is None.
    dealt_ribs : bool, optional
        Whether any vertebra above the sacrum may bear ribs, as in `PatientSettings`.

    Returns
    -------
    Anatomy
        The patient; S1's center lies at (0, 0, 0) mm, or would.

    Raises
    ------
    SettingsError
        If the region or the lesions are not known, or the age is out of range.
    """
    if region not in REGIONS:
        msg = f"a region is one of {', '.join(REGIONS)}; got {region!r}"
        raise SettingsError(msg)
    body, surface, who = (np.random.default_rng([seed, part]) for part in (1, 2, 4))
    person = sample_person(who, malignant=lesions == "malignant", age_years=age_years)
    shapes = sample_spine(body, person=person)
    grid = _place_grid(body, shapes, REGIONS[region], spacing_mm, extent_mm)
    sick, breaking = (np.random.default_rng([seed, part]) for part in (3, 5))
    plan = plan_lesions(sick, _in_view(grid, shapes), lesions, person)
    shapes = collapse_bodies(breaking, shapes, plan)
    canvas = Canvas.blank(grid, surface, roughness_mm=body.uniform(0.2, 0.75))
    line = centerline(body, shapes)
    frame = column_frame(canvas, line, shapes)
    paint_surroundings(surface, canvas, line, frame, person)
    conus = [s.level for s in shapes].index("L1") + body.normal(0, 0.6)
    paint_canal(surface, canvas, line, frame, conus)
    ribs = rib_bearers(np.random.default_rng([seed, 91]), shapes, dealt=dealt_ribs)
    paint_bones(canvas, shapes, ribs)
    paint_marrow_patches(surface, canvas)
    truths = paint_lesions(sick, canvas, shapes, plan)
    return Anatomy(
        grid,
        canvas.tissue,
        canvas.structure,
        canvas.instance,
        canvas.lesion,
        _visible(canvas, shapes, ribs),
        truths,
        person,
    )


def _in_view(grid: Grid, shapes: list[VertebraShape]) -> list[VertebraShape]:
    """Vertebrae whose center lies in the field of view."""
    last = np.asarray(grid.shape) - 1
    return [s for s in shapes if ((at := grid.lps_to_ijk(s.center_lps_mm)) >= 0).all() and (at <= last).all()]


def _place_grid(
    rng: np.random.Generator,
    shapes: list[VertebraShape],
    region: Region,
    spacing_mm: tuple[float, float, float],
    extent_mm: tuple[float, float, float],
) -> Grid:
    """Put the field of view where a technician would: the column a little behind its middle."""
    n = [max(4, round(e / s)) for e, s in zip(extent_mm, spacing_mm, strict=True)]
    anchor = next(float(s.center_lps_mm[2]) for s in shapes if s.level == region.anchor)
    floor = anchor + rng.uniform(*region.above_mm) - (extent_mm[1] if region.from_above else 0.0)
    inside = [
        s.center_lps_mm for s in shapes if floor - 10 < s.center_lps_mm[2] < floor + extent_mm[1] and s.level[0] != "S"
    ]
    middle = np.mean(inside, axis=0) if inside else np.zeros(3)
    low_y = middle[1] - extent_mm[2] * rng.uniform(0.44, 0.6)
    low_x = middle[0] - extent_mm[0] / 2 + rng.uniform(-7, 7)
    affine = np.zeros((4, 4))
    affine[0, 0], affine[2, 1], affine[1, 2], affine[3, 3] = spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1
    affine[:3, 3] = low_x, low_y, floor + extent_mm[1]
    return Grid((n[0], n[1], n[2]), affine)


def _visible(canvas: Canvas, shapes: list[VertebraShape], ribs: frozenset[str]) -> tuple[VertebraTruth, ...]:
    bodies = np.isin(canvas.structure, (Structure.BODY, Structure.CORTEX, Structure.S1, Structure.SACRUM))
    present = set(np.unique(canvas.instance[bodies]).tolist())
    rows = []
    for shape, number in zip(shapes[::-1], instance_numbers(shapes)[::-1], strict=True):
        if number in present:
            x, y, z = (float(c) for c in shape.center_lps_mm)
            size = shape.height_mm, shape.half_depth_mm, shape.half_width_mm
            rows.append(
                VertebraTruth(
                    number,
                    shape.level,
                    (x, y, z),
                    *size,
                    shape.collapse,
                    shape.disc.degeneration,
                    shape.transitional,
                    shape.height_loss,
                    shape.level in ribs,
                )
            )
    return tuple(rows)
