"""Reports as PDF on A4, laid out without a browser, so that a server makes them as well as a desk.

The blocks are those of `spondyl.io.page`: what is written as HTML can be written as PDF.
"""

from __future__ import annotations

import io as streams
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.io.page import COLORS, Cells, Heading, Live, Picture, Plate, Remarks, Words, draw

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spondyl.io.page import Block, Page

MARGIN_MM = 17.0
"""White on the left and right of the text."""

TOP_MM, BOTTOM_MM = 27.0, 20.0
"""Room for the head and the foot of a page."""

WIDTH_MM = 210.0 - 2 * MARGIN_MM
"""Width of the text on A4 (ISO 216: 210 mm x 297 mm)."""

DOTS_PER_INCH = 220
"""Resolution of drawings: more than eyes see at reading distance, less than a megabyte. Chosen by us."""

FONT, BOLD = "Spondyl", "Spondyl-Bold"

CELL_PADDING_PT = 4.0

LINE_PADDING, COMPACT_LINE_PADDING = 0.75, 0.3
"""Room above and below a cell as a part of `CELL_PADDING_PT`."""

LEAST_ROOM_MM = 26.0
"""A title stands on a page with at least a few lines of what follows: this much of it, itself included."""

SMALLEST_COLUMN_PT = 26.0
"""No column is squeezed below this."""


@cache
def _fonts() -> None:
    """Register the fonts that matplotlib brings: free, and with all signs of the statistics."""
    import matplotlib as mpl
    from reportlab import rl_config
    from reportlab.lib.fonts import addMapping
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    rl_config.useA85 = 0  # streams as bytes, not as text that is a quarter longer and slow to make
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    for name, file in ((FONT, "DejaVuSans.ttf"), (BOLD, "DejaVuSans-Bold.ttf")):
        pdfmetrics.registerFont(TTFont(name, folder / file))
    for bold in (0, 1):
        addMapping(FONT, bold, 0, BOLD if bold else FONT)


@cache
def _styles() -> dict[str, Any]:
    from reportlab.lib.colors import HexColor
    from reportlab.lib.enums import TA_RIGHT
    from reportlab.lib.styles import ParagraphStyle

    _fonts()
    ink, soft, warm = (HexColor(COLORS[name]) for name in ("ink", "soft", "warm"))
    body = ParagraphStyle("plain", fontName=FONT, fontSize=8.6, leading=12.4, textColor=ink, spaceAfter=4)
    cell = ParagraphStyle("cell", parent=body, fontSize=7.4, leading=9.6, spaceAfter=0)
    return {
        "plain": body,
        "lead": ParagraphStyle("lead", parent=body, fontSize=9.6, leading=14),
        "quiet": ParagraphStyle("quiet", parent=body, fontSize=7.4, leading=10.2, textColor=soft),
        "title": ParagraphStyle("title", parent=body, fontName=BOLD, fontSize=16, leading=20.5, spaceAfter=7),
        "heading": ParagraphStyle(
            "heading", parent=body, fontName=BOLD, fontSize=11, leading=14, spaceBefore=13, spaceAfter=5
        ),
        "table": ParagraphStyle(
            "table", parent=body, fontName=BOLD, fontSize=8.6, leading=11.5, spaceBefore=7, spaceAfter=2
        ),
        "remark": ParagraphStyle("remark", parent=body, leftIndent=9, bulletIndent=0, textColor=warm, spaceAfter=2),
        "cell": cell,
        "number": ParagraphStyle("number", parent=cell, alignment=TA_RIGHT),
        "first": ParagraphStyle("first", parent=cell, fontName=BOLD),
        "head": ParagraphStyle("head", parent=cell, textColor=soft, fontName=BOLD),
        "head number": ParagraphStyle("head number", parent=cell, textColor=soft, fontName=BOLD, alignment=TA_RIGHT),
    }


