"""The step that scores: on a drawn column with one lesion, with and without a form."""

import numpy as np

from fake_case import analyzed_case
from spondyl.core import Case, LabelMap, Score, Structure
from spondyl.lesions.frames import frames_of
from spondyl.lesions.involvement import involvement, zones
from spondyl.lesions.scores import ScoreSettings, score_findings


def by_code(case):
    return {code: [s for s in case.scores if s.code == code] for code in {s.code for s in case.scores}}


def test_a_suspicious_lesion_is_scored_for_stability_compression_and_zones():
    scores = by_code(score_findings(analyzed_case(), ScoreSettings()))
    assert len(scores["sins"]) == 1
    assert scores["sins"][0].level == "L3"
    assert scores["sins"][0].value is None
    assert scores["bilsky_escc"][0].category == "0"
    assert scores["wbb"][0].lesion == 1
    assert len(scores["noms"]) == 1
    assert scores["genant"]


def test_a_benign_candidate_is_not_scored():
    scores = by_code(score_findings(analyzed_case(), ScoreSettings(suspicious=0.9)))
    assert set(scores) == {"genant"}


def test_the_form_closes_the_interval():
    form = {"levels": {"L3": {"pain": "mechanical", "bone_lesion": "lytic", "alignment": "normal"}}}
    case = score_findings(analyzed_case().with_(clinical=form), ScoreSettings())
    open_, closed = by_code(score_findings(analyzed_case(), ScoreSettings()))["sins"][0], by_code(case)["sins"][0]
    assert open_.low <= closed.low <= closed.high <= open_.high
    assert closed.high - closed.low < open_.high - open_.low


def test_prognostic_scores_appear_with_a_form():
    scores = by_code(score_findings(analyzed_case().with_(clinical={"primary": "breast"}), ScoreSettings()))
    assert {"tokuhashi_revised", "tomita", "bauer_modified", "van_der_linden"} <= set(scores)


def test_an_empty_case_is_scored_with_nothing():
    assert score_findings(Case("case-0", {}), ScoreSettings()).scores == ()


def test_high_grade_compression_raises_a_flag():
    case = analyzed_case()
    grid = case.labels["structures"].grid
    at = grid.ijk_to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))
    structure, lesion = case.labels["structures"].array.copy(), case.labels["lesions"].array.copy()
    canal = structure == Structure.CANAL
    center = np.asarray(case.vertebrae[3].centroid_lps_mm)
    structure[canal & (np.abs(at[..., 1] - center[1] - 26) < 4) & (np.abs(at[..., 0]) < 5)] = Structure.CORD
    lesion[canal & (np.abs(at[..., 2] - center[2]) < 8)] = 1
    labels = {**case.labels, "structures": LabelMap(structure, grid), "lesions": LabelMap(lesion, grid)}
    after = score_findings(case.with_(labels=labels), ScoreSettings())
    assert by_code(after)["bilsky_escc"][0].category in ("2", "3")
    assert "high_grade_compression" in {f.code for f in after.quality}


def test_sides_of_the_arch_are_the_patients_own():
    case = analyzed_case()
    structures, vertebrae = case.labels["structures"], case.labels["vertebrae"]
    grid = structures.grid
    at = grid.ijk_to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))
    center = np.asarray(case.vertebrae[3].centroid_lps_mm)
    off = at - center
    left_arch = (off[..., 0] > 9) & (off[..., 0] < 20) & (np.abs(off[..., 1] - 24) < 9) & (np.abs(off[..., 2]) < 9)
    structure = np.where(left_arch, Structure.POSTERIOR, structures.array)
    frame = frames_of(structures, vertebrae)[4]
    own = (vertebrae.array == 4) | left_arch
    found = involvement(left_arch, structure, own, grid, frame)
    assert found.sides == 1
    assert found.side_mm3[1] > 1000
    assert found.side_mm3[0] == 0
    # Left of the canal is a quarter turn from behind: zones 3 and 4 of the clock.
    assert {3, 4} & set(zones(left_arch, structure, grid, frame).zones)


def test_scores_say_their_source_and_state():
    for score in score_findings(analyzed_case(), ScoreSettings()).scores:
        assert isinstance(score, Score)
        assert score.reference
        assert score.unit
        assert score.value is not None or score.note or score.category
