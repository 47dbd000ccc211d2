"""Follow-up on drawn columns and on the phantom: registration, matching, changes against limits, criteria, cautions."""

from dataclasses import replace

import numpy as np
import pytest

from fake_case import analyzed_case
from spondyl.core import Case, Grid, LabelMap, Sequence, SettingsError
from spondyl.core.response import Change, LesionChange
from spondyl.lesions.change import ResponseSettings, changes
from spondyl.lesions.criteria import Target, lesion_category, met_rads, recist, spino
from spondyl.lesions.match import match_lesions
from spondyl.lesions.register import pair_vertebrae, register
from spondyl.lesions.response import compare
from spondyl.lesions.verdicts import NO_BORDERS
from spondyl.phantom.course import Fate, LesionCourse, simulate_course
from spondyl.phantom.kinds import LesionKind
from spondyl.phantom.patient import PatientSettings
from spondyl.pipeline.truth import true_case

SETTINGS = ResponseSettings()


def moved(case: Case, *, degrees: float = 5.0, shift_mm=(9.0, -14.0, 22.0)) -> tuple[Case, np.ndarray]:
    """The same voxels of a patient who lies differently, and how."""
    a = np.radians(degrees)
    motion = np.eye(4)
    motion[:3, :3] = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    motion[:3, 3] = shift_mm

    def grid_of(item):
        return replace(item, grid=Grid(item.grid.shape, motion @ item.grid.affine))

    def point(p):
        return tuple((motion[:3, :3] @ np.asarray(p) + motion[:3, 3]).tolist())

    return case.with_(
        case_id="case-moved",
        images={s: grid_of(i) for s, i in case.images.items()},
        labels={n: grid_of(i) for n, i in case.labels.items()},
        vertebrae=tuple(replace(v, centroid_lps_mm=point(v.centroid_lps_mm)) for v in case.vertebrae),
        lesions=tuple(replace(x, centroid_lps_mm=point(x.centroid_lps_mm)) for x in case.lesions),
    ), motion


def test_vertebrae_of_a_moved_patient_are_laid_on_each_other():
    prior = analyzed_case()
    current, motion = moved(prior)
    matches = register(current, prior, pair_vertebrae(current.vertebrae, prior.vertebrae))
    assert [(m.instance, m.prior_instance) for m in matches] == [(n, n) for n in range(1, 8)]
    for m in matches:
        place = np.append(prior.vertebrae[m.prior_instance - 1].centroid_lps_mm, 1)
        assert np.linalg.norm((np.asarray(m.prior_to_current) @ place - motion @ place)[:3]) < 1.5
        assert m.residual_mm < 1.0


def test_an_unchanged_patient_has_not_changed():
    prior = analyzed_case()
    current, _ = moved(prior)
    response = compare(current, prior, SETTINGS).response
    assert response.assessable
    (lesion,) = response.lesions
    assert lesion.status == "matched"
    assert {c.verdict for c in lesion.changes} <= {"unchanged", "not assessable"}
    assert lesion.category == "3, no change"


def test_a_lesion_that_is_not_suspicious_has_no_category_of_response():
    prior = analyzed_case()
    benign = {"malignant": 0.1, "benign": 0.9, "normal": 0.0}
    prior = prior.with_(lesions=tuple(replace(x, probabilities=benign) for x in prior.lesions))
    current, _ = moved(prior)
    response = compare(current, prior, SETTINGS).response
    (lesion,) = response.lesions
    assert lesion.category.startswith("not rated")
    assert {v.code: v.category for v in response.verdicts}["met_rads_like"] == "not assessable"


def test_a_shifted_field_of_view_is_paired_by_level():
    case = analyzed_case()
    upper = case.vertebrae[:5]
    lower = tuple(replace(v, instance=n) for n, v in enumerate(case.vertebrae[2:], start=1))
    pairing = pair_vertebrae(lower, upper)
    assert [(c.level, p.level) for c, p in pairing.pairs] == [("L2", "L2"), ("L3", "L3"), ("L4", "L4")]
    assert not pairing.against_levels


def varied(case):
    """Bodies of different size, so that sizes can tell who is who."""
    sizes = (9000, 14000, 22000, 17000, 30000, 25000, 20000)
    return tuple(replace(v, volume_mm3=float(s)) for v, s in zip(case.vertebrae, sizes, strict=True))