def write_pdf(page: Page, path: Path) -> None:
    """Write a report as PDF.

    Parameters
    ----------
    page : Page
        The report.
    path : Path
        The file to write; its folder exists.
    """
    path.write_bytes(render_pdf(page))


def render_pdf(page: Page) -> bytes:
    """Give a report as PDF, the same bytes for the same report.

    Parameters
    ----------
    page : Page
        The report.

    Returns
    -------
    bytes
        A PDF file; text can be searched and copied, fonts are inside.
    """
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.units import mm
    from reportlab.platypus import BaseDocTemplate, CondPageBreak, Frame, PageTemplate, Paragraph

    styles = _styles()
    stream = streams.BytesIO()
    document = BaseDocTemplate(
        stream, pagesize=A4, title=page.title, subject=page.kind, author="Spondyl", creator=f"Spondyl {__version__}"
    )
    height = A4[1] - (TOP_MM + BOTTOM_MM) * mm
    frame = Frame(MARGIN_MM * mm, BOTTOM_MM * mm, WIDTH_MM * mm, height, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate(frames=[frame]))
    story = [Paragraph(escape(page.title), styles["title"])]
    for block, following in zip_longest(page.blocks, page.blocks[1:]):
        story += [CondPageBreak(room * mm)] if (room := _room_mm(block, following)) else []
        story += _flowables(block, compact=page.compact)
    story += [Paragraph(escape(note), styles["quiet"]) for note in page.notes]
    document.build(story, canvasmaker=_numbered(page))
    return stream.getvalue()


def _room_mm(block: Block, following: Block | None) -> float:
    """Give the room that a title needs to stand on one page with the beginning of what follows."""
    if isinstance(block, Heading):
        return LEAST_ROOM_MM + (following.height_mm if isinstance(following, Picture | Plate) else 0.0)
    return LEAST_ROOM_MM if isinstance(block, Cells) and block.titled and block.table.title else 0.0


def _flowables(block: Block, *, compact: bool) -> list[Any]:
    from reportlab.platypus import Paragraph

    styles = _styles()
    if isinstance(block, Heading):
        note = f' <font name="{FONT}" size="7.4" color="{COLORS["soft"]}">{escape(block.note)}</font>'
        return [Paragraph(escape(block.text) + (note if block.note else ""), styles["heading"])]
    if isinstance(block, Words):
        return [Paragraph(escape(block.text), styles[block.kind])]
    if isinstance(block, Remarks):
        return [Paragraph(escape(item), styles["remark"], bulletText="!") for item in block.items]
    if isinstance(block, Live):
        return []
    return _table(block, compact=compact) if isinstance(block, Cells) else [_picture(block)]


def _picture(picture: Picture | Plate) -> Any:
    from reportlab.lib.units import mm
    from reportlab.platypus import Image, KeepTogether, Paragraph, Spacer

    share = min(1.0, WIDTH_MM / picture.width_mm)
    width, height = picture.width_mm * share * mm, picture.height_mm * share * mm
    if isinstance(picture, Plate):
        image = _plate(picture.draw, width, height)
    else:
        image = Image(_drawn(picture), width, height, hAlign="LEFT")
    caption = [Paragraph(escape(picture.caption), _styles()["quiet"])] if picture.caption else []
    return KeepTogether([Spacer(1, 4), image, Spacer(1, 2), *caption])


def _plate(draw_on: Callable[[Any, float, float], None], width: float, height: float) -> Any:
    """Give a drawing its place among the words."""
    from reportlab.platypus import Flowable

    class Drawn(Flowable):
        def wrap(self, *_: float) -> tuple[float, float]:
            return width, height

        def draw(self) -> None:
            draw_on(self.canv, width, height)

    return Drawn()


