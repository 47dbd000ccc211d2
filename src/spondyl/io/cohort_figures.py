"""Pictures of a harmonized cohort: the data before and after, uncertainty by contrast, scanners in a plane, priors."""

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

FULL_WIDTH_MM = 150.0

MOST_COLORS = 10
"""More scanners than this are drawn in one color each by place on a scale, without a legend."""

CLIPPED_SD = 3.0
"""Standard deviations at which the overview's colors end."""


def overview_picture(before: Floats, after: Floats, scanners: Sequence[str], caption: str) -> Picture:
    """Draw every value of a table, rows sorted by scanner, before and after.

    Parameters
    ----------
    before, after : ndarray of float, shape (n, p)
        Features in their own units; each is shown in standard deviations from its mean before.
    scanners : sequence of str
        Scanner of each row.
    caption : str
        What it shows.

    Returns
    -------
    Picture
        The drawing.
    """
    order = np.argsort(np.asarray(scanners), kind="stable")
    names, first = np.unique(np.asarray(scanners)[order], return_index=True)
    center, spread = np.nanmean(before, axis=0), np.nanstd(before, axis=0)
    spread = np.where(spread > 0, spread, 1.0)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, values, title in zip(panels, (before, after), ("as measured", "harmonized"), strict=True):
            z = np.ma.masked_invalid(((values - center) / spread)[order])
            shown = axes.imshow(
                z, aspect="auto", cmap="RdBu_r", vmin=-CLIPPED_SD, vmax=CLIPPED_SD, interpolation="nearest"
            )
            for start in first[1:]:
                axes.axhline(start - 0.5, color=COLORS["ink"], linewidth=0.5)
            axes.set_title(title, fontsize=9)
            axes.set_xlabel("features")
            axes.set_xticks([])
        if len(names) <= 3 * MOST_COLORS:
            middle = (first + np.append(first[1:], len(order)) - 1) / 2
            panels[0].set_yticks(middle, names)
        else:
            panels[0].set_yticks([])
            panels[0].set_ylabel(f"rows, by {len(names)} scanners")
        figure.colorbar(shown, ax=list(panels), label="standard deviations", shrink=0.6)

    return Picture(draw, FULL_WIDTH_MM, 80, caption)


def uncertainty_picture(sd_by_contrast: Mapping[str, Floats], caption: str) -> Picture:
    """Draw how sure harmonized values are, one box for each contrast.

    Parameters
    ----------
    sd_by_contrast : mapping of str to ndarray of float
        Standard deviation of every value, in standard deviations of its feature between patients.
    caption : str
        What it shows.

    Returns
    -------
    Picture
        The drawing; boxes hold the middle half, whiskers the middle 90 %.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        rows = np.arange(len(sd_by_contrast))[::-1]
        for row, values in zip(rows, sd_by_contrast.values(), strict=True):
            low, q1, median, q3, high = np.nanquantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
            axes.plot([low, high], [row, row], color=COLORS["soft"], linewidth=1)
            axes.barh(row, q3 - q1, left=q1, height=0.5, color=COLORS["accent"], alpha=0.35)
            axes.plot([median, median], [row - 0.25, row + 0.25], color=COLORS["accent"], linewidth=2)
        axes.set_yticks(rows, list(sd_by_contrast))
        axes.set_xlim(left=0)
        axes.set_xlabel("standard deviation of a harmonized value, relative to the spread between patients")
        axes.grid(axis="x", color=COLORS["line"], linewidth=0.6)
        axes.set_axisbelow(True)

    return Picture(draw, FULL_WIDTH_MM, 24 + 7 * len(sd_by_contrast), caption)


def plane_picture(before: Floats, after: Floats, scanners: Sequence[str], caption: str) -> Picture:
    """Draw patients in the plane of the two directions in which the table varies most, before and after.

    Parameters
    ----------
    before, after : ndarray of float, shape (n, 2)
        Places in that plane.
    scanners : sequence of str
        Scanner of each row.
    caption : str
        What it shows.

    Returns
    -------
    Picture
        The drawing.
    """
    names = sorted(set(scanners))

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, 2)
        for axes, places, title in zip(panels, (before, after), ("as measured", "harmonized"), strict=True):
            for number, name in enumerate(names):
                own = np.asarray(scanners) == name
                _points(axes, places[own], number, len(names), name)
            axes.set_title(title, fontsize=9)
            axes.set_xlabel("first direction")
            axes.set_xticks([])
            axes.set_yticks([])
        panels[0].set_ylabel("second direction")
        if len(names) <= MOST_COLORS:
            figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(len(names), 5))

    return Picture(draw, FULL_WIDTH_MM, 82, caption)


MARKS = ("o", "s", "^")
"""Beside colors, so that twelve scanners are told apart, in gray print too."""


def _points(axes: Axes, places: Floats, number: int, count: int, name: str) -> None:
    if count <= MOST_COLORS:
        color = COLORS[SERIES[number % len(SERIES)]]
        mark = MARKS[(number // len(SERIES)) % len(MARKS)]
    else:
        from matplotlib import colormaps
        from matplotlib.colors import to_hex

        color, mark = to_hex(colormaps["viridis"](number / max(count - 1, 1))), "o"
    axes.plot(places[:, 0], places[:, 1], mark, color=color, markersize=2.6, alpha=0.7, label=name)


def prior_picture(shifts: Mapping[str, Floats], scales: Mapping[str, Floats], caption: str) -> Picture:
    """Draw estimated scanner effects against the priors they are shrunk with.

    Parameters
    ----------
    shifts : mapping of str to ndarray of float
        For each scanner its shifts, standardized by the prior; standard normal if the prior is right.
    scales : mapping of str to ndarray of float
        For each scanner the place of its scales in their prior, from 0 to 1; uniform if the prior is right.
    caption : str
        What it shows.

    Returns
    -------
    Picture
        Two plots of quantiles; a scanner whose curve leaves the diagonal does not follow its prior.
    """
    from scipy.special import ndtri

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for axes, of_scanners, ends in ((left, shifts, (-3.2, 3.2)), (right, scales, (0.0, 1.0))):
            axes.plot(ends, ends, color=COLORS["soft"], linewidth=0.8)
            for number, values in enumerate(of_scanners.values()):
                known = np.sort(values[np.isfinite(values)])
                expected = (np.arange(len(known)) + 0.5) / max(len(known), 1)
                if axes is left:
                    expected = ndtri(expected)
                axes.plot(expected, known, color=COLORS[SERIES[number % len(SERIES)]], linewidth=0.9, alpha=0.7)
            axes.set(xlim=ends, ylim=ends, aspect="equal")
            axes.set_xlabel("quantiles of the prior")
        left.set_title("additive effects", fontsize=9)
        left.set_ylabel("estimated effects")
        right.set_title("multiplicative effects", fontsize=9)

    return Picture(draw, FULL_WIDTH_MM, 80, caption)