def test_levels_that_are_off_by_one_are_found_by_size():
    prior = varied(analyzed_case())
    levels = ("T11", "T12", "L1", "L2", "L3", "L4", "L5")
    current = tuple(replace(v, level=level) for v, level in zip(prior, levels, strict=True))
    pairing = pair_vertebrae(current, prior)
    assert pairing.against_levels
    assert all(c.instance == p.instance for c, p in pairing.pairs)


def test_studies_of_two_regions_are_not_compared():
    case = analyzed_case()
    neck = [replace(v, level=f"C{n + 1}") for n, v in enumerate(case.vertebrae[:1])]
    after = compare(case, case.with_(case_id="case-other", vertebrae=tuple(neck)), SETTINGS)
    assert not after.response.assessable
    assert "same region" in after.response.reason
    assert "response_not_assessable" in {f.code for f in after.quality}


def test_a_patient_of_another_size_is_doubted():
    case = analyzed_case()
    other = tuple(replace(v, volume_mm3=v.volume_mm3 * 2) for v in case.vertebrae)
    after = compare(case, case.with_(case_id="case-other", vertebrae=other), SETTINGS)
    assert "prior_doubtful" in {f.code for f in after.quality}


def test_a_new_and_a_resolved_lesion_are_told_apart():
    case = analyzed_case()
    empty = LabelMap(np.zeros_like(case.labels["lesions"].array), case.labels["lesions"].grid)
    without = case.with_(case_id="case-without", lesions=(), labels={**case.labels, "lesions": empty})
    new = compare(case, without, SETTINGS).response
    gone = compare(without, case.with_(case_id="case-b"), SETTINGS).response
    assert [(x.status, x.lesion, x.prior_lesion) for x in new.lesions] == [("new", 1, None)]
    assert [(x.status, x.lesion, x.prior_lesion) for x in gone.lesions] == [("resolved", None, 1)]
    assert {v.code: v.category for v in new.verdicts}["recist_1_1"] == "PD"
    assert {v.code: v.category for v in gone.verdicts}["recist_1_1"] == "CR in the spine"


def test_what_the_other_study_does_not_show_is_neither_new_nor_gone():
    case = analyzed_case()
    lesion = case.lesions[0]
    grid = case.labels["lesions"].grid
    index = round(float(grid.lps_to_ijk(lesion.centroid_lps_mm)[1]))
    rows = slice(index + 12, None)
    affine = grid.affine.copy()
    affine[:3, 3] = grid.ijk_to_lps((0, index + 12, 0))
    small = Grid((grid.shape[0], grid.shape[1] - index - 12, grid.shape[2]), affine)
    labels = {n: LabelMap(m.array[:, rows], small) for n, m in case.labels.items()}
    labels["lesions"] = LabelMap(np.zeros(small.shape), small)
    kept = tuple(v for v in case.vertebrae if v.instance >= 5)
    prior = case.with_(case_id="case-low", labels=labels, vertebrae=kept, lesions=(), images={})
    matches = match_lesions(case, prior, register(case, prior, pair_vertebrae(case.vertebrae, prior.vertebrae)))
    assert not matches.new
    assert [x.label for x in matches.not_covered] == [1]


@pytest.mark.parametrize(
    ("then", "now", "verdict"),
    [
        (4000.0, 4900.0, "unchanged"), (4000.0, 5000.0, "increased"), (4000.0, 3000.0, "decreased"),
        (400.0, 560.0, "unchanged"), (400.0, 620.0, "increased"),
    ],
)  # fmt: skip
def test_volumes_change_beyond_their_limit_only(then, now, verdict):
    case = analyzed_case()
    lesion = case.lesions[0]
    found = changes((case, replace(lesion, volume_mm3=now)), (case, replace(lesion, volume_mm3=then)), SETTINGS)
    assert found[0].verdict == verdict


def test_maps_that_a_study_lacks_make_a_change_not_assessable():
    case = analyzed_case()
    found = {c.name: c for c in changes((case, case.lesions[0]), (case, case.lesions[0]), SETTINGS)}
    assert found["ADC"].verdict == "not assessable"
    assert "prior and the current" in found["ADC"].note


