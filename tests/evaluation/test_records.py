"""Records print as tables and turn into JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from spondyl.evaluation.records import NOT_ASSESSABLE, Difference, Estimate, Record, Table, plain, show


class Color(Enum):
    RED = "red"


@dataclass(frozen=True, eq=False)
class Sample(Record):
    n_cases: int
    share: Estimate
    curve: np.ndarray
    flags: tuple[str, ...] = ("few cases",)


def test_a_record_prints_scalars_and_flags_but_no_arrays():
    text = str(Sample(3, Estimate(0.5, 0.25, 0.75), np.zeros(4)))
    assert "n cases" in text
    assert "0.500 (0.250 to 0.750)" in text
    assert "! few cases" in text
    assert "curve" not in text


def test_a_record_becomes_json_and_numbers_that_are_none_become_null():
    record = Sample(3, Estimate(math.nan, -math.inf, math.inf), np.array([1.0, math.nan]))
    found = json.loads(json.dumps(record.to_dict(), allow_nan=False))
    assert found["share"]["value"] is None
    assert found["share"]["low"] is None
    assert found["curve"] == [1.0, None]
    assert found["flags"] == ["few cases"]


def test_plain_takes_apart_whatever_a_record_may_hold():
    assert plain({Color.RED: np.float32(0.5), 2: (Color.RED, None, np.bool_(1))}) == {
        "Color.RED": 0.5,
        "2": ["red", None, True],
    }


def test_what_cannot_be_known_says_so():
    assert str(Estimate(math.nan)) == NOT_ASSESSABLE
    assert str(Estimate(0.5)) == "0.500"
    assert show(math.nan) == NOT_ASSESSABLE
    assert show(1e-9) == "1.0e-09"
    assert show((1.0, "a")) == "1.000, a"
    assert show(None) == ""


def test_columns_of_a_table_line_up():
    lines = str(Table.of("Title", ("a", "long head"), [(1, 2), ("longer", 3)], ["note"])).splitlines()
    assert lines[0] == "Title"
    assert lines[1].index("long head") == lines[3].index("2") == lines[4].index("3")
    assert lines[-1] == "note"


def test_a_difference_prints_its_test():
    text = str(Difference("a", "b", 0.1, 0.0, 0.2, 0.05, 2.0, 0.045, 0.95, "DeLong", ("few",)))
    assert text == "a - b: 0.100 (0.000 to 0.200), p = 0.045, DeLong; ! few"
