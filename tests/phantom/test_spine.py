"""The bones have published sizes, stand on each other in order, and vary."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from spondyl.phantom.bones import body_distance
from spondyl.phantom.person import Person
from spondyl.phantom.spine import TRANSITIONAL_SHARES, VARIANT_SHARES, collapsed, sample_spine, with_collapse

N_SPINES = 60

MEASURED_MM = {
    # CT of L5: body depth, height (mean of 30.3 in front and 26.3 behind), pedicle width, canal width (mean, SD).
    ("L5", "half_depth_mm", 1.9): (35.7, 3.5),
    ("L5", "height_mm", 1): (28.3, 1.9),
    ("L5", "pedicle_mm", 1): (16.1, 2.3),
    ("L5", "canal_width_mm", 1): (28.2, 3.1),
    # Dry bones of the neck and the chest.
    ("C5", "half_depth_mm", 1.9): (14.6, 2.1),
    ("C5", "height_mm", 1): (11.1, 1.4),
    ("T2", "height_mm", 1): (17.6, 1.4),
    ("T9", "height_mm", 1): (20.5, 3.1),
}
"""Means and standard deviations in mm of bones and CT, by level, size and what it is multiplied by."""

NORMAL_DISC_MM = {"L1": (6.3, 11.0), "L2": (7.0, 12.1), "L3": (7.4, 13.3), "L4": (7.8, 14.6), "L5": (7.1, 13.1)}
"""Normal range of the height of the disc below."""


@pytest.fixture(scope="module")
def spines():
    return [{s.level: s for s in sample_spine(np.random.default_rng(n), fractures=False)} for n in range(N_SPINES)]


def _mean(spines, level, value):
    return np.mean([value(spine[level]) for spine in spines if level in spine])


def _tilt_deg(shape):
    """Angle of the upper endplate from horizontal, positive when it faces backward."""
    return np.degrees(np.arctan2(shape.axes[1, 2], shape.axes[2, 2]) + np.arctan(shape.wedge))


@pytest.mark.parametrize("what", MEASURED_MM, ids=lambda w: f"{w[0]} {w[1]}")
def test_bones_have_measured_sizes(spines, what):
    level, size, times = what
    mean, deviation = MEASURED_MM[what]
    assert abs(times * _mean(spines, level, lambda s: getattr(s, size)) - mean) < 1.5 * deviation


@pytest.mark.parametrize("level", NORMAL_DISC_MM)
def test_discs_have_normal_heights(spines, level):
    low, high = NORMAL_DISC_MM[level]
    assert low < _mean(spines, level, lambda s: s.disc.height_mm) < high


def test_curves_are_those_of_adults(spines):
    whole = [s for s in spines if "T12" in s]
    lordosis = np.mean([_tilt_deg(s["T12"]) - _tilt_deg(s["S1"]) for s in whole])
    kyphosis = np.mean([_tilt_deg(s["T12"]) - _tilt_deg(s["T1"]) for s in whole])
    # Patients lie: the mean of supine adults, give or take half a standard deviation.
    assert 36.8 - 6.6 < lordosis < 36.8 + 6.6
    assert 20 < kyphosis < 50


def test_the_head_lies_over_the_pelvis(spines):
    forward = [s["C7"].center_lps_mm[1] for s in spines]
    assert abs(np.mean(forward)) < 10
    assert np.percentile(np.abs(forward), 95) < 60


def test_every_vertebra_stands_on_the_one_below_with_its_disc_between():
    shapes = sample_spine(np.random.default_rng(8), fractures=False)
    for below, above in pairwise(shapes):
        step = above.center_lps_mm - below.center_lps_mm
        height = (above.height_mm + below.height_mm) / 2 + above.disc.height_mm
        assert np.linalg.norm(step) == pytest.approx(height, abs=6.0)
        assert step @ below.axes[:, 2] > 0


def test_the_first_sacral_body_lies_at_the_origin_and_axes_are_right_handed():
    for shape in sample_spine(np.random.default_rng(3)):
        np.testing.assert_allclose(shape.axes.T @ shape.axes, np.eye(3), atol=1e-12)
        # Left, posterior and up, as the axes of LPS.
        assert np.linalg.det(shape.axes) == pytest.approx(1)
        if shape.level == "S1":
            np.testing.assert_allclose(shape.center_lps_mm, 0, atol=1e-12)


def test_a_variant_is_as_common_as_reported():
    counts = [sum(s.level[0] == "L" for s in sample_spine(np.random.default_rng(n), top="L1")) for n in range(400)]
    for n_lumbar, name in ((4, "L4"), (6, "L6")):
        assert counts.count(n_lumbar) / 400 == pytest.approx(VARIANT_SHARES[name], abs=0.025)


def test_transitional_vertebrae_are_as_common_as_reported_and_look_half_sacral():
    spines = [sample_spine(np.random.default_rng(n), top="L3") for n in range(300)]
    odd = [[s for s in spine if s.transitional] for spine in spines]
    share = np.mean([bool(o) for o in odd])
    assert share == pytest.approx(sum(TRANSITIONAL_SHARES.values()), abs=0.02)
    for (shape,) in filter(None, odd):
        normal = np.mean([s.disc.height_mm for spine in spines for s in spine if s.level == shape.level])
        # A joined vertebra's disc is low, a freed one's high.
        assert (shape.disc.height_mm < normal) == (shape.level[0] == "L")


def test_old_collapse_comes_with_age_and_more_often_in_women():
    def share(age, female):
        person = Person(age, female=female)
        spines = [sample_spine(np.random.default_rng(n), person=person) for n in range(60)]
        return np.mean([any(s.collapse for s in spine) for spine in spines])

    # A quarter of women after the menopause have a fracture (Mauch 2018); young adults hardly any.
    assert share(30.0, female=True) < 0.15
    assert 0.15 < share(68.0, female=True) < 0.5
    assert share(85.0, female=False) < share(85.0, female=True)


@pytest.mark.parametrize("kind", ["wedge", "biconcave", "crush"])
def test_a_collapse_takes_height_where_its_kind_says(kind):
    whole = next(s for s in sample_spine(np.random.default_rng(4), fractures=False) if s.level == "L1")
    low = collapsed(np.random.default_rng(1), replace(whole, wedge=0.0), kind, 0.4)

    def height(shape, u):
        w = np.linspace(-20, 20, 4001, dtype=np.float32)
        inside = body_distance(np.zeros_like(w), np.full_like(w, u), w, replace(shape, ripple_mm=0.0))
        return float(((inside.top < 0) & (inside.bottom < 0)).mean() * 40)

    a = whole.half_depth_mm
    loss = [1 - height(low, u * a) / height(whole, u * a) for u in (-0.85, low.apex, 0.8)]
    assert low.collapse == kind
    assert max(loss) == pytest.approx(0.4, abs=0.12)
    if kind == "wedge":
        assert loss[0] > loss[1] > loss[2]
    elif kind == "biconcave":
        assert loss[1] > max(loss[0], loss[2])
    else:
        assert min(loss) > 0.25


def test_the_column_bends_forward_above_a_wedge():
    whole = sample_spine(np.random.default_rng(4), fractures=False)
    l1 = next(s for s in whole if s.level == "L1")
    bent = with_collapse(whole, {"L1": collapsed(np.random.default_rng(1), l1, "wedge", 0.5)})
    for old, new in zip(whole, bent, strict=True):
        if old.level in ("S1", "L3"):
            np.testing.assert_allclose(new.center_lps_mm, old.center_lps_mm)
        elif old.level in ("T6", "C7"):
            # Anterior is toward smaller y; what lost height came down.
            assert new.center_lps_mm[1] < old.center_lps_mm[1] - 10
            assert new.center_lps_mm[2] < old.center_lps_mm[2]


def test_children_have_small_bodies_under_cartilage_and_young_discs():
    child, adult = (
        {s.level: s for s in sample_spine(np.random.default_rng(5), person=Person(age, female=False))}
        for age in (5, 40)
    )
    assert child["L3"].height_mm < 0.75 * adult["L3"].height_mm
    assert child["L3"].cartilage_mm > 1.0 > adult["L3"].cartilage_mm == 0
    assert child["L3"].canal_width_mm > 0.75 * adult["L3"].canal_width_mm
    assert max(s.disc.degeneration for s in child.values()) == 0


def test_discs_wear_with_age_and_lose_height_and_grow_spurs():
    def mean(age, value):
        person = Person(age, female=False)
        return np.mean([value(s) for n in range(40) for s in sample_spine(np.random.default_rng(n), person=person)])

    assert mean(25, lambda s: s.disc.degeneration) < 0.25 < 0.5 < mean(80, lambda s: s.disc.degeneration)
    assert mean(80, lambda s: s.disc.height_mm) < 0.92 * mean(25, lambda s: s.disc.height_mm)
    assert mean(80, lambda s: s.spurs.top_front) > 3 * mean(25, lambda s: s.spurs.top_front)


def test_the_same_column_is_drawn_whatever_part_of_it_is_asked_for():
    part, whole = (sample_spine(np.random.default_rng(9), top=top) for top in ("T6", "C1"))
    for one, other in zip(part, whole[: len(part)], strict=True):
        assert one.level == other.level
        np.testing.assert_array_equal(one.center_lps_mm, other.center_lps_mm)


@pytest.mark.parametrize(("kind", "loss"), [("wedge", 0.4), ("crush", 0.5), ("biconcave", 0.3)])
def test_a_collapse_says_what_the_third_that_lost_most_has_lost(kind, loss):
    shapes = sample_spine(np.random.default_rng(11), fractures=False)
    whole = next(s for s in shapes if s.level == "L2")
    broken = collapsed(np.random.default_rng(1), whole, kind, loss)
    after = next(s for s in with_collapse(shapes, {"L2": broken}) if s.level == "L2")
    # A third loses on average less than the edge of a wedge or the bottom of a hollow.
    assert 0.6 * loss < after.height_loss < loss + 0.08
    assert all(s.height_loss == 0 for s in shapes)
