"""The pictures of the report: gray images as WebP, everything drawn over them as vectors.

Outlines, letters, scale bars and level names are SVG in millimeters over the picture, so that they stay crisp at any
zoom and in print, and the image itself is stored once for the picture with and the picture without them.
"""

from __future__ import annotations

import base64
import io as streams
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from contourpy import LineType, contour_generator
from markupsafe import Markup, escape
from PIL import Image as PillowImage
from scipy.ndimage import gaussian_filter

from spondyl.core import Sequence
from spondyl.core.at_once import at_once

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from spondyl.core import Image
    from spondyl.io.views import View

WINDOW_PERCENTILES = {Sequence.STIR: (2.0, 99.7), Sequence.T2FS: (2.0, 99.7), Sequence.DWI: (2.0, 99.8)}
"""Percentiles of the signal around the column shown as black and white, where bright lesions must not burn out."""

USUAL_PERCENTILES = (1.0, 99.3)
"""The same for every other sequence. Chosen by us on real and synthetic lumbar images."""

ADC_WINDOW = (0.0, 3000.0)
"""ADC has a unit, so its window is fixed: 0 to free water at body temperature, 3000 × 10⁻⁶ mm²/s
(Holz 2000, doi 10.1039/b005319h)."""

COLUMN_MARGIN_MM = 30.0
"""What counts as around the column for a window: this far from a body center. Chosen by us."""

BODY_FRACTION = 0.1
"""Fraction of the brightest signal below which a voxel counts as air, where no column is known. Chosen by us."""

OUTLINE_SMOOTHING_PX = 0.8
"""Standard deviation of the smoothing of an outline, in picture pixels; hides the steps of the voxels. Chosen by us."""

WEBP_QUALITY = 88
"""WebP quality at which the coding is not seen at report size."""

_WINDOW_SAMPLES = 200_000


class Placed(Protocol):
    """Something that has a place in the patient, such as a vertebra."""

    @property
    def centroid_lps_mm(self) -> tuple[float, float, float]:
        """Center in LPS mm."""


