"""What remains of the findings when a study has fewer sequences: each synthetic patient once with every subset.

    python benchmarks/sequence_subsets.py ROWS.jsonl [--count 20] [--purpose benchmark]

Patients are those of the benchmark (`synthetic_patients.py`) that were imaged with T1, T2 and a fluid-sensitive
sequence. Each is analyzed with every subset of the three, and with all there is. One line of ROWS.jsonl is one patient
with one subset; an interrupted run goes on. Synthetic patients only: nothing here is clinical performance.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from synthetic_patients import COUNTED, HIT_SHARE, LARGE_ML, lesions_of, study_of, vertebrae_of

from spondyl import __version__
from spondyl.app.analyze import load_networks
from spondyl.core import Case, Sequence, SpondylError
from spondyl.evaluation.detection import FALSE_POSITIVE, sensitivity_by_size
from spondyl.evaluation.roc import roc_areas
from spondyl.io.study import case_of_images
from spondyl.phantom.cohort import cohort_seeds, sample_patient_settings
from spondyl.pipeline.run import run
from spondyl.pipeline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from spondyl.core import Image

FLUID = (Sequence.STIR, Sequence.T2FS)


def subsets(images: Mapping[Sequence, Image]) -> dict[str, dict[Sequence, Image]]:
    """Images of every subset by its name, the smallest first; empty where one of the three is missing."""
    fluid = next((s for s in FLUID if s in images), None)
    if fluid is None or Sequence.T1 not in images or Sequence.T2 not in images:
        return {}
    names = {Sequence.T1: "T1", Sequence.T2: "T2", fluid: "fluid"}
    found = {
        " + ".join(names[s] for s in chosen): {s: images[s] for s in chosen}
        for n in (1, 2, 3)
        for chosen in combinations(names, n)
    }
    return found | ({"all there is": dict(images)} if len(images) > len(names) else {})


def rows_of(seed: int, networks: dict, done: set[tuple[int, str]]) -> Iterable[dict[str, Any]]:
    """One row for each subset that is not there yet; a patient without the three sequences is one row without any."""
    draw = sample_patient_settings(seed)
    if not {Sequence.T1, Sequence.T2} <= set(draw.sequences) or not set(FLUID) & set(draw.sequences):
        yield {"seed": seed, "subset": "none"}
        return
    patient = draw.simulate()
    images = dict(case_of_images("case-benchmark", (i for i in patient.images if i.grid.plane == "sagittal")).images)
    for name, chosen in subsets(images).items() or [("none", {})]:
        if (seed, name) in done:
            continue
        row: dict[str, Any] = {"seed": seed, "subset": name, "found": False}
        if chosen:
            try:
                case = run(Case("case-benchmark", chosen), Settings(threads=1), networks, steps=COUNTED)
            except SpondylError:
                yield row
                continue
            truth = patient.labels_on(case.labels["structures"].grid)
            row |= {"found": True, "vertebrae": vertebrae_of(case, truth, patient)} | lesions_of(case, patient, truth)
        yield row


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = [
        "| sequences | patients | found from 1 mL on | below | Dice from 1 mL on, all / found | false alarms a study "
        "| AUC malignant vertebrae |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(r["subset"] for r in rows if r["subset"] != "none"):
        own = [r for r in rows if r["subset"] == name and r["found"]]
        if not own:
            continue
        sizes = sensitivity_by_size([study_of(r) for r in own], 0.0, edges_ml=(0.0, LARGE_ML, np.inf))
        below, above = (f"{s.sensitivity.value:.2f} of {s.n_lesions}" for s in sizes)
        big = [x for r in own for x in r["lesions"] if x["ml"] >= LARGE_ML]
        found = [x["dice"] for x in big if x["covered"] >= HIT_SHARE]
        alarms = np.mean([sum(m["hits"] == [FALSE_POSITIVE] for m in r["marks"]) for r in own])
        dice = f"{np.mean([x['dice'] for x in big]):.2f} / {np.mean(found):.2f}" if found else "none"
        lines.append(f"| {name} | {len(own)} | {above} | {below} | {dice} | {alarms:.2f} | {area(own)} |")
    return "\n".join(lines)


def area(own: list[dict[str, Any]]) -> str:
    """Area under the curve of malignant vertebrae against all others, with its interval."""
    rows = [(v["malignant"], v["p"], r["seed"]) for r in own for v in r["vertebrae"] if v["p"] is not None]
    truth, score, patient = (np.array(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    if len(set(truth)) < 2:
        return "not assessable"
    e = roc_areas(truth, score, patients=patient).estimate()
    return f"{e.value:.2f} ({e.low:.2f} to {e.high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--count", type=int, default=20, help="patients drawn; those without the three are passed over")
    parser.add_argument("--purpose", default="benchmark")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.rows.read_text().splitlines()] if arguments.rows.exists() else []
    networks = load_networks(Settings(threads=1))
    print(f"spondyl {__version__}, {datetime.now(tz=UTC):%Y-%m-%d}, {arguments.purpose}, ", end="")
    print(", ".join(f"{n.name} {n.sha256[:8]}" for n in networks.values()), flush=True)
    done = {(r["seed"], r["subset"]) for r in rows}
    whole = {r["seed"] for r in rows if r["subset"] in ("none", "all there is")}
    for seed in cohort_seeds(arguments.purpose, arguments.count):
        if seed in whole:
            continue
        for row in rows_of(seed, networks, done):
            rows.append(row)
            with arguments.rows.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
