"""How well the standard survival model orders patients of real cohorts it was not tuned on, and how long it takes.

Each cohort is an HDF5 file with the groups ``train`` and ``test``, each holding ``x`` (covariates), ``t`` (time) and
``e`` (event): the fixed splits published with DeepSurv. One configuration serves all of them.

    python benchmarks/survival_cohorts.py FOLDER [--compare PYTHON]

``--compare`` names a Python that has scikit-survival, kept in an environment of its own for its license; its random
survival forest and gradient boosting are then fitted to the same patients.

References
----------
Katzman 2018, doi 10.1186/s12874-018-0482-1 (the splits, and the figures of Cox, DeepSurv and random survival forests).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from spondyl.evaluation.kaplan_meier import KaplanMeier
from spondyl.evaluation.survival import Outcome, brier_curve, harrell_c, uno_c
from spondyl.evaluation.survival_calibration import survival_calibration
from spondyl.risk.ensemble import SurvivalEnsemble
from spondyl.risk.outcome import follow_up

PUBLISHED = {"metabric": 0.643, "whas": 0.894}
"""Best test concordance among Cox, DeepSurv and random survival forests (Katzman 2018, table 2)."""

THEIRS = """
import json, sys, time
import numpy as np
from sksurv.ensemble import GradientBoostingSurvivalAnalysis, RandomSurvivalForest
from sksurv.metrics import concordance_index_censored
from sksurv.util import Surv
d = np.load(sys.argv[1])
y = Surv.from_arrays(d["train_e"] > 0, d["train_t"])
for model in (RandomSurvivalForest(random_state=0, n_jobs=2), GradientBoostingSurvivalAnalysis(random_state=0)):
    start = time.perf_counter()
    risk = model.fit(d["train_x"], y).predict(d["test_x"])
    index = concordance_index_censored(d["test_e"] > 0, d["test_t"], risk)[0]
    print(json.dumps([type(model).__name__, index, time.perf_counter() - start]))
"""


def load(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {f"{part}_{key}": file[part][key][()].astype(float) for part in ("train", "test") for key in "xte"}


def compare(data, python):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cohort.npz"
        np.savez(path, **data)
        ran = subprocess.run([python, "-c", THEIRS, str(path)], capture_output=True, text=True, check=True)
    for line in ran.stdout.splitlines():
        name, index, seconds = json.loads(line)
        print(f"  scikit-survival {name}: Harrell C {index:.4f}, {seconds:.1f} s")


def measure(name, data, python):
    train, test = ((data[f"{p}_x"], data[f"{p}_t"], data[f"{p}_e"] > 0) for p in ("train", "test"))
    known = {row.tobytes() for row in train[0]}
    copies = np.mean([row.tobytes() in known for row in test[0]])
    print(f"{name}: {len(train[0])} to train, {len(test[0])} to test, {train[0].shape[1]} features")
    print(f"  test patients with the very features of a training patient: {copies:.0%}")
    started, used = time.perf_counter(), time.process_time()
    model = SurvivalEnsemble().fit(train[0], follow_up(train[1], train[2]))
    spent = time.perf_counter() - started, time.process_time() - used
    risk, before, outcome = model.predict(test[0]), Outcome(train[1], train[2]), Outcome(test[1], test[2])
    times = np.quantile(train[1][train[2]], np.linspace(0.1, 0.9, 17))
    at = float(np.median(train[1][train[2]]))
    found = survival_calibration(outcome, 1 - model.predict_survival(test[0], [at])[:, 0], at)
    published = next((f"; best published {v}" for k, v in PUBLISHED.items() if k in name), "")
    print(f"  Harrell C {harrell_c(outcome, risk).estimate}{published}")
    print(f"  Uno C {uno_c(outcome, risk, training=before).estimate}")
    brier = brier_curve(outcome, model.predict_survival(test[0], times), times, training=before).mean
    flat = np.tile(KaplanMeier.fit(train[1], train[2]).at(times), (len(test[0]), 1))
    same = brier_curve(outcome, flat, times, training=before).mean
    print(f"  integrated Brier score {brier:.3f} (the same risk for all: {same:.3f})")
    print(f"  calibration at {at:.0f}: slope {found.slope}, observed/expected {found.observed_to_expected}")
    print(f"  distance of the calibration curve from the diagonal (ICI) {found.ici:.3f}")
    for (learner, fitted), weight in zip(model.learners_, model.weights_, strict=True):
        alone = harrell_c(outcome, fitted.predict(test[0])).estimate.value
        print(f"    {learner}: weight {weight:.2f}, alone {alone:.4f}")
    print(f"  fitted in {spent[0]:.1f} s of wall time, {spent[1]:.1f} s of processor time")
    if python:
        compare(data, python)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--compare", default="", help="a Python with scikit-survival")
    arguments = parser.parse_args()
    for path in sorted(arguments.folder.glob("*.h5")):
        measure(path.stem, load(path), arguments.compare)


if __name__ == "__main__":
    main()
