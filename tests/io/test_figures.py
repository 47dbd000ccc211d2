"""Windows, outlines and vector marks of a picture."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from fake_case import analyzed_case, sagittal_grid
from spondyl.core import Image, Sequence
from spondyl.io.figures import ADC_WINDOW, ImageStore, Panel, data_uri, edges, gray, window
from spondyl.io.views import sagittal_slice


def _panel(**changes):
    view = sagittal_slice(sagittal_grid(), 4)
    return Panel(view, "im1", 200, **changes)


def test_the_window_does_not_follow_bright_fat_far_from_the_column():
    case = analyzed_case(Sequence.T1)
    image = case.images[Sequence.T1]
    shaded = image.array.copy()
    shaded[:, :, -8:] = 5000  # subcutaneous fat under the coil
    with_fat = Image(shaded, image.grid, Sequence.T1)
    assert window(with_fat, case.vertebrae)[1] == pytest.approx(window(image, case.vertebrae)[1], rel=0.02)
    assert window(with_fat)[1] > 2000


def test_adc_has_a_fixed_window_because_it_has_a_unit():
    grid = sagittal_grid()
    assert window(Image(np.full(grid.shape, 9.0), grid, Sequence.ADC)) == ADC_WINDOW


def test_stir_and_t1_are_not_windowed_alike():
    grid, rng = sagittal_grid(), np.random.default_rng(1)
    array = rng.gamma(4, 50, grid.shape)
    assert window(Image(array, grid, Sequence.STIR)) != window(Image(array, grid, Sequence.T1))


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_a_flat_or_empty_image_has_a_window_too(value):
    grid = sagittal_grid()
    black, white = window(Image(np.full(grid.shape, value), grid, Sequence.T1))
    assert white > black


def test_what_is_not_a_number_is_shown_black():
    assert gray(np.array([[np.nan, 5.0, 99.0]], np.float32), (0.0, 10.0)).tolist() == [[0, 127, 255]]


def test_a_picture_is_held_in_the_page_itself():
    assert data_uri(np.zeros((4, 4), np.uint8)).startswith("data:image/webp;base64,")


def test_an_outline_runs_around_the_mask_at_its_place():
    mask = np.zeros((50, 40), bool)
    mask[10:30, 5:25] = True
    (points,) = edges(mask, 0.5)
    assert points.min(0) == pytest.approx([2.5, 5.0], abs=0.11)
    assert points.max(0) == pytest.approx([12.5, 15.0], abs=0.11)


def test_a_single_pixel_still_has_an_outline():
    mask = np.zeros((9, 9), bool)
    assert edges(mask, 1.0) == []
    mask[4, 4] = True
    assert len(edges(mask, 1.0)) == 1


def test_a_mask_with_a_hole_has_two_outlines():
    mask = np.ones((30, 30), bool)
    mask[10:20, 10:20] = False
    assert len(edges(mask, 1.0)) == 2
    panel = _panel()
    panel.add_outline(mask, "body")
    assert panel.svg().count("M") == 2 + 1 + 6  # and the scale bar with its ticks


def test_a_panel_is_well_formed_and_names_its_edges_and_scale():
    panel = _panel()
    texts = [t.text for t in ElementTree.fromstring(panel.svg()).iter("text")]  # noqa: S314 - our own text
    assert texts == ["A", "P", "S", "I", "5 cm"]


def test_the_scale_bar_is_five_centimeters_of_the_patient():
    bar = re.search(r'class="bar" d="M[\d.]+ [\d.]+h(\d+)', _panel(scale_cm=5).svg())
    assert bar.group(1) == "50"  # the view box is in mm


def test_outlines_and_names_can_be_left_out():
    panel = _panel()
    panel.add_text("L3", (10, 10))
    assert "L3" in panel.svg()
    assert "L3" not in panel.svg(marked=False)


def test_text_cannot_become_markup():
    panel = _panel(caption='"><script>')
    panel.add_text("<b>", (1, 1))
    assert "<script>" not in panel.svg()
    assert "<b>" not in panel.svg()


def test_each_image_is_stored_once():
    store, view = ImageStore(), _panel().view
    first = store.add(np.zeros((8, 8), np.uint8), view)
    second = store.add(np.zeros((8, 8), np.uint8), view)
    assert (first, second) == ("im1", "im2")
    assert str(store.svg()).count("<image ") == 2
