"""Which images of a study are stations of one long series, and one image in their place.

A whole spine is taken in two or three stations, each a series or a stack of its own, and looks like so many images of a
part of the spine. Joined before one image is chosen for each sequence, they are looked at from end to end; where they
cannot be joined, it is said which part was not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spondyl.core import GeometryError, Image, QualityFlag, Sequence, Station
from spondyl.io.choose import is_composed, same_region
from spondyl.io.cues import reads_sagittally
from spondyl.io.volumes import Reading, extent_mm
from spondyl.physics.stations import SPACING_TOLERANCE, Layout, Mosaic, line_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_OVERLAP = 0.7
"""Stations share at most this part of the shorter one's height; what shares more shows the same again. Planned overlaps
are smaller, but three stations are also taken where two would nearly do. Chosen by us."""

ECHO_TIME_TOLERANCE = 0.1
"""Echo and inversion times that differ by no more than this part are one protocol's, whose timing adapts a little to
each station. Echoes of one series lie farther apart. Chosen by us."""

MIN_SLICES = 3
"""An image of fewer slices is no station of a long study. Chosen by us."""

MAX_STATIONS = 6
"""Most images of one protocol among which stations are sought; the latest ones. A spine needs four at most."""

MIN_AGREEMENT = 0.5
"""Correlation of neighbors in what both show, below which they do not show the same tissue: the patient moved between
them, or they are of two patients. Stations of synthetic patients reach 0.9 and more. Chosen by us."""

QUANTITATIVE = frozenset({Sequence.ADC})
"""Sequences whose values mean something by themselves and are never scaled."""

ALIKE_SCALED = (
    (Sequence.DIXON_IN, Sequence.DIXON_WATER, Sequence.DIXON_OUT, Sequence.DIXON_FAT),
    (Sequence.DWI,),
)
"""Images from which others are computed voxel by voxel, such as fat fraction and ADC: all of a kind are scaled alike,
by what is measured in the first of them, or in the lowest b-value."""


class Refused(NamedTuple):
    """Images that look like stations and could not be joined.

    Parameters
    ----------
    readings : tuple of Reading
        From the head down.
    reason : str
        Why, as the end of a sentence.
    """

    readings: tuple[Reading, ...]
    reason: str


@dataclass(frozen=True, eq=False)
class _Chain:
    """Neighboring stations of one sequence, from the head down."""

    readings: tuple[Reading, ...]
    layout: Layout


def join_stations(readings: Iterable[Reading]) -> tuple[list[Reading], list[Refused]]:
    """Join the stations of each sequence.

    Parameters
    ----------
    readings : iterable of Reading
        All images of a study, contrast settled.

    Returns
    -------
    readings : list of Reading
        The same, stations replaced by what they were joined to; all others are untouched, in their order.
    refused : list of Refused
        What could not be joined.
    """
    readings = list(readings)
    chains: list[_Chain] = []
    refused: list[Refused] = []
    for group in _groups(r for r in readings if _may_be_station(r)):
        found, failed = _chains(_distinct_regions(group))
        chains += found
        refused += failed
    joined: list[Reading] = []
    for chain in sorted(chains, key=_scaling_order):
        made = _join(chain, joined)
        if isinstance(made, Refused):
            refused.append(made)
        else:
            joined.append(made)
    used = {id(part) for one in joined for part in one.stations}
    return [*(r for r in readings if id(r) not in used), *joined], refused


def _may_be_station(reading: Reading) -> bool:
    grid = reading.image.grid
    known = reading.image.sequence is not Sequence.UNKNOWN
    return known and reads_sagittally(grid) and min(grid.shape) >= MIN_SLICES and not is_composed(reading)


def _groups(readings: Iterable[Reading]) -> list[list[Reading]]:
    """Put together what one protocol took, whatever the order of files."""
    groups: list[list[Reading]] = []
    for reading in sorted(readings, key=_age):
        home = next((g for g in groups if _one_protocol(g[0], reading)), None)
        if home is None:
            groups.append([reading])
        else:
            home.append(reading)
    return [g for g in groups if len(g) > 1]


def _age(reading: Reading) -> tuple[int, str, float]:
    """Order readings by series; the position tells stacks of one series apart."""
    image = reading.image
    return image.source.series_number or 0, image.source.series_uid, _heights_mm(reading)[1]


def _heights_mm(reading: Reading) -> tuple[float, float]:
    low, high = extent_mm(reading.image.grid)
    return float(low[2]), float(high[2])


def _one_protocol(a: Reading, b: Reading) -> bool:
    one, other = a.image, b.image
    taken, again = one.acquisition, other.acquisition
    times = ((taken.echo_time_ms, again.echo_time_ms), (taken.inversion_time_ms, again.inversion_time_ms))
    spacings = np.array([sorted(one.grid.spacing_mm), sorted(other.grid.spacing_mm)])
    return (
        one.sequence is other.sequence
        and one.grid.frame_of_reference == other.grid.frame_of_reference
        and one.grid.plane == other.grid.plane
        and taken.b_value_s_mm2 == again.b_value_s_mm2
        and bool(taken.fat_suppressed) == bool(again.fat_suppressed)
        and all(_near(x, y) for x, y in times)
        and bool(np.abs(spacings[0] / spacings[1] - 1).max() <= SPACING_TOLERANCE)
    )


def _near(a: float | None, b: float | None) -> bool:
    if not a or not b:
        return not a and not b
    return abs(a - b) <= ECHO_TIME_TOLERANCE * max(a, b)


def _overlap(a: Reading, b: Reading) -> float:
    """Give the height that two images share, as a part of the shorter one's."""
    (low, high), (bottom, top) = _heights_mm(a), _heights_mm(b)
    return (min(high, top) - max(low, bottom)) / max(min(high - low, top - bottom), 1.0)