def test_adc_and_fat_fraction_are_measured_inside_the_lesion():
    case = analyzed_case(Sequence.T1, Sequence.ADC, Sequence.DIXON_FAT, Sequence.DIXON_WATER)
    inside = case.labels["lesions"].array == 1

    def painted(adc, fat):
        values = {Sequence.ADC: adc, Sequence.DIXON_FAT: fat, Sequence.DIXON_WATER: 100.0 - fat}
        images = {
            s: replace(i, array=np.where(inside, values[s], i.array)) if s in values else i
            for s, i in case.images.items()
        }
        return case.with_(images=images), case.lesions[0]

    found = {c.name: c for c in changes(painted(1300.0, 30.0), painted(900.0, 10.0), SETTINGS)}
    assert found["ADC"].prior == pytest.approx(900)
    assert found["ADC"].verdict == "increased"
    assert found["fat fraction"].current == pytest.approx(30)
    assert found["fat fraction"].verdict == "increased"


def change(name, verdict, current=1.0):
    return Change(name, "", 1.0, current, 0.0, "", verdict)


@pytest.mark.parametrize(
    ("status", "found", "category"),
    [
        ("new", [], "5"), ("resolved", [], "1"), ("not covered", [], "n"), ("without borders", [], "n"),
        ("matched", [change("volume", "unchanged")], "3"),
        ("matched", [change("volume", "increased")], "4"),
        ("matched", [change("volume", "increased"), change("ADC", "unchanged", 800)], "5"),
        ("matched", [change("volume", "unchanged"), change("epidural volume", "increased")], "4"),
        ("matched", [change("volume", "decreased")], "2"),
        ("matched", [change("volume", "decreased"), change("ADC", "increased", 1300)], "1"),
        ("matched", [change("volume", "unchanged"), change("ADC", "increased", 1500)], "2"),
    ],
)  # fmt: skip
def test_met_rads_like_categories_of_a_lesion(status, found, category):
    assert lesion_category(status, found)[0] == category


MATCHED = LesionChange("matched", 1, 1, "L3", category="3, no change")


@pytest.mark.parametrize(
    ("targets", "category"),
    [
        ([Target(20, 20)], "SD"), ([Target(20, 14)], "PR"), ([Target(20, 24.9)], "SD"), ([Target(20, 25)], "PD"),
        ([Target(10, 12.5)], "SD"), ([Target(9, 30)], "non-CR, non-PD (no measurable disease)"),
        ([Target(30, 30), Target(20, 20), Target(12, 60)], "SD"),
    ],
)  # fmt: skip
def test_recist_thresholds(targets, category):
    assert recist(targets, [MATCHED]).category == category


def test_recist_calls_a_new_lesion_progression():
    assert recist([Target(20, 10)], [MATCHED, replace(MATCHED, status="new")]).category == "PD"


def test_spino_needs_a_form_and_leaves_the_verdict_to_people():
    grown = replace(MATCHED, changes=(change("volume", "increased"),))
    form = {"radiotherapy": [{"levels": ["L3"], "days_before_study": 400}]}
    assert spino([grown], {}).category == "not assessable"
    assert spino([grown], form).category == "signs of local progression"
    assert spino([MATCHED], form).category == "no sign of local progression"
    assert spino([replace(grown, level="T5")], form).category == "not assessable"
    assert "person" in spino([grown], form).note


def grown_pair():
    prior = analyzed_case()
    lesions, labels = prior.labels["lesions"], prior.labels
    at = lesions.grid.ijk_to_lps(np.moveaxis(np.indices(lesions.grid.shape), 0, -1))
    near = np.linalg.norm(at - prior.lesions[0].centroid_lps_mm, axis=-1) < 11
    larger = LabelMap(np.where(near, 1, lesions.array), lesions.grid)
    lesion = replace(prior.lesions[0], volume_mm3=5500.0, longest_diameter_mm=22.0)
    return prior.with_(case_id="case-b", labels={**labels, "lesions": larger}, lesions=(lesion,)), prior


@pytest.mark.parametrize("which", ["prior", "current", "gone"])
def test_a_lesion_for_which_its_vertebra_stands_has_no_course(which):
    current, prior = grown_pair()
    whole = [replace(x, measurements=(*x.measurements, NO_BORDERS)) for x in (current.lesions[0], prior.lesions[0])]
    if which == "current":
        current = current.with_(lesions=(whole[0],))
    else:
        prior = prior.with_(lesions=(whole[1],))
    if which == "gone":
        labels = current.labels["lesions"]
        empty = LabelMap(np.zeros_like(labels.array), labels.grid)
        current = current.with_(lesions=(), labels={**current.labels, "lesions": empty})
    response = compare(current, prior, SETTINGS).response
    (found,) = response.lesions
    assert (found.status, found.category, found.changes) == ("without borders", "not assessable", ())
    assert "responding" not in " ".join(v.category for v in response.verdicts)


