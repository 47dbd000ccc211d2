"""Reader studies for the tests: a published example, and drawn ones.

``tests/evaluation/imrmc_example.csv`` is the example of iMRMC, simulated by its authors and dedicated to the public
domain (CC0 1.0): github.com/DIDSR/iMRMC, Rpackage/iMRMC/data/dfMRMC_example.rda at ad589e57, as CSV, unchanged.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from spondyl.evaluation.mrmc_data import ReaderStudy, arrange_readings

EXAMPLE_FILE = Path(__file__).parent / "evaluation" / "imrmc_example.csv"


def example_study() -> ReaderStudy:
    """Five readers, two modalities, 40 negative and 40 positive cases, all crossed."""
    with EXAMPLE_FILE.open(encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    truth = {case: float(score) > 0 for reader, case, _, score in rows if reader == "truth"}
    reader, case, modality, score = zip(*(row for row in rows if row[0] != "truth"), strict=True)
    return arrange_readings(reader, case, modality, [float(s) for s in score], truth)


def drawn_study(
    seed: int, n_modalities: int = 2, n_readers: int = 4, n_cases: int = 30, *, ties: bool = False
) -> ReaderStudy:
    """Scores with a shared part per case, so that readers and modalities covary."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n_cases) % 2 == 0
    scores = rng.normal(size=(n_modalities, n_readers, n_cases)) + rng.normal(size=n_cases) + 1.2 * truth
    return ReaderStudy(
        tuple(f"M{i}" for i in range(n_modalities)),
        tuple(f"R{i}" for i in range(n_readers)),
        tuple(f"C{i}" for i in range(n_cases)),
        truth,
        np.round(scores) if ties else scores,
    )
