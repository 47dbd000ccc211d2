"""Heights of vertebral bodies and what they have lost, against the exact shapes that masks were drawn from.

    python benchmarks/heights.py [--spines 12] [--seed 2620000]
    python benchmarks/heights.py --real FOLDER

Columns of synthetic bodies, one of them broken, are drawn on the voxels of usual images at two poses of the patient,
before the fracture and after it. Three questions are asked: how exactly heights are measured; how exactly a loss is
told against the same body in a prior study; and against neighbors alone, where what a body once measured can only be
supposed. Shapes alone, no images: nothing here is about outlines that a network draws, and none of it about patients.

With ``--real``, by how much the bodies of outlined real volumes (``*_vertebrae.nii.gz``, ``*_labels.nii.gz``, numbered
from the head down) scatter about a line through the others: what no neighbor can tell.
"""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from spondyl import __version__
from spondyl.core import Grid, LabelMap, Structure, Vertebra
from spondyl.evaluation.proportions import proportion
from spondyl.lesions.change import height_change
from spondyl.lesions.height_loss import height_losses
from spondyl.lesions.heights import Heights, body_heights
from spondyl.lesions.sins import Found, collapse
from spondyl.phantom.bones import body_distance, third_heights_mm
from spondyl.phantom.person import Person
from spondyl.phantom.posture import tilted
from spondyl.phantom.spine import collapsed, sample_spine, with_collapse

