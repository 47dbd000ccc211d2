"""A report as a list of blocks: headings, words, tables and pictures, written alike as HTML and as PDF.

The statistics give tables of text; whoever reports them strings blocks together and calls `write_html` and
`spondyl.io.pdf.write_pdf`. Pictures are drawn by matplotlib, as vectors whose colors follow the page's light or dark.
"""

from __future__ import annotations

import hashlib
import io as streams
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spondyl import RESEARCH_USE_ONLY, __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

MM_PER_INCH = 25.4

COLORS = {
    "ink": "#17242d",
    "soft": "#5c6b75",
    "line": "#e1e7ea",
    "accent": "#0b7285",
    "warm": "#c8501a",
    "third": "#7a5cc0",
    "fourth": "#4f8a3c",
}
"""Colors of pictures, which become the page's own in HTML; those of the analysis report, and two more."""

SERIES = ("accent", "warm", "third", "fourth")
"""Names of the colors of the first, second, third and fourth thing compared."""

_NUMBER = re.compile(
    r"^[-−+<>≥≤~]?\s?[\d.,]+([eE][-+]?\d+)?\s?(%|s|mL|mm)?$|^[-−+]?[\d.]+ \([-−\d.]+ to [-−\d.]+\)$|^∞?$"
)


class TableLike(Protocol):
    """Text in rows, as `spondyl.evaluation.records.Table` has it."""

    @property
    def title(self) -> str:
        """What the table shows."""

    @property
    def head(self) -> Sequence[str]:
        """Names of the columns."""

    @property
    def rows(self) -> Sequence[Sequence[str]]:
        """The cells."""

    @property
    def notes(self) -> Sequence[str]:
        """Lines below the table."""


@dataclass(frozen=True)
class Heading:
    """The title of a section.

    Parameters
    ----------
    text, note : str
        The title, and quiet words beside it.
    """

    text: str
    note: str = ""


@dataclass(frozen=True)
class Words:
    """A paragraph.

    Parameters
    ----------
    text : str
        Plain text.
    kind : str
        ``"lead"`` (larger, opens a page), ``"plain"`` or ``"quiet"`` (smaller and gray).
    """

    text: str
    kind: str = "plain"


@dataclass(frozen=True)
class Cells:
    """A table.

    Parameters
    ----------
    table : TableLike
        Title, head, rows and notes.
    titled : bool
        Whether the title is shown above it.
    """

    table: TableLike
    titled: bool = True

    @property
    def right(self) -> tuple[bool, ...]:
        """Which columns hold numbers only, and so are set flush right."""
        columns = range(len(self.table.head))
        return tuple(
            any(row[i] for row in self.table.rows) and all(_NUMBER.match(row[i].strip()) for row in self.table.rows)
            for i in columns
        )


@dataclass(frozen=True)
class Picture:
    """A drawing.

    Parameters
    ----------
    draw : callable
        Draws on the empty matplotlib figure it is given, in colors of `COLORS`.
    width_mm, height_mm : float
        Its size on paper.
    caption : str
        What it shows; also read to those who cannot see it.
    """

    draw: Callable[[Figure], None]
    width_mm: float
    height_mm: float
    caption: str = ""


@dataclass(frozen=True)
class Plate:
    """A drawing for paper alone, made straight on it: sharp at any size, and far sooner than through matplotlib.

    Parameters
    ----------
    draw : callable
        Draws on a reportlab canvas whose origin is the lower left corner, in points; also given width and height.
    width_mm, height_mm : float
        Its size on paper.
    caption : str
        What it shows.
    """

    draw: Callable[[Any, float, float], None]
    width_mm: float
    height_mm: float
    caption: str = ""


@dataclass(frozen=True)
class Remarks:
    """What limits a result.

    Parameters
    ----------
    items : tuple of str
        One sentence each.
    """

    items: tuple[str, ...]


@dataclass(frozen=True)
class Live:
    """Markup that answers to the reader, with no script; on paper it is left out.

    Parameters
    ----------
    markup : Markup
        Made by a module beside this one, every word in it escaped.
    caption : str
        What it shows.
    """

    markup: Markup
    caption: str = ""


Block = Heading | Words | Cells | Picture | Plate | Remarks | Live


@dataclass(frozen=True)
class Page:
    """A report.

    Parameters
    ----------
    title : str
        The main result or subject, as a sentence.
    kind : str
        What sort of report it is, for the head of the page.
    subject : str
        What it is about, for the head of the page.
    blocks : tuple of Block
        In reading order.
    notes : tuple of str
        Closing words, besides the notice of research use.
    compact : bool
        Whether lines stand closer on paper, for a report that must fit its pages.
    """

    title: str
    kind: str
    subject: str
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()
    compact: bool = False


def draw(picture: Picture) -> Figure:
    """Draw a picture in the house style.

    Parameters
    ----------
    picture : Picture
        What to draw.

    Returns
    -------
    Figure
        A matplotlib figure that belongs to nobody else.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "font.size": 8.5,
        "font.family": "DejaVu Sans",
        "axes.edgecolor": COLORS["line"],
        "axes.labelcolor": COLORS["soft"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": COLORS["soft"],
        "ytick.color": COLORS["soft"],
        "text.color": COLORS["ink"],
        "axes.facecolor": "none",
        "legend.frameon": False,
    }
    with mpl.rc_context(style):
        size = picture.width_mm / MM_PER_INCH, picture.height_mm / MM_PER_INCH
        figure = Figure(figsize=size, facecolor="none", layout="constrained")
        picture.draw(figure)
    return figure


def svg(picture: Picture) -> Markup:
    """Give a picture as SVG for a page, in the page's own colors.

    Parameters
    ----------
    picture : Picture
        What to draw.

    Returns
    -------
    Markup
        An ``svg`` element.
    """
    import matplotlib as mpl

    figure = draw(picture)
    stream = streams.StringIO()
    # A salt of the caption keeps element names apart on one page, and equal from run to run.
    salt = hashlib.sha256(picture.caption.encode()).hexdigest()[:12]
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    for name, color in COLORS.items():
        text = text.replace(color, f"var(--{name})")
    return Markup(text)  # noqa: S704 - drawn here; matplotlib escapes the words in it


def render_html(page: Page) -> str:
    """Give a report as HTML.

    Parameters
    ----------
    page : Page
        The report.

    Returns
    -------
    str
        One self-contained page.
    """
    environment = Environment(
        loader=PackageLoader("spondyl.io"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    blocks = [(type(b).__name__, b, svg(b) if isinstance(b, Picture) else None) for b in page.blocks]
    return environment.get_template("page.html").render(
        page=page, blocks=blocks, notice=RESEARCH_USE_ONLY, version=__version__
    )


def write_html(page: Page, path: Path) -> None:
    """Write a report as HTML.

    Parameters
    ----------
    page : Page
        The report.
    path : Path
        The file to write; its folder exists.
    """
    path.write_text(render_html(page), encoding="utf-8")
