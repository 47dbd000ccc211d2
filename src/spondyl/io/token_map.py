"""The lesion token map: every patient a point, colored by token or by any column, told by pointing at it.

Colors change by radio buttons and style rules alone, so that the page needs no script and can be opened anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PALETTE = (
    "#0b7285", "#c8501a", "#7a5cc0", "#4f8a3c", "#b3892b", "#c2437b", "#3c6fd1", "#6b7d87", "#8a5a3c", "#2f9e8f",
)  # fmt: skip
"""Colors of categories, told apart on light and dark; a category more than these shares gray."""

GRAY = "#8b979e"

NOWHERE = "reject"
"""Category of who fits none; they lie scattered, so no place on the map is theirs."""

WIDTH, HEIGHT, EDGE, LEGEND = 900, 520, 34, 170
"""Size of the drawing, its margin, and the room for the key, in user units."""

SIZE = 4.2
"""Radius of a point."""


class MapPoints(NamedTuple):
    """What a map shows.

    Parameters
    ----------
    places : ndarray of float, shape (n, 2)
        Coordinates.
    words : sequence of str
        What pointing at each tells.
    confidence : ndarray of float, shape (n,)
        From 0 to 1; unsure points are paler.
    colored_by : mapping of str to sequence of str
        Category of each point by column; the first column is shown at first.
    """

    places: Floats
    words: Sequence[str]
    confidence: Floats
    colored_by: Mapping[str, Sequence[str]]


def token_map(points: MapPoints, *, name: str = "map", here: tuple[Floats, str] | None = None) -> Markup:
    """Draw a map.

    Parameters
    ----------
    points : MapPoints
        The patients.
    name : str, optional
        Keeps maps of one page apart.
    here : tuple of ndarray and str, optional
        A place to point out, and what pointing at it tells.

    Returns
    -------
    Markup
        Radio buttons and an ``svg`` element.
    """
    at = _scaled(points.places, None if here is None else here[0])
    columns = {column: _coded(values) for column, values in points.colored_by.items()}
    buttons, rules, keys = [], [], []
    for c, (column, (labels, _)) in enumerate(columns.items()):
        button = f"{name}-{c}"
        checked = Markup(" checked") if c == 0 else Markup("")
        alone = Markup(" hidden") if len(columns) == 1 else Markup("")  # nothing to choose
        buttons.append(
            Markup('<input type="radio" name="{}" id="{}"{}{}><label for="{}"{}>{}</label>').format(
                name, button, checked, alone, button, alone, column
            )
        )
        rules += [f"#{button}:checked ~ svg .{name}{c}v{k} {{ fill:{_color(k)} }}" for k in range(len(labels))]
        rules.append(f"#{button}:checked ~ svg .{name}{c}key {{ display:block }}")
        keys.append(_key(f"{name}{c}key", labels))
    dots = [
        _dot(at[i], points, i, {c: codes[i] for c, (_, codes) in enumerate(columns.values())}, name)
        for i in range(len(points.places))
    ]
    first = next(iter(points.colored_by.values()))
    body = Markup("").join([*dots, *_centers(at[: len(points.places)], first), *keys])
    if here is not None:
        body += _cross(at[-1], here[1])
    style = Markup("<style>{}</style>").format(Markup("\n".join(rules)))  # noqa: S704 - numbers and fixed words only
    svg = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="Lesion token map">{}</svg>').format(
        WIDTH, HEIGHT, body
    )
    return style + Markup("").join(buttons) + svg


def _color(k: int) -> str:
    return PALETTE[k] if k < len(PALETTE) else GRAY


def _coded(values: Sequence[str]) -> tuple[list[str], list[int]]:
    labels = sorted(set(map(str, values)))
    place = {label: k for k, label in enumerate(labels)}
    return labels, [place[str(v)] for v in values]


def _scaled(places: Floats, here: Floats | None) -> Floats:
    """Fit coordinates into the drawing, y upward."""
    both = places if here is None else np.vstack([places, here])
    if both.shape[1] < 2:
        both = np.column_stack([both[:, 0], np.zeros(len(both))])
    low, high = np.quantile(both, 0.002, axis=0), np.quantile(both, 0.998, axis=0)
    share = np.clip((both - low) / np.where(high > low, high - low, 1.0), -0.02, 1.02)
    x = EDGE + share[:, 0] * (WIDTH - LEGEND - 2 * EDGE)
    return np.column_stack([x, HEIGHT - EDGE - share[:, 1] * (HEIGHT - 2 * EDGE)])


def _dot(at: Floats, points: MapPoints, i: int, codes: Mapping[int, int], name: str) -> Markup:
    classes = " ".join(f"{name}{c}v{k}" for c, k in codes.items())
    return Markup(
        '<g class="point"><title>{}</title><circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}" opacity="{:.2f}"/></g>'
    ).format(points.words[i], classes, at[0], at[1], SIZE, 0.35 + 0.6 * float(points.confidence[i]))


def _centers(at: Floats, labels: Sequence[str]) -> list[Markup]:
    text = np.asarray(list(map(str, labels)))
    found = []
    for label in sorted(set(text) - {NOWHERE}):
        middle = np.median(at[text == label], axis=0)
        found.append(
            Markup('<text class="center" text-anchor="middle" x="{:.1f}" y="{:.1f}">{}</text>').format(*middle, label)
        )
    return found


def _key(css: str, labels: Sequence[str]) -> Markup:
    rows = [
        Markup('<rect x="{}" y="{}" width="11" height="11" rx="2" fill="{}"/><text x="{}" y="{}">{}</text>').format(
            WIDTH - LEGEND + 4, EDGE + 20 * k, _color(k), WIDTH - LEGEND + 22, EDGE + 20 * k + 10, label
        )
        for k, label in enumerate(labels[:22])
    ]
    return Markup('<g class="legend {}">{}</g>').format(css, Markup("").join(rows))


def _cross(at: Floats, words: str) -> Markup:
    x, y = at
    return Markup(
        '<g class="point"><title>{}</title><path class="mark" d="M{:.1f} {:.1f}l9 16h-18z" fill="var(--ink)"/>'
        '<text class="center" x="{:.1f}" y="{:.1f}">this patient</text></g>'
    ).format(escape(words), x, y - 9, x + 13, y + 5)
