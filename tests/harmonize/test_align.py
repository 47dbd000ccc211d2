"""One scale: two scanners agree afterwards, disease stays, networks' images stay, and what cannot be done is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spondyl.core import Acquisition, Case, Grid, Image, LabelMap, Sequence, SettingsError
from spondyl.harmonize.align import MAP_PREFIX, UNITS, AlignSettings, align, diffusion_weights, early_looks, first_look
from spondyl.harmonize.contrast import REFERENCE, reference_of, signal
from tissue_boxes import ADC_UM2_S, GRID, SCANNERS, TISSUES, places, scanned

SEQUENCES = (Sequence.T1, Sequence.T2, Sequence.STIR)


@pytest.fixture(scope="module")
def studies() -> dict[str, Case]:
    """The spine on both scanners, under a coil, aligned."""
    settings = AlignSettings()
    return {
        name: align(scanned(name, shading=0.5 + 0.4 * n, seed=n, gain=700.0 * (1 + n)), settings)
        for n, name in enumerate(SCANNERS)
    }


def means(case: Case, s: Sequence) -> dict[str, float]:
    array = case.maps[f"{MAP_PREFIX}{s}"].array
    return {name: float(np.mean(array[mask])) for name, mask in places()[0].items()}


@pytest.mark.parametrize("s", SEQUENCES)
def test_two_scanners_agree_and_both_with_the_equations(studies, s):
    first, second = (means(case, s) for case in studies.values())
    for name in ("marrow", "tumor", "csf", "disc", "muscle", "fat"):
        wanted = UNITS * float(signal(TISSUES[name], REFERENCE[s])[0])
        allowed = max(0.15 * wanted, 25.0)
        assert abs(first[name] - second[name]) < allowed, (name, first[name], second[name])
        assert abs(first[name] - wanted) < 1.5 * allowed, (name, first[name], wanted)


@pytest.mark.parametrize("s", SEQUENCES)
def test_the_contrast_of_the_lesion_is_kept(studies, s):
    wanted = float(signal(TISSUES["tumor"], REFERENCE[s])[0] / signal(TISSUES["marrow"], REFERENCE[s])[0])
    for case in studies.values():
        got = means(case, s)
        assert got["tumor"] / got["marrow"] == pytest.approx(wanted, rel=0.12)


def test_the_images_stay_as_acquired():
    before = scanned("3 T")
    after = align(before, AlignSettings())
    for s in SEQUENCES:
        assert after.images[s] is before.images[s]


@pytest.mark.parametrize("scale", ["physics", "z-score", "none"])
def test_what_was_looked_at_ahead_makes_no_difference(scale):
    case, settings = scanned("3 T", shading=0.5), AlignSettings(scale=scale)
    plain, early = align(case, settings), early_looks(case.with_(labels={}), settings)
    assert (early is None) == (scale == "none")
    for look in (first_look(case, settings), first_look(case, settings, ahead=early)):
        ahead = align(case, settings, ahead=look)
        assert plain.maps.keys() == ahead.maps.keys()
        for name, image in plain.maps.items():
            np.testing.assert_array_equal(image.array, ahead.maps[name].array)
        assert [x.measurements for x in plain.lesions] == [x.measurements for x in ahead.lesions]


def test_early_looks_on_another_grid_are_not_used():
    case, settings = scanned("3 T", shading=0.5), AlignSettings()
    wrong = early_looks(case, settings)
    grid = wrong.grid
    moved = wrong._replace(grid=Grid(grid.shape, grid.affine + np.diag([0.1, 0, 0, 0])))
    found, wanted = first_look(case, settings, ahead=moved), first_look(case, settings)
    assert all(found.looks[s] is not moved.looks[s] for s in wanted.looks)
    for s, look in wanted.looks.items():
        np.testing.assert_array_equal(found.looks[s].array, look.array)


def test_large_images_are_not_looked_at_while_memory_is_short(monkeypatch):
    case = scanned("3 T")
    monkeypatch.setattr("spondyl.harmonize.align.EARLY_VOXELS", 10)
    assert early_looks(case, AlignSettings()) is None


def test_a_tumor_is_prominent_and_the_sequences_that_say_so_are_named(studies):
    for case in studies.values():
        (score,) = [m for m in case.lesions[0].measurements if m.name == "saliency"]
        assert score.value > 0.8
        assert "T1" in score.note
        assert "STIR" in score.note
        assert case.history[-1].measurements[0].value == pytest.approx(score.value)


def test_a_candidate_that_looks_like_marrow_is_not_prominent():
    case = scanned("1.5 T")
    _, labels = places()
    elsewhere = np.zeros(GRID.shape, np.uint16)
    elsewhere[5:8, 95:105, 25:35] = 1
    elsewhere[labels["structures"] != 1] = 0
    assert (labels["structures"][elsewhere > 0] == labels["structures"][places()[0]["marrow"]][0]).all()
    case = case.with_(labels={**case.labels, "lesions": LabelMap(elsewhere, GRID)})
    (score,) = [m for m in align(case, AlignSettings()).lesions[0].measurements if m.name == "saliency"]
    assert score.value < 0.2


def test_what_was_done_stands_in_the_history(studies):
    record = studies["3 T"].history[-1]
    names = [m.name for m in record.measurements]
    assert record.name == "align"
    assert record.settings["scale"] == "physics"
    assert "N4" in record.methods
    for wanted in ("T1 shading removed", "T2 normal marrow", "STIR brought to reference acquisition, times"):
        assert wanted in names
    values = {m.name: m for m in record.measurements}
    assert values["T1 shading removed"].value > 5
    times = values["T2 brought to reference acquisition, times"]
    assert times.low <= times.value <= times.high


@pytest.mark.parametrize("scale", ["tissue", "z-score", "percentile"])
def test_other_scales_give_maps_too(scale):
    case = align(scanned("1.5 T"), AlignSettings(scale, correct_bias=False))
    assert {f"{MAP_PREFIX}{s}" for s in SEQUENCES} <= set(case.maps)
    assert not [m for m in case.history[-1].measurements if "shading" in m.name]
    assert all(np.isfinite(m.array).all() for m in case.maps.values())


def test_none_leaves_the_step_out():
    before = scanned("1.5 T")
    case = align(before, AlignSettings("none"))
    assert dict(case.maps) == {}
    assert case.lesions == before.lesions
    assert case.history[-1].name == "align"


def test_an_unknown_scale_is_refused():
    with pytest.raises(SettingsError, match="physics, tissue, z-score, percentile, none"):
        AlignSettings("nyul")


def test_an_image_without_timing_is_left_off_and_said_so():
    case = scanned("1.5 T")
    t2 = case.images[Sequence.T2]
    case = case.with_(images={**case.images, Sequence.T2: replace(t2, acquisition=Acquisition())})
    after = align(case, AlignSettings())
    assert f"{MAP_PREFIX}T2" not in after.maps
    assert f"{MAP_PREFIX}T1" in after.maps
    assert [(f.code, f.where) for f in after.quality] == [("not_aligned", "T2")]


def test_an_image_the_equations_do_not_describe_keeps_its_contrast():
    case = scanned("1.5 T")
    t1 = case.images[Sequence.T1]
    gradient_echo = replace(t1.acquisition, repetition_time_ms=60.0)
    after = align(
        case.with_(images={**case.images, Sequence.T1: replace(t1, acquisition=gradient_echo)}), AlignSettings()
    )
    assert ("own_contrast", "T1", "info") in [(f.code, f.where, f.severity) for f in after.quality]
    assert f"{MAP_PREFIX}T1" in after.maps


def test_without_outlines_nothing_is_aligned_and_said_so():
    case = scanned("1.5 T")
    for labels in ({}, {"structures": LabelMap(np.zeros(GRID.shape), GRID)}):
        after = align(case.with_(labels=labels, lesions=()), AlignSettings())
        assert [f.code for f in after.quality] == ["not_aligned"]
        assert dict(after.maps) == {}


def test_a_missing_sequence_leaves_the_others():
    case = scanned("3 T")
    alone = case.with_(images={Sequence.T2: case.images[Sequence.T2]})
    assert set(align(alone, AlignSettings()).maps) == {f"{MAP_PREFIX}T2"}


def diffusion(b: float, *, seed: int = 0) -> dict[Sequence, Image]:
    """DWI at one b-value and ADC of the spine of boxes."""
    acquisition = Acquisition(1.5, 80.0, 4000.0, fat_suppressed=True, b_value_s_mm2=b)
    rng, masks = np.random.default_rng(seed), places()[0]
    adc, dwi = np.zeros(GRID.shape), np.zeros(GRID.shape)
    for name, mask in masks.items():
        adc[mask] = ADC_UM2_S[name]
        dwi[mask] = float(signal(TISSUES[name], acquisition)[0]) * np.exp(-b * 1e-6 * ADC_UM2_S[name])
    dwi = 4000.0 * np.abs(dwi + rng.normal(0, 0.001, GRID.shape))
    return {
        Sequence.DWI: Image(dwi, GRID, Sequence.DWI, 1.0, acquisition),
        Sequence.ADC: Image(adc, GRID, Sequence.ADC, 1.0, acquisition),
    }


def test_diffusion_images_of_any_b_value_come_to_one():
    plain = scanned("1.5 T")
    got = {b: means(align(plain.with_(images={**plain.images, **diffusion(b)}), AlignSettings()), Sequence.DWI)
           for b in (600.0, 1000.0)}  # fmt: skip
    for name in ("marrow", "tumor", "disc"):
        own = reference_of(Sequence.DWI, Acquisition(fat_suppressed=True))
        wanted = UNITS * float(signal(TISSUES[name], own)[0]) * np.exp(-800e-6 * ADC_UM2_S[name])
        assert got[600.0][name] == pytest.approx(got[1000.0][name], rel=0.1)
        assert got[600.0][name] == pytest.approx(wanted, rel=0.25)


def test_adc_keeps_its_unit_and_diffusion_without_adc_is_left_off():
    plain = scanned("1.5 T")
    both = diffusion(800.0)
    after = align(plain.with_(images={**plain.images, **both}), AlignSettings())
    np.testing.assert_array_equal(after.maps[f"{MAP_PREFIX}ADC"].array, both[Sequence.ADC].array)
    alone = align(plain.with_(images={**plain.images, Sequence.DWI: both[Sequence.DWI]}), AlignSettings())
    assert f"{MAP_PREFIX}DWI" not in alone.maps
    assert ("not_aligned", "DWI") in [(f.code, f.where) for f in alone.quality]
    assert diffusion_weights({}, {}) is None


def test_an_image_on_another_grid_is_brought_over_and_unseen_parts_are_empty():
    case = scanned("1.5 T")
    t1 = case.images[Sequence.T1]
    half = replace(t1.grid, shape=(13, 80, 110))
    case = case.with_(images={**case.images, Sequence.T1: replace(t1, array=t1.array[:, :80], grid=half)})
    aligned = align(case, AlignSettings()).maps[f"{MAP_PREFIX}T1"]
    assert aligned.grid.same_space(GRID)
    assert not aligned.array[:, 82:].any()
    assert aligned.array[:, :78].any()
