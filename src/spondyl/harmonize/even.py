"""Images of a study on one grid, without noise floor and brightness of the receive coil; the tissues found on them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spondyl.core import Sequence
from spondyl.core.at_once import at_once
from spondyl.harmonize.bias import bias_field, foreground, tissue_field
from spondyl.harmonize.noise import without_noise_floor
from spondyl.harmonize.prominence import normal_marrow
from spondyl.harmonize.tissues import TissuePlaces, Views, reference_tissues, tissue_places
from spondyl.models.space import resample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from spondyl.core import Case, Grid, Image

    Volume = NDArray[np.float32]
    Mask = NDArray[np.bool_]

WITH_A_UNIT = (Sequence.ADC,)
"""Images whose values have a unit already; they are left as they are."""


@dataclass(frozen=True, eq=False)
class Even:
    """The images of a study on one grid, without the brightness of the coil, and what is known of them.

    Parameters
    ----------
    views : Views
        Signal of each sequence; NaN outside its field of view.
    tissues : mapping of str to ndarray of bool
        Reference tissues.
    fields : mapping of Sequence to ndarray of float32
        By what each was divided; empty where it was left as it is.
    noise : mapping of Sequence to float
        Median standard deviation of the noise in tissue, in the unit of the image as acquired.
    """

    views: Views
    tissues: Mapping[str, Mask]
    fields: Mapping[Sequence, Volume] = field(default_factory=dict)
    noise: Mapping[Sequence, float] = field(default_factory=dict)


class Look(NamedTuple):
    """One image on the reference grid without its noise floor, and what N4 says of its coil.

    Parameters
    ----------
    array : ndarray of float32
        Signal; NaN outside the field of view.
    field : ndarray of float32 or None
        By what it is to be divided; None where it is left as it is.
    noise : float
        Median standard deviation of the noise in tissue, in the unit of the image as acquired.
    """

    array: Volume
    field: Volume | None = None
    noise: float = 0.0


class Looks(NamedTuple):
    """Looks at the images of a study on one grid.

    Parameters
    ----------
    grid : Grid
        The grid.
    looks : mapping of Sequence to Look
        The images.
    """

    grid: Grid
    looks: Mapping[Sequence, Look]


class FirstLook(NamedTuple):
    """What is known of the images of a study before its lesions are.

    Parameters
    ----------
    looks : mapping of Sequence to Look
        The images.
    views : Views
        Their signal, divided by the fields of N4.
    places : TissuePlaces
        Where reference tissues are looked for.
    tissues : mapping of str to ndarray of bool
        Those that were found.
    """

    looks: Mapping[Sequence, Look]
    views: Views
    places: TissuePlaces
    tissues: Mapping[str, Mask]


def even_images(
    case: Case, *, correct_bias: bool = True, look: FirstLook | None = None, marrow: Mask | None = None
) -> Even:
    """Bring images to one grid and take noise floor and brightness of the receive coil out of them.

    Parameters
    ----------
    case : Case
        With the label map ``"structures"``; lesions, where some were found, are left out of normal marrow.
    correct_bias : bool, optional
        Whether noise floor and coil are looked at.
    look : FirstLook, optional
        From `first_look`, of the same images.
    marrow : ndarray of bool, optional
        From `normal_marrow`, of the same case.

    Returns
    -------
    Even
        The images and their reference tissues.

    Notes
    -----
    N4 first, which knows no anatomy; then what the tissues found on its images still show of the coil (`tissue_field`),
    whereupon the tissues are found again.
    """
    structures = case.labels["structures"]
    grid = structures.grid
    if not correct_bias:
        views = Views(grid, {s: _on_grid(image, grid) for s, image in case.images.items()}, _suppressed(case))
        return Even(views, reference_tissues(structures, views))
    look = look or outlined_looks(case)
    known = {**look.tissues, "marrow": normal_marrow(case) if marrow is None else marrow}
    fields = {s: own.field for s, own in look.looks.items() if own.field is not None}
    rest = at_once(lambda s: tissue_field(look.views.arrays[s], grid, known), fields)
    fields = {s: field * more for (s, field), more in zip(fields.items(), rest, strict=True)}
    views = Views(grid, _divided({s: own.array for s, own in look.looks.items()}, fields), look.views.suppressed)
    noise = {s: look.looks[s].noise for s in fields}
    return Even(views, reference_tissues(structures, views, look.places), fields, noise)


def looks_at(case: Case, grid: Grid) -> Looks:
    """Look at every image by itself.

    Parameters
    ----------
    case : Case
        With its images.
    grid : Grid
        Where they are brought.

    Returns
    -------
    Looks
        Noise floor and brightness of the coil of each.
    """
    found = at_once(lambda image: _look(image, grid), case.images.values())
    return Looks(grid, dict(zip(case.images, found, strict=True)))


def outlined_looks(case: Case, early: Looks | None = None) -> FirstLook:
    """Look at the images of a case, and find its tissues on them.

    Parameters
    ----------
    case : Case
        With the label map ``"structures"``.
    early : Looks, optional
        From `looks_at`, of the same images.

    Returns
    -------
    FirstLook
        What needs no lesions.
    """
    structures = case.labels["structures"]
    grid = structures.grid
    fits = early is not None and early.grid.same_space(grid, 0.0) and early.looks.keys() == case.images.keys()
    looks = (early if early is not None and fits else looks_at(case, grid)).looks
    fields = {s: look.field for s, look in looks.items() if look.field is not None}
    views = Views(grid, _divided({s: look.array for s, look in looks.items()}, fields), _suppressed(case))
    places = tissue_places(structures)
    return FirstLook(looks, views, places, reference_tissues(structures, views, places))


def _suppressed(case: Case) -> frozenset[Sequence]:
    return frozenset(s for s, image in case.images.items() if image.acquisition.fat_suppressed)


def _look(image: Image, grid: Grid) -> Look:
    if image.sequence in WITH_A_UNIT:
        return Look(_on_grid(image, grid))
    tissue = foreground(image.array, image.grid.spacing_mm)
    array, noise = without_noise_floor(image.array, image.grid.spacing_mm, tissue)
    seen = _on_grid(replace(image, array=array), grid)
    there = tissue if image.grid.same_space(grid) else resample(tissue, image.grid, grid, order=0) & np.isfinite(seen)
    return Look(seen, bias_field(np.nan_to_num(seen), grid.spacing_mm, there), noise)


def _divided(arrays: Mapping[Sequence, Volume], fields: Mapping[Sequence, Volume]) -> dict[Sequence, Volume]:
    return {s: a / fields[s] if s in fields else a for s, a in arrays.items()}


def _on_grid(image: Image, grid: Grid) -> Volume:
    """Sample an image on the reference grid; NaN outside its field of view."""
    array = np.asarray(resample(image.array, image.grid, grid), np.float32)
    if image.grid.same_space(grid):
        return array
    step = np.linalg.inv(image.grid.affine) @ grid.affine
    ranges = [np.arange(n, dtype=np.float32) for n in grid.shape]
    outside = np.zeros(grid.shape, bool)
    for axis, n in enumerate(image.grid.shape):
        i, j, k = (r * np.float32(step[axis, b]) for b, r in enumerate(ranges))
        at = (i[:, None, None] + j[:, None]) + (k + np.float32(step[axis, 3]))
        outside |= (at < -0.5) | (at > n - 0.5)
    return np.where(outside, np.float32(np.nan), array)
