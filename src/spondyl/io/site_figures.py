"""Pictures of an evaluation at a site: discrimination and calibration side by side, and failures as they look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.io.page import COLORS, Picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FULL_WIDTH_MM = 176.0

CURVES_MM, FAILURES_MM = 58.0, 51.0
"""Heights of the pictures."""

RING_MM = 17.0
"""Radius of the ring around a vertebra: it holds a lumbar body. Chosen by us."""

GRAY = "gray"


@dataclass(frozen=True, eq=False)
class Curves:
    """What the picture of performance shows.

    Parameters
    ----------
    false_positive_rate, sensitivity : ndarray of float or None
        The ROC curve; None with one class only.
    point : tuple of float
        False positive rate and sensitivity at the threshold; NaN where not assessable.
    predicted, observed : ndarray of float or None
        The smooth calibration curve; None where there is none.
    probability, positive : ndarray
        Probability of each case and whether it is positive, for the rug below.
    """

    false_positive_rate: Floats | None
    sensitivity: Floats | None
    point: tuple[float, float]
    predicted: Floats | None
    observed: Floats | None
    probability: Floats
    positive: NDArray[np.bool_]


def performance_picture(curves: Curves, caption: str) -> Picture:
    """Draw the ROC curve, the calibration curve and where the answers lie.

    Parameters
    ----------
    curves : Curves
        What to draw.
    caption : str
        What it shows.

    Returns
    -------
    Picture
        The drawing.
    """

    def draw(figure: Figure) -> None:
        roc, calibration, answers = figure.subplots(1, 3)
        _draw_roc(roc, curves)
        _draw_calibration(calibration, curves)
        _draw_answers(answers, curves)

    return Picture(draw, FULL_WIDTH_MM, CURVES_MM, caption)


def _draw_roc(axes: Axes, curves: Curves) -> None:
    axes.plot([0, 1], [0, 1], color=COLORS["line"], linewidth=0.8)
    if curves.false_positive_rate is not None and curves.sensitivity is not None:
        axes.plot(curves.false_positive_rate, curves.sensitivity, color=COLORS["accent"], linewidth=1.8)
    if np.isfinite(curves.point).all():
        axes.plot(*curves.point, "o", color=COLORS["warm"], markersize=5, label="threshold")
        axes.legend(loc="lower right", handletextpad=0.1)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("sensitivity")


def _draw_calibration(axes: Axes, curves: Curves) -> None:
    axes.plot([0, 1], [0, 1], color=COLORS["line"], linewidth=0.8)
    if curves.predicted is not None and curves.observed is not None:
        axes.plot(curves.predicted, curves.observed, color=COLORS["accent"], linewidth=1.8)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("observed share")


def _draw_answers(axes: Axes, curves: Curves) -> None:
    """Histograms of the answers, each as a share of its class, so that a rare class is seen."""
    bins = np.linspace(0, 1, 21).tolist()
    for name, color, which in (("other", "accent", ~curves.positive), ("malignant", "warm", curves.positive)):
        if which.any():
            weights = np.full(int(which.sum()), 1 / which.sum())
            axes.hist(curves.probability[which], bins, weights=weights, color=COLORS[color], alpha=0.55, label=name)
    axes.set(xlim=(0, 1))
    axes.set_box_aspect(1)
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("share of the class")
    axes.legend(loc="upper right", handlelength=1.0)


@dataclass(frozen=True, eq=False)
class FailureView:
    """One failure, ready to draw.

    Parameters
    ----------
    gray : ndarray of uint8, shape (rows, columns)
        The picture.
    pixel_mm : float
        Edge of a pixel in mm.
    mark : tuple of float or None
        Column and row of the vertebra's center; None where nobody knows.
    edges : tuple of str
        Letters at the left and the right edge.
    title : str
        What went wrong, in two short lines.
    """

    gray: NDArray[np.uint8]
    pixel_mm: float
    mark: tuple[float, float] | None
    edges: tuple[str, str]
    title: str


def failures_picture(views: Sequence[FailureView], caption: str) -> Picture:
    """Draw failures side by side.

    Parameters
    ----------
    views : sequence of FailureView
        At least one.
    caption : str
        What it shows.

    Returns
    -------
    Picture
        The drawing.
    """
    width = FULL_WIDTH_MM * len(views) / max(len(views), 4)

    def draw(figure: Figure) -> None:
        for axes, view in zip(np.ravel(figure.subplots(1, len(views))), views, strict=True):
            _draw_failure(axes, view)

    return Picture(draw, width, FAILURES_MM, caption)


def _draw_failure(axes: Axes, view: FailureView) -> None:
    from matplotlib.patches import Circle

    axes.imshow(view.gray, cmap=GRAY, vmin=0, vmax=255, interpolation="bilinear")
    if view.mark is not None:
        axes.add_patch(Circle(view.mark, RING_MM / view.pixel_mm, fill=False, edgecolor=COLORS["warm"], linewidth=1.2))
    for letter, x, side in zip(view.edges, (0.03, 0.97), ("left", "right"), strict=True):
        axes.text(x, 0.5, letter, transform=axes.transAxes, ha=side, va="center", color="#ffffff", fontsize=7)
    axes.set_title(view.title, fontsize=7.5, loc="left")
    axes.axis("off")