def window(image: Image, vertebrae: Iterable[Placed] = ()) -> tuple[float, float]:
    """Choose the signal shown as black and as white.

    Parameters
    ----------
    image : Image
        Any image.
    vertebrae : iterable of Placed, optional
        Where the column is; the window is fitted to its surroundings, so that coil shading does not decide it.

    Returns
    -------
    tuple of float
        Black and white, in the unit of the image.
    """
    if image.sequence is Sequence.ADC:
        return ADC_WINDOW
    values = _around_column(image, vertebrae).ravel()
    values = values[:: max(values.size // _WINDOW_SAMPLES, 1)]
    values = values[np.isfinite(values) & (values > 0)]
    if values.size:
        values = values[values > BODY_FRACTION * np.percentile(values, 98)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, WINDOW_PERCENTILES.get(image.sequence, USUAL_PERCENTILES))
    dark = 0.0 if image.sequence in WINDOW_PERCENTILES else 0.6 * float(low)
    return dark, max(float(high), dark + 1e-6)


def _around_column(image: Image, vertebrae: Iterable[Placed]) -> NDArray[np.float32]:
    """Signal in a box around each body, or everywhere where none is in the image."""
    margin = COLUMN_MARGIN_MM / np.asarray(image.grid.spacing_mm)
    boxes = []
    for vertebra in vertebrae:
        index = image.grid.lps_to_ijk(vertebra.centroid_lps_mm)
        low, high = np.floor(index - margin).astype(int), np.ceil(index + margin).astype(int)
        box = image.array[tuple(slice(max(a, 0), max(b + 1, 0)) for a, b in zip(low, high, strict=True))]
        boxes.append(box[::2, ::2, ::2].ravel())
    near = np.concatenate(boxes) if boxes else np.empty(0, np.float32)
    return near if near.size else image.array


def gray(picture: NDArray[np.float32], black_white: tuple[float, float]) -> NDArray[np.uint8]:
    """Turn signal into gray levels.

    Parameters
    ----------
    picture : ndarray of float, shape (rows, columns)
        Signal; what is not a number becomes black.
    black_white : tuple of float
        Signal shown as black and as white.

    Returns
    -------
    ndarray of uint8, shape (rows, columns)
        Gray levels.
    """
    black, white = black_white
    scaled = np.nan_to_num((picture - black) * (255.0 / (white - black)), nan=0.0, posinf=255.0, neginf=0.0)
    return np.asarray(np.clip(scaled, 0, 255), dtype=np.uint8)


def data_uri(pixels: NDArray[np.uint8], *, width_px: int | None = None) -> str:
    """Encode a gray picture for use inside HTML.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (rows, columns)
        Gray levels.
    width_px : int, optional
        Reduce to this width; never enlarged.

    Returns
    -------
    str
        A ``data:`` URI holding a WebP image.
    """
    picture = PillowImage.fromarray(pixels)
    if width_px is not None and picture.width > width_px:
        height = max(round(picture.height * width_px / picture.width), 1)
        picture = picture.resize((width_px, height), PillowImage.Resampling.BOX)
    held = streams.BytesIO()
    picture.save(held, "WEBP", quality=WEBP_QUALITY, method=2)
    return "data:image/webp;base64," + base64.b64encode(held.getvalue()).decode("ascii")


def edges(mask: NDArray[np.bool_], pixel_mm: float) -> list[NDArray[np.float64]]:
    """Trace the edges of a mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (rows, columns)
        Picture pixels inside.
    pixel_mm : float
        Edge of a pixel in mm.

    Returns
    -------
    list of ndarray of float, shape (n, 2)
        Closed lines from the picture's left and upper edge in mm, first and last point the same; none for an empty
        mask.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return []
    top, left = rows[0] - 3, columns[0] - 3
    part = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32), 3)
    smooth = gaussian_filter(part, OUTLINE_SMOOTHING_PX)
    if smooth.max() <= 0.5:  # a structure of a pixel or two would vanish
        smooth = part
    lines = contour_generator(z=smooth, line_type=LineType.Separate).lines(0.5)
    # + 0.5: contours run through pixel centers, the picture starts at the outer edge of its first pixel.
    return [np.add(np.asarray(line, dtype=np.float64), (left + 0.5, top + 0.5)) * pixel_mm for line in lines]


@dataclass(frozen=True, eq=False)
class Outline:
    """The edge of something shown.

    Parameters
    ----------
    kind : str
        Class of the line: ``body``, ``posterior``, ``canal``, ``sacrum``, ``lesion`` or ``evidence``.
    lines_mm : tuple of ndarray of float, shape (n, 2)
        From `edges`.
    """

    kind: str
    lines_mm: tuple[NDArray[np.float64], ...]

    def svg(self, unit_mm: float) -> Markup:  # noqa: ARG002 - as of a label
        """Give the line.

        Parameters
        ----------
        unit_mm : float
            One screen pixel in mm of the patient; a line is as wide everywhere.

        Returns
        -------
        Markup
            An SVG element in mm.
        """
        return Markup('<path class="o {}" d="{}"/>').format(self.kind, self.path)

    @cached_property
    def path(self) -> str:
        """The line in the words of SVG."""
        paths = ("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in line[:-1].tolist()) + "Z" for line in self.lines_mm)
        return "".join(paths)


@dataclass(frozen=True)
class Label:
    """A word on a picture.

    Parameters
    ----------
    text : str
        The word.
    at_mm : tuple of float
        Where, from the left and from the top; the vertical middle of the text.
    kind : str
        Class of the text.
    anchor : str
        ``start``, ``middle`` or ``end``.
    """

    text: str
    at_mm: tuple[float, float]
    kind: str = "level"
    anchor: str = "end"

    def svg(self, unit_mm: float) -> Markup:
        """Give the word.

        Parameters
        ----------
        unit_mm : float
            One screen pixel in mm of the patient.

        Returns
        -------
        Markup
            An SVG element in mm.
        """
        size_px = 9.0 if "small" in self.kind else 11.0
        return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" font-size="{:.2f}" text-anchor="{}">{}</text>').format(
            self.kind,
            self.at_mm[0],
            # A third of the size puts the middle of capitals at the point; dominant-baseline is not reliable in print.
            self.at_mm[1] + 0.35 * size_px * unit_mm,
            size_px * unit_mm,
            self.anchor,
            escape(self.text),
        )


@dataclass(frozen=True)
class Panel:
    """A picture with what is drawn over it.

    Parameters
    ----------
    view : View
        The sheet it shows.
    image_id : str
        Id of the stored image.
    width_px : int
        Width at which it is shown, to which the size of text is fitted.
    caption : str
        Text below.
    about : str
        Text for those who cannot see it.
    scale_cm : int
        Length of the scale bar; 0 for none.
    overlay : list of Outline and Label
        What is drawn over it; panels of the same sheet may share it.
    """

    view: View
    image_id: str
    width_px: int
    caption: str = ""
    about: str = ""
    scale_cm: int = 5
    overlay: list[Outline | Label] = field(default_factory=list)

    @property
    def unit_mm(self) -> float:
        """One screen pixel at the shown size, in mm of the patient."""
        return self.view.width_mm / self.width_px

    def add_outline(self, mask: NDArray[np.bool_], kind: str) -> None:
        """Draw the edge of a mask.

        Parameters
        ----------
        mask : ndarray of bool, shape (rows, columns)
            Pixels inside.
        kind : str
            Class of the line: ``body``, ``posterior``, ``canal``, ``sacrum`` or ``lesion``.
        """
        lines = edges(mask, self.view.pixel_mm)
        if lines:
            self.overlay.append(Outline(kind, tuple(lines)))

    def add_text(self, text: str, at_mm: tuple[float, float], *, kind: str = "level", anchor: str = "end") -> None:
        """Write a word.

        Parameters
        ----------
        text : str
            The word.
        at_mm : tuple of float
            Where, from the left and from the top, in mm; the vertical middle of the text.
        kind : str, optional
            Class of the text.
        anchor : str, optional
            ``start``, ``middle`` or ``end``.
        """
        self.overlay.append(Label(text, at_mm, kind, anchor))

    def svg(self, *, marked: bool = True) -> Markup:
        """Give the picture.

        Parameters
        ----------
        marked : bool, optional
            Whether outlines and level names are drawn.

        Returns
        -------
        Markup
            An SVG element that refers to the stored image.
        """
        drawn = Markup("").join(part.svg(self.unit_mm) for part in self.overlay) if marked else ""
        over = Markup("<g class='over'>{}</g>").format(drawn) if marked else ""
        frame = Markup('<svg class="panel" viewBox="0 0 {:.1f} {:.1f}" role="img" aria-label="{}">{}</svg>')
        inside = Markup('<use href="#{}"/>{}{}').format(self.image_id, over, self._marks())
        return frame.format(self.view.width_mm, self.view.height_mm, self.about or self.caption, inside)

    def _marks(self) -> Markup:
        width, height, unit = self.view.width_mm, self.view.height_mm, self.unit_mm
        left, right, top, bottom = self.view.edges
        named = [
            Label(left, (5 * unit, height / 2), "edge", "start"),
            Label(right, (width - 5 * unit, height / 2), "edge", "end"),
            Label(top, (width / 2, 10 * unit), "edge", "middle"),
            Label(bottom, (width / 2, height - 9 * unit), "edge", "middle"),
        ]
        marks = [label.svg(unit) for label in named]
        if self.scale_cm and self.scale_cm * 10 < width * 0.8:
            marks.append(self._scale_bar())
        return Markup("<g class='marks'>{}</g>").format(Markup("").join(marks))

    def _scale_bar(self) -> Markup:
        """A bar with one tick a centimeter, in the lower right corner."""
        unit, length = self.unit_mm, self.scale_cm * 10
        x, y = self.view.width_mm - 7 * unit - length, self.view.height_mm - 7 * unit
        ticks = "".join(f"M{x + 10 * n:.1f} {y:.1f}v{-4 * unit:.2f}" for n in range(self.scale_cm + 1))
        bar = Markup('<path class="bar" d="M{:.1f} {:.1f}h{}{}"/>').format(x, y, length, ticks)
        return bar + Label(f"{self.scale_cm} cm", (x + length, y - 11 * unit), "edge small", "end").svg(unit)


@dataclass(frozen=True, eq=False)
class StoredImage:
    """A gray picture of a report.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (rows, columns)
        Gray levels on the sheet.
    view : View
        The sheet.
    width_px : int or None
        Width to which a page reduces it.
    """

    pixels: NDArray[np.uint8]
    view: View
    width_px: int | None = None

    @cached_property
    def uri(self) -> str:
        """The picture as `data_uri` encodes it, once for all pages."""
        return data_uri(self.pixels, width_px=self.width_px)


class ImageStore:
    """The images of one report, each kept once and shown wherever it is needed."""

    def __init__(self) -> None:
        self._images: dict[str, StoredImage] = {}

    def __getitem__(self, image_id: str) -> StoredImage:
        """Give an image by its id."""
        return self._images[image_id]

    def add(self, pixels: NDArray[np.uint8], view: View, *, width_px: int | None = None) -> str:
        """Store a picture.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (rows, columns)
            Gray levels on the sheet.
        view : View
            The sheet.
        width_px : int, optional
            Reduce to this width on a page.

        Returns
        -------
        str
            Id for `Panel.image_id`.
        """
        name = f"im{len(self._images) + 1}"
        self._images[name] = StoredImage(pixels, view, width_px)
        return name

    def svg(self) -> Markup:
        """Give the SVG element that holds every image.

        Returns
        -------
        Markup
            To be placed before the first panel; it takes no room on the page.
        """
        uris = at_once(lambda image: image.uri, self._images.values())
        inside = Markup("\n").join(
            Markup('<image id="{}" width="{:.1f}" height="{:.1f}" preserveAspectRatio="none" href="{}"/>').format(
                name, image.view.width_mm, image.view.height_mm, uri
            )
            for (name, image), uri in zip(self._images.items(), uris, strict=True)
        )
        return Markup('<svg class="store" width="0" height="0" aria-hidden="true"><defs>{}</defs></svg>').format(inside)
