"""What is measured of a crop is what radiomics says of it, and nothing outside what is meant changes it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spondyl.core.radiomics import first_order
from spondyl.training.measures import BOXES, N_BINS, N_MOMENTS, N_SPOT, RING, TokenMeasures, n_measures

SHAPE = (10, 24, 32)
BODY = np.s_[3:7, 8:16, 10:22]


@pytest.fixture
def crops():
    """Two tokens with noise, one shape that covers half of what is meant, and a block that is meant."""
    made = torch.from_numpy(np.random.default_rng(0).normal(0.2, 0.4, (2, 3, *SHAPE)).astype(np.float32))
    made[:, 1:] = 0
    made[:, 1, :, :, :16] = 1
    made[(slice(None), 2, *BODY)] = 1
    return made


def test_moments_are_those_of_radiomics(crops):
    found = TokenMeasures()(crops)
    assert found.shape == (2, n_measures(1))
    for row, image in zip(found, crops[:, 0].numpy(), strict=True):
        expected = first_order(image[BODY])
        assert float(row[0]) == pytest.approx(expected["mean"], abs=1e-4)
        assert float(row[1]) == pytest.approx(expected["variance"] ** 0.5, abs=1e-3)
        assert float(row[2]) == pytest.approx(expected["skewness"], abs=0.02)
        assert float(row[3]) ** 2 == pytest.approx(expected["excess_kurtosis"] + 3, rel=0.02)


def test_histograms_and_shares_are_of_what_is_meant(crops):
    inside = TokenMeasures()(crops)[:, N_MOMENTS:][:, : N_BINS + 1]
    torch.testing.assert_close(inside[:, :N_BINS].sum(1), torch.ones(2))
    torch.testing.assert_close(inside[:, N_BINS], torch.full((2,), 0.5))


def test_what_lies_beyond_the_surroundings_changes_nothing(crops):
    other = crops.clone()
    reach = [n // 2 for n in RING]
    near = torch.zeros(SHAPE, dtype=torch.bool)
    near[tuple(slice(s.start - r, s.stop + r) for s, r in zip(BODY, reach, strict=True))] = True
    other[:, 0] = torch.where(near, other[:, 0], torch.tensor(7.0))
    torch.testing.assert_close(TokenMeasures()(crops), TokenMeasures()(other))


def test_measures_hold_what_is_small_or_empty(crops):
    crops[:, 2] = 0
    assert torch.isfinite(TokenMeasures()(crops)).all()
    crops[:, 2, 5, 12, 16] = 1
    assert torch.isfinite(TokenMeasures()(crops)).all()


def test_a_spot_in_the_body_is_told_by_its_sign_and_size_and_marrow_without_one_is_calm():
    def spots(change):
        made = torch.zeros(1, 3, *SHAPE)
        made[:, 1:, 2:8, 5:19, 8:24] = 1
        made[:, 0, 4:6, 10:13, 14:17] += change
        return TokenMeasures()(made)[0, -N_SPOT * (len(BOXES) - 1) :].view(-1, N_SPOT)

    calm, bright, dark = spots(0.0), spots(1.0), spots(-1.0)
    assert calm[:, :3].abs().max() < 1e-5
    assert bright[:, 0].max() > 0.4
    torch.testing.assert_close(dark[:, 1], -bright[:, 0], atol=1e-4, rtol=1e-3)


def test_the_body_is_measured_apart_from_the_arch(crops):
    start = 2 * (N_MOMENTS + N_BINS + 1)
    found, image = TokenMeasures()(crops), crops[:, 0].numpy()
    for row, own in zip(found, image, strict=True):
        assert float(row[start]) == pytest.approx(own[3:7, 8:16, 10:16].mean(), abs=1e-4)
    crops[:, 1] = 0
    found = TokenMeasures()(crops)
    torch.testing.assert_close(found[:, start], found[:, 0])
