"""Reading times: ratios, intervals that allow for readers and cases, and odd times."""

import numpy as np
import pytest

from spondyl.core import InputError, SettingsError
from spondyl.evaluation.bootstrap import Resampling
from spondyl.evaluation.mrmc_data import ReaderStudy
from spondyl.evaluation.reading_time import compare_times


def _times(seed, ratio=0.8, n_readers=6, n_cases=40, spread=(0.1, 0.15)):
    """Log-normal times: readers and cases differ in speed, and in how much the second modality changes it."""
    rng = np.random.default_rng(seed)
    base = np.log(90) + rng.normal(0, 0.3, (n_readers, 1)) + rng.normal(0, 0.4, (1, n_cases))
    gap = np.log(ratio) + rng.normal(0, spread[0], (n_readers, 1)) + rng.normal(0, spread[1], (1, n_cases))
    logs = np.stack([base, base + gap]) + rng.normal(0, 0.1, (2, n_readers, n_cases))
    return _study(np.exp(logs))


def _study(seconds):
    _, r, c = seconds.shape
    names = tuple(f"R{i}" for i in range(r)), tuple(f"C{i}" for i in range(c))
    return ReaderStudy(("unaided", "aided"), *names, np.zeros(c, dtype=bool), seconds)


def test_the_ratio_is_that_of_geometric_means():
    study = _times(1_000_001)
    made = compare_times(study, "aided", "unaided")
    logs = np.log(study.scores)
    assert made.ratio.value == pytest.approx(np.exp(logs[1].mean() - logs[0].mean()))
    assert made.ratio.low < 0.8 < made.ratio.high
    assert made.n_pairs == 240
    other = compare_times(study, "unaided", "aided")
    assert other.ratio.value == pytest.approx(1 / made.ratio.value)
    assert other.ratio.low == pytest.approx(1 / made.ratio.high)
    assert other.p_value == pytest.approx(made.p_value)


@pytest.mark.parametrize("method", ["mixed", "bootstrap"])
def test_no_difference_is_found_about_as_often_as_it_should(method):
    rejected = [
        compare_times(
            _times(1_000_000 + i, ratio=1.0, n_readers=8), "aided", "unaided", method=method, resampling=Resampling(400)
        ).p_value
        < 0.05
        for i in range(100)
    ]
    # 5 % of 100 within four standard errors; resampling both readers and cases is known to be cautious (Owen 2007),
    # and percentiles of eight readers are narrow.
    assert 0 <= np.mean(rejected) < 0.14


def test_taking_readings_as_independent_would_be_too_sure():
    study = _times(1_000_002)
    made = compare_times(study, "aided", "unaided")
    gap = np.log(study.scores[1] / study.scores[0])
    assert made.ratio.standard_error > 2 * gap.std(ddof=1) / np.sqrt(gap.size)


def test_both_methods_agree():
    study = _times(1_000_003, n_readers=12, n_cases=80)
    mixed, drawn = (compare_times(study, "aided", "unaided", method=m) for m in ("mixed", "bootstrap"))
    np.testing.assert_allclose((mixed.ratio.low, mixed.ratio.high), (drawn.ratio.low, drawn.ratio.high), rtol=0.04)


def test_missing_pairs_are_resampled_and_said():
    study = _times(1_000_004)
    seconds = study.scores.copy()
    seconds[0, 0, :5] = np.nan
    made = compare_times(_study(seconds), "aided", "unaided")
    assert made.n_pairs == 235
    assert any("resampled instead" in flag for flag in made.flags)
    assert np.isnan(made.df)
    again = compare_times(_study(seconds), "aided", "unaided")
    assert again.to_dict() == made.to_dict()


def test_one_reader_is_for_other_cases_only():
    study = _times(1_000_005, n_readers=1)
    made = compare_times(study, "aided", "unaided")
    gap = np.log(study.scores[1, 0] / study.scores[0, 0])
    assert made.df == pytest.approx(39)
    assert made.ratio.standard_error == pytest.approx(gap.std(ddof=1) / np.sqrt(40))
    assert any("one reader" in flag for flag in made.flags)


def test_interruptions_are_flagged():
    study = _times(1_000_006)
    seconds = study.scores.copy()
    seconds[0, 2, 3] = 3 * 3600
    assert any(
        "1 readings took more than 10 times" in f for f in compare_times(_study(seconds), "aided", "unaided").flags
    )


def test_equal_times_are_no_difference():
    study = _times(1_000_007)
    made = compare_times(_study(np.stack([study.scores[0]] * 2)), "aided", "unaided")
    assert (made.ratio.value, made.p_value) == (1.0, 1.0)


@pytest.mark.parametrize("bad", [0.0, -5.0])
def test_times_must_be_positive(bad):
    seconds = _times(1_000_008).scores.copy()
    seconds[1, 1, 1] = bad
    with pytest.raises(InputError, match=r"above 0 s; 1 are not"):
        compare_times(_study(seconds), "aided", "unaided")


def test_what_cannot_be_paired_is_refused():
    seconds = _times(1_000_009).scores.copy()
    seconds[0, :3], seconds[1, 3:] = np.nan, np.nan
    with pytest.raises(InputError, match="cannot be paired"):
        compare_times(_study(seconds), "aided", "unaided")
    with pytest.raises(SettingsError, match="modalities differ"):
        compare_times(_times(1_000_009), "aided", "aided")


def test_the_table_reads():
    text = str(compare_times(_times(1_000_010), "aided", "unaided"))
    assert "median aided" in text
    assert "crossed random effects" in text
