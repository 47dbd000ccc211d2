"""What a result file says by itself is what the report said when the case was at hand."""

import json
from dataclasses import replace

import pytest

from fake_case import analyzed_case
from spondyl.core import Measurement, Score, ScoreItem
from spondyl.core.response import Change, LesionChange, Response, Verdict, VertebraMatch
from spondyl.io import wording
from spondyl.io.early_section import early_section
from spondyl.io.response_panels import height_words
from spondyl.io.result import result_document
from spondyl.io.retold import case_of, retold
from spondyl.io.score_panels import score_section

STILL = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
HEIGHT = Change("body height", "mm", 24.0, 20.0, -16.7, "10 %", "decreased", "front third")
VOLUME = Change("volume", "mm3", 2140.0, 4300.0, 100.9, "25 %", "increased")
STEADY = Change("ADC", "10*-6.mm2/s", 900.0, 910.0, 1.1, "15 %", "unchanged")
RESPONSE = Response(
    assessable=True,
    prior_case_id="case-b",
    days_since_prior=91,
    vertebrae=(VertebraMatch(4, 4, "L3", "L3", 0.4, STILL, HEIGHT),),
    lesions=(
        LesionChange("resolved", None, 1, "L3", (), suspicious=False),
        LesionChange("matched", 1, 1, "L3", (VOLUME, STEADY), category="4, likely progressing", caution="swelling"),
    ),
    verdicts=(Verdict("spino", "SPINO-style", "signs of local progression", ("L3: volume increased",)),),
)
SCORES = (
    Score("SINS", None, "{points}", 7.0, 12.0, code="sins", level="L3", vertebra_instance=4,
          items=(ScoreItem("pain", "not known", 0.0, 3.0), ScoreItem("location", "L3", 2.0, 2.0, "image"))),
    Score("Genant grade", 1.0, "{grade}", 0.0, 2.0, code="genant", level="L1", vertebra_instance=2, category="mild"),
    Measurement("length", 1.0, "mm"),
)  # fmt: skip
RISK = {
    "learned_from": "simulated patients",
    "not_assessable": "",
    "features": {"malignant_volume_ml": 4.45, "karnofsky": None},
    "modalities": {"imaging": [1, 1], "clinical form": [0, 1]},
    "horizons_months": [6.0, 12.0],
    "events": [
        {
            "event": "death",
            "risk": [0.16, 0.3],
            "low": [0.14, 0.28],
            "high": [0.18, 0.33],
            "explained_at_months": 12.0,
            "typical_risk": 0.25,
            "contributions": {"malignant_volume_ml": 0.05, "karnofsky": 0.0},
        }
    ],
    "early_disease": {
        "learned_from": "simulated patients",
        "not_assessable": "",
        "days_since_prior": 91,
        "sequences": ["T1"],
        "vertebrae": [
            {
                "instance": 2,
                "level": "L1",
                "not_assessable": "",
                "probability": 0.4,
                "verdict": "early disease",
                "contributions": {"always": 1.0, "facts": -0.5},
                "signs": [{"sign": "signal on T1", "deviations": -2.0}],
            }
        ],
    },
}


@pytest.fixture(scope="module")
def case():
    plain = analyzed_case()
    evidence = (Measurement("evidence_FLUID", 1.7, "1"), Measurement("evidence_inside", 40.0, "%"))
    adc = Measurement("adc_mean", 886.7, "10*-6.mm2/s", note="b 0 and 800")
    lesions = (replace(plain.lesions[0], measurements=(*evidence, adc)),)
    return plain.with_(lesions=lesions, scores=SCORES, response=RESPONSE, risk=RISK)


@pytest.fixture(scope="module")
def document(case):
    return json.loads(json.dumps(result_document(case)))


def test_a_case_comes_back_as_it_was_written(case, document):
    back = case_of(document)
    assert [v.level for v in back.vertebrae] == [v.level for v in case.vertebrae]
    assert back.scores == case.scores
    assert back.response == case.response
    assert back.quality == case.quality
    (now,), (then,) = back.lesions, case.lesions
    assert (now.label, now.measurements, dict(now.probabilities)) == (then.label, then.measurements, then.probabilities)


def test_the_words_are_those_of_the_report(case, document):
    told = retold(document)
    assert told["headline"] == wording.headline(case)
    assert told["sentences"] == wording.summary(case)
    assert told["findings"]["lesion-1"]["opinion"] == wording.opinion(case.lesions[0])
    assert told["findings"]["vertebra-6"]["remarks"] == wording.remarks(case.vertebrae[5])
    assert [line["value"] for line in told["scores"]["placed"]] == [s.value for s in score_section(case).placed]
    assert told["scores"]["fractures"][0]["place"] == "L1"
    assert told["changes"]["heights"] == height_words(case)
    assert told["early"] == early_section(case)


def test_what_a_finding_rests_on_is_told_by_series(document):
    told = retold(document)["findings"]["lesion-1"]
    assert told["evidence"] == [("fluid-sensitive", 1.7)]
    assert told["inside_percent"] == 40.0
    assert told["measurements"] == [("mean ADC", "887 × 10⁻⁶ mm²/s", "b 0 and 800")]


def test_suspicious_changes_come_first_and_say_what_moved(document):
    first, second = retold(document)["changes"]["rows"]
    assert (first["lesion"], second["lesion"], second["prior_lesion"]) == (1, None, 1)
    assert [changed for *_, changed in first["numbers"]] == [True, False]


def test_a_risk_is_told_with_what_it_is_made_of(document):
    (event,) = retold(document)["risk"]["events"]
    assert event["cells"] == ["16 % (14 to 18)", "30 % (28 to 33)"]
    assert event["parts"] == [("malignant volume (mL) 4.45", 0.05)]  # what is not known adds nothing
    assert retold(document)["risk"]["modalities"] == "From imaging; not given, and left out: clinical form"


def test_a_result_with_nothing_in_it_says_so():
    empty = analyzed_case().with_(vertebrae=(), lesions=(), quality=())
    told = retold(result_document(empty))
    assert told["headline"] == "No lesion candidate found"
    assert (told["changes"], told["risk"], told["early"], told["findings"]) == ({}, {}, {}, {})
    assert told["scores"]["placed"] == ()
