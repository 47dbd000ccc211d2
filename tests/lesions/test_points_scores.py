"""Scores against their tables: every cell once, and the interval that missing items leave."""

import pytest

from spondyl.lesions.noms import noms
from spondyl.lesions.points import category
from spondyl.lesions.prognostic_scores import (
    BAUER,
    TOKUHASHI,
    TOKUHASHI_PRIMARY,
    TOMITA,
    VAN_DER_LINDEN,
    bauer,
    prognostic_scores,
    tokuhashi,
    tomita,
    van_der_linden,
)
from spondyl.lesions.sins import LOCATION, SINS, Found, sins

BEST = {
    "karnofsky": 90,
    "extraspinal_bone_metastases": 0,
    "vertebral_metastases": 1,
    "organ_metastases": "none",
    "primary": "breast",
    "frankel": "E",
}
WORST = {
    "karnofsky": 30,
    "extraspinal_bone_metastases": 5,
    "vertebral_metastases": 4,
    "organ_metastases": "untreatable",
    "primary": "lung",
    "frankel": "A",
}


@pytest.mark.parametrize(
    ("form", "values"),
    [(BEST, (15, 2, 4, 6)), (WORST, (0, 10, 0, 1))],
    ids=["best", "worst"],
)
def test_ends_of_the_four_scores(form, values):
    assert tuple(s.value for s in prognostic_scores(form)) == values


@pytest.mark.parametrize(
    ("changes", "points"),
    [
        ({"karnofsky": 40}, 13), ({"karnofsky": 50}, 14), ({"karnofsky": 70}, 14), ({"karnofsky": 80}, 15),
        ({"extraspinal_bone_metastases": 1}, 14), ({"extraspinal_bone_metastases": 2}, 14),
        ({"extraspinal_bone_metastases": 3}, 13),
        ({"vertebral_metastases": 2}, 14), ({"vertebral_metastases": 3}, 13),
        ({"organ_metastases": "removable"}, 14), ({"organ_metastases": "treatable"}, 13),
        ({"organ_metastases": "untreatable"}, 13),
        ({"frankel": "B"}, 13), ({"frankel": "C"}, 14), ({"frankel": "D"}, 14),
        *(({"primary": p}, 10) for p in ("lung", "osteosarcoma", "stomach", "bladder", "esophagus", "pancreas")),
        *(({"primary": p}, 11) for p in ("liver", "gallbladder", "unknown")),
        *(({"primary": p}, 12) for p in ("other", "melanoma", "lymphoma", "colon")),
        *(({"primary": p}, 13) for p in ("kidney", "uterus")),
        ({"primary": "rectum"}, 14),
        *(({"primary": p}, 15) for p in ("thyroid", "breast", "prostate", "carcinoid")),
    ],
)  # fmt: skip
def test_revised_tokuhashi_cell_by_cell(changes, points):
    assert tokuhashi(BEST | changes).value == points


def test_every_primary_of_the_form_has_tokuhashi_points():
    from spondyl.core.clinical import PRIMARIES

    assert set(PRIMARIES) == set(TOKUHASHI_PRIMARY)


@pytest.mark.parametrize(
    ("table", "value", "words"),
    [
        (TOKUHASHI, 8, "under 6 months"), (TOKUHASHI, 9, "6 months or more"), (TOKUHASHI, 11, "6 months or more"),
        (TOKUHASHI, 12, "1 year or more"),
        (TOMITA, 3, "wide or marginal excision"), (TOMITA, 4, "marginal or intralesional excision"),
        (TOMITA, 7, "palliation"), (TOMITA, 8, "support"),
        (BAUER, 1, "supportive care"), (BAUER, 2, "short-term palliation"), (BAUER, 3, "local control"),
        (VAN_DER_LINDEN, 3, "median survival 3 months"), (VAN_DER_LINDEN, 5, "median survival 9 months"),
        (VAN_DER_LINDEN, 6, "median survival 19 months"),
        (SINS, 6, "stable"), (SINS, 7, "potentially unstable"), (SINS, 12, "potentially unstable"),
        (SINS, 13, "unstable"),
    ],
)  # fmt: skip
def test_categories_begin_where_the_papers_say(table, value, words):
    assert category(table, value, value) == words


@pytest.mark.parametrize(
    ("primary", "points"), [("breast", 1), ("thyroid", 1), ("kidney", 2), ("uterus", 2), ("lung", 4), ("unknown", 4)]
)
def test_tomita_growth(primary, points):
    assert tomita(BEST | {"primary": primary}).value == points + 1


def test_tomita_leaves_a_primary_open_that_its_table_does_not_name():
    score = tomita(BEST | {"primary": "melanoma"})
    assert score.value is None
    assert (score.low, score.high) == (2, 5)
    assert "not in the table" in score.items[0].note


def test_unverified_tables_say_so():
    assert not tomita(BEST).verified
    assert "not been checked" in tomita(BEST).note
    assert not noms({}, escc=None, sins=None).verified


def test_bauer_knows_lung_and_favorable_primaries():
    assert bauer(BEST | {"primary": "kidney"}).value == 4
    assert bauer(BEST | {"primary": "colon"}).value == 3
    assert bauer(BEST | {"primary": "lung"}).value == 2
    assert bauer(BEST | {"extraspinal_bone_metastases": 1}).value == 3


