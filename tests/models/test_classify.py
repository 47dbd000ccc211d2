"""Few tokens are asked about as safely as many, with the same answer."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.io.weights import load_network
from spondyl.models import classify
from spondyl.models.crops import CROP_CHANNELS, CROP_SHAPE, Site
from spondyl.models.study_inputs import N_FACTS, Slot


def _study(n_sites, n_slots):
    rng = np.random.default_rng(n_sites)
    crops = rng.normal(0, 0.5, (n_sites, CROP_CHANNELS, *CROP_SHAPE)).astype(np.float32)
    crops[:, -1] = 1
    facts = np.zeros((n_sites, len(Slot), N_FACTS // len(Slot)), np.float32)
    facts[:, :n_slots] = 1
    facts = np.concatenate([facts.reshape(n_sites, -1), np.zeros((n_sites, 1), np.float32)], 1)
    return crops, facts, [Site((0, 0, 0), 0.0, float(i), is_lesion=False) for i in range(n_sites)]


@pytest.mark.parametrize(("n_sites", "n_slots"), [(1, 1), (3, 2), (8, 1)])
def test_copies_of_all_tokens_do_not_change_what_the_transformer_says(n_sites, n_slots, monkeypatch):
    network = load_network("vertebrae_context", threads=1)
    said = classify._by_tokens(network, *_study(n_sites, n_slots))
    assert said.shape[0] == n_sites
    monkeypatch.setattr(classify, "LEAST_TOKENS", 3 * classify.LEAST_TOKENS)
    np.testing.assert_allclose(classify._by_tokens(network, *_study(n_sites, n_slots)), said, atol=1e-4)
