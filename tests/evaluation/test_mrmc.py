"""Whole analyses, against published and independent results, and what happens to studies that are not whole."""

import json

import numpy as np
import pytest

from reader_fakes import drawn_study, example_study
from spondyl.core import InputError, SettingsError
from spondyl.evaluation.mrmc import analyze_study, compare_standalone
from spondyl.evaluation.mrmc_components import Population
from spondyl.evaluation.mrmc_data import Design, ReaderStudy
from spondyl.evaluation.mrmc_figures import MrmcSettings
from spondyl.evaluation.mrmc_merit import custom_merits
from spondyl.evaluation.roc import roc_areas


def _with_scores(study, scores):
    return ReaderStudy(study.modalities, study.readers, study.cases, study.truth, scores)


def test_the_example_as_an_independent_program_analyzes_it():
    result = analyze_study(example_study())
    areas = {(r.reader, r.modality): r.value for r in result.readers}
    expected = {
        "testA": (0.780625, 0.74125, 0.675625, 0.581875, 0.685),
        "testB": (0.871875, 0.823125, 0.71, 0.598125, 0.825),
    }
    for modality, values in expected.items():
        np.testing.assert_allclose([areas[f"reader{i}", modality] for i in range(1, 6)], values, atol=1e-14)
    difference = result.differences[0]
    assert (difference.first, difference.second) == ("testA", "testB")
    np.testing.assert_allclose(difference.value, -0.07275, atol=1e-14)
    overall = result.overall
    np.testing.assert_allclose(
        (overall.f, overall.df2, overall.p_value, difference.p_value),
        (3.275394921641718, 45.20740409205233, 0.0769769144967126, 0.0769769144967126),
        rtol=1e-12,
    )
    jackknife = analyze_study(example_study(), MrmcSettings(covariance="jackknife"))
    np.testing.assert_allclose(jackknife.overall.p_value, 0.07814342642508301, rtol=1e-11)


# The two studies below were simulated by the authors of Google Health's reader_study.py (Apache-2.0) with numpy's
# legacy generator and analyzed by them with RJafroc; the draws are repeated here in their order.


def _model_and_readers(n_readers=10):
    rng = np.random.RandomState(1987)
    truth = np.arange(1000) < 200
    shared = rng.randn(1000)
    readers = []
    for _ in range(n_readers):
        negative, positive = 0.075 * rng.randn(2)
        error = 0.8 * rng.randn(1000)
        readers.append(truth + np.where(truth, positive, negative) + 0.6 * shared + error)
    return truth, truth + shared, np.array(readers)


def _study(truth, scores, modalities):
    names = tuple(f"R{i}" for i in range(scores.shape[1]))
    return ReaderStudy(modalities, names, tuple(f"C{i}" for i in range(len(truth))), truth, scores)


def test_a_standalone_model_against_readers_as_published():
    truth, model, readers = _model_and_readers()
    study = _study(truth, readers[None], ("readers",))
    (result,) = compare_standalone(study, model, MrmcSettings(covariance="jackknife"))
    difference = result.differences[0]
    np.testing.assert_allclose(difference.value, -0.00584125, atol=1e-9)
    np.testing.assert_allclose(difference.p_value, 0.6560453, rtol=1e-7)
    np.testing.assert_allclose((difference.low, difference.high), (-0.03233184, 0.02064934), atol=1e-8)
    np.testing.assert_allclose(difference.df, 31.00905, rtol=1e-7)


def test_two_modalities_as_published():
    rng = np.random.RandomState(1987)
    truth = np.arange(400) >= 200
    sd_reader, sd_case, sd_interaction, sd_reader_case = np.sqrt([0.0082, 0.3, 0.3, 0.2])
    case = sd_case * rng.randn(400)
    of_modality = [sd_interaction * rng.randn(400) for _ in range(2)]
    scores = np.empty((2, 10, 400), dtype=np.float32)
    for reader in range(10):
        positive, negative = sd_reader * rng.randn(2)
        own = sd_reader_case * rng.randn(400)
        for modality in range(2):
            more_positive, more_negative = sd_reader * rng.randn(2)
            error = sd_reader_case * rng.randn(400)
            of_class = np.where(truth, 0.821 + positive + more_positive, negative + more_negative)
            scores[modality, reader] = of_class + case + own + of_modality[modality] + error
    result = analyze_study(
        _study(truth, scores, ("first", "second")), MrmcSettings(covariance="jackknife", reference="first")
    )
    difference = result.differences[0]
    np.testing.assert_allclose(difference.value, 0.00451, atol=1e-6)
    np.testing.assert_allclose(difference.p_value, 0.8502715, atol=1e-6)
    np.testing.assert_allclose((difference.low, difference.high), (-0.04284442691, 0.05186442691), atol=1e-6)
    np.testing.assert_allclose(difference.df, 85.5241922, atol=1e-4)


