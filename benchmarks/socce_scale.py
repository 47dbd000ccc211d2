"""Measure what learning from a large cohort costs, on synthetic patients.

    python benchmarks/socce_scale.py [--patients 10000] [--features 1000] [--encoder cca]

Prints the time of fitting and of placing one patient, and the peak of resident memory of the whole process, libraries
and cohort included.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import time

import numpy as np

from spondyl import __version__
from spondyl.app.cohort_embed import encoder_of
from spondyl.phantom.biology import CONFOUNDERS, BiologySettings, simulate_omics_cohort
from spondyl.phantom.cohort import SEED_RANGES, Purpose
from spondyl.socce.encoder import SOCCE
from spondyl.socce.graph import ConfounderGraph

MIB = 1024 if platform.system() == "Linux" else 1024**2
"""Units of ``ru_maxrss`` in a mebibyte: kibibytes on Linux, bytes on macOS."""


def peak_gib() -> float:
    """Give the peak of resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--patients", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=1000, help="of all tables together")
    parser.add_argument("--encoder", default="cca")
    args = parser.parse_args()
    seed = SEED_RANGES[Purpose.BENCHMARK][40]
    few = simulate_omics_cohort(10, seed)
    others = sum(table.shape[1] for name, table in few.modalities.items() if name != "pathology")
    settings = BiologySettings(pathology_dimension=max(args.features - others, 1), world=seed)
    cohort = simulate_omics_cohort(args.patients, seed, settings)
    sizes = {name: table.shape for name, table in cohort.modalities.items()}
    print(f"Spondyl {__version__}, numpy {np.__version__}, {os.cpu_count()} cores; synthetic cohort, seed {seed}")
    print(", ".join(f"{name} {n} x {p}" for name, (n, p) in sizes.items()), "=", sum(p for _, p in sizes.values()))
    before = peak_gib()
    started = time.perf_counter()
    model = SOCCE(ConfounderGraph.usual(CONFOUNDERS), encoder=encoder_of(args.encoder)).fit(
        cohort.modalities, cohort.patients
    )
    fitted = time.perf_counter()
    some = cohort.patients.iloc[:500]
    model.embed(cohort.modalities, some)
    placed = time.perf_counter()
    print(f"fit {fitted - started:.1f} s; one patient {1000 * (placed - fitted) / len(some):.2f} ms")
    print(f"peak memory {peak_gib():.2f} GiB, before the fit {before:.2f} GiB; {len(model.codebook_.weights)} tokens")


if __name__ == "__main__":
    main()
