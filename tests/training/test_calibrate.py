"""Probabilities of vertebrae are fitted to analyzed patients and written into the card, or nothing is."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pytest

from spondyl.core import InputError
from spondyl.training.calibrate import calibrate_vertebrae
from spondyl.training.tables import toml_text
from spondyl.training.vertebrae import CLASSES


@pytest.fixture
def card(tmp_path):
    path = tmp_path / "context.toml"
    path.write_text(toml_text({"model": {"name": "c"}, "ensemble": {"members": ["c"], "quantiles": [0.5, 0.6, 0.7]}}))
    return path


@pytest.fixture
def rows(tmp_path, rng):
    """Forty patients with ten vertebrae each, whose probabilities are too flat and too often malignant."""
    path, lines = tmp_path / "rows.jsonl", []
    for seed in range(40):
        true = rng.dirichlet((6.0, 0.6, 0.4), 10)
        truth = (rng.random((10, 1)) > np.cumsum(true, 1)[:, :-1]).sum(1)
        flat = np.sqrt(true) * (1.0, 1.0, 3.0)
        told = [dict(zip(CLASSES, map(float, p / p.sum()), strict=True)) for p in flat]
        pairs = zip(told, truth, strict=True)
        vertebrae = [{"probabilities": p, "malignant": bool(t == 2), "benign": bool(t == 1)} for p, t in pairs]
        lines.append(json.dumps({"seed": seed, "vertebrae": vertebrae}))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_card_is_given_a_scaling_that_mends_the_calibration(rows, card):
    figures = calibrate_vertebrae(rows, card)
    assert figures["calibration_error_cross_validated"] < figures["calibration_error_before"] / 2
    table = tomllib.loads(card.read_text())
    fitted = table["ensemble"]["vertebrae"]
    assert fitted["sharpness"] > 1.3
    assert fitted["offsets"][0] == 0 > fitted["offsets"][2]
    assert len(fitted["quantiles"]) == 3
    assert table["ensemble"]["quantiles"] == [0.5, 0.6, 0.7]
    assert table["model"] == {"name": "c"}


def test_a_second_scaling_comes_after_the_first(rows, card):
    calibrate_vertebrae(rows, card)
    one = tomllib.loads(card.read_text())["ensemble"]["vertebrae"]["sharpness"]
    calibrate_vertebrae(rows, card)
    assert tomllib.loads(card.read_text())["ensemble"]["vertebrae"]["sharpness"] == pytest.approx(one**2, rel=1e-3)


@pytest.mark.parametrize("text", ["", '{"seed": 1, "vertebrae": []}\n', "no json\n", '{"seed": 1, "vertebrae": [3]}\n'])
def test_other_files_are_refused_and_the_card_stays(text, card, tmp_path):
    before = card.read_text()
    (tmp_path / "other.jsonl").write_text(text)
    with pytest.raises(InputError, match=r"other.jsonl"):
        calibrate_vertebrae(tmp_path / "other.jsonl", card)
    assert card.read_text() == before
