"""Every part of a reader study that a file has columns for is analyzed; what cannot be is said."""

import json
import math

import numpy as np
import pytest

from spondyl.app.reader_analysis import AnalysisChoices, analyze_readings
from spondyl.core import InputError, SettingsError
from spondyl.evaluation.icc import IntraclassCorrelations
from spondyl.evaluation.mrmc_components import Population
from spondyl.evaluation.mrmc_figures import MrmcSettings
from spondyl.evaluation.roe_metz import STRUCTURES, draw_study
from spondyl.io.reader_study import Reading, ReadingTable, parse_readings

NAN = float("nan")


def drawn_table(seed=1_000_001, *, n_readers=4, n_cases=(14, 16), answers=False, seconds=True):
    """A study as the review page exports it."""
    study = draw_study(STRUCTURES["LL"], {"unaided": 0.75, "aided": 0.85}, n_readers, n_cases, seed)
    rng = np.random.default_rng(seed)
    rows = [
        Reading(
            reader,
            case,
            modality,
            round(float(study.scores[i, j, k]), 4),
            seconds=float(np.exp(rng.normal(4.0 - 0.2 * i, 0.3))) if seconds else NAN,
            answers={"trust": float(rng.integers(1, 6))} if answers else {},
        )
        for j, reader in enumerate(study.readers)
        for i, modality in enumerate(study.modalities)
        for k, case in enumerate(study.cases)
    ]
    truth = dict(zip(study.cases, study.truth.tolist(), strict=True))
    return ReadingTable(tuple(rows), truth, {}, ("trust",) if answers else ())


def with_rows(table, rows, **changes):
    kept = {"truth": table.truth, "lesions": table.lesions, "questions": table.questions} | changes
    return ReadingTable((*table.readings, *rows), **kept)


def test_a_plain_study_has_comparison_times_and_agreement():
    made = analyze_readings(drawn_table())
    assert (made.main.differences[0].first, made.main.differences[0].second) == ("aided", "unaided")
    assert made.times[0].first == "aided"
    assert set(made.agreement) == {"unaided", "aided"}
    assert isinstance(made.agreement["aided"], IntraclassCorrelations)
    assert (made.others, made.standalone, made.usability, made.answers, made.notes) == ((), {}, None, (), ())
    json.dumps(made.to_dict(), allow_nan=False)


def test_a_threshold_adds_calls():
    made = analyze_readings(drawn_table(), AnalysisChoices(threshold=0.5))
    assert [r.metric for r in made.others] == ["sensitivity", "specificity"]
    assert made.agreement["aided"][0].method.startswith("Gwet's AC")


def test_scores_of_zero_and_one_are_calls():
    table = drawn_table()
    rows = tuple(Reading(r.reader, r.case, r.modality, float(r.score > 0.5)) for r in table.readings)
    made = analyze_readings(ReadingTable(rows, table.truth, {}))
    assert [r.metric for r in made.others] == ["sensitivity", "specificity"]
    expected = np.mean(
        [s > 0.5 for r in table.readings if (s := r.score) and table.truth[r.case] and r.modality == "aided"]
    )
    assert made.others[0].means[1].value == pytest.approx(expected)


def test_few_categories_are_ordered():
    table = drawn_table()
    rows = tuple(Reading(r.reader, r.case, r.modality, float(np.clip(round(r.score), -1, 3))) for r in table.readings)
    made = analyze_readings(ReadingTable(rows, table.truth, {}))
    assert made.agreement["aided"][0].weighting == "quadratic"
    assert len(made.agreement["aided"]) == 3


def test_an_algorithm_is_compared_with_the_readers():
    table = drawn_table()
    alone = [
        Reading("AI", case, "alone", float(pos) + 0.01 * i, "standalone")
        for i, (case, pos) in enumerate(table.truth.items())
    ]
    by_role = analyze_readings(with_rows(table, alone))
    named = analyze_readings(
        with_rows(table, [Reading("AI", r.case, r.modality, r.score) for r in alone]),
        AnalysisChoices(standalone=("AI",)),
    )
    assert by_role.main.n_readers == 4
    assert [r.differences[0].second for r in by_role.standalone["AI"]] == ["unaided", "aided"]
    assert by_role.standalone["AI"][0].to_dict() == named.standalone["AI"][0].to_dict()


def test_an_algorithm_that_skipped_cases_is_compared_on_the_rest():
    table = drawn_table()
    alone = [Reading("AI", case, "alone", float(i % 7), "standalone") for i, case in enumerate(list(table.truth)[:-5])]
    made = analyze_readings(with_rows(table, alone))
    assert any("AI scored 25 of 30 cases" in note for note in made.notes)


