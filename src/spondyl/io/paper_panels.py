"""Panels of a report on paper: the image as it is stored, outlines and names as vectors over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image as PillowImage

from spondyl.io.figures import Label, Outline
from spondyl.io.page import MM_PER_INCH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from spondyl.io.figures import ImageStore, Panel

LINES = {
    "body": ("#5fdcec", 0.6, ()),
    "canal": ("#b9a7ff", 0.6, (2.2, 1.2)),
    "lesion": ("#ffb02e", 1.1, ()),
}
"""Color, width and dashes, in points, of what is outlined on paper; the colors are those of the report."""

TITLE_PT, NAME_PT = 7.5, 5.5
"""Sizes of titles, and of names of levels and letters at the edges."""

TITLE_ROOM_PT, GAP_PT = 11.0, 6.0
"""Room for a title, and between panels."""

POINTS_PER_INCH = 72.0

FAINT, LIGHT = "#e6edf0", "#f4fbfd"


def row_of_panels(
    panels: Sequence[tuple[str, Panel]], store: ImageStore, *, places: int | None = None
) -> Callable[[Any, float, float], None]:
    """Give the drawing of several panels side by side, all as large as the room allows.

    Parameters
    ----------
    panels : sequence of (str, Panel)
        Titles and panels.
    store : ImageStore
        Holds their images.
    places : int, optional
        Panels that a full row has; as many as there are unless given.

    Returns
    -------
    callable
        For `spondyl.io.page.Plate`.
    """

    def draw(canvas: Any, width: float, height: float) -> None:
        most = (width + GAP_PT) / (places or len(panels)) - GAP_PT
        left = 0.0
        for title, panel in panels:
            scale = min(most / panel.view.width_mm, (height - TITLE_ROOM_PT) / panel.view.height_mm)
            canvas.saveState()
            canvas.translate(left, height - TITLE_ROOM_PT)
            left += panel.view.width_mm * scale + GAP_PT
            _title(canvas, title, panel.view.width_mm * scale)
            _panel(canvas, panel, store[panel.image_id].pixels, scale)
            canvas.restoreState()

    return draw


def row_height_mm(panels: Sequence[Panel], width_mm: float) -> float:
    """Say how high a row is whose panels take all of its width.

    Parameters
    ----------
    panels : sequence of Panel
        At least one, all of one sheet.
    width_mm : float
        Width on paper.

    Returns
    -------
    float
        Height on paper in mm, titles included.
    """
    view, gap_mm = panels[0].view, GAP_PT * MM_PER_INCH / POINTS_PER_INCH
    each_mm = (width_mm + gap_mm) / len(panels) - gap_mm
    return each_mm * view.height_mm / view.width_mm + TITLE_ROOM_PT * MM_PER_INCH / POINTS_PER_INCH


def _title(canvas: Any, title: str, width: float) -> None:
    from spondyl.io.pdf import FONT

    canvas.setFillColor("#17242d")
    size = min(TITLE_PT, TITLE_PT * width / max(canvas.stringWidth(title, FONT, TITLE_PT), 1.0))
    canvas.setFont(FONT, size)
    canvas.drawString(0, 3.5, title)


def _panel(canvas: Any, panel: Panel, pixels: NDArray, scale: float) -> None:
    """Draw a panel below the origin, `scale` points for each mm of the patient."""
    from reportlab.lib.utils import ImageReader

    width, height = panel.view.width_mm * scale, panel.view.height_mm * scale
    canvas.drawImage(ImageReader(PillowImage.fromarray(pixels)), 0, -height, width, height)
    frame = canvas.beginPath()
    frame.rect(0, -height, width, height)
    canvas.clipPath(frame, stroke=0, fill=0)
    for part in panel.overlay:
        if isinstance(part, Outline) and part.kind in LINES:
            _outline(canvas, part, scale)
        elif isinstance(part, Label):
            _name(canvas, part.text, (part.at_mm[0] * scale, -part.at_mm[1] * scale), LIGHT, part.anchor)
    left, right = panel.view.edges[:2]
    _name(canvas, left, (0.015 * width, -height / 2), FAINT, "start")
    _name(canvas, right, (0.985 * width, -height / 2), FAINT, "end")


def _outline(canvas: Any, part: Outline, scale: float) -> None:
    color, width, dashes = LINES[part.kind]
    path = canvas.beginPath()
    for line in part.lines_mm:
        (x, y), *rest = (line[:-1] * (scale, -scale)).tolist()
        path.moveTo(x, y)
        for x, y in rest:
            path.lineTo(x, y)
        path.close()
    canvas.setStrokeColor(color)
    canvas.setLineWidth(width)
    canvas.setDash(*dashes)
    canvas.drawPath(path, stroke=1, fill=0)


def _name(canvas: Any, text: str, at: tuple[float, float], color: str, anchor: str) -> None:
    from spondyl.io.pdf import FONT

    canvas.setFillColor(color)
    canvas.setFont(FONT, NAME_PT)
    write = {"start": canvas.drawString, "middle": canvas.drawCentredString, "end": canvas.drawRightString}[anchor]
    write(at[0], at[1] - 0.35 * NAME_PT, text)