def test_van_der_linden_primaries():
    assert [van_der_linden(BEST | {"primary": p}).value for p in ("breast", "prostate", "lung", "colon")] == [
        6,
        5,
        4,
        3,
    ]


def test_a_missing_item_opens_the_interval_and_is_named():
    form = {k: v for k, v in BEST.items() if k != "karnofsky"}
    score = tokuhashi(form)
    assert score.value is None
    assert (score.low, score.high) == (13, 15)
    assert score.category == "1 year or more"
    assert "general condition" in score.note


def test_vertebrae_seen_are_a_lower_bound():
    form = {k: v for k, v in BEST.items() if k != "vertebral_metastases"}
    assert [(s.low, s.high) for s in (tokuhashi(form, seen_vertebrae=n) for n in (0, 1, 2, 3))] == [
        (13, 15),
        (13, 15),
        (13, 14),
        (13, 13),
    ]


def test_nothing_is_scored_from_an_empty_form():
    assert prognostic_scores({}) == ()


def test_sins_location_of_every_level():
    points = {3: "C1 C2 C7 T1 T2 T11 T12 T13 L1 L5 L6 S1", 2: "C3 C4 C5 C6 L2 L3 L4", 0: "S2 S3 S4 S5"}
    wanted = {level: p for p, levels in points.items() for level in levels.split()}
    wanted |= {f"T{n}": 1 for n in range(3, 11)}
    assert wanted == LOCATION


WHOLE = {"pain": "none", "levels": {"L3": {"bone_lesion": "blastic", "alignment": "normal"}}}
QUIET = Found("L3", height_loss_percent=(0, -5, 5), involved_percent=10, sides=0, translation_mm=0)


@pytest.mark.parametrize(
    ("found", "points"),
    [
        ({}, 2),
        ({"height_loss_percent": (30, 25, 35)}, 4),
        ({"height_loss_percent": (60, 55, 65)}, 5),
        ({"height_loss_percent": (50, 50, 55)}, 5),
        ({"involved_percent": 60}, 3),
        ({"sides": 1}, 3),
        ({"sides": 2}, 5),
    ],
)
def test_sins_items_from_images(found, points):
    assert sins(QUIET._replace(**found), WHOLE).value == points


@pytest.mark.parametrize(
    ("form", "points"),
    [
        ({"pain": "mechanical"}, 5),
        ({"pain": "occasional"}, 3),
        ({"levels": {"L3": {"bone_lesion": "lytic", "alignment": "normal"}}}, 4),
        ({"levels": {"L3": {"bone_lesion": "mixed", "alignment": "normal"}}}, 3),
        ({"levels": {"L3": {"bone_lesion": "blastic", "alignment": "subluxation"}}}, 6),
        ({"levels": {"L3": {"bone_lesion": "blastic", "alignment": "deformity"}}}, 4),
        ({"levels": {"L3": {"bone_lesion": "blastic", "alignment": "normal", "pain": "mechanical"}}}, 5),
    ],
)
def test_sins_items_from_the_form(form, points):
    assert sins(QUIET, WHOLE | form).value == points


def test_sins_from_images_alone_is_an_interval_that_names_what_is_missing():
    score = sins(QUIET, {})
    assert score.value is None
    assert (score.low, score.high) == (2, 11)
    assert score.category == "stable or potentially unstable"
    assert [i.name for i in score.items if i.low != i.high] == ["pain", "bone lesion", "alignment"]


def test_sins_of_nothing_known_spans_its_whole_range():
    score = sins(Found(None), {})
    assert (score.low, score.high) == (0, 18)


def test_a_loss_near_a_threshold_keeps_the_item_open():
    item = sins(QUIET._replace(height_loss_percent=(48, 40, 56)), WHOLE).items[4]
    assert (item.low, item.high) == (2, 3)
    assert "between 40 and 56" in item.note


def test_a_step_seen_lying_counts_and_its_absence_proves_nothing():
    seen = sins(QUIET._replace(translation_mm=5.0), {}).items[3]
    unseen = sins(QUIET, {}).items[3]
    assert (seen.low, seen.high) == (4, 4)
    assert (unseen.low, unseen.high) == (0, 4)


def test_an_uncertain_level_and_a_variant_are_flagged():
    assert "check the level" in sins(QUIET._replace(level_uncertain=True), {}).items[0].note
    assert "not in the score" in sins(QUIET._replace(level="L6"), {}).items[0].note


def test_noms_marks_what_is_missing():
    grid = noms({"primary": "lung"}, escc=None, sins=None)
    assert [i.found for i in grid.items] == ["", "", "", ""]
    assert "lung lies between" in grid.items[1].note


def test_noms_puts_known_facts_side_by_side():
    form = {"primary": "kidney", "myelopathy": True, "systemic_tolerance": "poor"}
    score = sins(QUIET, WHOLE)
    grid = noms(form, escc=None, sins=score)
    found = {i.name: i.found for i in grid.items}
    assert found["oncologic"] == "radioresistant (kidney)"
    assert found["mechanical"] == "SINS 2, stable"
    assert found["systemic"] == "poor tolerance"
    assert found["neurologic"] == "myelopathy"
    assert noms(form | {"radiosensitivity": "sensitive"}, escc=None, sins=None).items[1].found == "radiosensitive"