@pytest.mark.parametrize(
    ("course", "words"),
    [
        ({"levels": ["L3"], "days_before_study": 80}, "80 days after radiotherapy: may be pseudo-progression"),
        ({"levels": ["L3"], "days_before_study": 300}, ""),
        ({"levels": ["L3"]}, "not assessable"),
        ({"levels": ["T9"], "days_before_study": 80}, ""),
        ({"days_before_study": 80}, "may be pseudo-progression"),
    ],
)
def test_an_increase_soon_after_radiotherapy_is_told_with_caution(course, words):
    current, prior = grown_pair()
    found = compare(current.with_(clinical={"radiotherapy": [course]}), prior, SETTINGS).response.lesions[0]
    assert found.changes[0].verdict == "increased"
    assert words in found.caution if words else found.caution == ""


def test_a_candidate_that_is_rather_benign_enters_no_criteria():
    current, prior = grown_pair()
    benign = {"malignant": 0.1, "benign": 0.9, "normal": 0.0}
    cases = [c.with_(lesions=tuple(replace(x, probabilities=benign) for x in c.lesions)) for c in (current, prior)]
    response = compare(*cases, SETTINGS).response
    assert not response.lesions[0].suspicious
    assert {v.code: v.category for v in response.verdicts}["met_rads_like"] == "not assessable"


def test_the_form_knows_the_time_between_studies_best():
    case = analyzed_case()
    prior = case.with_(case_id="case-b")
    assert compare(case, prior, SETTINGS, days=90).response.days_since_prior == 90
    assert (
        compare(case.with_(clinical={"days_since_prior": 85}), prior, SETTINGS, days=90).response.days_since_prior == 85
    )
    assert compare(case, prior, SETTINGS).response.days_since_prior is None


def test_met_rads_names_most_and_worst():
    found = met_rads([MATCHED, MATCHED, replace(MATCHED, category="5, highly likely progressing")])
    assert found.category == "3, no change"
    assert "worst: 5" in found.facts[-1]
    assert not found.verified


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingsError, match="limits of 0 or more"):
        ResponseSettings(adc_percent=-1)


@pytest.mark.slow
def test_a_synthetic_course_is_followed_on_true_outlines():
    lesions = (
        LesionCourse("L1", LesionKind.LYTIC, Fate.STABLE, scale=1.2),
        LesionCourse("L2", LesionKind.LYTIC, Fate.GROWS, scale=1.3, time_days=60.0),
        LesionCourse("L3", LesionKind.LYTIC, Fate.APPEARS, onset_days=1.0),
        LesionCourse("L4", LesionKind.LYTIC, Fate.RESOLVES, time_days=60.0),
    )
    course = simulate_course(
        7301, (0, 90), sequences=(Sequence.T2,), lesions=lesions, settings=PatientSettings(fast=True)
    )
    prior, current = (true_case(v.patient, f"case-{n}") for n, v in enumerate(course.visits))
    response = compare(current, prior, SETTINGS).response
    assert {x.level: x.status for x in response.lesions} == {
        "L1": "matched", "L2": "matched", "L3": "new", "L4": "resolved"
    }  # fmt: skip
    grown = next(x for x in response.lesions if x.level == "L2")
    truth = course.visits[1].lesion(2).volume_mm3 / course.visits[0].lesion(2).volume_mm3
    assert grown.changes[0].percent == pytest.approx(100 * (truth - 1), abs=25)


def test_heights_are_compared_where_both_studies_show_the_whole_body():
    prior = analyzed_case()
    current, _ = moved(prior)
    current = current.with_(vertebrae=(replace(current.vertebrae[0], at_edge=True), *current.vertebrae[1:]))
    matches = {m.instance: m for m in compare(current, prior, SETTINGS).response.vertebrae}
    assert matches[1].height is None
    assert {m.height.verdict for n, m in matches.items() if n > 1} == {"unchanged"}


def test_a_result_of_other_networks_is_flagged():
    prior = analyzed_case()
    current, _ = moved(prior)
    now = replace(current.history[0], name="lesions", models={"lesions 2": "cd" * 32})
    flags = {f.code for f in compare(current.with_(history=(now,)), prior, SETTINGS).quality}
    assert "prior_other_networks" in flags
    assert "prior_other_networks" not in {f.code for f in compare(current, prior, SETTINGS).quality}
