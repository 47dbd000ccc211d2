"""Reports as HTML: complete, self-contained, and safe against what names may hold."""

import re

import pytest

from spondyl import RESEARCH_USE_ONLY
from spondyl.evaluation.records import Table
from spondyl.io.page import COLORS, Cells, Heading, Page, Picture, Remarks, Words, draw, render_html, svg, write_html

TABLE = Table.of("Areas", ("reader", "AUC", "interval"), [("Ann", 0.812, "0.7 to 0.9"), ("Bo", 0.9, "")], ["a note"])


def _line(figure):
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=COLORS["accent"])
    axes.set_xlabel("cases < 5 & more")


PICTURE = Picture(_line, 80, 50, "A line.")

PAGE = Page(
    "Readers are right",
    "Reader study",
    "2 readers",
    (
        Words("What was found.", "lead"),
        Heading("Comparison", "quietly"),
        Cells(TABLE),
        Remarks(("Few cases.",)),
        PICTURE,
    ),
    ("The end.",),
)


def test_a_page_holds_every_block():
    text = render_html(PAGE)
    for part in ("Readers are right", "What was found.", "Comparison", "quietly", "Areas", "0.812", "a note"):
        assert part in text
    for part in ("Few cases.", "A line.", "The end.", RESEARCH_USE_ONLY, "Research use only."):
        assert part in text


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    write_html(PAGE, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*"', text.replace("xlink:href", "href").replace('href="#', 'x="#'))
    assert "Content-Security-Policy" in text
    assert "<script" not in text


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", 'A "quoted" & <b>bold</b>'])
def test_names_cannot_become_markup(name):
    table = Table.of(name, (name,), [(name,)], [name])
    text = render_html(Page(name, name, name, (Words(name), Heading(name, name), Cells(table), Remarks((name,)))))
    assert name not in text
    assert "&lt;" in text


def test_numbers_stand_flush_right_and_words_left():
    assert Cells(TABLE).right == (False, True, False)
    mixed = Table.of("", ("p", "n", "df"), [("< 0.0001", "−3", "∞"), ("0.5", "12 %", "4.0")])
    assert Cells(mixed).right == (True, True, True)
    estimates = Table.of("", ("AUC",), [("0.81 (0.70 to 0.92)",)])
    assert Cells(estimates).right == (True,)


def test_pictures_take_the_colors_of_the_page():
    text = svg(PICTURE)
    assert text.startswith("<svg")
    assert "var(--accent)" in text
    assert COLORS["accent"] not in text
    assert "cases &lt; 5 &amp; more" in text
    assert not re.search(r'<svg[^>]* width="', text)


def test_the_same_page_gives_the_same_text():
    assert render_html(PAGE) == render_html(PAGE)


def test_a_figure_has_its_size_on_paper():
    width, height = draw(PICTURE).get_size_inches()
    assert (round(width * 25.4), round(height * 25.4)) == (80, 50)
