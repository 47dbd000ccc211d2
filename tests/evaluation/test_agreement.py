"""Agreement in categories, against published tables."""

import numpy as np
import pytest

from spondyl.core import InputError, SettingsError
from spondyl.evaluation.agreement import Chance, agreement, agreement_table, krippendorff_alpha
from spondyl.evaluation.ratings import from_counts, from_table

ABSTRACTORS = from_table([[13, 0, 0], [0, 20, 7], [0, 4, 56]])

SIX_RATERS = from_counts(
    [
        [0, 0, 0, 6, 0],
        [0, 3, 0, 0, 3],
        [0, 1, 4, 0, 1],
        [0, 0, 0, 0, 6],
        [0, 3, 0, 3, 0],
        [2, 0, 4, 0, 0],
        [0, 0, 4, 0, 2],
        [2, 0, 3, 1, 0],
        [2, 0, 0, 4, 0],
        [0, 0, 0, 0, 6],
        [1, 0, 0, 5, 0],
        [1, 1, 0, 4, 0],
        [0, 3, 3, 0, 0],
        [1, 0, 0, 5, 0],
        [0, 2, 0, 3, 1],
    ]
)

FOUR_RATERS = [
    [1, 1, None, 1],
    [2, 2, 3, 2],
    [3, 3, 3, 3],
    [3, 3, 3, 3],
    [2, 2, 2, 2],
    [1, 2, 3, 4],
    [4, 4, 4, 4],
    [1, 1, 2, 1],
    [2, 2, 2, 2],
    [None, 5, 5, 5],
    [None, None, 1, 1],
    [None, None, 3, None],
]


@pytest.mark.parametrize(
    ("ratings", "chance", "value", "error", "atol"),
    [
        # Gwet, irrCAC, README: two abstractors, contingency table 3 x 3.
        (ABSTRACTORS, Chance.COHEN, 0.7964094, 0.05891072, 6e-8),
        (ABSTRACTORS, Chance.FLEISS, 0.7962397, 0.05905473, 6e-8),
        (ABSTRACTORS, Chance.GWET, 0.8493305, 0.04321747, 6e-8),
        (ABSTRACTORS, Chance.BRENNAN_PREDIGER, 0.835, 0.04693346, 6e-8),
        (ABSTRACTORS, Chance.KRIPPENDORFF, 0.7972585, 0.05905473, 6e-8),
        (ABSTRACTORS, Chance.NONE, 0.89, 0.03128898, 6e-8),
        # The same, distrib.6raters: 15 patients, 6 raters, 5 categories.
        (SIX_RATERS, Chance.GWET, 0.4448007, 0.08418757, 6e-8),
        (SIX_RATERS, Chance.FLEISS, 0.4139265, 0.08119291, 6e-8),
        (SIX_RATERS, Chance.KRIPPENDORFF, 0.4204384, None, 6e-8),
        (SIX_RATERS, Chance.BRENNAN_PREDIGER, 0.4388889, 0.08312142, 6e-8),
        # The same, cac.raw4raters (Krippendorff 2011), printed with five digits; ratings are missing.
        (FOUR_RATERS, Chance.NONE, 0.81818, 0.12561, 6e-6),
        (FOUR_RATERS, Chance.GWET, 0.77544, 0.14295, 6e-6),
        (FOUR_RATERS, Chance.FLEISS, 0.76117, 0.15302, 6e-6),
        (FOUR_RATERS, Chance.KRIPPENDORFF, 0.74342, None, 6e-6),
        (FOUR_RATERS, Chance.COHEN, 0.76282, 0.14917, 6e-6),
        (FOUR_RATERS, Chance.BRENNAN_PREDIGER, 0.77273, 0.14472, 6e-6),
    ],
)
def test_coefficients_and_standard_errors_as_published(ratings, chance, value, error, atol):
    made = agreement(ratings, chance)
    assert made.value == pytest.approx(value, abs=atol)
    if error is not None:
        assert made.standard_error == pytest.approx(error, abs=atol)


def test_the_interval_as_published():
    made = agreement(SIX_RATERS, Chance.GWET)
    assert (round(made.low, 3), round(made.high, 3)) == (0.264, 0.625)
    assert round(agreement(FOUR_RATERS, Chance.GWET).low, 3) == 0.461


