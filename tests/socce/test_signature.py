import numpy as np
import pandas as pd
import pytest

from spondyl.core.genes import GENE_SETS
from spondyl.socce.signature import SUMMARY_SETS, signature_scores, signature_table


def expression(seed: int = 0, **up: float):
    rng = np.random.default_rng(seed)
    genes = sorted({g for s in GENE_SETS.values() for g in s.genes}) + [f"G{i}" for i in range(200)]
    return {g: float(v) + up.get(g, 0.0) for g, v in zip(genes, rng.normal(5, 1, len(genes)), strict=True)}


def test_sets_at_the_top_and_bottom_reach_the_ends():
    own = GENE_SETS["proliferation"].genes
    assert signature_scores(expression(**dict.fromkeys(own, 100.0)))["proliferation"].score == pytest.approx(0.5)
    assert signature_scores(expression(**dict.fromkeys(own, -100.0)))["proliferation"].score == pytest.approx(-0.5)


def test_scale_and_other_patients_do_not_matter():
    own = expression(1)
    scores = signature_scores(own)
    assert signature_scores({g: 2**v for g, v in own.items()}) == scores
    table = pd.DataFrame([own, expression(2)], index=["a", "b"])
    assert signature_table(table).loc["a", "immune"] == signature_table(table.iloc[:1]).loc["a", "immune"]


def test_a_worked_example():
    """Four genes of fifty at ranks 47 to 50 of 50 less one moved to rank 1: by hand."""
    genes = {f"G{i}": float(i) for i in range(45)}
    genes |= {"IL11": 100.0, "CCN2": 101.0, "CXCR4": 102.0, "MMP1": 103.0, "SPP1": -1.0}
    mean, low, high = (47 + 48 + 49 + 50 + 1) / 5, 3.0, 48.0
    assert signature_scores(genes)["bone_metastasis"].score == pytest.approx((mean - low) / (high - low) - 0.5)


def test_missing_genes_are_counted_and_too_many_give_no_score():
    own = {g: v for g, v in expression(3).items() if g not in GENE_SETS["immune"].genes[:10]}
    found = signature_scores(own)["immune"]
    assert found.score is None
    assert found.missing == pytest.approx(10 / 18)
    assert "missing" in found.note


def test_a_small_panel_is_not_scored():
    found = signature_scores({"MKI67": 1.0, "RRM2": 2.0})
    assert all(s.score is None for s in found.values())


def test_the_summary_is_the_mean_of_its_sets():
    scores = signature_scores(expression(4))
    assert scores["summary"].score == pytest.approx(np.mean([scores[s].score for s in SUMMARY_SETS]))
