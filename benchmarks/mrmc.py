"""How often tests of reader studies reject what is true, and how long an analysis takes.

Studies are drawn from the model of Roe and Metz, in which two modalities have the same expected area under the ROC
curve; a test at 5 % should reject 5 % of them. For non-inferiority the second modality is worse by exactly the margin.

    python benchmarks/mrmc.py [--studies 10000]

10,000 studies a row put the standard error of a rate at 0.22 %.

References
----------
Roe & Metz 1997, doi 10.1016/S1076-6332(97)80032-3.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from spondyl.evaluation.mrmc import analyze_study
from spondyl.evaluation.mrmc_components import Population, components, denominator, global_test
from spondyl.evaluation.mrmc_covariance import METHODS, covariance
from spondyl.evaluation.mrmc_data import ReaderStudy
from spondyl.evaluation.mrmc_figures import MrmcSettings
from spondyl.evaluation.mrmc_merit import auc_merits
from spondyl.evaluation.mrmc_models import one_shot
from spondyl.evaluation.roe_metz import STRUCTURES, RoeMetz, draw_scores

SEED = 1_000_000
ALPHA = 0.05
MARGIN = 0.05
AREA = 0.855

STUDIES = (
    ("HL", 5, (50, 50)),
    ("HL", 10, (50, 50)),
    ("HH", 5, (50, 50)),
    ("LL", 5, (50, 50)),
    ("LH", 5, (50, 50)),
    ("LH", 10, (100, 100)),
)
"""Structure of variances, readers, positive and negative cases."""


def drawn(model: RoeMetz, areas, n_readers, n_cases, rng) -> ReaderStudy:
    scores = draw_scores(model, [model.separation(a) for a in areas], n_readers, n_cases, rng)
    truth = np.arange(sum(n_cases)) < n_cases[0]
    names = tuple(str(i) for i in range(max(n_readers, sum(n_cases))))
    return ReaderStudy(names[: len(areas)], names[:n_readers], names[: len(truth)], truth, scores)


def rejection_rates(structure, n_readers, n_cases, n_studies):
    model, rng = STRUCTURES[structure], np.random.default_rng(SEED)
    merits = [auc_merits(drawn(model, (AREA, AREA), n_readers, n_cases, rng)) for _ in range(n_studies)]
    values = np.stack([m.values for m in merits])
    rates = {}
    for method in METHODS:
        made = components(values, np.stack([covariance(m, method) for m in merits]))
        rates[f"OR, {method}"] = np.mean(global_test(made)[2] < ALPHA)
    rates["one-shot"] = np.mean([_one_shot_rejects(m) for m in merits])
    return rates


def _one_shot_rejects(merits) -> bool:
    from scipy.special import stdtrit

    model = one_shot(merits.pairs)
    gap, variance = model.means[0] - model.means[1], model.pair_variance[0, 1]
    return bool(abs(gap) > stdtrit(model.pair_df[0, 1], 1 - ALPHA / 2) * np.sqrt(variance))


def fixed_reader_rate(n_studies) -> float:
    """Readers without a modality effect of their own, the null hypothesis that fixed readers stand for."""
    base, rng = STRUCTURES["HL"], np.random.default_rng(SEED)
    model = RoeMetz(base.var_reader, 0.0, base.var_case, base.var_modality_case, base.var_reader_case, base.var_error)
    merits = [auc_merits(drawn(model, (AREA, AREA), 5, (50, 50), rng)) for _ in range(n_studies)]
    made = components(np.stack([m.values for m in merits]), np.stack([covariance(m) for m in merits]))
    return float(np.mean(global_test(made, Population.CASES)[2] < ALPHA))


def non_inferiority_rate(n_studies) -> float:
    """The truth lies on the margin: a one-sided test at 5 % should claim non-inferiority in 5 %."""
    from scipy.special import stdtrit

    model, rng = STRUCTURES["HL"], np.random.default_rng(SEED)
    merits = [auc_merits(drawn(model, (AREA, AREA - MARGIN), 8, (75, 75), rng)) for _ in range(n_studies)]
    values = np.stack([m.values for m in merits])
    below, df = denominator(components(values, np.stack([covariance(m) for m in merits])))
    gap = values[:, 1].mean(axis=1) - values[:, 0].mean(axis=1)
    return float(np.mean(gap + MARGIN > stdtrit(df, 1 - ALPHA) * np.sqrt(2 * below / values.shape[2])))


def split_plot_rate(n_studies) -> float:
    """Two groups of four readers, each with 40 + 40 cases of their own."""
    model, rng = STRUCTURES["HL"], np.random.default_rng(SEED)
    groups = np.repeat([0, 1], 4)
    own = groups[:, None] == np.arange(160) // 40 % 2
    rejected = 0
    for _ in range(n_studies):
        study = drawn(model, (AREA, AREA), 8, (80, 80), rng)
        scores = np.where(own, study.scores, np.nan)
        merits = auc_merits(ReaderStudy(study.modalities, study.readers, study.cases, study.truth, scores))
        rejected += global_test(components(merits.values, covariance(merits), groups.tolist()))[2] < ALPHA
    return rejected / n_studies


def seconds(n_readers=20, n_cases=(400, 600), repeats=5) -> dict[str, float]:
    rng = np.random.default_rng(SEED)
    study = drawn(STRUCTURES["HL"], (AREA, AREA), n_readers, n_cases, rng)
    spent = {}
    for name, settings in {
        "OR, DeLong": MrmcSettings(),
        "OR, jackknife": MrmcSettings(covariance="jackknife"),
        "OR, unbiased": MrmcSettings(covariance="unbiased"),
        "DBM": MrmcSettings(analysis="dbm"),
        "one-shot": MrmcSettings(analysis="ustat"),
    }.items():
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            analyze_study(study, settings)
            times.append(time.perf_counter() - start)
        spent[name] = min(times)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--studies", type=int, default=10_000, help="drawn for each row")
    n = parser.parse_args().studies
    start = time.perf_counter()
    print(f"rejected of {n} studies without difference, at {ALPHA:.0%}, two modalities, area {AREA}")
    for structure, n_readers, n_cases in STUDIES:
        rates = rejection_rates(structure, n_readers, n_cases, n)
        shown = "  ".join(f"{name} {rate:.2%}" for name, rate in rates.items())
        print(f"{structure}, {n_readers} readers, {n_cases[0]} + {n_cases[1]} cases: {shown}", flush=True)
    print(f"fixed readers (HL, 5 readers, 50 + 50 cases): {fixed_reader_rate(n):.2%}", flush=True)
    print(f"split-plot (HL, 2 groups of 4 readers, 40 + 40 cases each): {split_plot_rate(n):.2%}", flush=True)
    print(f"non-inferiority by {MARGIN}, on the margin (HL, 8 readers, 75 + 75 cases): {non_inferiority_rate(n):.2%}")
    print(f"{time.perf_counter() - start:.0f} s in all")
    print("seconds for a whole analysis of 20 readers x 2 modalities x 1,000 cases:")
    for name, spent in seconds().items():
        print(f"  {name:<14} {spent:.3f}")


if __name__ == "__main__":
    main()
