"""Reports as PDF: laid out without a browser, any length, any text."""

import re

import pytest

from spondyl.evaluation.records import Table
from spondyl.io.page import Cells, Heading, Page, Picture, Remarks, Words
from spondyl.io.pdf import SMALLEST_COLUMN_PT, WIDTH_MM, _widths, render_pdf, write_pdf

POINTS_PER_MM = 72 / 25.4


def _page(*blocks):
    return Page("Readers are right", "Reader study", "2 readers", blocks, ("The end.",))


def _n_pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", pdf))


def test_a_report_is_a_pdf(tmp_path):
    write_pdf(_page(Words("What was found.", "lead"), Heading("More", "quietly")), tmp_path / "report.pdf")
    data = (tmp_path / "report.pdf").read_bytes()
    assert data.startswith(b"%PDF-")
    assert data.rstrip().endswith(b"%%EOF")
    assert _n_pages(data) == 1
    # A4 in points, and fonts inside, so that it prints everywhere.
    assert re.search(rb"/MediaBox \[ 0 0 595\.\d+ 841\.\d+ \]", data)
    assert b"/FontFile2" in data


def test_long_tables_go_on_over_pages():
    table = Table.of("Many", ("reader", "AUC"), [(f"R{i}", i / 400) for i in range(400)])
    assert _n_pages(render_pdf(_page(Cells(table)))) > 5


def test_wide_tables_are_squeezed_into_the_page():
    row = ["a cell with many words that must be broken"] * 9
    widths = _widths(["column"] * 9, [row])
    assert sum(widths) <= WIDTH_MM * POINTS_PER_MM + 0.01
    assert min(widths) >= SMALLEST_COLUMN_PT
    assert _n_pages(render_pdf(_page(Cells(Table.of("", ["column"] * 9, [row]))))) == 1


def test_narrow_columns_keep_what_they_need():
    widths = _widths(["n", "text"], [["1", "word " * 80]])
    assert widths[0] < 30
    assert sum(widths) == pytest.approx(WIDTH_MM * POINTS_PER_MM, rel=0.01)


def test_signs_of_statistics_and_markup_are_printed():
    text = "κ ≥ 0.6 − α, ± ∞, <b>bold</b> & Ωmega"
    data = render_pdf(
        _page(Words(text), Remarks((text,)), Heading(text, text), Cells(Table.of(text, (text,), [(text,)])))
    )
    assert data.startswith(b"%PDF-")


def test_pictures_are_scaled_into_the_page():
    wide = Picture(lambda figure: figure.add_subplot().plot([0, 1]), 400, 60, "Too wide.")
    data = render_pdf(_page(wide))
    assert b"/Subtype /Image" in data
    assert _n_pages(data) == 1


def test_the_same_report_gives_the_same_bytes():
    picture = Picture(lambda figure: figure.add_subplot().plot([0, 1]), 80, 60, "A line.")
    page = _page(Words("What was found."), picture)
    assert render_pdf(page) == render_pdf(page)


def test_a_report_without_blocks_has_a_page():
    assert _n_pages(render_pdf(_page())) == 1
