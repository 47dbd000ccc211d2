"""Early disease in a case: a vertebra that changed stands out, and whatever prevents an answer is said."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spondyl.core import Case, Grid, Image, LabelMap, Lesion, Sequence, Structure, Vertebra
from spondyl.core.response import Response, VertebraMatch
from spondyl.io.early_section import early_section
from spondyl.io.result import result_document
from spondyl.risk.early_file import read_early
from spondyl.risk.early_step import NO_PRIOR, assess_early

SPACING = (4.0, 1.0, 1.0)
STILL = tuple(tuple(float(v) for v in row) for row in np.eye(4))


def _case(seed, *, changed=None, lesions=(), sequences=(Sequence.T1, Sequence.STIR), shift=0.0, response=None):
    """Seven bodies in a stack; the texture is the patient's own, the noise the visit's."""
    affine = np.diag([*SPACING, 1.0])
    affine[1, 3] = shift
    grid = Grid((9, 240, 50), affine)
    structure, number = np.zeros(grid.shape, np.uint16), np.zeros(grid.shape, np.uint16)
    for k in range(7):
        structure[:, 6 + 33 * k : 32 + 33 * k, 8:42] = Structure.BODY
        number[:, 6 + 33 * k : 32 + 33 * k, 8:42] = k + 1
    texture = np.random.default_rng(7).normal(0, 0.15, grid.shape)
    rng, images = np.random.default_rng(seed), {}
    for sequence in sequences:
        log = texture + rng.normal(0, 0.1, grid.shape)
        if changed is not None:
            spot = (slice(3, 6), slice(15 + 33 * changed, 24 + 33 * changed), slice(18, 28))
            log[spot] += -0.5 if sequence is Sequence.T1 else 0.9
        images[sequence] = Image((200 * np.exp(log)).astype(np.float32), grid, sequence=sequence)
    vertebrae = tuple(
        Vertebra(k + 1, f"L{k}" if k else "T12", 1.0, False, "", (16.0, 19.0 + 33 * k, 25.0), 3e4, 1.0)
        for k in range(7)
    )
    labels = {"structures": LabelMap(structure, grid), "vertebrae": LabelMap(number, grid)}
    return Case(f"case-{seed}", images, labels=labels, vertebrae=vertebrae, lesions=lesions, response=response)


def _response(motion=STILL):
    matches = tuple(VertebraMatch(k, k, f"L{k}", f"L{k}", 0.4, motion) for k in range(1, 8))
    return Response(assessable=True, days_since_prior=91, vertebrae=matches)


def _said(case, prior, **given):
    return assess_early(case, prior, **given).risk["early_disease"]


def test_the_vertebra_that_changed_stands_out():
    said = _said(_case(1, changed=3, response=_response()), _case(2))
    probability = np.array([v["probability"] for v in said["vertebrae"]])
    assert probability.argmax() == 3
    assert probability[3] > 3 * np.delete(probability, 3).max()
    assert said["vertebrae"][3]["verdict"] == "early disease"
    assert said["vertebrae"][3]["signs"][0]["sign"].startswith("new: ")
    assert said["days_since_prior"] == 91
    assert said["sequences"] == ["T1", "STIR"]


def test_the_same_is_found_where_the_patient_lay_elsewhere():
    moved = np.eye(4)
    moved[1, 3] = -30.0
    motion = tuple(tuple(float(v) for v in row) for row in moved)
    here = _said(_case(1, changed=3, response=_response()), _case(2))
    there = _said(_case(1, changed=3, response=_response(motion)), _case(2, shift=30.0))
    for one, other in zip(here["vertebrae"], there["vertebrae"], strict=True):
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-6)


def test_log_odds_of_the_parts_make_the_probability():
    for vertebra in _said(_case(1, response=_response()), _case(2))["vertebrae"]:
        total = sum(vertebra["contributions"].values())
        assert vertebra["probability"] == pytest.approx(1 / (1 + np.exp(-total)), abs=1e-9)


def test_a_vertebra_with_an_overt_lesion_is_not_asked():
    p = {"malignant": 0.9, "benign": 0.1, "normal": 0.0}
    lesion = Lesion(1, 4, "L3", 3000.0, 20.0, (0.0, 0.0, 0.0), p, 0.9, 0.1, ("T1",))
    said = _said(_case(1, changed=3, lesions=(lesion,), response=_response()), _case(2))
    assert said["vertebrae"][3]["probability"] is None
    assert "overt lesion" in said["vertebrae"][3]["not_assessable"]
    assert said["vertebrae"][2]["probability"] is not None


def test_a_vertebra_with_a_small_malignant_candidate_holds_no_disease_too_small_to_be_outlined():
    p = {"malignant": 0.9, "benign": 0.1, "normal": 0.0}
    lesion = Lesion(1, 4, "L3", 800.0, 12.0, (0.0, 0.0, 0.0), p, 0.9, 0.1, ("T1",))
    said = _said(_case(1, changed=3, lesions=(lesion,), response=_response()), _case(2))
    assert said["vertebrae"][3]["probability"] is None
    assert "outlined" in said["vertebrae"][3]["not_assessable"]


@pytest.mark.parametrize(
    ("case", "prior", "why"),
    [
        (lambda: _case(1), lambda: None, NO_PRIOR),
        (lambda: _case(1), lambda: _case(2), "could not be compared"),
        (lambda: _case(1, response=Response(assessable=False, reason="far apart")), lambda: _case(2), "far apart"),
        (
            lambda: _case(1, response=Response(assessable=True, vertebrae=_response().vertebrae[:2])),
            lambda: _case(2),
            "2 vertebrae are whole",
        ),
        (
            lambda: _case(1, response=_response()),
            lambda: _case(2, sequences=(Sequence.T2,)),
            "no sequence that shows marrow is in both",
        ),
    ],
)
def test_what_cannot_be_judged_says_why(case, prior, why):
    said = _said(case(), prior())
    assert why in said["not_assessable"]
    assert said["vertebrae"] == []


def test_one_sequence_in_common_is_too_few():
    said = _said(_case(1, response=_response()), _case(2, sequences=(Sequence.T1,)))
    assert {v["not_assessable"] for v in said["vertebrae"]} == {"too few sequences show it in both studies"}


def test_values_never_seen_are_not_judged():
    case = _case(1, response=_response())
    array = case.images[Sequence.STIR].array.copy()
    array[:, 6 + 33 * 3 : 32 + 33 * 3] *= 40
    changed = {**case.images, Sequence.STIR: Image(array, case.images[Sequence.STIR].grid, sequence=Sequence.STIR)}
    said = _said(case.with_(images=changed), _case(2))
    assert "far outside what was learned from" in said["vertebrae"][3]["not_assessable"]


def test_result_and_report_hold_it():
    case = assess_early(_case(1, changed=3, response=_response()), _case(2))
    json.dumps(result_document(case)["risk"], allow_nan=False)
    shown = early_section(case)
    assert shown["rows"][3]["suspicious"]
    assert shown["since"] == "91 days ago"
    assert early_section(_case(1)) == {}
    assert "simulated" in read_early().learned_from
