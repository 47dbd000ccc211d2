"""The step finds the column of boxes, names it, and says what limits the answer."""

from __future__ import annotations

import numpy as np
import pytest

from fakes import BODIES_MM, GrayNetwork, gray_case, gray_column, gray_image, sagittal_grid
from spondyl.core import Case, Grid, Image, NoSpineError, Sequence, SettingsError, Structure
from spondyl.localize import LocalizeSettings, localize, step
from spondyl.localize.level_model import shipped_level_model
from spondyl.localize.levels import LevelGuess


@pytest.fixture(scope="module")
def found():
    return localize(gray_case(), LocalizeSettings(cortex_share=1.0), network=GrayNetwork())


def _flags(case):
    return [flag.code for flag in case.quality]


def _only(array, grid, sequence=Sequence.T2):
    return Case("case-0a1b2c3d", {sequence: Image(array, grid, sequence)})


def test_the_column_is_found_and_named_from_the_head_down(found):
    assert [v.level for v in found.vertebrae] == ["L1", "L2", "L3", "L4", "L5", "S1"]
    assert [v.instance for v in found.vertebrae] == [1, 2, 3, 4, 5, 6]
    for vertebra, place in zip(found.vertebrae, BODIES_MM, strict=True):
        np.testing.assert_allclose(vertebra.centroid_lps_mm, place, atol=2.0)
        assert vertebra.volume_mm3 == pytest.approx(44 * 32 * 26, rel=0.12)
        assert vertebra.detection_confidence > 0.8
        assert not vertebra.at_edge


def test_label_maps_say_what_belongs_to_which_vertebra(found):
    vertebrae, discs = found.labels["vertebrae"], found.labels["discs"]
    grid = vertebrae.grid
    for number, center in enumerate(BODIES_MM[:5], start=1):
        for offset in ((0, 0, 0), (0, 40, -4)):
            i, j, k = np.round(grid.lps_to_ijk(np.add(center, offset))).astype(int)
            assert vertebrae.array[i, j, k] == number
        i, j, k = np.round(grid.lps_to_ijk(np.add(center, (0, 0, -17)))).astype(int)
        assert discs.array[i, j, k] == number
        assert vertebrae.array[i, j, k] == 0
    assert dict(vertebrae.names)[3] == "L3"
    assert dict(discs.names)[5] == "L5/S1"
    assert set(np.unique(found.labels["structures"].array)) == {int(s) for s in Structure}


def test_nothing_limits_the_answer_but_what_is_missing(found):
    assert _flags(found) == []
    t2_alone = localize(gray_case(sequences=(Sequence.T2,)), LocalizeSettings(), network=GrayNetwork())
    assert _flags(t2_alone) == ["no_marrow_sequence"]


def _columns_without_their_sacrum():
    grid = sagittal_grid()
    return Grid((15, 118, 96), grid.affine)


def test_without_the_sacrum_no_level_is_wrong_in_silence():
    short = _columns_without_their_sacrum()
    case = localize(_only(gray_column(short), short), LocalizeSettings(), network=GrayNetwork())
    true = ["L1", "L2", "L3", "L4", "L5"]
    assert len(case.vertebrae) >= 4
    assert all(v.level == name or v.level_uncertain for v, name in zip(case.vertebrae, true, strict=False))
    assert all(bool(v.level_reason) == v.level_uncertain for v in case.vertebrae)


def test_where_no_level_can_be_told_bodies_keep_a_number(monkeypatch):
    unknown = LevelGuess(None, 0.1, uncertain=True, reason="the sacrum is not in the field of view")
    monkeypatch.setattr(
        step, "name_levels", lambda cues, model: (("L1",) * len(cues.values), [unknown] * len(cues.values))
    )
    case = localize(gray_case(), LocalizeSettings(), network=GrayNetwork())
    assert {v.level for v in case.vertebrae} == {None}
    assert "level_unknown" in _flags(case)
    assert set(case.labels["vertebrae"].names.values()) == {f"vertebra {v.instance}" for v in case.vertebrae}


def test_a_body_at_the_edge_of_the_field_is_marked():
    grid = sagittal_grid()
    affine = grid.affine.copy()
    affine[:3, 3] = grid.ijk_to_lps([0, 28, 0])
    low = Grid((15, 164, 96), affine)
    case = localize(_only(gray_column(low), low), LocalizeSettings(), network=GrayNetwork())
    assert [v.at_edge for v in case.vertebrae] == [True] + [False] * 5
    assert case.vertebrae[0].volume_mm3 < case.vertebrae[1].volume_mm3


def test_a_study_without_a_spine_is_refused_in_words():
    grid = sagittal_grid()
    with pytest.raises(NoSpineError, match=r"at least 2 vertebral bodies is wanted, none was found in T2"):
        localize(_only(np.full(grid.shape, 200.0), grid), LocalizeSettings(), network=GrayNetwork())


def test_too_few_bodies_are_no_spine():
    with pytest.raises(NoSpineError, match="at least 9"):
        localize(gray_case(), LocalizeSettings(min_bodies=9), network=GrayNetwork())


def test_no_more_sequences_are_looked_at_than_asked_for():
    images = {s: gray_image(s, sagittal_grid()) for s in (Sequence.T2, Sequence.T1, Sequence.STIR)}
    case = Case("case-0a1b2c3d", images, reference=Sequence.T2)
    record = localize(case, LocalizeSettings(max_sequences=2), network=GrayNetwork()).history[-1]
    assert "T2, T1" in record.methods
    assert "STIR" not in record.methods
    assert dict(record.models) == {"gray 1": "0" * 64, "levels": shipped_level_model().sha256}


@pytest.mark.parametrize(
    "change", [{"max_sequences": 0}, {"views": 3}, {"cortex_share": 1.5}, {"min_bodies": 0}, {"min_confidence": 2}]
)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(SettingsError, match="localize wants"):
        LocalizeSettings(**change)
