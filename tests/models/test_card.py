"""Model cards are read as data, and a damaged one is named as such."""

from __future__ import annotations

import pytest

from spondyl.core import ModelError, Structure
from spondyl.io.weights import packaged_cards
from spondyl.models import parse_card

CARD = """
card_version = 1
[model]
name = "spine"
version = "1"
task = "test"
weights = "spine.onnx"
sha256 = "ab"
[input]
spacing_mm = [4.0, 1.25, 1.25]
slice_range_mm = [2.6, 5.2]
multiple = [4, 32, 32]
[output]
structures = ["background"]
lesion_classes = ["normal"]
[training]
seed = 1
"""


def test_a_card_is_read_with_its_details():
    card = parse_card(CARD)
    assert card.multiple == (4, 32, 32)
    assert card.details["training"]["seed"] == 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("not = [toml", "damaged"),
        (CARD.replace("sha256", "hash"), "sha256"),
        (CARD.replace("= 1\n[model]", "= 9\n[model]"), "layout"),
    ],
)
def test_a_damaged_card_is_a_model_error(text, wanted):
    with pytest.raises(ModelError, match=wanted):
        parse_card(text)


def test_the_packaged_cards_say_what_their_models_were_trained_on():
    for card in packaged_cards():
        if card.name == "spine":
            assert card.structures == tuple(s.name.lower() for s in Structure)
        assert "synthetic" in card.details["training"]["data"]
        assert card.details["limits"]
