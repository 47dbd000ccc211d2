"""Height along a curved column tells arches and discs which body they belong to."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.localize.column import ARCH_DROP, Column, assign_arches, assign_discs

SPACING_MM = (4.0, 2.0, 2.0)


def _curved(n=6, radius_mm=300.0, step_deg=6.0):
    """Centers on an arc that bends backward as it goes down, and the arc's own normals."""
    angle = np.radians(step_deg) * np.arange(n)
    down, back = radius_mm * np.sin(angle), radius_mm * (1 - np.cos(angle))
    centers = np.stack([np.full(n, 30.0), 20 + down, 20 + back], axis=1)
    normals = np.stack([np.zeros(n), -np.sin(angle), np.cos(angle)], axis=1)
    return centers, normals


def test_the_rank_of_a_center_is_its_number():
    centers, _ = _curved()
    np.testing.assert_allclose(Column(centers).rank(centers), np.arange(6), atol=1e-9)


def test_points_behind_a_center_keep_its_rank_on_a_curved_column():
    centers, normals = _curved()
    behind = Column(centers).rank(centers + 45 * normals)
    np.testing.assert_allclose(behind, np.arange(6), atol=0.12)


def test_ranks_grow_downward_and_go_on_beyond_the_ends():
    centers, _ = _curved()
    rows = np.arange(-20.0, 220.0, 2.0)
    on_line = np.stack([np.full(len(rows), 30.0), rows, np.interp(rows, centers[:, 1], centers[:, 2])], axis=1)
    rank = Column(centers).rank(on_line)
    assert (np.diff(rank) > 0).all()
    assert rank[0] < -0.5
    assert rank[-1] > 5.5


def test_the_middle_of_two_bodies_has_half_a_rank():
    centers, _ = _curved()
    middle = (centers[1:] + centers[:-1]) / 2
    np.testing.assert_allclose(Column(centers).rank(middle) % 1, 0.5, atol=0.02)


def test_one_body_alone_still_orders_points():
    column = Column(np.array([[30.0, 50.0, 30.0]]))
    assert column.rank(np.array([[30.0, 50, 60], [0, 80, 0]])) == pytest.approx([0, 1])


def test_arches_get_the_number_of_their_body():
    centers, normals = _curved()
    column = Column(centers)
    places = np.moveaxis(np.indices((16, 130, 70)), 0, -1) * np.asarray(SPACING_MM)
    arches = []
    for center, normal in zip(centers, normals, strict=True):
        hang = center + 40 * normal + [0, ARCH_DROP * 31.0, 0]
        arches.append(np.linalg.norm(places - hang, axis=-1) < 8)
    numbers = assign_arches(np.logical_or.reduce(arches), column, SPACING_MM, len(centers))
    for number, arch in enumerate(arches, start=1):
        assert (numbers[arch] == number).mean() > 0.95
    assert not numbers[~np.logical_or.reduce(arches)].any()


def test_discs_get_the_number_of_the_body_above():
    centers, _ = _curved()
    places = np.moveaxis(np.indices((16, 130, 70)), 0, -1) * np.asarray(SPACING_MM)
    middles = [*(centers[1:] + centers[:-1]) / 2, centers[0] - [0, 15, 0]]
    discs = [np.linalg.norm(places - m, axis=-1) < 6 for m in middles]
    numbers = assign_discs(np.logical_or.reduce(discs), Column(centers), SPACING_MM, len(centers))
    for number, disc in enumerate(discs[:-1], start=1):
        assert (numbers[disc] == number).mean() > 0.95
    assert not numbers[discs[-1]].any()


def test_nothing_to_assign_gives_nothing():
    centers, _ = _curved()
    empty = np.zeros((4, 5, 6), bool)
    assert not assign_arches(empty, Column(centers), SPACING_MM, 6).any()
    assert not assign_discs(empty, Column(centers), SPACING_MM, 6).any()
