"""Classes reach the right vertebra and lesion, in the order of suspicion, whatever the networks say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fakes import GRAY_NETWORKS, GrayClassifier, gray_case
from spondyl.core import Case, LabelMap, ModelError, SettingsError
from spondyl.harmonize.step import HarmonizeSettings, harmonize
from spondyl.lesions.classify import ClassifySettings, _among, classify_findings
from spondyl.lesions.step import LesionSettings, find_lesions
from spondyl.localize.step import LocalizeSettings, localize
from spondyl.models.classify import Scheme, classify

NETWORKS = {kind: GRAY_NETWORKS[f"vertebra {kind}"] for kind in ("context", "resnet", "densenet")}


@pytest.fixture(scope="module")
def found() -> Case:
    """The column of boxes with its lesion found."""
    case = localize(harmonize(gray_case(), HarmonizeSettings()), LocalizeSettings(), network=GRAY_NETWORKS["spine"])
    return find_lesions(case, LesionSettings(), network=GRAY_NETWORKS["lesions"])


@pytest.fixture(scope="module")
def judged(found) -> Case:
    return classify_findings(found, ClassifySettings(weight=0.5), **NETWORKS)


def test_every_finding_gets_probabilities_that_sum_to_one(judged):
    for finding in (*judged.vertebrae, *judged.lesions):
        assert sum(finding.probabilities.values()) == pytest.approx(1)
        assert sum(finding.subtype_probabilities.values()) == pytest.approx(1)
        assert 0 <= finding.uncertainty <= 1


def test_the_bright_lesion_is_more_malignant_than_any_vertebra(judged):
    (lesion,) = judged.lesions
    assert lesion.subtype == "metastasis_lytic"
    assert lesion.probabilities["malignant"] > max(v.probabilities["malignant"] for v in judged.vertebrae)


def test_saliency_is_only_raised_and_stays_within_one(found, judged):
    before, after = found.maps["saliency"].array, judged.maps["saliency"].array
    assert (after >= before - 1e-6).all()
    assert after.max() <= 1
    assert (after > before + 0.01).any()


def test_networks_without_a_say_leave_the_saliency_as_it_is(found, monkeypatch):
    def asked(*given):
        return classify(*given)._replace(activation_say=0.0)

    monkeypatch.setattr("spondyl.lesions.classify.classify", asked)
    after = classify_findings(found, ClassifySettings(weight=0.5), **NETWORKS)
    np.testing.assert_array_equal(after.maps["saliency"].array, found.maps["saliency"].array)


@pytest.mark.parametrize(
    ("named", "subtypes"),
    [(("malignant", "benign"), [0, 1, 1, 1]), (("normal",), [1, 0, 0, 0]), ((), [1, 1, 1, 1])],
)
def test_the_subtype_is_one_of_a_class_that_is_named(named, subtypes):
    names = ("normal", "red marrow", "lytic", "sclerotic")
    scheme = Scheme(("normal", "benign", "malignant"), names, (0, 1, 2, 2), 1.0, takes_tokens=True)
    np.testing.assert_array_equal(_among(named, scheme), np.array(subtypes, bool))


def test_lesions_and_their_labels_are_put_in_the_order_of_suspicion(found):
    labels = found.labels["lesions"]
    faint = np.zeros(labels.array.shape, np.uint16)
    faint[tuple(np.argwhere(found.labels["vertebrae"].array == 1)[::7].T)] = 1
    both = np.where(labels.array > 0, 2, faint).astype(np.uint16)
    (bright,) = found.lesions
    first = replace(bright, label=1, vertebra_instance=1, centroid_lps_mm=found.vertebrae[0].centroid_lps_mm)
    names = {1: "lesion 1", 2: "lesion 2"}
    case = found.with_(
        lesions=(first, replace(bright, label=2)),
        labels={**found.labels, "lesions": LabelMap(both, labels.grid, names)},
    )
    after = classify_findings(case, ClassifySettings(weight=1.0), **NETWORKS)
    assert [x.label for x in after.lesions] == [1, 2]
    assert after.lesions[0].centroid_lps_mm == bright.centroid_lps_mm
    np.testing.assert_array_equal(after.labels["lesions"].array == 1, both == 2)
    assert dict(after.labels["lesions"].names) == names


def test_without_prediction_sets_the_most_probable_class_stands_alone(found):
    after = classify_findings(found, ClassifySettings(sets=False), **NETWORKS)
    assert after.lesions[0].prediction_set == ("malignant",)


def test_a_case_without_a_useful_series_says_so(found):
    case = classify_findings(found.with_(images={}), ClassifySettings(), **NETWORKS)
    assert [f.code for f in case.quality if f.code == "classes_not_judged"]
    assert all(v.subtype is None for v in case.vertebrae)


def test_networks_that_do_not_belong_together_are_refused(found):
    other = GrayClassifier("resnet")
    table = {**other.card.details["classification"], "subtypes": ["a", "b", "c"]}
    other.card = replace(other.card, details={**other.card.details, "classification": table})
    with pytest.raises(ModelError, match="same subtypes"):
        classify_findings(found, ClassifySettings(), **{**NETWORKS, "resnet": other})


def test_a_network_that_classifies_nothing_is_refused(found):
    with pytest.raises(ModelError, match="a classifier is wanted"):
        classify_findings(found, ClassifySettings(), **{**NETWORKS, "densenet": GRAY_NETWORKS["lesions"]})


def test_finder_and_classifiers_share_in_the_probabilities_of_a_lesion(found):
    none, half, all_ = (
        classify_findings(found, ClassifySettings(weight=w), **NETWORKS).lesions[0].probabilities["malignant"]
        for w in (0.0, 0.5, 1.0)
    )
    assert none == pytest.approx(found.lesions[0].probabilities["malignant"])
    assert half == pytest.approx((none + all_) / 2)


def test_a_weight_is_a_share():
    with pytest.raises(SettingsError, match="between 0 and 1"):
        ClassifySettings(weight=1.5)
