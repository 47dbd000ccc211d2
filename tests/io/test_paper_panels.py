"""Panels on paper: in their place, to scale, with outlines as lines and letters as text."""

from __future__ import annotations

import numpy as np
import pytest

from fake_case import sagittal_grid
from spondyl.io.figures import ImageStore, Panel
from spondyl.io.page import Page, Plate
from spondyl.io.paper_panels import GAP_PT, TITLE_ROOM_PT, row_height_mm, row_of_panels
from spondyl.io.pdf import render_pdf
from spondyl.io.views import sagittal_slice


@pytest.fixture
def shown() -> tuple[Panel, ImageStore]:
    store, view = ImageStore(), sagittal_slice(sagittal_grid(), 4)
    shape = view.points_lps_mm.shape[:2]
    panel = Panel(view, store.add(np.full(shape, 90, np.uint8), view), 200)
    mask = np.zeros(shape, bool)
    mask[20:40, 10:30] = True
    for kind in ("body", "posterior", "lesion"):
        panel.add_outline(mask, kind)
    panel.add_text("L3", (20.0, 30.0))
    return panel, store


class Canvas:
    """Writes down where images, lines and words go."""

    def __init__(self) -> None:
        self.at, self.kept, self.images, self.words, self.paths = (0.0, 0.0), [], [], [], []

    def __getattr__(self, name):
        return lambda *_, **__: None

    def saveState(self):  # noqa: N802 - the library's name
        self.kept.append(self.at)

    def restoreState(self):  # noqa: N802
        self.at = self.kept.pop()

    def translate(self, x, y):
        self.at = self.at[0] + x, self.at[1] + y

    def stringWidth(self, *_):  # noqa: N802
        return 10.0

    def drawImage(self, _, x, y, width, height):  # noqa: N802
        self.images.append((self.at[0] + x, self.at[1] + y, width, height))

    def beginPath(self):  # noqa: N802
        canvas, points = self, []

        class Path:
            def moveTo(self, x, y):  # noqa: N802
                points.append((canvas.at[0] + x, canvas.at[1] + y))

            lineTo = moveTo  # noqa: N815

            def rect(self, *_):
                return None

            close = rect

        path = Path()
        path.points = points
        return path

    def drawPath(self, path, **_):  # noqa: N802
        self.paths.append(np.array(path.points))

    def drawString(self, x, y, text):  # noqa: N802
        self.words.append((text, self.at[0] + x, self.at[1] + y))

    drawRightString = drawCentredString = drawString  # noqa: N815


def test_panels_stand_side_by_side_below_their_titles(shown):
    panel, store = shown
    canvas, width, height = Canvas(), 400.0, 300.0
    row_of_panels([("T1", panel), ("T2", panel)], store)(canvas, width, height)
    (first, second) = canvas.images
    assert first[0] == 0.0
    assert second[0] == pytest.approx(first[2] + GAP_PT)
    assert second[0] + second[2] <= width + 1e-6
    for _, bottom, wide, high in canvas.images:
        assert bottom + high == pytest.approx(height - TITLE_ROOM_PT)
        assert bottom >= -1e-6
        assert wide / high == pytest.approx(panel.view.width_mm / panel.view.height_mm)
    assert [w[0] for w in canvas.words if w[0] in ("T1", "T2")] == ["T1", "T2"]
    assert [w[0] for w in canvas.words if w[0] in "AP"] == ["A", "P", "A", "P"]


def test_outlines_lie_on_what_they_outline_and_only_those_in_the_key_are_drawn(shown):
    panel, store = shown
    canvas = Canvas()
    row_of_panels([("T1", panel)], store)(canvas, 300.0, 300.0)
    assert len(canvas.paths) == 2  # body and lesion
    left, bottom, wide, high = canvas.images[0]
    rows, columns = panel.view.points_lps_mm.shape[:2]
    low, top = canvas.paths[0].min(0), canvas.paths[0].max(0)
    assert low[0] == pytest.approx(left + wide * 10 / columns, abs=1.0)
    assert top[0] == pytest.approx(left + wide * 30 / columns, abs=1.0)
    assert top[1] == pytest.approx(bottom + high * (1 - 20 / rows), abs=1.0)
    assert low[1] == pytest.approx(bottom + high * (1 - 40 / rows), abs=1.0)
    (name,) = [w for w in canvas.words if w[0] == "L3"]
    assert name[1] == pytest.approx(left + 20.0 * wide / panel.view.width_mm)


def test_a_row_is_as_high_as_its_panels_need_and_makes_a_page(shown):
    panel, store = shown
    height_mm = row_height_mm([panel], 100.0)
    assert height_mm == pytest.approx(100.0 * panel.view.height_mm / panel.view.width_mm + 3.9, abs=0.1)
    plate = Plate(row_of_panels([("T1", panel)], store), 100.0, height_mm, "What it shows.")
    data = render_pdf(Page("Title", "Kind", "subject", (plate,)))
    assert b"/Subtype /Image" in data
