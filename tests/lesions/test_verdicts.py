"""Vertebrae judged diseased become candidates only where nothing was found, and as large as the verdict allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fakes import GRAY_NETWORKS, gray_case
from spondyl.core import Case, Image, LabelMap, Structure
from spondyl.harmonize.step import HarmonizeSettings, harmonize
from spondyl.lesions.classify import ClassifySettings, classify_findings
from spondyl.lesions.step import LesionSettings, find_lesions
from spondyl.lesions.verdicts import outlined, overlooked, pooled
from spondyl.localize.step import LocalizeSettings, localize

NETWORKS = {kind: GRAY_NETWORKS[f"vertebra {kind}"] for kind in ("context", "resnet", "densenet")}


@pytest.fixture(scope="module")
def empty() -> Case:
    """The column of boxes with no lesion found, nor believed in."""
    case = localize(harmonize(gray_case(), HarmonizeSettings()), LocalizeSettings(), network=GRAY_NETWORKS["spine"])
    case = find_lesions(case, LesionSettings(), network=GRAY_NETWORKS["lesions"])
    grid = case.labels["lesions"].grid
    nothing = Image(np.zeros(grid.shape, np.float32), grid)
    return case.with_(
        lesions=(),
        labels={**case.labels, "lesions": LabelMap(np.zeros(grid.shape, np.uint16), grid, {})},
        maps={**case.maps, "malignant": nothing, "benign": nothing},
    )


def told(case: Case, number: int, malignant: float, benign: float) -> Case:
    """The case with one vertebra judged so, and the others normal."""
    normal = {"malignant": 0.0, "benign": 0.0, "normal": 1.0}
    own = {"malignant": malignant, "benign": benign, "normal": 1 - malignant - benign}
    vertebrae = [replace(v, probabilities=own if n == number else normal) for n, v in enumerate(case.vertebrae)]
    return case.with_(vertebrae=tuple(vertebrae))


def body_of(case: Case, number: int) -> np.ndarray:
    body = np.isin(case.labels["structures"].array, (Structure.BODY, Structure.S1))
    return body & (case.labels["vertebrae"].array == case.vertebrae[number].instance)


def drawn(case: Case, candidate) -> np.ndarray:
    where = np.zeros(case.labels["lesions"].array.shape, bool)
    where[candidate.box] = candidate.where
    return where


def test_a_vertebra_judged_malignant_is_a_candidate_as_large_as_its_body(empty):
    case = told(empty, 1, 0.9, 0.05)
    ((vertebra, candidate),) = overlooked(case, 0.7)
    assert vertebra == case.vertebrae[1]
    np.testing.assert_array_equal(drawn(case, candidate), body_of(case, 1))
    assert candidate.probabilities == pytest.approx(dict(vertebra.probabilities))


def test_one_judged_benign_is_what_the_network_deems_least_unlikely(empty):
    case = told(empty, 1, 0.1, 0.8)
    assert overlooked(case, 0.7) == []
    half, grid = body_of(case, 1), case.labels["lesions"].grid
    half &= np.arange(half.shape[1])[:, None] > np.argwhere(half)[:, 1].mean()
    case = case.with_(maps={**case.maps, "benign": Image(np.where(half, 0.2, 0).astype(np.float32), grid)})
    ((_, candidate),) = overlooked(case, 0.7)
    np.testing.assert_array_equal(drawn(case, candidate), half)


def test_neither_unsure_verdicts_nor_vertebrae_with_candidates_are_looked_at_again(empty):
    assert overlooked(told(empty, 1, 0.6, 0.05), 0.7) == []
    labels, body = empty.labels["lesions"], body_of(empty, 1)
    known = np.where(body & (np.cumsum(body).reshape(body.shape) < 0.1 * body.sum()), 1, 0).astype(np.uint16)
    case = empty.with_(labels={**empty.labels, "lesions": replace(labels, array=known)})
    assert overlooked(told(case, 1, 0.9, 0.05), 0.7) == []


def test_the_step_adds_them_with_the_classes_of_the_vertebra_and_says_so(empty):
    case = classify_findings(empty, ClassifySettings(finder=0.0, company=0.0, overlooked=0.0), **NETWORKS)
    hosts = {v.instance: v for v in case.vertebrae}
    assert case.lesions
    for lesion in case.lesions:
        host = hosts[lesion.vertebra_instance]
        assert lesion.probabilities == pytest.approx(dict(host.probabilities))
        assert (lesion.subtype, lesion.prediction_set) == (host.subtype, host.prediction_set)
        volume = (case.labels["lesions"].array == lesion.label).sum() * case.labels["lesions"].grid.voxel_volume_mm3
        assert lesion.volume_mm3 == pytest.approx(volume)
    assert [x.probabilities["malignant"] for x in case.lesions] == sorted(
        (x.probabilities["malignant"] for x in case.lesions), reverse=True
    )
    assert "without_borders" in {f.code for f in case.quality}


def test_it_can_be_turned_off_and_does_nothing_on_one_series(empty):
    assert classify_findings(empty, ClassifySettings(overlooked=1.0), **NETWORKS).lesions == ()
    (first, image), *_ = empty.images.items()
    one = empty.with_(images={first: image})
    assert classify_findings(one, ClassifySettings(overlooked=0.0), **NETWORKS).lesions == ()


def test_candidates_tell_of_their_vertebra_and_without_one_the_mean_of_its_body(empty):
    assert (outlined(empty, whole=True)[:, 0] == 1).all()
    grid, body = empty.labels["lesions"].grid, body_of(empty, 2)
    case = empty.with_(maps={**empty.maps, "malignant": Image(np.where(body, 0.4, 0).astype(np.float32), grid)})
    np.testing.assert_allclose(outlined(case, whole=True)[2], (0.6, 0.0, 0.4), atol=1e-6)
    assert (outlined(case, whole=False)[:, 0] == 1).all()
    with_lesions = classify_findings(case, ClassifySettings(finder=0.0, company=0.0, overlooked=0.0), **NETWORKS)
    told = outlined(with_lesions, whole=False)
    for lesion in with_lesions.lesions:
        row = [v.instance for v in case.vertebrae].index(lesion.vertebra_instance)
        assert told[row, 2] == pytest.approx(lesion.probabilities["malignant"])


def test_a_pool_lies_between_two_opinions_and_agrees_with_those_that_agree():
    one, other = np.array([[0.8, 0.1, 0.1]]), np.array([[0.1, 0.1, 0.8]])

    def pool(first, second, share):
        return pooled(first, second, share=share, company=0.0)

    np.testing.assert_allclose(pool(one, other, 0.0), one)
    np.testing.assert_allclose(pool(one, other, 1.0), other)
    np.testing.assert_allclose(pool(one, one, 0.3), one)
    assert pool(one, other, 0.5)[0, 0] == pytest.approx(pool(one, other, 0.5)[0, 2])


def test_a_vertebra_in_bad_company_is_more_suspicious_and_does_not_count_itself():
    doubtful, ill, well = (0.4, 0.3, 0.3), (0.05, 0.05, 0.9), (0.9, 0.05, 0.05)

    def first(*column):
        both = np.array(column)
        return pooled(both, both, share=0.5, company=0.5)[0, 2]

    assert first(doubtful, ill, ill) > first(doubtful, well, ill) > first(doubtful, well, well)
    odds = np.log(first(doubtful) / 0.3) - np.log((1 - first(doubtful)) / 0.7)
    assert odds == pytest.approx(0.5 * -3.0)
