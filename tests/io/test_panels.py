"""Which pictures are shown, and that they show the right place."""

import re

import numpy as np
import pytest

from fake_case import analyzed_case, image, sagittal_grid
from spondyl.core import Case, Grid, Image, Sequence, reorient
from spondyl.io.framing import MONTAGE_SLICES
from spondyl.io.panels import Pictures, level_text


def _texts(panel):
    return re.findall(r'<text class="level"[^>]*>([^<]*)<', panel.svg())


def _axial_t2():
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    affine[:3, 3] = (-60, -60, -30)
    grid = Grid((60, 60, 12), affine)
    return image(Sequence.T2, grid, number=9)


def test_the_column_is_shown_in_every_sequence_with_the_reference_first():
    case = analyzed_case(Sequence.T2, Sequence.STIR, Sequence.T1)
    panels = Pictures(case).column(width_px=200)
    assert [p.caption for p in panels] == ["T2", "T1", "STIR"]
    assert len({p.view for p in panels}) == 1


def test_uncertain_and_unknown_levels_carry_a_question_mark():
    panel = Pictures(analyzed_case()).column(width_px=200)[0]
    assert _texts(panel) == ["T12", "L1", "L2", "L3", "L4", "L5?", "#7?"]


def test_every_body_is_met_in_a_scoliotic_column():
    case = analyzed_case(scoliosis_mm=40.0, grid=sagittal_grid(slices=25))
    panel = Pictures(case).column(width_px=200)[0]
    assert "curved" in panel.view.place
    assert len(_texts(panel)) == 7


@pytest.mark.parametrize("orientation", ["LIP", "RSA", "PIR", "ALS"])
def test_names_stand_before_the_bodies_from_the_head_down_whatever_the_array_order(orientation):
    base = analyzed_case(Sequence.T1)
    grid = base.images[Sequence.T1].grid

    def turned(volume):
        return type(volume)(reorient(volume.array, grid.orientation, orientation), grid.reoriented(orientation))

    images = {Sequence.T1: turned(base.images[Sequence.T1])}
    case = base.with_(images=images, labels={name: turned(m) for name, m in base.labels.items()})
    panel = Pictures(case).column(width_px=200)[0]
    heights = [float(y) for y in re.findall(r'<text class="level" x="[\d.]+" y="([\d.]+)"', panel.svg())]
    assert len(heights) == 7
    assert heights == sorted(heights)


def test_a_lesion_is_shown_where_it_is_largest():
    case = analyzed_case()
    (row,) = Pictures(case).lesion_rows(width_px=180)
    areas = (case.labels["lesions"].array > 0).sum(axis=(1, 2))
    assert row.panels[0].view.place == f"slice {np.argmax(areas) + 1} of 9"
    assert all('class="o lesion"' in panel.svg() for panel in row.panels)
    assert [p.caption for p in row.panels] == ["T1", "T2", "STIR"]


def test_an_axial_series_that_cuts_the_lesion_is_shown_with_the_right_side_on_the_left():
    case = analyzed_case(Sequence.T1).with_(others=(_axial_t2(),))
    (row,) = Pictures(case).lesion_rows(width_px=180)
    axial = row.panels[-1]
    assert axial.caption == "T2 axial"
    assert axial.view.edges == ("R", "L", "A", "P")
    assert 'class="o lesion"' in axial.svg()


def test_an_axial_series_gives_no_stripes_in_the_sagittal_row():
    case = analyzed_case(Sequence.T1)
    images = {**case.images, Sequence.T2: _axial_t2()}
    assert [p.caption for p in Pictures(case.with_(images=images)).column(width_px=200)] == ["T1"]


def test_the_montage_shows_each_slice_from_right_to_left():
    panels = Pictures(analyzed_case()).montage(width_px=100)
    assert [p.caption for p in panels] == [str(n) for n in range(1, 10)]
    sides = [p.view.points_lps_mm[0, 0, 0] for p in panels]
    assert sides == sorted(sides)


def test_a_fine_volume_is_thinned_for_the_montage():
    grid = sagittal_grid(slices=60, rows=40, columns=40, spacing_mm=(1.0, 6.0, 4.0))
    assert len(Pictures(analyzed_case(Sequence.T1, grid=grid)).montage(width_px=100)) <= MONTAGE_SLICES


def test_a_case_without_findings_or_images_gives_what_it_can():
    grid = sagittal_grid()
    bare = Case("case-1", {Sequence.T1: Image(np.ones(grid.shape), grid, Sequence.T1)})
    assert len(Pictures(bare).column(width_px=200)) == 1
    assert Pictures(bare).lesion_rows(width_px=100) == ()
    empty = Pictures(Case("case-2", {}))
    assert (empty.column(width_px=200), empty.montage(width_px=100)) == ((), ())


def test_a_single_slice_is_shown():
    case = analyzed_case(Sequence.T1, grid=sagittal_grid(slices=1))
    assert Pictures(case).column(width_px=200)[0].view.place == "slice 1 of 1"


def test_a_level_is_named_as_sure_as_it_is():
    sure, *_, doubtful, unknown = analyzed_case().vertebrae
    assert [level_text(v) for v in (sure, doubtful, unknown)] == ["T12", "L5?", "#7?"]
