"""The step that says what findings rest on."""

import numpy as np
import pytest

from fakes import GRAY_NETWORKS, gray_case
from spondyl.core import SettingsError
from spondyl.lesions.explain import ExplainSettings, explain_findings, explained
from spondyl.pipeline.run import run
from spondyl.pipeline.settings import Settings
from spondyl.pipeline.steps import LESIONS, STEPS


@pytest.fixture(scope="module")
def found():
    steps = [s for s in STEPS if s.name in ("harmonize", "localize", "lesions")]
    return run(gray_case(), Settings(), GRAY_NETWORKS, steps=steps)


def test_a_finding_rests_on_its_own_place(found):
    after = explain_findings(found, ExplainSettings(), network=GRAY_NETWORKS[LESIONS])
    lesion = after.lesions[0]
    assert explained(lesion)
    told = {m.name: m.value for m in lesion.measurements}
    assert told["evidence_inside"] > 20
    # The lesion is bright on several series and the network asks for one, so no single series is needed.
    assert told["evidence_T1"] == pytest.approx(0, abs=0.01)
    evidence = after.maps["evidence"]
    own = after.labels["lesions"].array == lesion.label
    assert evidence.array[own].mean() > 3 * evidence.array[~own].mean()
    assert 0 <= evidence.array.min() <= evidence.array.max() <= 1


def test_findings_themselves_do_not_change(found):
    after = explain_findings(found, ExplainSettings(), network=GRAY_NETWORKS[LESIONS])
    assert [(x.label, x.probabilities) for x in after.lesions] == [(x.label, x.probabilities) for x in found.lesions]
    np.testing.assert_array_equal(after.labels["lesions"].array, found.labels["lesions"].array)


def test_none_are_explained_where_none_are_wanted(found):
    after = explain_findings(found, ExplainSettings(findings=0), network=GRAY_NETWORKS[LESIONS])
    assert not any(explained(x) for x in after.lesions)
    assert "evidence" not in after.maps
    assert after.history[-1].name == "explain"


def test_a_negative_number_is_refused():
    with pytest.raises(SettingsError, match=r"explain\.findings"):
        ExplainSettings(findings=-1)
