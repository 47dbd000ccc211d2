"""A hospital made of numpy alone: studies as NIfTI, their analyses as result files, and the truth as a table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fake_case import LEVEL_NAMES, analyzed_case
from spondyl.core import Sequence
from spondyl.io.nifti import write_nifti
from spondyl.io.result import result_document, write_result

MALIGNANT = {"L1": 0.35, "L4": 0.1}
"""Levels that may be malignant, and how often."""

COLUMNS = ("study", "patient", "level", "class", "volume_ml", "date", "sex", "x_lps_mm", "y_lps_mm", "z_lps_mm")


def site(folder, n, *, seed=1, images=0, skill=1.0):
    """Write `n` studies, the analyses of them and the truth; the first `images` have pictures."""
    rng = np.random.default_rng(seed)
    case = analyzed_case(Sequence.T2)
    lines = [",".join(COLUMNS)]
    for number in range(1, n + 1):
        name = f"SMITH_{number:03d}"
        bad = {level for level, share in MALIGNANT.items() if rng.random() < share}
        one = _case(
            case, bad, rng, skill, vendor=("siemens", "ge", "philips")[number % 3], field=1.5 + 1.5 * (number % 2)
        )
        (folder / "analyses" / name).mkdir(parents=True)
        write_result(result_document(one), folder / "analyses" / name / "result.json")
        (folder / "studies" / name).mkdir(parents=True)
        if number <= images:
            write_nifti(case.images[Sequence.T2], folder / "studies" / name / "T2.nii.gz")
        date, sex = f"2025-{1 + number % 12:02d}-{1 + number % 28:02d}", "FM"[number % 2]
        for v in one.vertebrae:
            x, y, z = v.centroid_lps_mm
            kind = "malignant" if v.level in bad else "normal"
            volume = 2.5 if kind == "malignant" else ""
            lines.append(f"{name},P{number // 2},{v.level},{kind},{volume},{date},{sex},{x + 2:.1f},{y:.1f},{z:.1f}")
    (folder / "truth.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "studies", folder / "truth.csv", folder / "analyses"


def _case(case, bad, rng, skill, *, vendor, field):
    vertebrae = []
    for v in case.vertebrae:
        logit = -2.5 + (3.5 * skill if v.level in bad else 0.0) + rng.normal()
        p = float(1 / (1 + np.exp(-logit)))
        kinds = ("malignant",) if p > 0.6 else ("normal", "malignant") if p > 0.2 else ("normal",)
        chances = {"malignant": p, "benign": 0.3 * (1 - p), "normal": 0.7 * (1 - p)}
        level = v.level if v.level else LEVEL_NAMES[v.instance - 1]
        vertebrae.append(replace(v, level=level, probabilities=chances, prediction_set=kinds))
    image = case.images[Sequence.T2]
    acquisition = replace(image.acquisition, vendor=vendor, field_strength_t=field, model="")
    images = {Sequence.T2: replace(image, acquisition=acquisition)}
    return case.with_(images=images, vertebrae=tuple(vertebrae), reference=Sequence.T2)