def _distinct_regions(group: list[Reading]) -> list[Reading]:
    """Keep, of images that show a region again, those that show most together, and the later ones if that is equal."""
    latest = group[-MAX_STATIONS:]
    best: tuple[Reading, ...] = ()
    best_worth: tuple[float, tuple[int, ...]] = (-1.0, ())
    for size in range(1, len(latest) + 1):
        for some in combinations(range(len(latest)), size):
            chosen = tuple(latest[n] for n in some)
            if any(_overlap(a, b) > MAX_OVERLAP for a, b in combinations(chosen, 2)):
                continue
            worth = (round(_covered_mm(chosen), -1), some)
            if worth > best_worth:
                best, best_worth = chosen, worth
    return sorted(best, key=lambda r: -sum(_heights_mm(r)))


def _covered_mm(readings: Iterable[Reading]) -> float:
    covered, reached = 0.0, -np.inf
    for low, high in sorted(_heights_mm(r) for r in readings):
        covered += max(0.0, high - max(low, reached))
        reached = max(reached, high)
    return covered


def _chains(readings: list[Reading]) -> tuple[list[_Chain], list[Refused]]:
    """Cut where neighbors do not line up."""
    runs: list[list[Reading]] = [[readings[0]]]
    reasons: list[str] = []
    for above, below in pairwise(readings):
        try:
            line_up([above.image.grid, below.image.grid])
        except GeometryError as error:
            reasons.append(str(error))
            runs.append([below])
        else:
            runs[-1].append(below)
    chains = []
    for run in runs:
        if len(run) > 1:
            try:
                chains.append(_Chain(tuple(run), line_up([r.image.grid for r in run])))
            except GeometryError as error:
                reasons.append(str(error))
    return chains, [Refused(tuple(readings), reasons[0])] if reasons else []


def _scaling_order(chain: _Chain) -> tuple[int, float]:
    """What is measured comes before what is scaled by it."""
    image = chain.readings[0].image
    order = next((kind.index(image.sequence) for kind in ALIKE_SCALED if image.sequence in kind), 0)
    return order, image.acquisition.b_value_s_mm2 or 0.0


