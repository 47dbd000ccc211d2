"""Networks as graphs to run, their cards, and the space they work in."""

from spondyl.models.card import ModelCard, parse_card
from spondyl.models.contrast_code import ContrastCode, code_of
from spondyl.models.network import Network, OpenVinoNetwork
from spondyl.models.segment import Prediction, segment
from spondyl.models.space import resample, to_working_space, working_grid

__all__ = [
    "ContrastCode",
    "ModelCard",
    "Network",
    "OpenVinoNetwork",
    "Prediction",
    "code_of",
    "parse_card",
    "resample",
    "segment",
    "to_working_space",
    "working_grid",
]
