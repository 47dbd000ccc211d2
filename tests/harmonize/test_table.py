"""What does not fit is named with its column and what to do, and the table given stays as it was."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fake_cohorts import cohort
from spondyl.core import InputError
from spondyl.harmonize.table import check_training, read_features

WHO = {"scanner": "the scanner", "age": ""}


def _table():
    return cohort(1, n=12, p=4).table


def test_features_and_patients_are_told_apart():
    got = read_features(_table(), None, WHO)
    assert got.names == ("f0", "f1", "f2", "f3")
    assert list(got.obs.columns) == list(WHO)
    assert got.values.shape == (12, 4)


def test_arrays_get_names_and_take_patients_from_obs():
    got = read_features(np.ones((3, 2)), pd.DataFrame({"scanner": list("abc")}), WHO)
    assert got.names == ("x0", "x1")
    assert got.obs.scanner.tolist() == ["a", "b", "c"]


def test_columns_come_into_the_order_that_was_learned():
    table = _table()
    turned = table[["f2", "age", "f0", "scanner", "f3", "f1"]]
    np.testing.assert_array_equal(
        read_features(turned, None, WHO, ("f0", "f1", "f2", "f3")).values, read_features(table, None, WHO).values
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns=["f1", "f3"]), "'f1', 'f3' missing"),
        (lambda t: t.assign(extra=1.0), "'extra' never learned"),
        (lambda t: t.rename(columns={"f1": "g1"}), "'f1' missing and 'g1' never learned"),
    ],
)
def test_other_columns_than_learned_are_named(change, words):
    with pytest.raises(InputError, match=words):
        read_features(change(_table()), None, WHO, ("f0", "f1", "f2", "f3"))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (_table().assign(note="metastasis"), "'note' hold object; keep such a column as a covariate"),
        (_table().assign(flag=True), "'flag' hold bool"),
        (_table().assign(when=pd.Timestamp("2020-01-01")), "'when' hold datetime"),
        (_table().assign(f2=np.inf), "'f2' hold infinite values"),
        (_table().assign(f2=[np.inf, -np.inf] * 6), "'f2' hold infinite values"),
        (_table().iloc[:0], "got no rows"),
        (_table()[list(WHO)], "at least one feature, got none"),
        (pd.concat([_table(), _table()[["f1"]]], axis=1), "'f1' stand twice"),
        (np.zeros(5), "got 1 dimension"),
    ],
)
def test_tables_that_do_not_fit_are_refused_in_words(table, words):
    with pytest.raises(InputError, match=words):
        read_features(table, None, WHO)


def test_many_columns_are_counted_not_listed():
    text = _table().assign(**{f"t{i}": "x" for i in range(9)})
    with pytest.raises(InputError, match="'t4' and 4 more hold"):
        read_features(text, None, WHO)


def test_rows_of_patients_and_features_must_match():
    with pytest.raises(InputError, match="got 2 rows for 3"):
        read_features(np.ones((3, 2)), pd.DataFrame({"scanner": list("ab")}), WHO)
    with pytest.raises(InputError, match="2 features were learned, the table has 3 columns"):
        read_features(np.ones((1, 3)), None, WHO, ("a", "b"))


def test_nothing_to_learn_from_is_refused():
    empty = _table().assign(f1=np.nan)
    with pytest.raises(InputError, match="'f1' have no value in any patient"):
        check_training(read_features(empty, None, WHO))
    with pytest.raises(InputError, match="at least 3 patients"):
        check_training(read_features(_table().iloc[:2], None, WHO))


def test_missing_values_of_every_kind_are_nan():
    table = pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64"), "b": [0.5, np.nan, 1.0]})
    got = read_features(table, None, {})
    np.testing.assert_array_equal(np.isnan(got.values), [[False, False], [True, True], [False, False]])


def test_values_of_patients_are_not_told():
    table = _table().assign(name="DOE^JANE")
    with pytest.raises(InputError) as caught:
        read_features(table, None, WHO)
    assert "DOE" not in str(caught.value)
