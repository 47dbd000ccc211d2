import numpy as np
import pandas as pd

from spondyl.socce.alignment import learn_alignment, level_of, one_hot


def scanned(seed: int, n: int = 400):
    rng = np.random.default_rng(seed)
    disease = rng.normal(size=n)
    vendor = np.where(disease + 0.7 * rng.normal(size=n) > 0, "a", "b")  # patients with more disease go to a
    true = disease[:, None] * [1.0, -1.0, 0.0] + 0.5 * rng.normal(size=(n, 3))
    shift, gain = {"a": [1.0, 1.0, -1.0], "b": [0.0, 0.0, 0.0]}, {"a": 1.6, "b": 1.0}
    seen = np.array([np.array(shift[v]) + gain[v] * t for v, t in zip(vendor, true, strict=True)])
    return true, seen, disease[:, None], pd.DataFrame({"vendor": vendor})


def test_shifts_are_found_beside_disease_although_both_go_together():
    _, seen, disease, patients = scanned(1)
    _, aligned = learn_alignment(seen, patients, ("vendor",), disease)
    slope = [np.polyfit(disease[:, 0], column, 1)[0] for column in aligned.T]
    np.testing.assert_allclose(slope, [1.15, -1.15, 0.0], atol=0.25)
    a = (patients["vendor"] == "a").to_numpy()
    left = aligned - disease * slope
    assert np.abs(left[a].mean(axis=0) - left[~a].mean(axis=0)).max() < 0.25


def test_without_disease_as_covariate_disease_would_be_removed():
    _, seen, disease, patients = scanned(1)
    _, told = learn_alignment(seen, patients, ("vendor",), disease)
    _, blind = learn_alignment(seen, patients, ("vendor",), np.zeros((len(seen), 0)))
    assert np.corrcoef(blind[:, 0], disease[:, 0])[0, 1] < np.corrcoef(told[:, 0], disease[:, 0])[0, 1]


def test_one_patient_is_aligned_as_in_training():
    _, seen, disease, patients = scanned(2)
    model, aligned = learn_alignment(seen, patients, ("vendor",), disease)
    row, known = model.apply(seen[5], {"vendor": patients["vendor"].iloc[5]})
    np.testing.assert_allclose(row, aligned[5], atol=1e-12)
    assert known


def test_an_unknown_scanner_is_left_alone_and_said_so():
    _, seen, disease, patients = scanned(3)
    model, _ = learn_alignment(seen, patients, ("vendor",), disease)
    row, known = model.apply(seen[0], {"vendor": "never seen"})
    np.testing.assert_array_equal(row, seen[0])
    assert not known


def test_missing_values_stay_missing():
    _, seen, disease, patients = scanned(4)
    seen[::3, 1] = np.nan
    _, aligned = learn_alignment(seen, patients, ("vendor",), disease)
    np.testing.assert_array_equal(np.isnan(aligned), np.isnan(seen))


def test_levels_are_text_and_numbers_alike():
    assert level_of(3) == level_of(3.0) == level_of("3.0") == "3"
    assert level_of(float("nan")) == level_of(None) == ""
    columns, names = one_hot(["b", "a", "", "b"])
    assert names == ("a", "b")
    np.testing.assert_array_equal(columns, [[0, 1], [1, 0], [0, 0], [0, 1]])
