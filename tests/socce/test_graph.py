import copy

import pytest

from spondyl.core import SettingsError
from spondyl.socce.graph import ConfounderGraph


def test_usual_arrows_go_to_imaging_and_from_site_to_pathology():
    graph = ConfounderGraph.usual(["coil", "site"])
    assert graph.confounders_of("imaging") == ("coil", "site")
    assert graph.confounders_of("pathology") == ("site",)
    assert graph.confounders_of("expression") == ()


def test_targets_can_be_declared():
    graph = ConfounderGraph.usual(["site:imaging+expression"])
    assert graph.confounders_of("expression") == ("site",)
    assert graph.confounders_of("pathology") == ()


def test_a_column_is_not_both_confounder_and_disease():
    with pytest.raises(SettingsError, match="either confounder or disease"):
        ConfounderGraph.usual(["site"], ["site"])


def test_an_unknown_modality_is_refused():
    with pytest.raises(SettingsError, match="acts on some of"):
        ConfounderGraph.usual(["site:serum"])


def test_a_graph_can_be_copied_and_tells_what_it_says():
    graph = ConfounderGraph.usual(["coil"], ["primary"])
    assert copy.deepcopy(graph).acts_on == graph.acts_on
    assert graph.sentences()[0] == "coil changes what is measured in imaging"
    assert "primary" in graph.sentences()[-1]
