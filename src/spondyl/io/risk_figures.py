"""Pictures of prognosis: what a prediction is made of, and whether curves come true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.io.page import COLORS, SERIES, Picture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

WIDTH_MM = 150.0

MOST_BARS = 10
"""Features that a waterfall or swarm shows; the others are one bar."""


def waterfall_picture(
    labels: Sequence[str], values: Floats, base: float, *, axis: str, caption: str, scale: float = 100.0
) -> Picture:
    """Draw how features lead from the mean prediction to that of one patient.

    Parameters
    ----------
    labels : sequence of str, length p
        Features, with the patient's values.
    values : ndarray of float, shape (p,)
        What each adds.
    base : float
        Mean prediction.
    axis, caption : str
        Name of the axis, and what is shown.
    scale : float, optional
        Factor of the numbers on the axis, such as 100 for percent.

    Returns
    -------
    Picture
        The drawing, largest parts on top.
    """
    order = np.argsort(-np.abs(values), kind="stable")
    shown = order[:MOST_BARS]
    names, parts = [labels[i] for i in shown], values[shown]
    if len(order) > len(shown):
        names, parts = [*names, f"{len(order) - len(shown)} more"], np.append(parts, values[order[MOST_BARS:]].sum())
    ends = scale * (base + np.cumsum(parts[::-1])[::-1])
    starts = ends - scale * parts

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        rows = np.arange(len(parts))[::-1]
        span = max(float(np.ptp(np.concatenate([starts, ends]))), 1e-9)
        for row, start, end in zip(rows, starts, ends, strict=True):
            up = end >= start
            axes.barh(row, end - start, left=start, height=0.6, color=COLORS["warm" if up else "accent"])
            axes.annotate(
                f"{end - start:+.1f}",
                (max(start, end), row),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=7.5,
                color=COLORS["soft"],
            )
        for row, end in zip(rows[:-1], starts[:-1], strict=True):
            axes.plot([end, end], [row - 0.7, row + 0.3], color=COLORS["line"], linewidth=0.8, zorder=0)
        axes.axvline(scale * base, color=COLORS["soft"], linewidth=0.8, linestyle=":")
        axes.axvline(ends[0], color=COLORS["ink"], linewidth=0.8, linestyle=":")
        axes.set_yticks(rows, names)
        axes.set_xlim(min(starts.min(), ends.min()) - 0.08 * span, max(starts.max(), ends.max()) + 0.16 * span)
        axes.set_xlabel(f"{axis}: mean {scale * base:.1f}, here {ends[0]:.1f}")

    return Picture(draw, WIDTH_MM, 22 + 6.5 * len(parts), caption)


def swarm_picture(names: Sequence[str], values: Floats, features: Floats, *, axis: str, caption: str) -> Picture:
    """Draw what every feature adds in every patient, colored by the feature's value.

    Parameters
    ----------
    names : sequence of str, length p
        Features.
    values : ndarray of float, shape (n, p)
        What each adds.
    features : ndarray of float, shape (n, p)
        Values of the features; NaN is gray.
    axis, caption : str
        Name of the axis, and what is shown.

    Returns
    -------
    Picture
        The drawing, most important features on top.
    """
    order = np.argsort(-np.abs(values).mean(axis=0), kind="stable")[:MOST_BARS]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.axvline(0, color=COLORS["line"], linewidth=1)
        for row, column in enumerate(order[::-1]):
            x, f = values[:, column], features[:, column]
            known = np.isfinite(f)
            rank = np.full(len(f), 0.5)
            rank[known] = (np.argsort(np.argsort(f[known])) + 0.5) / max(known.sum(), 1)
            y = row + _spread(x)
            axes.scatter(x[~known], y[~known], s=9, color=COLORS["line"], linewidths=0)
            shown = axes.scatter(x[known], y[known], c=rank[known], s=9, cmap="coolwarm", vmin=0, vmax=1, linewidths=0)
        axes.set_yticks(np.arange(len(order)), [names[i] for i in order[::-1]])
        axes.set_xlabel(axis)
        bar = figure.colorbar(shown, ax=axes, shrink=0.5, ticks=[0, 1])
        bar.ax.set_yticklabels(["low", "high"])
        bar.set_label("value of the feature", fontsize=7.5)

    return Picture(draw, WIDTH_MM, 24 + 8 * len(order), caption)


def _spread(x: Floats) -> Floats:
    """Heights that keep points of like value apart."""
    if not len(x) or np.ptp(x) == 0:
        return np.zeros(len(x))
    place = np.digitize(x, np.linspace(x.min(), x.max(), 40))
    height = np.zeros(len(x))
    for own in np.unique(place):
        rows = np.flatnonzero(place == own)
        height[rows] = (np.arange(len(rows)) - (len(rows) - 1) / 2) * min(0.07, 0.7 / len(rows))
    return height


def dependence_picture(names: Sequence[str], values: Floats, features: Floats, *, axis: str, caption: str) -> Picture:
    """Draw what a feature adds against its value, for a few features.

    Parameters
    ----------
    names : sequence of str, length p
        Features, at most four are readable.
    values, features : ndarray of float, shape (n, p)
        What each adds, and its value.
    axis, caption : str
        Name of the axis, and what is shown.

    Returns
    -------
    Picture
        The drawing.
    """

    def draw(figure: Figure) -> None:
        panels = np.atleast_1d(figure.subplots(1, len(names), sharey=True))
        for column, (axes, name) in enumerate(zip(panels, names, strict=True)):
            axes.axhline(0, color=COLORS["line"], linewidth=1)
            axes.scatter(features[:, column], values[:, column], s=9, color=COLORS["accent"], alpha=0.7, linewidths=0)
            axes.set_xlabel(name)
        panels[0].set_ylabel(axis)

    return Picture(draw, WIDTH_MM, 58, caption)


def survival_picture(
    groups: Mapping[str, tuple[tuple[Floats, Floats], tuple[Floats, Floats]]], *, axis: str, caption: str
) -> Picture:
    """Draw observed beside predicted curves of groups of patients.

    Parameters
    ----------
    groups : mapping of str to ((times, observed), (times, predicted))
        By name of the group; observed curves are steps.
    axis, caption : str
        Name of the vertical axis, and what is shown.

    Returns
    -------
    Picture
        The drawing: observed curves whole, predicted ones dashed.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for number, (name, (observed, predicted)) in enumerate(groups.items()):
            color = COLORS[SERIES[number % len(SERIES)]]
            axes.step(*observed, where="post", color=color, linewidth=1.5, label=name)
            axes.plot(*predicted, color=color, linewidth=1.2, linestyle="--")
        _from_zero(axes, axis)
        axes.legend(loc="best", title="observed; dashed: predicted", fontsize=7.5, title_fontsize=7.5)

    return Picture(draw, WIDTH_MM, 78, caption)


