"""Pictures of reader studies are drawn, whatever is missing."""

import numpy as np
import pytest

from spondyl.io.page import draw, svg
from spondyl.io.reader_figures import Interval, power_picture, ratio_picture, reader_picture, roc_picture

NAN = float("nan")
STEPS = (np.array([0.0, 0.0, 0.5, 1.0]), np.array([0.0, 0.6, 0.8, 1.0]))


def _axes(picture):
    return draw(picture).axes[0]


def test_roc_curves_and_their_mean():
    axes = _axes(roc_picture({"unaided": [STEPS, STEPS], "aided": [STEPS]}, "curves"))
    assert len(axes.lines) == 1 + 3 + 2
    labels = [t.get_text() for t in axes.get_legend().get_texts()]
    assert labels == ["unaided", "aided"]


def test_readers_stand_in_their_order_with_the_mean_below():
    values = {"a": [Interval(0.7, 0.6, 0.8), None], "b": [Interval(0.8, 0.7, 0.9), Interval(0.6, 0.5, 0.7)]}
    means = {"a": Interval(0.7, 0.6, 0.8), "b": Interval(0.7, NAN, NAN)}
    picture = reader_picture(["Ann", "Bo"], values, means, "AUC", "readers")
    axes = _axes(picture)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["mean", "Ann", "Bo"]
    assert picture.height_mm > reader_picture(["Ann"], {"a": [None]}, {"a": means["a"]}, "AUC", "x").height_mm


@pytest.mark.parametrize("mean", [Interval(0.8, 0.7, 0.9), Interval(1.0, NAN, NAN), Interval(3.0, 0.2, 45.0)])
def test_ratios_have_plain_labels(mean):
    axes = _axes(ratio_picture({"Ann": 0.7, "Bo": 1.1}, mean, "ratio", "times"))
    labels = [t.get_text() for t in axes.get_xticklabels()]
    assert 1 <= len(labels) <= 8
    assert all(float(label) > 0 for label in labels)


def test_names_of_readers_are_escaped():
    picture = ratio_picture({"<Ann & Bo>": 0.7}, Interval(0.7, NAN, NAN), "ratio", "times")
    assert "&lt;Ann &amp; Bo&gt;" in svg(picture)


def test_power_curves():
    cases = np.linspace(10, 100, 5)
    axes = _axes(power_picture({"6 readers": (cases, cases / 100)}, 0.8, "power"))
    assert axes.get_xlabel() == "cases"
