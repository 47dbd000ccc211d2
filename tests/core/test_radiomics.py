"""Features are those of the reference manual, and do not depend on what lies outside the mask."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core.radiomics import (
    co_occurrence,
    directions_in_slices,
    features,
    first_order,
    gray_levels,
    shape,
    texture,
)

# The digital phantom of the IBSI reference manual (arXiv 1612.07003v11, section 5.1 and figure 5.1), slices in order;
# voxels of 0 lie outside the region of interest.
PHANTOM = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [0, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ]
)
ROI = PHANTOM > 0


def test_first_order_features_of_the_digital_phantom():
    found = first_order(PHANTOM[ROI])
    # Reference values of the manual's table for the intensity-based statistics of the digital phantom.
    assert found["mean"] == pytest.approx(2.15, abs=0.01)
    assert found["variance"] == pytest.approx(3.05, abs=0.01)
    assert found["skewness"] == pytest.approx(1.08, abs=0.01)
    assert found["excess_kurtosis"] == pytest.approx(-0.355, abs=0.001)
    assert found["percentile_10"] == pytest.approx(1)
    assert found["percentile_90"] == pytest.approx(4)
    assert found["interquartile_range"] == pytest.approx(3)
    assert found["mean_absolute_deviation"] == pytest.approx(1.55, abs=0.01)


def test_textures_of_the_digital_phantom():
    found = texture(co_occurrence(PHANTOM - 1, ROI, 6))
    # Reference values of the manual for co-occurrence features, three dimensions, merged (IAZD).
    assert found["contrast"] == pytest.approx(5.12, abs=0.01)
    assert found["joint_entropy"] == pytest.approx(2.57, abs=0.01)
    assert found["angular_second_moment"] == pytest.approx(0.291, abs=0.001)
    assert found["inverse_difference"] == pytest.approx(0.688, abs=0.001)
    assert found["correlation"] == pytest.approx(0.183, abs=0.001)
    assert found["cluster_shade"] == pytest.approx(17.4, abs=0.1)


def test_textures_inside_slices_of_the_digital_phantom():
    levels = gray_levels(PHANTOM.astype(float), ROI, 6)
    found = texture(co_occurrence(levels, ROI, 6, directions=directions_in_slices(0)))
    # Reference values of the manual for co-occurrence features inside slices, merged (ZW7Z).
    assert found["contrast"] == pytest.approx(5.29, abs=0.01)
    assert found["joint_entropy"] == pytest.approx(2.61, abs=0.01)
    assert found["angular_second_moment"] == pytest.approx(0.277, abs=0.001)
    assert found["correlation"] == pytest.approx(0.182, abs=0.001)


def test_the_shape_of_the_digital_phantom():
    found = shape(ROI, (2.0, 2.0, 2.0))
    assert found["volume"] == pytest.approx(592)
    assert found["major_axis"] == pytest.approx(11.4, abs=0.01)
    assert found["elongation"] == pytest.approx(0.816, abs=0.001)
    assert found["flatness"] == pytest.approx(0.749, abs=0.001)


def test_a_constant_region_has_no_contrast_and_finite_features():
    found = features({"T1": np.ones((4, 6, 6))}, np.ones((4, 6, 6), bool), (4.0, 2.0, 2.0))
    assert np.isfinite(list(found.values())).all()
    assert (found["T1_contrast"], found["T1_variance"]) == (0, 0)


def test_what_lies_outside_the_mask_does_not_matter(rng):
    image = rng.normal(size=(4, 8, 8))
    mask = np.zeros(image.shape, bool)
    mask[1:3, 2:6, 2:6] = True
    other = np.where(mask, image, 9.0)
    spacing_mm = (4.0, 2.0, 2.0)
    assert features({"T1": image}, mask, spacing_mm) == features({"T1": other}, mask, spacing_mm)


def test_an_empty_mask_has_only_a_volume_of_zero():
    found = features({"T1": np.ones((2, 3, 3))}, np.zeros((2, 3, 3), bool), (1.0, 1.0, 1.0))
    assert found["shape_volume"] == 0
    assert not [name for name in found if name.startswith("T1")]


def test_a_region_without_neighbors_has_no_texture():
    assert set(texture(np.zeros((3, 3))).values()) == {0.0}
