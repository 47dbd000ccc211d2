"""What every step of the road promises, whatever its science.

A new line in `spondyl.pipeline.steps.STEPS` is held to these promises by itself. The patient is a column of boxes and
the network reads its gray values (`fakes`), so an answer here depends on the step alone.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import fields, is_dataclass
from enum import Enum

import numpy as np
import pytest

from fakes import GRAY_NETWORKS, LESION_MM, PLANTED, gray_case, gray_column, gray_image, reoriented_case, sagittal_grid
from spondyl.core import Case, Grid, Image, InputError, Sequence, SpondylError
from spondyl.pipeline.run import run
from spondyl.pipeline.settings import Settings
from spondyl.pipeline.steps import STEPS

NAMES = [entry.name for entry in STEPS]

ORIENTATIONS = ("RAS", "LPS", "SAR", "PIR", "ARI")
"""Of the 48, one for each way in which axes can be swapped or reversed; the record's own tests take all."""

ROUNDING_MM = 0.5
"""What a centroid may move when the same voxels come in another order; a mirrored one moves by several mm."""


def taken(case: Case, upto: str, *, first: str | None = None) -> Case:
    """The case after the steps from `first` (or the first of all) to `upto`."""
    start = 0 if first is None else NAMES.index(first)
    steps = STEPS[start : NAMES.index(upto) + 1]
    roles = {role for entry in STEPS for role in entry.networks.values()}
    return run(case, Settings(), {role: GRAY_NETWORKS[role] for role in roles}, steps=steps)


def before(name: str, case: Case | None = None) -> Case:
    """The case as a step finds it."""
    case = case or gray_case()
    place = NAMES.index(name)
    return taken(case, NAMES[place - 1]) if place else case


def digest(value) -> str:
    """A fingerprint of everything in a record but the time it took."""
    total = hashlib.sha256()

    def add(part) -> None:
        if isinstance(part, np.ndarray):
            total.update(str((part.dtype, part.shape)).encode() + np.ascontiguousarray(part).tobytes())
        elif is_dataclass(part):
            for f in fields(part):
                if f.name != "seconds":
                    add(f.name)
                    add(getattr(part, f.name))
        elif hasattr(part, "items"):
            for key, item in part.items():
                add(str(key))
                add(item)
        elif isinstance(part, tuple | list) and not isinstance(part, Enum):
            for item in part:
                add(item)
        else:
            total.update(repr(part).encode())

    add(value)
    return total.hexdigest()


@pytest.fixture(scope="module")
def plain_results() -> dict[str, Case]:
    """The plain patient after each step."""
    return {name: taken(gray_case(), name) for name in NAMES}


def test_the_patient_of_these_tests_is_understood(plain_results):
    # Promises kept about an empty answer would mean nothing.
    case = plain_results[NAMES[-1]]
    assert [v.level for v in case.vertebrae] == ["L1", "L2", "L3", "L4", "L5", "S1"]
    assert [lesion.level for lesion in case.lesions] == ["L3"]
    np.testing.assert_allclose(case.lesions[0].centroid_lps_mm, LESION_MM, atol=1.5)


@pytest.mark.parametrize("name", NAMES)
def test_the_input_stays_as_it_was(name):
    case = before(name)
    fingerprint = digest(case)
    taken(case, name, first=name)
    assert digest(case) == fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_answer(name, plain_results):
    assert digest(taken(gray_case(), name)) == digest(plain_results[name])


@pytest.mark.parametrize("name", NAMES)
def test_the_history_grows_by_one_with_name_and_methods(name):
    case = before(name)
    after = taken(case, name, first=name)
    assert len(after.history) == len(case.history) + 1
    assert after.history[-1].name == name
    assert after.history[-1].methods.strip()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_reoriented_study_gives_the_same_answer_in_patient_space(name, orientation, plain_results):
    plain = plain_results[name]
    turned = taken(reoriented_case(gray_case(), orientation), name)
    assert turned.reference == plain.reference
    assert [v.level for v in turned.vertebrae] == [v.level for v in plain.vertebrae]
    assert len(turned.lesions) == len(plain.lesions)
    for found, wanted in zip([*turned.vertebrae, *turned.lesions], [*plain.vertebrae, *plain.lesions], strict=True):
        np.testing.assert_allclose(found.centroid_lps_mm, wanted.centroid_lps_mm, atol=ROUNDING_MM)
        assert found.volume_mm3 == pytest.approx(wanted.volume_mm3, rel=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_maps_and_labels_lie_on_the_reference_image(name, plain_results):
    case = plain_results[name]
    for item in [*case.labels.values(), *case.maps.values()]:
        if item.array.size and case.reference is not None and getattr(item, "sequence", None) is not Sequence.ADC:
            assert item.grid.same_space(case.images[case.reference].grid)


@pytest.mark.parametrize("name", NAMES)
def test_no_identifier_leaks(name, caplog):
    with caplog.at_level(logging.DEBUG):
        case = taken(gray_case(), name)
    said = [caplog.text, repr(case.quality), repr(case.vertebrae)]
    said += [repr(part) for record in case.history for part in (record, dict(record.settings), dict(record.models))]
    said += [repr(dict(label.names)) for label in case.labels.values()]
    assert not [text for text in said if PLANTED in text]


def test_a_study_without_images_is_refused_in_words():
    with pytest.raises(InputError, match="at least one image, got none"):
        taken(Case("case-empty", {}), NAMES[-1])


def odd_images() -> dict[str, Image]:
    grid = sagittal_grid()
    tiny = Grid((1, 1, 1), np.diag([4.0, 1.5, 1.5, 1.0]))
    axial_slice = sagittal_grid().reoriented("LPI")
    one = Grid((*axial_slice.shape[:2], 1), axial_slice.affine)
    return {
        "single sagittal slice": gray_image(Sequence.T2, sagittal_grid(slices=1)),
        "single axial slice": Image(gray_column(one), one, Sequence.T2),
        "one voxel": Image(np.ones((1, 1, 1)), tiny, Sequence.T2),
        "nothing but zeros": Image(np.zeros(grid.shape), grid, Sequence.T2),
        "one value": Image(np.full(grid.shape, 7.0), grid, Sequence.T2),
        "noise": Image(np.random.default_rng(1).normal(100, 30, grid.shape), grid, Sequence.T2),
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", list(odd_images()))
def test_odd_input_ends_in_a_result_or_in_words_never_in_a_crash(name, kind):
    case = Case("case-odd", {Sequence.T2: odd_images()[kind]})
    try:
        said = repr([record.name for record in taken(case, name).history])
        wanted = repr(NAMES[: NAMES.index(name) + 1])
    except SpondylError as error:
        said = wanted = str(error)
    assert said == wanted
    assert len(said) > 10
    assert PLANTED not in said
