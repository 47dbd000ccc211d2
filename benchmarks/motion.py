"""How often series are said to have moved: synthetic patients and, where they are at hand, real volumes.

    python benchmarks/motion.py [--patients 20] [--data FOLDER]

Synthetic patients lie on their usual scanners, first with the ghosts that are drawn for training, then with ghosts of
the whole patient that take a given share of the signal. Real volumes, in ``FOLDER/real_lumbar_mri`` (SPONDYL_DATA by
default), are looked at as they are, and with motion put into their k-space along rows or columns: the patient breathes,
so that lines are displaced to and fro, or lies elsewhere in each of many shots that take every n-th line. Diffusion
images are left out, as in the program. The threshold was chosen on these real volumes as they are and on synthetic
patients 7000001 to 7000004; patients here begin at 10300001.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spondyl import __version__
from spondyl.core import SAGITTAL, reorient
from spondyl.harmonize.motion import MOVED, NOT_TOLD, spectral_ripple
from spondyl.io.study import read_study
from spondyl.phantom.bench import Artifacts
from spondyl.phantom.patient import PatientSettings, simulate_patient

if TYPE_CHECKING:
    from spondyl.core import Image

FIRST_SEED = 10_300_001
SHARES = (0.1, 0.2, 0.3, 0.4)
BREATHS_PX = (0.5, 1.0, 1.5, 2.0)
SHOTS_PX = (1.0, 2.0)
SHOT_LINES = 16
"""Lines that one shot takes, as the echo trains of turbo spin echoes do."""

GHOSTS_APART = 7
"""Ghosts of breathing lie this part of the field of view apart."""


def displaced(array: np.ndarray, axis: int, shift_px: np.ndarray) -> np.ndarray:
    """Magnitude of an image whose lines along an axis were each taken with the patient displaced along it."""
    n = array.shape[axis]
    turn = np.exp(-2j * np.pi * np.fft.fftfreq(n) * shift_px)
    spectrum = np.fft.fft(np.moveaxis(array, axis, -1)) * turn
    return np.moveaxis(np.abs(np.fft.ifft(spectrum)), -1, axis).astype(np.float32)


def breathing(n: int, pixels: float) -> np.ndarray:
    """Displacement of each line."""
    return pixels * np.sin(2 * np.pi * np.fft.fftfreq(n, 1 / n) / GHOSTS_APART + 0.7)


def shots(n: int, pixels: float) -> np.ndarray:
    """Displacement of each line, one position for each shot."""
    n_shots = max(n // SHOT_LINES, 8)
    positions = np.random.default_rng(n).normal(0, pixels, n_shots)
    return positions[np.fft.fftfreq(n, 1 / n).astype(int) % n_shots]


def synthetic(n_patients: int) -> dict[str, list[float]]:
    """Ripples by what was done."""
    found = defaultdict(list)
    kinds = {"as in training": None} | {f"ghosts take {s:g} of the signal": Artifacts(bulk_motion=s) for s in SHARES}
    for seed in range(FIRST_SEED, FIRST_SEED + n_patients):
        for name, artifacts in kinds.items():
            patient = simulate_patient(seed, settings=PatientSettings(fast=True, artifacts=artifacts))
            found[name] += [ripple(image) for image in patient.images if image.sequence not in NOT_TOLD]
    return found


def ripple(image: Image) -> float:
    """The strongest ripple of an image."""
    return spectral_ripple(*turned(image)).amplitude


def turned(image: Image) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Voxels and their size with sagittal slices first, as the step looks at them."""
    return reorient(image.array, image.grid.orientation, SAGITTAL), image.grid.reoriented(SAGITTAL).spacing_mm


def real(folder: Path) -> dict[str, list[float]]:
    """Ripples by what was done."""
    found = defaultdict(list)
    for file in sorted(folder.glob("*_image.nii.gz")):
        (image,) = read_study(file).case.images.values()
        found["as they are"].append(ripple(image))
        for axis in (1, 2):
            n = turned(image)[0].shape[axis]
            for name, way, sizes in (("breathing", breathing, BREATHS_PX), ("shots", shots, SHOTS_PX)):
                for pixels in sizes:
                    array, spacing_mm = turned(image)
                    moved = displaced(array, axis, way(n, pixels))
                    found[f"{name}, {pixels:g} px"].append(spectral_ripple(moved, spacing_mm).amplitude)
    return found


def rows(found: dict[str, list[float]]) -> list[str]:
    """The figures as Markdown."""
    head = ["| | series | flagged | ripple: median | 95 % |", "|---|---|---|---|---|"]
    lines = []
    for name, values in found.items():
        flagged = sum(v >= MOVED for v in values)
        middle, high = np.nanquantile(values, [0.5, 0.95])
        share = 100 * flagged / len(values)
        lines.append(f"| {name} | {len(values)} | {flagged} ({share:.0f} %) | {middle:.3f} | {high:.3f} |")
    return [*head, *lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=20)
    parser.add_argument("--data", type=Path, default=os.environ.get("SPONDYL_DATA"))
    arguments = parser.parse_args()
    print(f"Spondyl {__version__}, numpy {np.__version__}; a series is flagged from a ripple of {MOVED}.")
    if arguments.patients:
        last = FIRST_SEED + arguments.patients - 1
        print(f"\nSynthetic lumbar patients {FIRST_SEED} to {last}:\n")
        print("\n".join(rows(synthetic(arguments.patients))))
    if arguments.data is not None and (folder := Path(arguments.data) / "real_lumbar_mri").is_dir():
        print("\nReal lumbar volumes:\n")
        print("\n".join(rows(real(folder))))


if __name__ == "__main__":
    main()
