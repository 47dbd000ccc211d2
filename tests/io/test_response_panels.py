"""The sections of scores and response in the report, and the same in the result file."""

from dataclasses import replace

import jsonschema
import numpy as np

from fake_case import PLANTED, analyzed_case
from spondyl.core import Image, Measurement, Score, ScoreItem
from spondyl.core.response import Change, LesionChange, Response, Verdict, VertebraMatch
from spondyl.io.panels import Pictures
from spondyl.io.report import render_report
from spondyl.io.response_panels import change_rows, height_words, numbers
from spondyl.io.result import result_document, result_schema
from spondyl.io.score_panels import score_section, span
from spondyl.io.wording import rests_on

STILL = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
VOLUME = Change("volume", "mm3", 2140.0, 4300.0, 100.9, "25 %", "increased")
RESPONSE = Response(
    assessable=True,
    prior_case_id="case-b",
    days_since_prior=91,
    vertebrae=(VertebraMatch(4, 4, "L3", "L3", 0.4, STILL),),
    lesions=(
        LesionChange("matched", 1, 1, "L3", (VOLUME,), category="4, likely progressing", caution="may be swelling"),
        LesionChange("resolved", None, 1, "L3", (), suspicious=False, category="1, highly likely responding"),
    ),
    verdicts=(
        Verdict("spino", "SPINO-style", "signs of local progression", ("L3: volume increased",), verified=False),
    ),
)


def responding():
    return analyzed_case().with_(response=RESPONSE)


def test_each_lesion_is_shown_at_both_times_in_shared_sequences():
    rows = change_rows(Pictures(responding()), analyzed_case().with_(case_id="case-b"), width_px=180)
    assert [row.name for row in rows] == ["1", "prior 1"]
    assert len(rows[0].pairs) == 3
    for before, after in rows[0].pairs:
        assert before.caption.endswith("prior")
        assert after.caption.endswith("current")
        assert before.overlay
        assert after.overlay


def test_without_the_prior_images_numbers_stand_alone():
    rows = change_rows(Pictures(responding()), None, width_px=180)
    assert not rows[0].pairs
    assert rows[0].numbers == (("volume", "2.1 to 4.3 mL (+101 %)", "increased (limit 25 %)"),)
    assert change_rows(Pictures(analyzed_case()), None, width_px=180) == ()


def test_a_number_that_could_not_be_had_says_why():
    change = Change(
        "ADC", "10*-6.mm2/s", None, 900.0, None, "15 %", "not assessable", "not measured in the prior study"
    )
    assert numbers(change) == ("ADC", "? to 900 × 10⁻⁶ mm²/s", "not assessable: not measured in the prior study")


def test_the_report_tells_the_comparison_and_no_free_text():
    page = render_report(responding(), methods="m", prior=analyzed_case().with_(case_id="case-b"))
    for words in ("Since the prior study", "91 days", "signs of local progression", "may be swelling", "not verified"):
        assert words in page
    assert PLANTED not in page


def test_a_comparison_that_failed_says_why():
    case = analyzed_case().with_(response=Response(assessable=False, reason="the studies share no vertebra"))
    assert "Not assessable: the studies share no vertebra" in render_report(case, methods="m")


def test_the_result_file_holds_the_comparison():
    document = result_document(responding())
    jsonschema.validate(document, result_schema())
    assert document["response"]["lesions"][0]["changes"][0]["percent"] == 100.9
    assert result_document(analyzed_case())["response"] is None


SINS = Score(
    "SINS", None, "{points}", 7.0, 12.0, code="sins", level="L3", vertebra_instance=4, category="potentially unstable",
    items=(ScoreItem("pain", "", 0.0, 3.0, "", "give pain"), ScoreItem("location", "L3, mobile", 2.0, 2.0, "image")),
)  # fmt: skip


def test_scores_are_told_by_place_with_open_items():
    section = score_section(analyzed_case().with_(scores=(SINS,)))
    (line,) = section.placed
    assert (line.place, line.value) == ("L3", "7 to 12")
    assert line.items[0] == ("pain", "not known", "0 to 3", "give pain")
    assert line.serious
    page = render_report(analyzed_case().with_(scores=(SINS,)), methods="m")
    assert "potentially unstable" in page
    assert not score_section(analyzed_case())


def test_an_interval_is_written_as_one_number_where_it_is_one():
    assert (span(2, 2), span(2, 5), span(None, 5)) == ("2", "2 to 5", "")


def test_bodies_that_lost_height_are_named_in_the_report():
    lost = Change("body height", "mm", 22.0, 15.0, -31.8, "10 %", "decreased", "front third")
    still = Change("body height", "mm", 25.0, 25.2, 0.8, "10 %", "unchanged", "middle third")
    matches = tuple(VertebraMatch(n, n, f"L{n}", f"L{n}", 0.4, STILL, h) for n, h in ((2, still), (3, lost), (4, None)))
    case = responding().with_(response=replace(RESPONSE, vertebrae=matches))
    page = render_report(case, methods="")
    assert "L3, front third: 22 to 15 mm (-32 %)" in page
    assert "2 compared" in page
    jsonschema.validate(result_document(case), result_schema())
    unchanged = responding().with_(response=replace(RESPONSE, vertebrae=matches[:1]))
    assert "none of 1 compared lost more than the limit of 10 %" in height_words(unchanged)
    assert height_words(responding()) == ""


def test_what_a_finding_rests_on_is_told_and_shaded():
    case = analyzed_case()
    found = case.lesions[0]
    told = (
        Measurement("evidence_FLUID", 2.71, "1"),
        Measurement("evidence_T1", -0.3, "1"),
        Measurement("evidence_inside", 71.0, "%"),
        Measurement("adc_mean", 905.0, "10*-6.mm2/s"),
    )
    evidence = (case.labels["lesions"].array == found.label).astype(np.float32)
    case = case.with_(
        lesions=(replace(found, measurements=told), *case.lesions[1:]),
        maps={**case.maps, "evidence": Image(evidence, case.labels["lesions"].grid)},
    )
    page = render_report(case, methods="")
    assert "Rests on fluid-sensitive 2.7 (fall" in page
    assert "71 % of what places add lies inside the outline" in page
    assert 'class="o evidence"' in page
    assert "what it rests on" in page
    assert "mean ADC <b>905" in page
    assert "evidence_" not in page
    assert "Rests on no series alone" in rests_on(replace(found, measurements=told[1:2]))
    assert rests_on(found) == ""