def _join(chain: _Chain, before: list[Reading]) -> Reading | Refused:
    parts = [r.image for r in chain.readings]
    mosaic = Mosaic([part.array for part in parts], chain.layout)
    agree = mosaic.agreement()
    doubtful = any(a is not None and a < MIN_AGREEMENT for a in agree)
    if not chain.layout.grid.frame_of_reference and (doubtful or None in agree):
        return Refused(chain.readings, "they name no frame of reference and do not show the same where they overlap")
    gains = None if parts[0].sequence in QUANTITATIVE else (_gains_of_kind(chain, before) or mosaic.gains())
    first = chain.readings[0]
    numbers = [str(p.source.series_number) for p in parts if p.source.series_number is not None]
    named = f" (series {', '.join(dict.fromkeys(numbers))})" if numbers else ""
    told = f"joined from {len(parts)} stations{named}"
    times = [p.acquisition.acquired_s for p in parts if p.acquisition.acquired_s is not None]
    array = mosaic.joined(gains)
    array.setflags(write=False)
    image = Image(
        array,
        chain.layout.grid,
        parts[0].sequence,
        min(p.sequence_confidence for p in parts),
        replace(parts[0].acquisition, acquired_s=min(times) if times else None),
        replace(parts[0].source, evidence=(*parts[0].source.evidence, told)),
    )
    scaled = "" if gains is None else f"; brightness scaled by {', '.join(f'{g:.2f}' for g in gains)}"
    where = str(image.sequence)
    flags = [QualityFlag("stations_joined", f"{where} was {told}{scaled}.", "info", where)]
    if doubtful:
        text = f"The stations of {where} differ where they overlap: the patient may have moved between them."
        flags.append(QualityFlag("stations_disagree", text, where=where))
    gathered = dict.fromkeys(f for r in chain.readings for f in r.flags)
    return Reading(image, first.facts, None, (*gathered, *flags), chain.readings, gains or ())


def _gains_of_kind(chain: _Chain, before: list[Reading]) -> tuple[float, ...] | None:
    """Give the factors of an image of the same kind and stations that is scaled already."""
    sequence = chain.readings[0].image.sequence
    kind = next((k for k in ALIKE_SCALED if sequence in k), ())
    for made in before:
        alike = made.image.sequence in kind and len(made.stations) == len(chain.readings)
        pairs = zip(made.stations, chain.readings, strict=False)
        if alike and all(a.image.grid.same_space(b.image.grid) for a, b in pairs):
            return made.gains
    return None


def with_stations(reading: Reading, stations: tuple[Reading, ...]) -> Reading:
    """Write into a joined image what it was joined from.

    Parameters
    ----------
    reading : Reading
        The joined one.
    stations : tuple of Reading
        Its stations, under the names by which their source frames are found.

    Returns
    -------
    Reading
        Its image's source names the stations, and itself by the first of them and the number of the further ones.
    """
    parts = tuple(Station(s.image.source.series_uid, s.image.source.series_number, s.image.grid) for s in stations)
    name = f"{parts[0].series_uid}+{len(parts) - 1}"
    source = replace(reading.image.source, series_uid=name, stations=parts)
    return replace(reading, image=replace(reading.image, source=source), stations=stations)


def unseen_flags(
    readings: Iterable[Reading], chosen: Mapping[Sequence, Reading], refused: Iterable[Refused]
) -> list[QualityFlag]:
    """Say which parts of the spine a study shows in a sequence and nobody looks at in it.

    Parameters
    ----------
    readings : iterable of Reading
        All images, stations joined.
    chosen : mapping of Sequence to Reading
        The images that stand for their sequences.
    refused : iterable of Refused
        What could not be joined.

    Returns
    -------
    list of QualityFlag
        One for each sequence of which a sagittal image shows a region that the chosen one does not.
    """
    why_not = {id(r): one.reason for one in refused for r in one.readings}
    readings = [r for r in readings if _may_be_station(r)]
    flags = []
    for sequence, one in chosen.items():
        elsewhere = [
            r
            for r in readings
            if r is not one
            and r.image.sequence is sequence
            and (not same_region(r, one) or (id(r) in why_not and _overlap(r, one) <= MAX_OVERLAP))
        ]
        if not elsewhere or not reads_sagittally(one.image.grid):
            continue
        places = "; ".join(dict.fromkeys(_place(r, one) for r in elsewhere))
        reasons = dict.fromkeys(why_not.get(id(r), "they are not of one protocol and position") for r in elsewhere)
        text = f"Not looked at in {sequence}: {places}. It was not joined to the image used: {'; '.join(reasons)}. "
        flags.append(QualityFlag("part_not_looked_at", text + "Analyze it by itself.", where=str(sequence)))
    return flags


def _place(reading: Reading, chosen: Reading) -> str:
    """Say where an image lies from the chosen one."""
    number = reading.image.source.series_number
    named = "" if number is None else f" (series {number})"
    if reading.image.grid.frame_of_reference != chosen.image.grid.frame_of_reference:
        return f"an image whose place is not comparable{named}"
    (low, high), (bottom, top) = _heights_mm(reading), _heights_mm(chosen)
    parts = [(high - max(low, top), "above"), (min(high, bottom) - low, "below")]
    return " and ".join(f"{mm:.0f} mm of height {side} the image used" for mm, side in parts if mm > 0) + named
