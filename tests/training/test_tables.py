"""What is written reads back as the same table."""

from __future__ import annotations

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from spondyl.training.tables import toml_text

_text = st.text(st.characters(exclude_categories=["Cs"]))
_plain = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), _text)
_tables = st.recursive(
    st.dictionaries(_text, st.one_of(_plain, st.lists(_plain, max_size=3)), max_size=4),
    lambda inner: st.dictionaries(_text, st.one_of(_plain, inner), max_size=3),
    max_leaves=5,
)


@settings(max_examples=40, deadline=None)
@given(_tables)
def test_every_table_comes_back(table):
    assert tomllib.loads(toml_text(table)) == table


def test_not_a_number_is_kept_and_nothing_is_left_out():
    table = tomllib.loads(toml_text({"a": float("nan"), "b": None, "c": (1, 2)}))
    assert table["a"] != table["a"]
    assert "b" not in table
    assert table["c"] == [1, 2]


def test_tables_inside_a_list_come_back():
    table = {"a": [{"b": 1.5, "c d": "x"}, {}], "e": {"f": [[1], [2, 3]]}}
    assert tomllib.loads(toml_text(table)) == table
