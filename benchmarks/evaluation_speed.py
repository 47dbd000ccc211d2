"""How fast the evaluation is, side by side with plain versions and with MONAI's loop over classes.

    python benchmarks/evaluation_speed.py [--cases 100000] [--models 20]

DeLong's covariance is timed against the double loop over pairs as written in the paper (vectorized over the other
class), which is run on fewer cases and scaled by their square; both are first checked to agree. The label map has 24
boxes like vertebrae, the prediction the same boxes shifted and shrunk; MONAI scores one class at a time, as its
metrics ask for, with HD95 and surface Dice. Wall time of the best of `--repeats`, with its processor time in brackets,
which a busy machine does not lengthen.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time

import numpy as np

from spondyl.evaluation.roc import roc_areas
from spondyl.evaluation.segmentation import score_labels
from spondyl.evaluation.surface import Surface, surface_distances

SEED = 1_000_000
SPACING_MM = (0.9, 0.9, 4.0)
SHAPE = (320, 320, 32)
N_VERTEBRAE = 24
TOLERANCE_MM = 1.0


class Seconds(float):
    """Processor seconds that print with the wall time they took."""

    wall = 0.0

    def __str__(self):
        return f"{self.wall:.2f} s ({float(self):.2f} s)"


def best(function, repeats):
    """Shortest time, and the result."""
    times = []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        result = function()
        seconds = Seconds(time.process_time() - processor)
        seconds.wall = time.perf_counter() - wall
        times.append(seconds)
    return min(times), result


def plain_delong(truth, scores):
    """Placements by comparing every positive case with every negative one."""
    x, y = scores[:, truth], scores[:, ~truth]
    of_x, of_y = np.empty(x.shape), np.zeros(y.shape)
    for model in range(len(scores)):
        for i, value in enumerate(x[model]):
            won = (value > y[model]) + 0.5 * (value == y[model])
            of_x[model, i] = won.mean()
            of_y[model] += won
    of_y /= x.shape[1]
    return of_x.mean(axis=1), np.cov(of_x) / x.shape[1] + np.cov(of_y) / y.shape[1]


def delong(n_cases, n_models, n_plain, repeats):
    """Time both versions."""
    rng = np.random.default_rng(SEED)
    truth = rng.random(n_cases) < 0.5
    scores = np.round(rng.normal(size=(n_models, n_cases)) + truth, 3)
    part = slice(n_plain)
    plain, (areas, covariance) = best(lambda: plain_delong(truth[part], scores[:, part]), 1)
    ours = roc_areas(truth[part], scores[:, part])
    error = max(np.abs(ours.areas - areas).max(), np.abs(ours.covariance - covariance).max())
    fast, _ = best(lambda: roc_areas(truth, scores), repeats)
    scaled = plain * (n_cases / n_plain) ** 2
    print(f"DeLong, {n_cases} cases x {n_models} models: {fast!s}")
    print(f"  plain, {n_plain} cases: {plain!s}, scaled to {n_cases}: {scaled:.0f} s; ratio {scaled / fast:.0f}")
    print(f"  largest difference of areas and covariances at {n_plain} cases: {error:.1e}")


def vertebrae():
    """A label map of 24 rounded boxes on a gentle curve, and a prediction of it."""
    axes = np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij")
    truth, prediction = np.zeros(SHAPE, np.uint16), np.zeros(SHAPE, np.uint16)
    for label in range(1, N_VERTEBRAE + 1):
        row = 6 + 13 * (label - 1) + 5
        column = 160 + 40 * np.sin(label / 6)
        for array, grow, shift in ((truth, 0.0, 0.0), (prediction, -0.5, 1.0)):
            inside = (
                np.abs((axes[0] - row - shift) / (5.5 + grow)) ** 4
                + np.abs((axes[1] - column) / (20 + grow)) ** 4
                + np.abs((axes[2] - 16) / (8 + grow)) ** 4
            ) <= 1
            array[inside & (array == 0)] = label
    return truth, prediction


def monai_loop(truth, prediction):
    """HD95 and surface Dice, one class at a time."""
    import torch
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    found = []
    for label in range(1, N_VERTEBRAE + 1):
        y, p = (torch.from_numpy((m == label)[None, None]) for m in (truth, prediction))
        options = {"include_background": True, "spacing": SPACING_MM}
        hd95 = compute_hausdorff_distance(p, y, percentile=95, **options)
        dice = compute_surface_dice(p, y, class_thresholds=[TOLERANCE_MM], **options)
        found.append((float(hd95), float(dice)))
    return np.array(found)


def surfaces(repeats):
    """Time both versions, and compare the border-voxel convention, which both have."""
    truth, prediction = vertebrae()
    fast, scores = best(lambda: score_labels(truth, prediction, SPACING_MM, tolerance_mm=TOLERANCE_MM), repeats)
    size = " x ".join(map(str, SHAPE))
    print(f"Dice, IoU, volume, HD95, ASSD, surface Dice of {len(scores.labels)} labels in {size}: {fast!s}")
    if importlib.util.find_spec("monai") is None:
        print("  MONAI is not installed (extra: train)")
        return
    slow, reference = best(lambda: monai_loop(truth, prediction), repeats)
    same = []
    for label in range(1, N_VERTEBRAE + 1):
        found = surface_distances(truth == label, prediction == label, SPACING_MM, Surface.VOXELS)
        same.append((found.hausdorff_mm(), found.surface_dice(TOLERANCE_MM)))
    error = np.abs(np.array(same) - reference).max()
    print(f"  MONAI, HD95 and surface Dice class by class: {slow!s}; ratio {slow / fast:.1f}")
    print(f"  largest difference in the border-voxel convention: {error:.1e}")


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--plain", type=int, default=4_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, numpy {np.__version__}, load {os.getloadavg()[0]:.1f}")
    delong(arguments.cases, arguments.models, arguments.plain, arguments.repeats)
    surfaces(arguments.repeats)


if __name__ == "__main__":
    main()