REGIONS = {
    "lumbar": ("T11", "T12", "L1", "L2", "L3", "L4", "L5"),
    "thoracolumbar": ("T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4"),
    "thoracic": ("T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "T10", "T11"),
}


@dataclass(frozen=True)
class Scan:
    """Voxels of a series: spacing along the patient's left, posterior and upward directions, in mm."""

    name: str
    spacing_mm: tuple[float, float, float]


SCANS = (
    Scan("sagittal 4 x 0.9 mm", (4.0, 0.9, 0.9)),
    Scan("sagittal 3 x 0.6 mm", (3.0, 0.6, 0.6)),
    Scan("sagittal 5 x 1.1 mm", (5.0, 1.1, 1.1)),
    Scan("axial 4 x 0.6 mm", (0.6, 0.6, 4.0)),
    Scan("axial 2 x 0.8 mm", (0.8, 0.8, 2.0)),
)


def drawn(shapes: list, scan: Scan, turn: np.ndarray) -> tuple[LabelMap, LabelMap]:
    """Bodies and a canal behind them on the voxels of a scan; `turn` is how the patient lies."""
    centers = np.array([turn @ s.center_lps_mm for s in shapes])
    low, high = centers.min(0) - (40, 45, 35), centers.max(0) + np.array((40, 45, 35))
    affine = np.eye(4)
    affine[:3, :3] = np.diag(scan.spacing_mm)
    affine[:3, 3] = low
    grid = Grid(tuple(int(n) for n in np.ceil((high - low) / scan.spacing_mm)), affine)
    structure, instance = np.zeros(grid.shape, np.uint16), np.zeros(grid.shape, np.uint16)
    for number, (shape, center) in enumerate(zip(shapes, centers, strict=True), start=1):
        first = np.maximum(np.floor(grid.lps_to_ijk(center - 42)).astype(int), 0)
        last = np.minimum(np.ceil(grid.lps_to_ijk(center + 42)).astype(int), grid.shape)
        box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
        at = grid.ijk_to_lps(np.moveaxis(np.indices(last - first), 0, -1) + first)
        v, u, w = np.moveaxis((at - center) @ (turn @ shape.axes), -1, 0).astype(np.float32)
        body = body_distance(v, u, w, shape).inside < 0
        back = shape.half_depth_mm * shape.back
        canal = (np.abs(v) < 9) & (u > back + 1) & (u < back + 15) & (np.abs(w) < 0.65 * shape.height_mm) & ~body
        part, own = structure[box], instance[box]
        part[canal & (part == 0)] = Structure.CANAL
        part[body], own[body] = Structure.BODY, number
    return LabelMap(structure, grid), LabelMap(instance, grid)


def vertebrae_of(shapes: list) -> list[Vertebra]:
    """The vertebrae of a drawn column, from the head down."""
    ends = (1, len(shapes))
    about = {"level_probability": 1.0, "level_uncertain": False, "level_reason": "", "volume_mm3": 1.0}
    return [
        Vertebra(
            n, s.level, centroid_lps_mm=tuple(s.center_lps_mm), detection_confidence=1.0, at_edge=n in ends, **about
        )
        for n, s in enumerate(shapes, start=1)
    ]


def spine(seed: int) -> tuple[list, list, str]:
    """A part of a column before and after one of its bodies broke, from the head down, and which one did."""
    rng = np.random.default_rng([seed, 1])
    levels = REGIONS[list(REGIONS)[seed % len(REGIONS)]]
    whole = sample_spine(rng, person=Person(float(rng.uniform(40, 85)), female=bool(rng.random() < 0.5)))
    at = {s.level: s for s in whole}
    target = str(rng.choice([level for level in levels[1:-1] if level in at]))
    broken = with_collapse(whole, {target: collapsed(rng, at[target])})
    before, after = ([s for s in column if s.level in levels][::-1] for column in (whole, broken))
    return before, after, target


def pose(rng: np.random.Generator) -> np.ndarray:
    """How a patient lies: a few degrees about each axis."""
    nod, lean, twist = np.radians(rng.normal(0, 4, 3))
    about = [[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]]
    up = [[np.cos(twist), -np.sin(twist), 0], [np.sin(twist), np.cos(twist), 0], [0, 0, 1]]
    return np.asarray(tilted(nod) @ np.array(about) @ np.array(up))


def told(values: list[float]) -> str:
    """Error of a loss in points."""
    size = np.abs(values)
    within = proportion(int((size <= 3).sum()), len(size))
    return (
        f"mean absolute error {size.mean():.2f} points, within 3 in {within.value:.2f} "
        f"({within.low:.2f} to {within.high:.2f}), bias {np.mean(values):+.2f}, n {len(size)}"
    )


@dataclass
class Counted:
    """Errors as they are collected."""

    heights: dict[str, list[float]]
    since: dict[str, list[float]]
    alone: dict[str, list[float]]
    covered: list[bool]
    items: list[bool]


def count(seed: int, into: Counted) -> None:
    """Draw one spine before and after a fracture and measure it."""
    before, after, target = spine(seed)
    rng = np.random.default_rng([seed, 2])
    vertebrae = vertebrae_of(after)
    exact = {n: Heights(*third_heights_mm(s), 30.0, (0.0, 0.0), None) for n, s in enumerate(after, start=1)}
    by_rule = height_losses(exact, vertebrae)
    prior = body_heights(*drawn(before, SCANS[int(rng.integers(len(SCANS)))], pose(rng)))
    for scan in SCANS:
        measured = body_heights(*drawn(after, scan, pose(rng)))
        losses = height_losses(measured, vertebrae)
        for n, shape in list(enumerate(after, start=1))[1:-1]:
            if n not in measured or n not in prior:
                continue
            into.heights[scan.name] += list(np.array(measured[n][:3]) - exact[n][:3])
            new = shape.level == target
            kept = np.array(exact[n][:3]) / third_heights_mm(before[n - 1])
            truth = 100 * (1 - float(kept.min())) if new else 0.0
            change = height_change(measured[n], prior[n])
            into.since["broken" if new else "not broken"].append(-(change.percent or 0.0) - truth)
            if n in losses and n in by_rule:
                loss = losses[n]
                into.alone["same rule"].append(loss.percent - by_rule[n].percent)
                if new:
                    into.alone["own past"].append(loss.percent - truth)
                    into.covered.append(loss.low <= truth <= loss.high)
                    points = [collapse(Found(None, height_loss_percent=(x,) * 3)).low for x in (loss.percent, truth)]
                    into.items.append(points[0] == points[1])
                elif not shape.collapse:
                    into.alone["whole"].append(loss.percent)


def real_scatter(folder: Path) -> None:
    """Print how far thirds of real bodies lie from a line through the other bodies of their spine."""
    left, n_volumes = [], 0
    for path in sorted([*folder.glob("*_vertebrae.nii.gz"), *folder.glob("*_labels.nii.gz")]):
        if path.name.startswith("discs") or "repeat" in path.name or "STIR" in path.name:
            continue
        image = nib.load(path)
        numbers = np.asarray(image.dataobj).round().astype(np.uint16)
        grid = Grid(numbers.shape, np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine)
        bodies = np.where(numbers > 0, Structure.BODY, 0).astype(np.uint16)
        found = body_heights(LabelMap(bodies, grid), LabelMap(numbers, grid))
        rows = np.log([found[number][:3] for number in sorted(found)])
        rows = rows[:-1] if path.name.startswith("case") else rows  # the last is the sacrum
        n_volumes += 1
        for at in range(1, len(rows) - 1):
            away = np.delete(np.arange(len(rows)) - at, at)
            line = np.column_stack([np.ones(len(away)), away])
            left.append(rows[at] - np.linalg.lstsq(line, np.delete(rows, at, axis=0), rcond=None)[0][0])
    spread = np.array(left)
    told = ", ".join(f"{100 * s:.1f} %" for s in spread.std(axis=0))
    together = np.corrcoef(spread.T)
    print(f"{n_volumes} real volumes, {len(spread)} bodies: front, middle, back scatter by {told}; correlations "
          f"{together[0, 1]:.2f}, {together[0, 2]:.2f}, {together[1, 2]:.2f}")  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spines", type=int, default=12)
    parser.add_argument("--seed", type=int, default=2_620_000)
    parser.add_argument("--real", type=Path)
    arguments = parser.parse_args()
    print(f"Spondyl {__version__}, numpy {np.__version__}, Python {platform.python_version()}")
    if arguments.real is not None:
        real_scatter(arguments.real)
        return
    print(f"{arguments.spines} spines, seeds from {arguments.seed}")
    started = time.process_time()
    names = ("same rule", "own past", "whole")
    found = Counted({s.name: [] for s in SCANS}, {"broken": [], "not broken": []}, {n: [] for n in names}, [], [])
    for seed in range(arguments.seed, arguments.seed + arguments.spines):
        count(seed, found)
    for name, errors in found.heights.items():
        size = np.abs(errors)
        print(f"heights, {name}: mean absolute error {size.mean():.2f} mm, 95 % below {np.quantile(size, 0.95):.2f} mm")
    print(f"loss since a prior study, broken bodies: {told(found.since['broken'])}")
    print(f"loss since a prior study, others: {told(found.since['not broken'])}")
    print(f"loss against neighbors, against the same rule on exact shapes: {told(found.alone['same rule'])}")
    print(f"loss against neighbors, against the same body before: {told(found.alone['own past'])}")
    print(f"  its 90 % interval covers {np.mean(found.covered):.2f}; SINS collapse exact in {np.mean(found.items):.2f}")
    print(f"bodies that did not break seem to have lost 20 % in {np.mean(np.array(found.alone['whole']) >= 20):.2f}")
    print(f"{time.process_time() - started:.0f} s of processor time")


if __name__ == "__main__":
    main()
