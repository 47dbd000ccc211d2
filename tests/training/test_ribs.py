"""Ribs are learnt from patients in whom chance dealt them out, and told in those that were not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spondyl.localize.level_model import shipped_level_model
from spondyl.localize.ribs import BOX_SHAPE
from spondyl.training import ribs
from spondyl.training.level_studies import FIRST_RIB_SEED
from spondyl.training.ribs import RibExample, fit_ribs, make_rib_examples, rib_example

UNSEEN = range(2_000_000, 2_000_004)
"""Patients that no training sees."""


def _examples(count, rng):
    """Noise, with a bright spot beside those that bear ribs."""
    made = []
    for _ in range(count):
        bears = rng.random(10) < 0.4
        box = rng.normal(0, 0.5, (10, 2, *BOX_SHAPE)).astype(np.float32)
        box[bears, :, 1:4, 6:12, 10:16] += 2
        made.append(RibExample(box, bears))
    return made


def test_what_marks_ribs_is_learnt_and_the_same_seed_learns_the_same():
    rng = np.random.default_rng(0)
    model, again = (fit_ribs(_examples(30, np.random.default_rng(1)), rounds=6) for _ in range(2))
    for example in _examples(5, rng):
        odds = model.log_odds(example.boxes)
        np.testing.assert_array_equal(odds > 0, np.stack([example.bears_ribs] * 2, axis=1))
        np.testing.assert_allclose(again.log_odds(example.boxes), odds)


def test_examples_are_kept_and_read_as_they_were_made(tmp_path, monkeypatch):
    made, example = [], _examples(1, np.random.default_rng(2))[0]

    def taken(seed):
        made.append(seed)
        return None if len(made) == 2 else replace(example)

    monkeypatch.setattr(ribs, "rib_example", taken)
    for _ in range(2):
        read = make_rib_examples(tmp_path, 3)
    assert made == [FIRST_RIB_SEED + n for n in range(3)]
    assert len(read) == 2
    np.testing.assert_array_equal(read[0].bears_ribs, example.bears_ribs)
    np.testing.assert_allclose(read[0].boxes, example.boxes, atol=0.01)


@pytest.mark.slow
def test_the_shipped_network_tells_ribs_wherever_they_are():
    model = shipped_level_model().ribs
    assert model is not None
    examples = [e for e in map(rib_example, UNSEEN) if e is not None]
    bears = np.concatenate([e.bears_ribs for e in examples])
    odds = np.concatenate([model.log_odds(e.boxes).sum(axis=1) for e in examples])
    assert 0.2 < bears.mean() < 0.8
    assert ((odds > 0) == bears).mean() > 0.85