@pytest.mark.parametrize("population", list(Population))
def test_a_standalone_model_is_a_modality_whose_readers_all_agree(population):
    truth, model, readers = _model_and_readers(4)
    settings = MrmcSettings(population=population)
    (alone,) = compare_standalone(_study(truth, readers[None], ("readers",)), model, settings, name="model")
    tiled = np.stack([np.broadcast_to(model, readers.shape), readers])
    both = analyze_study(_study(truth, tiled, ("model", "readers")), settings)
    assert alone.differences[0].to_dict() == both.differences[0].to_dict()


def test_the_single_model_formula_gives_the_same():
    # Readers minus one algorithm, reader by reader: the mean difference has the sample variance over readers plus the
    # mean covariance of two such differences (Chakraborty 2017, chapter 22).
    from spondyl.evaluation.mrmc_covariance import covariance
    from spondyl.evaluation.mrmc_merit import auc_merits

    truth, model, readers = _model_and_readers(5)
    (alone,) = compare_standalone(_study(truth, readers[None], ("readers",)), model)
    tiled = np.stack([np.broadcast_to(model, readers.shape), readers])
    merits = auc_merits(_study(truth, tiled, ("model", "readers")))
    matrix = covariance(merits)
    gap = merits.values[0] - merits.values[1]
    apart = matrix[0, :, 0] + matrix[1, :, 1] - matrix[0, :, 1] - matrix[1, :, 0]
    variance = gap.var(ddof=1) / 5 + apart[~np.eye(5, dtype=bool)].mean()
    np.testing.assert_allclose(alone.differences[0].standard_error, np.sqrt(variance), rtol=1e-10)
    np.testing.assert_allclose(alone.differences[0].df, variance**2 / ((gap.var(ddof=1) / 5) ** 2 / 4), rtol=1e-9)


def test_one_reader_falls_back_to_delong_and_says_so():
    study = example_study().select(readers=["reader1"])
    result = analyze_study(study)
    paired = roc_areas(study.truth, study.scores[:, 0], names=study.modalities).compare("testA", "testB")
    got = result.differences[0]
    np.testing.assert_allclose((got.standard_error, got.p_value), (paired.standard_error, paired.p_value), rtol=1e-10)
    assert result.flags == ("one reader: the result holds for other cases read by this reader, not for other readers",)
    assert result.generalizes == str(Population.CASES)


@pytest.mark.parametrize("analysis", ["or", "dbm", "ustat"])
def test_one_reader_works_with_every_analysis(analysis):
    result = analyze_study(example_study().select(readers=["reader1"]), MrmcSettings(analysis=analysis))
    assert 0 < result.differences[0].p_value < 1


def test_three_modalities_get_a_global_test_and_adjusted_pairs():
    result = analyze_study(drawn_study(1_000_001, n_modalities=3, n_readers=6))
    assert [(d.first, d.second) for d in result.differences] == [("M0", "M1"), ("M0", "M2"), ("M1", "M2")]
    assert result.overall.df1 == 2
    assert all(d.p_adjusted >= d.p_value for d in result.differences)


def test_the_reference_is_subtracted():
    result = analyze_study(drawn_study(1_000_001, n_modalities=3, n_readers=6), MrmcSettings(reference="M1"))
    assert [(d.first, d.second) for d in result.differences] == [("M0", "M1"), ("M2", "M1"), ("M0", "M2")]


def test_the_names_of_modalities_do_not_matter_but_the_sign():
    study = drawn_study(1_000_002)
    turned = ReaderStudy(study.modalities[::-1], study.readers, study.cases, study.truth, study.scores[::-1])
    a, b = analyze_study(study).differences[0], analyze_study(turned).differences[0]
    np.testing.assert_allclose((a.value, a.p_value, a.low), (-b.value, b.p_value, -b.high), rtol=1e-10)


def test_a_margin_makes_a_one_sided_test():
    study = drawn_study(1_000_003)
    plain, wide = (analyze_study(study, MrmcSettings(margin=m)).differences[0] for m in (0.0, 0.2))
    assert wide.p_non_inferior < plain.p_non_inferior
    np.testing.assert_allclose(min(plain.p_non_inferior, 1 - plain.p_non_inferior) * 2, plain.p_value, rtol=1e-10)


def test_readers_who_miss_a_modality_are_left_out_and_named():
    study = drawn_study(1_000_004, n_readers=5)
    scores = study.scores.copy()
    scores[1, 2] = np.nan
    result = analyze_study(_with_scores(study, scores))
    assert result.n_readers == 4
    assert any("1 of 5 readers left out (R2)" in flag for flag in result.flags)
    whole = analyze_study(study.select(readers=["R0", "R1", "R3", "R4"]))
    np.testing.assert_allclose(result.overall.p_value, whole.overall.p_value, rtol=1e-12)