def test_an_algorithm_called_like_a_modality_gets_another_name():
    table = drawn_table()
    alone = [Reading("aided", case, "alone", float(i), "standalone") for i, case in enumerate(table.truth)]
    assert analyze_readings(with_rows(table, alone)).standalone["aided"][0].differences[0].first == "aided alone"


def test_findings_give_scores_of_cases_and_free_response():
    rng = np.random.default_rng(1_000_002)
    cases = [f"c{i}" for i in range(24)]
    lesions = dict.fromkeys(cases[::2], ("L1",))
    rows = []
    for reader in ("Ann", "Bo", "Cy"):
        for modality, chance in (("unaided", 0.6), ("aided", 0.85)):
            for case in cases:
                rows.append(Reading(reader, case, modality, NAN, seconds=30.0))
                if case in lesions and rng.random() < chance:
                    rows.append(Reading(reader, case, modality, float(rng.uniform(0.5, 1)), finding="L1", truth=1.0))
                if rng.random() < 0.4:
                    rows.append(Reading(reader, case, modality, float(rng.uniform(0, 0.7)), finding="m1", truth=0.0))
    made = analyze_readings(ReadingTable(tuple(rows), {c: c in lesions for c in cases}, lesions))
    assert [r.metric for r in made.others] == ["wAFROC"]
    assert made.others[0].differences[0].value > 0
    assert any("most suspicious finding" in note for note in made.notes)
    assert any("no finding, and so a score below all others" in note for note in made.notes)


def test_usability_and_answers():
    table = drawn_table(answers=True)
    items = {f"sus_{i}": (5.0 if i % 2 else 1.0) for i in range(1, 11)}
    rows = tuple(
        Reading(r.reader, r.case, r.modality, r.score, seconds=r.seconds, answers={**r.answers, **items})
        for r in table.readings
    )
    made = analyze_readings(ReadingTable(rows, table.truth, {}, ("trust", *items)))
    assert (made.usability.mean, made.usability.n) == (100.0, 4)
    assert [(a.question, a.modality, a.n) for a in made.answers] == [("trust", "unaided", 120), ("trust", "aided", 120)]


def test_what_cannot_be_made_does_not_stop_the_rest():
    table = drawn_table()
    rows = list(table.readings)
    rows[3] = Reading(rows[3].reader, rows[3].case, rows[3].modality, rows[3].score, seconds=-4.0)
    made = analyze_readings(ReadingTable(tuple(rows), table.truth, {}))
    assert made.times == ()
    assert any(
        note.startswith("reading times could not be analyzed: reading times must be above 0 s") for note in made.notes
    )
    assert made.main.n_readers == 4


def test_one_reader_one_modality_and_no_times():
    table = drawn_table(n_readers=1, seconds=False)
    one = ReadingTable(tuple(r for r in table.readings if r.modality == "aided"), table.truth, {})
    made = analyze_readings(one)
    assert made.main.differences == ()
    assert made.agreement == {}
    assert "one reader" in made.main.flags[0]


def test_the_reference_can_be_chosen():
    chosen = AnalysisChoices(MrmcSettings(reference="aided", population=Population.CASES))
    made = analyze_readings(drawn_table(), chosen)
    assert made.main.differences[0].second == "aided"
    assert made.times[0].second == "aided"


def test_what_is_no_study_is_refused():
    table = drawn_table()
    with pytest.raises(SettingsError, match="--standalone names Nobody"):
        analyze_readings(table, AnalysisChoices(standalone=("Nobody",)))
    with pytest.raises(InputError, match="standalone algorithms only"):
        analyze_readings(table, AnalysisChoices(standalone=("R1", "R2", "R3", "R4")))
    twice = (*table.readings, table.readings[0])
    with pytest.raises(InputError, match="the same reader, case and modality"):
        analyze_readings(ReadingTable(twice, table.truth, {}))
    with pytest.raises(InputError, match="needs a truth"):
        analyze_readings(ReadingTable(table.readings, {}, {}))


def test_scores_that_are_missing_do_not_count():
    table = parse_readings(
        "reader,case,modality,score\n"
        + "".join(f"truth,c{i},t,{i % 2}\n" for i in range(8))
        + "".join(f"Ann,c{i},MRI,{'' if i == 3 else i}\n" for i in range(8))
    )
    made = analyze_readings(table)
    assert any("1 readings have no score" in note for note in made.notes)
    assert made.main.readers[0].n_positive == 3
    assert not math.isnan(made.main.means[0].value)
