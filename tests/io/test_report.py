"""The report page: self-contained, small, quick, and without identifiers."""

import re
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from fake_case import PLANTED, analyzed_case, sagittal_grid
from spondyl.core import Case, QualityFlag, Sequence
from spondyl.io.report import render_report, write_report

FIVE = (Sequence.T1, Sequence.T2, Sequence.STIR, Sequence.DWI, Sequence.T1CE)
VOID = {"meta", "image", "use", "path", "br", "hr", "link"}


class _Balance(HTMLParser):
    """Every element that opens closes, in order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _page(case=None, **given):
    return render_report(case or analyzed_case(), methods="Bodies were found.", **given)


def test_the_page_is_well_formed():
    parser = _Balance()
    parser.feed(_page())
    assert parser.open == []


def test_nothing_is_loaded_from_elsewhere():
    page = _page()
    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert links
    assert all(link.startswith(("#", "data:image/webp")) for link in links)
    assert "http" not in page.replace("http-equiv", "")


def test_every_image_shown_is_in_the_page():
    page = _page()
    assert set(re.findall(r'<use href="#(im\d+)"', page)) == set(re.findall(r'<image id="(im\d+)"', page))


def test_the_page_is_marked_for_research_use():
    assert "Research use only. Not for clinical diagnosis." in _page()


def test_no_free_text_of_the_header_is_shown():
    assert PLANTED not in _page()


def test_text_from_outside_cannot_become_markup():
    aside = SimpleNamespace(what="<script>alert(1)</script>", reason="a & b", remedy="")
    flagged = analyzed_case().flagged(QualityFlag("x", "<img src=x>", where="<b>"))
    page = _page(flagged, set_aside=[aside])
    assert "<script" not in page
    assert "<img" not in page
    assert "a &amp; b" in page


def test_findings_flags_timings_and_weights_are_all_there():
    aside = SimpleNamespace(what="series 1", reason="It is a localizer.", remedy="")
    page = _page(set_aside=[aside], timings_s={"read": 0.84})
    for text in ("malignant 0.82", "L5?", "Caution", "It is a localizer.", "0.8 s", "ab" * 32, "Bodies were found."):
        assert text in page


def test_each_sequence_is_shown_with_and_without_outlines():
    page = _page()
    column = page[page.index('class="column') : page.index('class="key"')]
    assert column.count('class="panel"') == 6
    assert column.count("class='over'") == 3


def test_a_case_without_anything_gives_a_page():
    page = _page(Case("case-1", {}))
    assert "No vertebra was located." in page
    assert "None located." in page


def test_the_file_is_written_and_small_enough_to_mail(tmp_path):
    case = analyzed_case(*FIVE, grid=sagittal_grid(slices=15, rows=384, columns=384, spacing_mm=(4.4, 0.75, 0.75)))
    write_report(case, tmp_path / "report.html", methods="")
    assert (tmp_path / "report.html").stat().st_size < 4e6


@pytest.mark.parametrize(("count", "in_row"), [(1, 1), (2, 2), (6, 6), (7, 4)])
def test_any_number_of_sequences_finds_room(count, in_row):
    sequences = [*FIVE, Sequence.DIXON_WATER, Sequence.DIXON_FAT][:count]
    assert f"--n:{in_row}" in _page(analyzed_case(*sequences))


def test_a_lesion_line_says_what_it_is_most_like():
    page = _page()
    assert "lytic metastasis (0.82)" in page
    assert "not judged" in page