@pytest.mark.parametrize(
    ("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_alpha_by_level_as_published(level, published):
    # Krippendorff 2011, Computing Krippendorff's alpha-reliability, section C.
    assert krippendorff_alpha(FOUR_RATERS, level).value == pytest.approx(published, abs=5e-4)


def test_fleiss_kappa_of_his_own_data():
    # Fleiss 1971, doi 10.1037/h0031619: 30 patients, 6 raters; the first 15 above are of the same study.
    # The textbook example with 14 raters: kappa 0.210.
    textbook = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    made = agreement(from_counts(textbook), Chance.FLEISS)
    assert (round(made.value, 3), round(made.observed, 3), round(made.chance, 3)) == (0.210, 0.378, 0.213)


def test_weighted_kappa_is_one_minus_the_ratio_of_disagreements():
    # Cohen 1968, doi 10.1037/h0026256.
    rng = np.random.default_rng(1_000_001)
    a = rng.integers(0, 4, 200)
    b = np.clip(a + rng.integers(-1, 2, 200), 0, 3)
    for name, power in (("linear", 1), ("quadratic", 2)):
        observed = np.mean(np.abs(a - b) ** power)
        expected = np.mean(np.abs(np.subtract.outer(a, b)) ** power)
        made = agreement(np.column_stack([a, b]), Chance.COHEN, weights=name)
        assert made.value == pytest.approx(1 - observed / expected, rel=1e-12)


@pytest.mark.parametrize("weights", ["unweighted", "linear", "quadratic"])
def test_kappa_is_that_of_scikit_learn(weights):
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(1_000_003)
    a = rng.integers(1, 6, 150)
    b = np.clip(a + rng.integers(-1, 2, 150), 1, 5)
    expected = cohen_kappa_score(a, b, weights=None if weights == "unweighted" else weights)
    assert agreement(np.column_stack([a, b]), weights=weights).value == pytest.approx(expected, rel=1e-12)


def test_fleiss_kappa_is_that_of_statsmodels():
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    counts = np.random.default_rng(1_000_004).multinomial(5, [0.2, 0.3, 0.5], 60)
    expected = inter_rater.fleiss_kappa(counts)
    assert agreement(from_counts(counts), Chance.FLEISS).value == pytest.approx(expected, rel=1e-12)


def test_weights_can_be_given():
    given = [[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]]
    assert agreement(ABSTRACTORS, weights=given).value == agreement(ABSTRACTORS, weights="linear").value
    with pytest.raises(SettingsError, match="symmetric 3 x 3 table"):
        agreement(ABSTRACTORS, weights=[[1, 0], [0, 1]])


@pytest.mark.parametrize("chance", [c for c in Chance if c is not Chance.COHEN])
def test_coefficients_do_not_look_at_the_order_of_raters(chance):
    shuffled = [[row[i] for i in np.random.default_rng(i).permutation(4)] for i, row in enumerate(FOUR_RATERS)]
    assert agreement(shuffled, chance).value == pytest.approx(agreement(FOUR_RATERS, chance).value, rel=1e-12)


@pytest.mark.parametrize("chance", list(Chance))
def test_full_agreement_is_one(chance):
    made = agreement([["a", "a", "a"], ["b", "b", "b"], ["c", "c", "c"], ["a", "a", "a"]], chance)
    assert made.value == pytest.approx(1.0)
    assert made.standard_error == pytest.approx(0.0, abs=1e-12)


def test_the_standard_error_is_that_of_the_jackknife():
    rng = np.random.default_rng(1_000_002)
    x = rng.integers(0, 3, (60, 1))
    ratings = np.where(rng.random((60, 4)) < 0.6, x, rng.integers(0, 3, (60, 4)))
    for chance in Chance:
        left = [agreement(np.delete(ratings, i, axis=0), chance).value for i in range(60)]
        jackknife = np.sqrt(59 / 60 * np.sum((left - np.mean(left)) ** 2))
        assert agreement(ratings, chance).standard_error == pytest.approx(jackknife, rel=0.05)


@pytest.mark.parametrize("chance", [Chance.COHEN, Chance.FLEISS, Chance.KRIPPENDORFF])
def test_one_category_is_not_assessable(chance):
    made = agreement([["yes", "yes"], ["yes", "yes"]], chance)
    assert np.isnan(made.value)
    assert "one category" in made.flags[0]


def test_gwets_coefficient_survives_high_prevalence():
    # The paradox that AC1 was made for: 90 % agreement, nearly all in one category.
    table = from_table([[90, 5], [5, 0]])
    assert agreement(table, Chance.COHEN).value < 0
    assert agreement(table, Chance.GWET).value == pytest.approx(0.8895, abs=5e-5)


def test_one_subject_has_no_interval():
    made = agreement([[1, 2]], Chance.GWET)
    assert np.isnan(made.low)
    assert made.flags == ("one subject: no interval",)


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="take Fleiss' kappa"):
        agreement(SIX_RATERS, Chance.COHEN)
    with pytest.raises(InputError, match="1 have not: leave them out"):
        agreement([[1, 1, None], [2, 1, None]], Chance.COHEN)
    with pytest.raises(SettingsError, match="level must be nominal"):
        krippendorff_alpha(FOUR_RATERS, "metric")


def test_the_table_shows_all():
    text = str(agreement_table(ABSTRACTORS))
    assert "Gwet's AC             0.849 (0.764 to 0.935)" in text
    assert "Cohen" not in str(agreement_table(SIX_RATERS))
