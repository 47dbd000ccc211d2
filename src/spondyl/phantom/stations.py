"""Long studies: where their overlapping fields of view lie, and how scanners join them to one image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Grid, Image

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spondyl.phantom.arrays import Array
    from spondyl.phantom.protocol import Protocol

SEAM_GAIN = (0.8, 1.25)
"""Range of the brightness of one station over its neighbor's after joining. Chosen by us."""


def station_heights(patient: Grid, protocol: Protocol) -> tuple[float, ...]:
    """Give the middles of a long study's fields of view.

    Parameters
    ----------
    patient : Grid
        The patient's grid.
    protocol : Protocol
        Field of view and number of stations.

    Returns
    -------
    tuple of float
        Heights (z, LPS mm) from the head down, evenly spread from one end of the patient to the other.
    """
    z = patient.corners_lps_mm()[:, 2]
    half = protocol.fov_mm / 2
    return tuple(float(h) for h in np.linspace(z.max() - half, z.min() + half, protocol.n_stations))


def compose(
    images: Iterable[Image], protocols: Iterable[Protocol], rng: np.random.Generator
) -> tuple[tuple[Image, ...], tuple[Protocol, ...]]:
    """Join the stations of each sequence to one image.

    Parameters
    ----------
    images : iterable of Image
        Sagittal stations lie above each other; whatever has one station passes through.
    protocols : iterable of Protocol
        The protocol of each image.
    rng : Generator
        Source of the brightness steps at the seams.

    Returns
    -------
    images : tuple of Image
        One for each sequence, b-value and plane.
    protocols : tuple of Protocol
        Theirs.
    """
    groups: dict[object, list[tuple[Image, Protocol]]] = {}
    for number, (image, protocol) in enumerate(zip(images, protocols, strict=True)):
        alone = protocol.n_stations == 1
        key = number if alone else (image.sequence, image.acquisition.b_value_s_mm2, image.acquisition.echo_time_ms)
        groups.setdefault(key, []).append((image, protocol))
    joined = []
    for members in groups.values():
        image, protocol = members[0]
        if len(members) > 1:
            image = _join([m for m, _ in members], rng)
            protocol = replace(protocol, station=0, n_stations=1, description=f"{protocol.description}_COMP")
            image = replace(image, source=replace(image.source, description=protocol.description))
        joined.append((image, protocol))
    return tuple(i for i, _ in joined), tuple(p for _, p in joined)


def _join(stations: list[Image], rng: np.random.Generator) -> Image:
    """Stack stations that share slices and columns; each row comes from the station whose middle is nearest."""
    first = stations[0]
    step = first.grid.spacing_mm[1]
    heights = [s.grid.ijk_to_lps([0, 0, 0])[2] - step * np.arange(s.grid.shape[1]) for s in stations]
    top, bottom = max(h[0] for h in heights), min(h[-1] for h in heights)
    rows = top - step * np.arange(int((top - bottom) / step) + 1)
    nearest = np.argmin([np.abs(rows - h.mean()) for h in heights], axis=0)
    joined = np.zeros((first.grid.shape[0], len(rows), first.grid.shape[2]), np.float32)
    gain = 1.0
    for number, (station, height) in enumerate(zip(stations, heights, strict=True)):
        if number:
            gain = _match(stations[number - 1], station) * gain * float(rng.uniform(*SEAM_GAIN))
        mine = nearest == number
        joined[:, mine] = _rows_at(station.array, height, rows[mine]) * (1.0 if _quantitative(first) else gain)
    affine = first.grid.affine.copy()
    affine[:3, 3] = first.grid.ijk_to_lps([0, 0, 0])
    affine[2, 3] = top
    grid = Grid((joined.shape[0], joined.shape[1], joined.shape[2]), affine, first.grid.frame_of_reference)
    return replace(first, array=np.round(joined), grid=grid)


def _quantitative(image: Image) -> bool:
    return image.sequence == "ADC"


def _match(above: Image, below: Image) -> float:
    """Factor that makes two stations equally bright."""
    return float(np.median(above.array[above.array > 0]) / max(float(np.median(below.array[below.array > 0])), 1e-6))


def _rows_at(array: Array, heights_mm: Array, wanted_mm: Array) -> Array:
    """Interpolate rows linearly; heights fall along the rows."""
    at = np.clip((heights_mm[0] - wanted_mm) / (heights_mm[0] - heights_mm[1]), 0, array.shape[1] - 1)
    low = np.minimum(at.astype(int), array.shape[1] - 2)
    weight = (at - low).astype(np.float32)[None, :, None]
    rows: Array = array[:, low] * (1 - weight) + array[:, low + 1] * weight
    return rows