def _from_zero(axes: Axes, axis: str) -> None:
    axes.set_ylim(0, 1.02)
    axes.set_xlim(left=0)
    axes.set_ylabel(axis)
    axes.set_xlabel("time, in the unit of the table")
    axes.grid(color=COLORS["line"], linewidth=0.6)
    axes.set_axisbelow(True)


def calibration_picture(
    curve: tuple[Floats, Floats], groups: Sequence[tuple[float, float, float, float]], caption: str
) -> Picture:
    """Draw observed shares against predicted risks.

    Parameters
    ----------
    curve : tuple of ndarray
        Predicted and observed along a smooth curve.
    groups : sequence of (predicted, observed, low, high)
        Groups of patients with their intervals.
    caption : str
        What is shown.

    Returns
    -------
    Picture
        The drawing; the diagonal is what would be right.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=COLORS["soft"], linewidth=0.8, linestyle=":")
        axes.plot(*curve, color=COLORS["accent"], linewidth=1.5)
        for predicted, observed, low, high in groups:
            axes.plot([predicted, predicted], [low, high], color=COLORS["warm"], linewidth=1)
            axes.plot(predicted, observed, "o", color=COLORS["warm"], markersize=4)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
        axes.set_xlabel("predicted risk")
        axes.set_ylabel("observed share")

    return Picture(draw, 90, 88, caption)


def benefit_picture(thresholds: Floats, curves: Mapping[str, Floats], caption: str) -> Picture:
    """Draw net benefit over thresholds.

    Parameters
    ----------
    thresholds : ndarray of float, shape (n_thresholds,)
        Risk from which one acts.
    curves : mapping of str to ndarray of float, shape (n_thresholds,)
        Net benefit of each strategy; the last two are to treat all and none.
    caption : str
        What is shown.

    Returns
    -------
    Picture
        The drawing.
    """
    names = list(curves)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for number, name in enumerate(names):
            plain = number >= len(names) - 2
            color = COLORS["soft"] if plain else COLORS[SERIES[number % len(SERIES)]]
            dash = ":" if plain else ("-", "--")[(number // len(SERIES)) % 2]
            axes.plot(100 * thresholds, curves[name], color=color, linewidth=1.3, linestyle=dash, label=name)
        top = max(float(np.nanmax(c)) for c in curves.values())
        axes.set_ylim(-0.15 * max(top, 0.05), 1.1 * max(top, 0.05))
        axes.set_xlabel("risk from which one would act, %")
        axes.set_ylabel("net benefit")
        axes.legend(fontsize=7.5)

    return Picture(draw, WIDTH_MM, 74, caption)
