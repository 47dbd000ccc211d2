"""The comparison with a prior study as a report shows it: each lesion at both times in the same plane, and the
numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import SAGITTAL
from spondyl.io.figures import Panel, gray, window
from spondyl.io.framing import LESION_WINDOW_MM
from spondyl.io.views import View, sagittal_slice, sample, sample_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from spondyl.core import Case, Image, Lesion
    from spondyl.core.response import Change, LesionChange, Response
    from spondyl.io.panels import Pictures

PICTURED_CHANGES = 6
"""Lesions shown side by side, suspicious ones first; the table lists all."""

PICTURED_SEQUENCES = 3
"""Sequences shown of each, the reference first."""

UNITS: Mapping[str, tuple[str, float]] = {"mm3": ("mL", 1000.0), "10*-6.mm2/s": ("× 10⁻⁶ mm²/s", 1.0)}
"""How units are shown: name and divisor."""


@dataclass(frozen=True)
class ChangeRow:
    """One lesion in words and pictures.

    Parameters
    ----------
    name, place, status, category, caution : str
        As shown.
    numbers : tuple of (str, str, str)
        Name, values and verdict of each change.
    pairs : tuple of (Panel, Panel)
        Prior and current picture of each sequence.
    suspicious : bool
        Whether it enters the criteria.
    """

    name: str
    place: str
    status: str
    category: str
    caution: str
    numbers: tuple[tuple[str, str, str], ...]
    pairs: tuple[tuple[Panel, Panel], ...]
    suspicious: bool


def change_rows(pictures: Pictures, prior: Case | None, *, width_px: int) -> tuple[ChangeRow, ...]:
    """Give every lesion of a comparison.

    Parameters
    ----------
    pictures : Pictures
        Of the current case, which holds the comparison; its store takes the pictures.
    prior : Case or None
        The prior study; None shows numbers alone.
    width_px : int
        Width of a picture.

    Returns
    -------
    tuple of ChangeRow
        Suspicious ones first.
    """
    response = pictures.case.response
    if response is None:
        return ()
    ordered = sorted(response.lesions, key=lambda x: not x.suspicious)
    rows = []
    for number, change in enumerate(ordered):
        pairs = _pairs(pictures, prior, change, width_px=width_px) if prior and number < PICTURED_CHANGES else ()
        rows.append(_row(change, pairs))
    return tuple(rows)


def _row(change: LesionChange, pairs: tuple[tuple[Panel, Panel], ...]) -> ChangeRow:
    number = f"{change.lesion}" if change.lesion is not None else f"prior {change.prior_lesion}"
    return ChangeRow(
        name=number,
        place=change.level or "",
        status=change.status,
        category=change.category,
        caution=change.caution,
        numbers=tuple(numbers(c) for c in change.changes if c.prior is not None or c.current is not None),
        pairs=pairs,
        suspicious=change.suspicious,
    )


def numbers(change: Change) -> tuple[str, str, str]:
    """Give one change as it is shown.

    Parameters
    ----------
    change : Change
        One number at two studies.

    Returns
    -------
    tuple of str
        Name, both values with unit and percent, and what they mean.
    """
    unit, divisor = UNITS.get(change.unit, (change.unit, 1.0))

    def shown(value: float | None) -> str:
        if value is None:
            return "?"
        value /= divisor
        return f"{value:.2f}" if divisor > 1 and value < 1 else f"{value:.1f}" if divisor > 1 else f"{value:.0f}"

    percent = "" if change.percent is None else f" ({change.percent:+.0f} %)"
    verdict = change.verdict + (f": {change.note}" if change.note else f" (limit {_limit(change.limit)})")
    return change.name, f"{shown(change.prior)} to {shown(change.current)} {unit}{percent}", verdict


def height_words(case: Case) -> str:
    """Say which bodies have lost height since the prior study.

    Parameters
    ----------
    case : Case
        With its comparison.

    Returns
    -------
    str
        In words; empty where no height could be compared.
    """
    matches = () if case.response is None else case.response.vertebrae
    compared = [(m, m.height) for m in matches if m.height is not None]
    if not compared:
        return ""
    lost = [(m, h) for m, h in compared if h.verdict == "decreased"]
    if not lost:
        return f"none of {len(compared)} compared lost more than the limit of {compared[0][1].limit}"
    parts = [f"{m.level or f'vertebra {m.instance}'}, {h.note}: {numbers(h)[1]}" for m, h in lost]
    return f"{'; '.join(parts)} (limit {lost[0][1].limit}, {len(compared)} compared)"


def _limit(text: str) -> str:
    return text.replace("mm3", "mm³").replace("10*-6.mm2/s", "× 10⁻⁶ mm²/s")


def _pairs(pictures: Pictures, prior: Case, change: LesionChange, *, width_px: int) -> tuple[tuple[Panel, Panel], ...]:
    case, response = pictures.case, pictures.case.response
    grid = pictures.grid
    if grid is None or response is None or not response.vertebrae:
        return ()
    lesion, own = _lesion(case, prior, change)
    if lesion is None:
        return ()
    motion = _motion(lesion, own, response)
    middle = np.asarray(lesion.centroid_lps_mm)
    if own == "prior_instance":
        middle = motion[:3, :3] @ middle + motion[:3, 3]
    view = _around(grid, middle)
    if view is None:
        return ()
    back = np.linalg.inv(motion)
    before = View(view.points_lps_mm @ back[:3, :3].T + back[:3, 3], view.pixel_mm, "prior, same plane")
    shared = [i for i in pictures.ordered() if i.sequence in prior.images and i.grid.plane != "axial"]
    return tuple(
        (
            _panel(pictures, prior, prior.images[i.sequence], before, caption=f"{i.sequence} prior", width_px=width_px),
            _panel(pictures, case, i, view, caption=f"{i.sequence} current", width_px=width_px),
        )
        for i in shared[:PICTURED_SEQUENCES]
    )


def _lesion(case: Case, prior: Case, change: LesionChange) -> tuple[Lesion | None, str]:
    if change.lesion is not None:
        return next((x for x in case.lesions if x.label == change.lesion), None), "instance"
    return next((x for x in prior.lesions if x.label == change.prior_lesion), None), "prior_instance"


def _motion(lesion: Lesion, own: str, response: Response) -> NDArray[np.float64]:
    matches = response.vertebrae
    mine = next((m for m in matches if getattr(m, own) == lesion.vertebra_instance), None)
    return np.asarray((mine or matches[len(matches) // 2]).prior_to_current)


def _around(grid: Any, middle_lps_mm: NDArray[np.float64]) -> View | None:
    """A square of the slice through a point."""
    index = grid.reoriented(SAGITTAL).lps_to_ijk(middle_lps_mm)
    n = grid.reoriented(SAGITTAL).shape[0]
    sheet = sagittal_slice(grid, int(np.clip(round(float(index[0])), 0, n - 1)))
    squared = ((sheet.points_lps_mm - middle_lps_mm) ** 2).sum(-1)
    row, column = np.unravel_index(int(np.argmin(squared)), squared.shape)
    half = LESION_WINDOW_MM / sheet.pixel_mm / 2
    height, width = squared.shape
    r = float(np.clip(row, min(half, height / 2), max(height - half, height / 2)))
    c = float(np.clip(column, min(half, width / 2), max(width - half, width / 2)))
    return sheet.cropped((r - half, r + half - 1), (c - half, c + half - 1))


def _panel(pictures: Pictures, case: Case, image: Image, view: View, *, caption: str, width_px: int) -> Panel:
    picture = gray(sample(image, view), window(image, case.vertebrae))
    stored = pictures.store.add(picture, view)
    spoken = caption.replace("_", " ")
    panel = Panel(replace(view), stored, width_px, spoken, f"{spoken}, {view.place}, anterior to the left", 2)
    if "lesions" in case.labels:
        found = sample_labels(case.labels["lesions"], view)
        for label in np.unique(found[found > 0]):
            panel.add_outline(found == label, "lesion")
    return panel
