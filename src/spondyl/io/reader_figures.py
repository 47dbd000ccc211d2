"""Pictures of reader studies: curves, readers side by side, times, and what a study of a size can show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.io.page import COLORS, SERIES, Picture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FULL_WIDTH_MM, SQUARE_MM = 150.0, 76.0
"""Width of most pictures on paper, and side of square ones."""

READER_MM = 5.2
"""Height of a reader's row."""

CURVE_POINTS = np.linspace(0, 1, 201)
"""False positive rates at which curves of readers are averaged."""


def _color(number: int) -> str:
    return COLORS[SERIES[number % len(SERIES)]]


@dataclass(frozen=True)
class Interval:
    """A value with an interval, or without one (NaN).

    Parameters
    ----------
    value, low, high : float
        The value and the ends of its interval.
    """

    value: float
    low: float
    high: float


def roc_picture(curves: Mapping[str, Sequence[tuple[Floats, Floats]]], caption: str) -> Picture:
    """Draw the ROC curves of readers, thin, and their average, thick.

    Parameters
    ----------
    curves : mapping of str to sequence of (ndarray, ndarray)
        For each modality the false positive rates and sensitivities of each reader.
    caption : str
        What it shows.

    Returns
    -------
    Picture
        The drawing.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=COLORS["line"], linewidth=0.8)
        for number, (name, of_readers) in enumerate(curves.items()):
            for x, y in of_readers:
                axes.plot(x, y, color=_color(number), alpha=0.28, linewidth=0.7)
            mean = np.mean([np.interp(CURVE_POINTS, x, y) for x, y in of_readers], axis=0)
            axes.plot([0, *CURVE_POINTS], [0, *mean], color=_color(number), linewidth=2, label=name)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("sensitivity")
        axes.legend(loc="lower right")

    return Picture(draw, SQUARE_MM, SQUARE_MM, caption)


def reader_picture(
    readers: Sequence[str],
    values: Mapping[str, Sequence[Interval | None]],
    means: Mapping[str, Interval],
    axis: str,
    caption: str,
) -> Picture:
    """Draw each reader's figure in each modality, and the means with their intervals.

    Parameters
    ----------
    readers : sequence of str
        Names.
    values : mapping of str to sequence of Interval or None
        For each modality one value per reader, None where not read.
    means : mapping of str to Interval
        Mean of each modality.
    axis : str
        What the values are.
    caption : str
        What it shows.

    Returns
    -------
    Picture
        The drawing.
    """
    n = len(readers)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        rows = np.arange(n)[::-1] + 1.6
        _join(axes, rows, list(values.values()))
        for number, (name, of_readers) in enumerate(values.items()):
            shift = 0.0 if len(values) < 2 else 0.1 * (number - (len(values) - 1) / 2)
            for row, value in zip(rows, of_readers, strict=True):
                if value is not None:
                    axes.plot(value.value, row, "o", color=_color(number), markersize=4.2)
            mean, y = means[name], 0.35 - 2.6 * shift
            axes.plot([mean.low, mean.high], [y, y], color=_color(number), linewidth=1.6)
            axes.plot(mean.value, y, "D", color=_color(number), markersize=5, label=name)
        axes.set_yticks([0.35, *rows], ["mean", *readers])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color=COLORS["line"], linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_ylim(-0.4, n + 1.2)
        axes.set_xlabel(axis)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(values))

    return Picture(draw, FULL_WIDTH_MM, 26 + READER_MM * (n + 2), caption)


def _join(axes: Axes, rows: NDArray[Any], values: Sequence[Sequence[Interval | None]]) -> None:
    """Draw a line through the values of each reader, so that the eye sees the change."""
    for row, of_reader in zip(rows, zip(*values, strict=True), strict=True):
        known = [v.value for v in of_reader if v is not None]
        if len(known) > 1:
            axes.plot([min(known), max(known)], [row, row], color=COLORS["line"], linewidth=2.2, zorder=1)


def ratio_picture(ratios: Mapping[str, float], mean: Interval, axis: str, caption: str) -> Picture:
    """Draw each reader's ratio of times, and the mean with its interval, on a scale of factors.

    Parameters
    ----------
    ratios : mapping of str to float
        Ratio of each reader.
    mean : Interval
        Mean ratio.
    axis : str
        What the ratio is of.
    caption : str
        What it shows.

    Returns
    -------
    Picture
        The drawing.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        rows = np.arange(len(ratios))[::-1] + 1.5
        axes.axvline(1, color=COLORS["soft"], linewidth=0.8)
        axes.plot(list(ratios.values()), rows, "o", color=COLORS["accent"], markersize=4.2)
        if np.isfinite(mean.low):
            axes.plot([mean.low, mean.high], [0.3, 0.3], color=COLORS["accent"], linewidth=1.6)
        axes.plot(mean.value, 0.3, "D", color=COLORS["accent"], markersize=5)
        axes.set_xscale("log")
        _ticks(axes, [*ratios.values(), mean.low, mean.high, 1.0])
        axes.set_yticks([0.3, *rows], ["mean", *ratios])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color=COLORS["line"], linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_ylim(-0.3, len(ratios) + 1)
        axes.set_xlabel(axis)

    return Picture(draw, FULL_WIDTH_MM, 20 + READER_MM * (len(ratios) + 1), caption)


def _ticks(axes: Axes, values: Sequence[float]) -> None:
    """Label a scale of factors with plain numbers."""
    finite = [v for v in values if np.isfinite(v)]
    low, high = min(finite) / 1.08, max(finite) * 1.08
    candidates = [c * 10.0**p for p in range(-3, 4) for c in (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)]
    shown = [t for t in candidates if low <= t <= high] or [1.0]
    step = -(-len(shown) // 8)
    axes.set_xlim(low, high)
    axes.set_xticks(shown[::step], [f"{t:g}" for t in shown[::step]])
    axes.set_xticks([], minor=True)


def power_picture(curves: Mapping[str, tuple[Floats, Floats]], wanted: float, caption: str) -> Picture:
    """Draw power over numbers of cases, one curve for each number of readers.

    Parameters
    ----------
    curves : mapping of str to (ndarray, ndarray)
        Cases and power.
    wanted : float
        Power wanted.
    caption : str
        What it shows.

    Returns
    -------
    Picture
        The drawing.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.axhline(wanted, color=COLORS["soft"], linewidth=0.8)
        for number, (name, (cases, power)) in enumerate(curves.items()):
            axes.plot(cases, power, color=_color(number), linewidth=1.6, label=name)
        axes.set(xlim=(0, None), ylim=(0, 1.01))
        axes.set_xlabel("cases")
        axes.set_ylabel("power")
        axes.legend(loc="lower right")

    return Picture(draw, FULL_WIDTH_MM, 66, caption)