def _drawn(picture: Picture) -> streams.BytesIO:
    """Draw a picture as PNG, packed lightly: the PDF unpacks and packs it again."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image as Raster

    figure = draw(picture)
    figure.set_facecolor("white")
    figure.set_dpi(DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    stream = streams.BytesIO()
    Raster.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(stream, "PNG", compress_level=1)
    stream.seek(0)
    return stream


def _table(block: Cells, *, compact: bool) -> list[Any]:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import LongTable, Paragraph, Spacer

    styles, table, right = _styles(), block.table, block.right
    head = [
        Paragraph(escape(c), styles["head number" if r else "head"]) for c, r in zip(table.head, right, strict=True)
    ]
    kinds = ["number" if r else "cell" if i else "first" for i, r in enumerate(right)]
    rows = [[Paragraph(escape(c), styles[k]) for c, k in zip(row, kinds, strict=True)] for row in table.rows]
    line, above = HexColor(COLORS["line"]), CELL_PADDING_PT * (COMPACT_LINE_PADDING if compact else LINE_PADDING)
    made = LongTable([head, *rows], colWidths=_widths(table.head, table.rows), repeatRows=1, hAlign="LEFT")
    made.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("VALIGN", (0, 0), (-1, 0), "BOTTOM"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.5, line),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 2 * CELL_PADDING_PT),
            ("TOPPADDING", (0, 0), (-1, -1), above),
            ("BOTTOMPADDING", (0, 0), (-1, -1), above),
        ]
    )
    title = [Paragraph(escape(table.title), styles["table"])] if block.titled and table.title else []
    notes = [Paragraph(escape(n), styles["quiet"]) for n in table.notes]
    return [*title, made, Spacer(1, 3), *notes, Spacer(1, 4)]


def _widths(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[float]:
    """Give each column what its words need; where the page is too narrow, the widest give first."""
    from reportlab.lib.units import mm
    from reportlab.pdfbase.pdfmetrics import stringWidth

    size = _styles()["cell"].fontSize
    padding = 2 * CELL_PADDING_PT + 1
    wanted = [
        max([stringWidth(head[i], BOLD, size), *(stringWidth(row[i], BOLD, size) for row in rows)]) + padding
        for i in range(len(head))
    ]
    room = WIDTH_MM * mm
    if sum(wanted) <= room:
        return wanted
    low, high = SMALLEST_COLUMN_PT, max(wanted)
    for _ in range(40):
        cap = (low + high) / 2
        low, high = (cap, high) if sum(min(w, cap) for w in wanted) <= room else (low, cap)
    return [min(w, low) for w in wanted]


def _numbered(page: Page) -> type:
    """Make the canvas that writes head and foot once the number of pages is known."""
    from reportlab.lib.colors import HexColor
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.units import mm
    from reportlab.pdfgen.canvas import Canvas

    class Numbered(Canvas):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "invariant": 1})
            self._pages: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 - the library's name
            self._pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, state in enumerate(self._pages, 1):
                self.__dict__.update(state)
                self._frame(number, len(self._pages))
                super().showPage()
            super().save()

        def _frame(self, number: int, count: int) -> None:
            left, right, top = MARGIN_MM * mm, A4[0] - MARGIN_MM * mm, A4[1] - 15 * mm
            self.setFillColor(HexColor(COLORS["accent"]))
            self.setFont(BOLD, 10.5)
            self.drawString(left, top, "Spondyl")
            self.setFillColor(HexColor(COLORS["soft"]))
            self.setFont(FONT, 7.4)
            self.drawRightString(right, top, f"{page.kind}   {page.subject}")
            self.setStrokeColor(HexColor(COLORS["line"]))
            self.setLineWidth(0.6)
            self.line(left, top - 3.4 * mm, right, top - 3.4 * mm)
            self.setFont(BOLD, 6.8)
            self.drawString(left, 11 * mm, RESEARCH_USE_ONLY)
            self.setFont(FONT, 6.8)
            self.drawRightString(right, 11 * mm, f"{number} / {count}")

    return Numbered