def test_scattered_missing_readings_are_flagged_and_matter_little():
    study = drawn_study(1_000_005, n_readers=5, n_cases=200)
    scores = study.scores.copy()
    scores[np.random.default_rng(1_000_005).random(scores.shape) < 0.03] = np.nan
    result, whole = analyze_study(_with_scores(study, scores)), analyze_study(study)
    assert result.design == str(Design.INCOMPLETE)
    assert any("readings are missing" in flag for flag in result.flags)
    np.testing.assert_allclose(result.components.variance, whole.components.variance, rtol=0.1)
    np.testing.assert_allclose(result.differences[0].value, whole.differences[0].value, atol=0.01)


def test_no_common_reader_and_no_pattern_is_an_error():
    study = drawn_study(1_000_006, n_modalities=3, n_readers=3)
    scores = study.scores.copy()
    for i in range(3):
        scores[i, i] = np.nan
    with pytest.raises(InputError, match="at least one reader who read cases of both classes in every modality"):
        analyze_study(_with_scores(study, scores))


def test_one_case_of_a_class_has_no_variance():
    study = drawn_study(1_000_007)
    one = study.select(cases=~study.truth | (np.arange(30) == 0))
    with pytest.raises(InputError, match="two cases of each class"):
        analyze_study(one)


def test_equal_modalities_are_not_different():
    study = drawn_study(1_000_008)
    result = analyze_study(_with_scores(study, np.stack([study.scores[0]] * 2)))
    assert result.differences[0].p_value == 1.0
    assert any("do not differ" in flag for flag in result.flags)


def test_ties_everywhere_are_no_evidence():
    study = drawn_study(1_000_009)
    result = analyze_study(_with_scores(study, np.zeros_like(study.scores)))
    assert [m.value for m in result.means] == [0.5, 0.5]
    assert result.differences[0].p_value == 1.0


def test_one_modality_gives_its_mean_alone():
    study = drawn_study(1_000_010, n_modalities=1)
    for analysis in ("or", "dbm", "ustat"):
        result = analyze_study(study, MrmcSettings(analysis=analysis))
        assert result.differences == ()
        assert result.means[0].low < result.means[0].value < result.means[0].high


def test_any_figure_of_merit_can_be_analyzed():
    study = drawn_study(1_000_011)
    youden = custom_merits(study, lambda t, s: float((s[t] > 0).mean() + (s[~t] <= 0).mean() - 1), "Youden index")
    result = analyze_study(study, merits=youden)
    assert result.metric == "Youden index"
    assert result.covariance == "jackknife"
    assert any("the jackknife was taken" in flag for flag in result.flags)
    with pytest.raises(SettingsError, match="not defined for Youden"):
        analyze_study(study, MrmcSettings(analysis="ustat"), merits=youden)


def test_pseudovalues_need_a_crossed_study():
    study = drawn_study(1_000_012)
    scores = study.scores.copy()
    scores[0, 0, 0] = np.nan
    with pytest.raises(SettingsError, match="'dbm' needs that every reader reads every case"):
        analyze_study(_with_scores(study, scores), MrmcSettings(analysis="dbm"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metric": "f1"}, "metric must be one of auc, sensitivity, specificity; got 'f1'"),
        ({"analysis": "magic"}, "analysis must be one of"),
        ({"covariance": "magic"}, "covariance must be one of"),
        ({"confidence": 95}, "confidence must lie between 0 and 1"),
        ({"margin": -0.1}, "margin must lie from 0 to 1"),
        ({"analysis": "ustat", "population": Population.CASES}, "U-statistics take readers and cases as random"),
    ],
)
def test_settings_are_checked(given, message):
    with pytest.raises(SettingsError, match=message):
        MrmcSettings(**given)


def test_an_unknown_reference_is_refused():
    with pytest.raises(SettingsError, match=r"reference must be a modality \(testA, testB\), got 'aided'"):
        analyze_study(example_study(), MrmcSettings(reference="aided"))


def test_scores_of_a_model_must_fit():
    study = drawn_study(1_000_013)
    with pytest.raises(InputError, match="expected 30 scores"):
        compare_standalone(study, np.zeros(29))
    with pytest.raises(InputError, match="a name that is no modality"):
        compare_standalone(study, np.zeros(30), name="M0")


def test_a_split_plot_study_is_analyzed_as_one():
    study = drawn_study(1_000_014, n_readers=6, n_cases=60)
    own = np.arange(6)[:, None] // 3 == np.arange(60) // 30
    result = analyze_study(_with_scores(study, np.where(own, study.scores, np.nan)))
    assert result.design == str(Design.SPLIT_PLOT)
    assert result.components.n_groups == 2
    assert 0 < result.overall.p_value < 1


def test_the_result_is_json_and_tables():
    result = analyze_study(example_study())
    document = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert document["components"]["var_reader"] == pytest.approx(0.0071858, rel=1e-4)
    assert document["overall"]["df2"] == pytest.approx(45.2074, rel=1e-5)
    text = str(result)
    assert "testA − testB" in text
    assert "F(1, 45.2) = 3.275" in text
    assert "cov3" in text
