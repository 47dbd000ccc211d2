"""Compare two starts on real volumes that you have: weights learnt from synthetic patients, and random weights.

FOLDER holds ``NAME_image.nii.gz`` with ``NAME_vertebrae.nii.gz`` (every visible body outlined) or
``NAME_labels.nii.gz`` (some bodies outlined). A case is a patient: ``NAME`` up to a sequence, such as ``caseA`` of
``caseA_T1``. Nothing of it is copied or kept; what is trained on it stays in --out and is not for use.

    python benchmarks/transfer.py FOLDER --out DIR --from spine [--steps 100] [--picture FILE.png]

Cases are split into folds. For each fold, networks learn from the first 2, 4 and 8 cases of the others, completely
outlined ones first, and are measured on the completely outlined cases of the fold. Both starts see the same cases,
patches and number of steps. Volumes named ``case*`` are outlined on the marrow, inside the dark cortex, with S1; the
others on the outer edge. A stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spondyl.app.train import annotated_volumes, origin_of
from spondyl.training.finetune import FinetuneSettings, Origin, Run, score_volume, train_once
from spondyl.training.folds import patient_folds

if TYPE_CHECKING:
    from spondyl.training.volumes import WorkingVolume

CASES = (2, 4, 8)
SEED = 1
N_BOOTSTRAP = 2000


def write_table(folder: Path, out: Path) -> tuple[Path, list[bool]]:
    """Write the table of the volumes, and say which are completely outlined."""
    rows, complete = ["patient,image,labels,sequence,meaning"], []
    for image in sorted(folder.glob("*_image.nii.gz")):
        name = image.name.removesuffix("_image.nii.gz")
        masks = [p for kind in ("vertebrae", "labels") if (p := folder / f"{name}_{kind}.nii.gz").is_file()]
        if name.startswith("discs") or not masks:
            continue
        whole = masks[0].name.endswith("_vertebrae.nii.gz")
        meaning = "*=body+s1" if name.startswith("case") else "*=body+cortex"
        sequence = re.search(r"STIR|T1|T2", name.upper())
        patient = re.split(r"_(?:STIR|T1|T2)(?:_|$)", name)[0]
        text = meaning if whole else f"{meaning}; 0=ignored"
        rows.append(f"{patient},{image},{masks[0]},{sequence[0] if sequence else 'DIXON_IN'},{text}")
        complete.append(whole)
    out.mkdir(parents=True, exist_ok=True)
    table = out / "volumes.csv"
    table.write_text("\n".join(rows) + "\n")
    return table, complete


def plan(volumes: list[WorkingVolume], complete: list[bool], folds: int) -> list[tuple[int, int, Run]]:
    """Every fold, number of cases, and what is seen and held back."""
    runs = []
    whole = {v.patient: c for v, c in zip(volumes, complete, strict=True)}
    for number, tested in enumerate(patient_folds([v.patient for v in volumes], folds, SEED), 1):
        held = [volumes[i] for i in tested if complete[i]]
        others = sorted({v.patient for v in volumes} - {volumes[i].patient for i in tested})
        order = [others[i] for i in np.random.default_rng([SEED, number]).permutation(len(others))]
        order.sort(key=lambda patient: not whole[patient])
        for n in CASES:
            seen = [v for v in volumes if v.patient in order[:n]]
            runs.append((number, n, Run(f"fold-{number}-cases-{n}", seen, held)))
    return runs


def dice_of(folder: Path) -> dict[int, float]:
    """Dice of each volume of a finished run."""
    return {row["image"]: row["dice"] for row in json.loads((folder / "metrics.json").read_text())["images"]}


def untrained(runs: list[tuple[int, int, Run]], origin: Origin, settings: FinetuneSettings) -> dict[int, float]:
    """Dice of each volume with the weights as they are."""
    from spondyl.training.finetune import new_network

    network = new_network(origin, settings).eval()
    held = {v.number: v for _, n, run in runs if n == CASES[0] for v in run.held}
    return {number: score_volume(network, volume)[0]["dice"] for number, volume in held.items()}


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean, and its 95 % percentile interval over resampled volumes."""
    rng = np.random.default_rng(SEED)
    means = rng.choice(values, (N_BOOTSTRAP, len(values))).mean(1)
    return float(np.mean(values)), *(float(v) for v in np.percentile(means, (2.5, 97.5)))


def draw(figures: dict[str, dict[int, tuple[float, float, float]]], before: float, path: Path) -> None:
    """Draw the curves."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5.2, 3.6))
    axes.axhline(before, color="0.6", linestyle=":", label="synthetic patients alone, untouched")
    for (label, curve), color in zip(figures.items(), ("#1b6ca8", "#c4572a"), strict=True):
        mean, low, high = (np.array([curve[n][i] for n in CASES]) for i in range(3))
        axes.errorbar(CASES, mean, yerr=(mean - low, high - mean), label=label, color=color, marker="o", capsize=3)
    axes.set(xscale="log", xlabel="cases trained on", ylabel="mean Dice of bodies", ylim=(0, 1))
    axes.set_xticks(CASES, [str(n) for n in CASES])
    axes.minorticks_off()
    axes.legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=150, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--from", dest="start", default="spine", help="weights learnt from synthetic patients")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--measure", type=int, help="measure on this many of the folds; all by default")
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    table, complete = write_table(given.folder, given.out)
    volumes = annotated_volumes(table)
    runs = [r for r in plan(volumes, complete, given.folds) if r[0] <= (given.measure or given.folds)]
    settings = FinetuneSettings(steps=given.steps, batch_size=1, workers=0, folds=0, decay_share=0.6, seed=SEED)
    # Random weights learn faster at a higher rate, the one that networks here are trained with from the start.
    starts = {
        "from synthetic patients": (origin_of(given.start), settings),
        "from random weights": (Origin(), replace(settings, learning_rate=2e-3)),
    }
    before = untrained(runs, starts["from synthetic patients"][0], settings)
    dice: dict[str, dict[int, dict[int, float]]] = {label: {n: {} for n in CASES} for label in starts}
    for _, n, run in sorted(runs, key=lambda entry: entry[0]):
        for label, (origin, chosen) in starts.items():
            out = given.out / label.replace(" ", "-")
            dice[label][n] |= dice_of(train_once(run, out, chosen, origin=origin, name="trial").parent)
    figures = {label: {n: interval(list(found.values())) for n, found in dice[label].items()} for label in starts}
    measured = len({number for number, _, _ in runs})
    print(f"{len(before)} volumes of {measured} of {given.folds} folds, {given.steps} steps of one patch\n")
    print(f"| cases trained on | {' | '.join(starts)} |\n|---|---|---|")
    for n in CASES:
        cells = [f"{mean:.3f} ({low:.3f} to {high:.3f})" for mean, low, high in (figures[label][n] for label in starts)]
        print(f"| {n} | {' | '.join(cells)} |")
    print(f"\nuntouched weights: {np.mean(list(before.values())):.3f}")
    if given.picture:
        draw(figures, float(np.mean(list(before.values()))), given.picture)


if __name__ == "__main__":
    main()
