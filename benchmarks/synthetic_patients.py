"""Analyze unseen synthetic patients on unseen scanners with all steps, and say what was found, named and told apart.

    python benchmarks/synthetic_patients.py ROWS.jsonl [--count 300] [--first 0] [--purpose benchmark]
        [--lesions prevalence]

Each patient is one line of ROWS.jsonl, so that an interrupted run goes on; the table is of all its lines. Patients come
from the seeds and scanners that no training, calibration or choice of threshold may see
(`spondyl.phantom.cohort`), with disease as frequent as published and any of the usual sets of sequences. Thresholds are
chosen on ``--purpose validation``, in whom disease is enriched, and probabilities calibrated on ``--purpose validation
--lesions prevalence``. Synthetic patients only: nothing here says how the program fares in a clinic.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from spondyl import __version__
from spondyl.app.analyze import load_networks
from spondyl.core import SpondylError, Structure
from spondyl.evaluation.calibration import expected_calibration_error
from spondyl.evaluation.detection import FALSE_POSITIVE, Study, sensitivity_by_size
from spondyl.evaluation.proportions import proportion
from spondyl.evaluation.roc import roc_areas
from spondyl.io.study import case_of_images
from spondyl.phantom.cohort import cohort_seeds, sample_patient_settings
from spondyl.phantom.kinds import LesionKind
from spondyl.phantom.lesion_plan import MIXES
from spondyl.pipeline.run import run
from spondyl.pipeline.settings import Settings
from spondyl.pipeline.steps import STEPS
from spondyl.training.level_studies import is_variant
from spondyl.training.vertebrae import HARD_MIMICS, LEAST_LESION_MM3

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spondyl.core import Case, LabelMap
    from spondyl.phantom.patient import SyntheticPatient

HIT_SHARE = 0.2
"""A lesion is found when candidates cover this share of it."""

LARGE_ML = 1.0
"""Lesions below are reported apart."""

NEAR_MM = 12.0
"""A body found is the true one whose center is nearest, if it lies no farther away; for one that the field of view
cuts, the center of what of it is in view counts too."""


COUNTED = tuple(entry for entry in STEPS if entry.name in ("harmonize", "localize", "lesions", "classify"))
"""Steps whose results are counted here; none of the later ones changes them."""


def analyzed(patient: SyntheticPatient, networks: dict) -> Case | None:
    """The case after the steps that are counted, stations joined as by the reader; None where no spine was found."""
    case = case_of_images("case-benchmark", (i for i in patient.images if i.grid.plane == "sagittal"))
    try:
        return run(case, Settings(threads=1), networks, steps=COUNTED)
    except SpondylError:
        return None


def true_levels(case: Case, patient: SyntheticPatient, truth: Mapping[str, LabelMap]) -> list[str | None]:
    """True level of each body found; None for what is no vertebra."""
    body = np.isin(truth["structures"].array, (Structure.BODY, Structure.CORTEX, Structure.S1))
    instances = np.where(body, truth["vertebrae"].array, 0)
    numbers = np.unique(instances[instances > 0])
    places = truth["vertebrae"].grid.ijk_to_lps(np.array(ndimage.center_of_mass(body, instances, numbers)))
    seen = [truth["vertebrae"].names[int(n)] for n in numbers]
    whole = [v.level for v in patient.anatomy.vertebrae]
    centers = np.array([v.center_lps_mm for v in patient.anatomy.vertebrae])
    levels: list[str | None] = []
    for v in case.vertebrae:
        names, at = (whole + seen, np.concatenate([centers, places])) if v.at_edge else (whole, centers)
        distance_mm = np.linalg.norm(at - v.centroid_lps_mm, axis=1)
        nearest = int(np.argmin(distance_mm))
        levels.append(names[nearest] if distance_mm[nearest] <= NEAR_MM else None)
    return levels


def levels_of(case: Case, patient: SyntheticPatient, truth: Mapping[str, LabelMap]) -> dict[str, Any]:
    """How the bodies found were named."""
    levels = {v.level for v in patient.anatomy.vertebrae}
    said = [
        (true == v.level and v.level is not None, bool(v.level_uncertain), v.level is None)
        for v, true in zip(case.vertebrae, true_levels(case, patient, truth), strict=True)
    ]
    return {
        "right": bool(said) and all(right for right, _, _ in said),
        "flagged": any(doubt or unnamed for _, doubt, unnamed in said),
        "silent": any(not right and not doubt and not unnamed for right, doubt, unnamed in said),
        "bodies": len(said),
        # Elsewhere a spine of unusual numbers looks like any other.
        "variant": "L1" in levels and is_variant(patient.seed),
    }


def lesions_of(case: Case, patient: SyntheticPatient, truth: Mapping[str, LabelMap]) -> dict[str, Any]:
    """True lesions with what covers them, candidates with what they hit."""
    found, true = case.labels["lesions"].array, truth["lesions"].array
    voxel_ml = truth["lesions"].grid.voxel_volume_mm3 / 1000
    malignant = case.maps["malignant"].array
    table, lesions, index = {t.label: t for t in patient.anatomy.lesions}, [], {}
    for label in np.unique(true[true > 0]):
        own = true == label
        if own.sum() * voxel_ml * 1000 < LEAST_LESION_MM3:
            continue
        index[int(label)] = len(lesions)
        touching = np.isin(found, np.unique(found[own & (found > 0)])) & (found > 0)
        kind = table[int(label)].kind
        lesions.append(
            {
                "ml": float(own.sum() * voxel_ml),
                "kind": kind.name,
                "malignant": bool(table[int(label)].malignant),
                "hard": kind in HARD_MIMICS,
                "covered": float((own & (found > 0)).sum() / own.sum()),
                "dice": float(2 * (own & touching).sum() / max(own.sum() + touching.sum(), 1)),
                "malignant_p": float(malignant[own].mean()),
            }
        )
    marks = []
    for lesion in case.lesions:
        own = found == lesion.label
        hits = [n for label, n in index.items() if lesions[n]["covered"] >= HIT_SHARE and (own & (true == label)).any()]
        if hits or not (own & (true > 0)).any():  # what grazes a lesion is neither right nor an alarm
            score = 1 - lesion.probabilities["normal"]
            marks.append({"score": score, "hits": hits or [FALSE_POSITIVE], "ml": lesion.volume_mm3 / 1000})
    return {"lesions": lesions, "marks": marks}


def vertebrae_of(case: Case, truth: Mapping[str, LabelMap], patient: SyntheticPatient) -> list[dict[str, Any]]:
    """Probability of malignancy of each vertebra found, and what is true of it."""
    instances, lesions = case.labels["vertebrae"].array, truth["lesions"].array
    voxel_mm3, table = truth["lesions"].grid.voxel_volume_mm3, {t.label: t for t in patient.anatomy.lesions}
    rows = []
    for v in case.vertebrae:
        inside = lesions[instances == v.instance]
        seen = [table[int(n)] for n in np.unique(inside[inside > 0]) if (inside == n).sum() * voxel_mm3 >= 150]
        malignant = any(t.malignant for t in seen)
        hard = not malignant and any(t.kind in HARD_MIMICS for t in seen)
        row = {"malignant": malignant, "hard": hard, "benign": bool(seen) and not malignant}
        rows.append(row | {"p": v.probabilities.get("malignant"), "probabilities": dict(v.probabilities)})
    return rows


def row_of(seed: int, networks: dict, lesions: str | None) -> dict[str, Any]:
    """Everything that is counted of one patient."""
    draw = sample_patient_settings(seed, lesions=lesions)
    patient = draw.simulate()
    row: dict[str, Any] = {
        "seed": seed,
        "region": draw.region,
        "sequences": [s.value for s in draw.sequences],
        "scanner": f"{draw.scanner.vendor} {draw.scanner.field_strength_t}",
    }
    started = time.perf_counter()
    case = analyzed(patient, networks)
    row["seconds"] = round(time.perf_counter() - started, 2)
    if case is None:
        return row | {"levels": None}
    truth = patient.labels_on(case.labels["structures"].grid)
    row |= {"levels": levels_of(case, patient, truth), "vertebrae": vertebrae_of(case, truth, patient)}
    return row | lesions_of(case, patient, truth)


def study_of(row: Mapping[str, Any]) -> Study:
    """Marks and lesions as the evaluation takes them."""
    scores = [m["score"] for m in row["marks"] for _ in m["hits"]]
    hits = [h for m in row["marks"] for h in m["hits"]]
    return Study(str(row["seed"]), [x["ml"] for x in row["lesions"]], scores, hits)


def area(truth: Sequence[bool], score: Sequence[float], patient: Sequence[int]) -> str:
    """Area under the curve with an interval that knows of patients."""
    if len(set(truth)) < 2:
        return "not assessable"
    e = roc_areas(np.array(truth), np.array(score), patients=np.array(patient)).estimate()
    return f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f}), {sum(truth)} of {len(truth)}"


def summary(rows: list[dict[str, Any]]) -> None:
    """Print the figures."""
    done = [r for r in rows if r["levels"] is not None]
    print(f"{len(rows)} patients; no spine found in {len(rows) - len(done)}")
    if not done:
        return
    names(done)
    finds(done)
    classes(done)
    print(f"seconds a study: median {np.median([r['seconds'] for r in done]):.1f}")


def names(done: list[dict[str, Any]]) -> None:
    """Print for how many patients every level is right, or a wrong one flagged."""
    groups = {"usual numbers": [r for r in done if not r["levels"]["variant"]]}
    groups["numeric variants"] = [r for r in done if r["levels"]["variant"]]
    groups |= {region: [r for r in done if r["region"] == region] for region in sorted({r["region"] for r in done})}
    for name, own in groups.items():
        if own:
            right = proportion(sum(r["levels"]["right"] for r in own), len(own))
            safe = proportion(sum(not r["levels"]["silent"] for r in own), len(own))
            text = f"{right.value:.2f} ({right.low:.2f} to {right.high:.2f}) of {len(own)}"
            print(f"every level right, {name}: {text}; right or flagged {safe.value:.2f} (from {safe.low:.2f})")


def finds(done: list[dict[str, Any]]) -> None:
    """Print sensitivity by size and kind, overlap, and false positives."""
    for size in sensitivity_by_size([study_of(r) for r in done], 0.0, edges_ml=(0.0, LARGE_ML, np.inf)):
        e = size.sensitivity
        print(f"sensitivity {size.name}: {e.value:.2f} ({e.low:.2f} to {e.high:.2f}), {size.n_lesions} lesions")
    alarms = [[m["ml"] for m in r["marks"] if m["hits"] == [FALSE_POSITIVE]] for r in done]
    large = np.mean([sum(ml >= LARGE_ML for ml in a) for a in alarms])
    print(f"false positives a study: {np.mean([len(a) for a in alarms]):.2f}, of 1 mL and more {large:.2f}")
    lesions = [x for r in done for x in r["lesions"]]
    big = [x for x in lesions if x["ml"] >= LARGE_ML]
    found = [x["dice"] for x in big if x["covered"] >= HIT_SHARE]
    if found:
        mean = np.mean([x["dice"] for x in big])
        print(f"Dice, 1 mL and more: {mean:.2f} of all {len(big)}, {np.mean(found):.2f} of the {len(found)} found")
    for kind in sorted({x["kind"] for x in lesions}):
        hits = [x["covered"] >= HIT_SHARE for x in lesions if x["kind"] == kind]
        print(f"  {kind}: found {sum(hits)} of {len(hits)}")
    for name, diffuse in (("focal", False), ("diffuse", True)):
        own = [x for x in big if x["malignant"] and (x["kind"] == LesionKind.DIFFUSE.name) is diffuse]
        hits = [x["covered"] >= HIT_SHARE for x in own]
        print(f"malignant and {name}, 1 mL and more: found {sum(hits)} of {len(hits)}")


def classes(done: list[dict[str, Any]]) -> None:
    """Print how well malignant vertebrae are told from others."""
    vertebrae = [(v, r["seed"]) for r in done for v in r["vertebrae"] if v["p"] is not None]
    if not vertebrae:
        return
    groups = {
        "all others": list(vertebrae),
        "benign": [x for x in vertebrae if x[0]["malignant"] or x[0]["benign"]],
        "hard mimics": [x for x in vertebrae if x[0]["malignant"] or x[0]["hard"]],
    }
    for name, own in groups.items():
        truth, score = [v["malignant"] for v, _ in own], [v["p"] for v, _ in own]
        print(f"AUC malignant vertebrae against {name}: {area(truth, score, [s for _, s in own])}")
    truth, score = [v["malignant"] for v, _ in vertebrae], [v["p"] for v, _ in vertebrae]
    error, told, true = expected_calibration_error(truth, score), np.mean(score), np.mean(truth)
    print(f"calibration error of malignancy: {error:.3f}; {told:.3f} told in the mean, {true:.3f} are malignant")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--purpose", default="benchmark")
    parser.add_argument("--lesions", choices=MIXES, help="how lesions are chosen; by default as the purpose has it")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.rows.read_text().splitlines()] if arguments.rows.exists() else []
    networks = load_networks(Settings(threads=1))
    print(f"spondyl {__version__}, {datetime.now(tz=UTC):%Y-%m-%d}, {arguments.purpose}, ", end="")
    print(", ".join(f"{n.name} {n.sha256[:8]}" for n in networks.values()))
    done = {r["seed"] for r in rows}
    for seed in cohort_seeds(arguments.purpose, arguments.count, first=arguments.first):
        if seed not in done:
            rows.append(row_of(seed, networks, arguments.lesions))
            with arguments.rows.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(rows[-1]) + "\n")
    summary(rows)


if __name__ == "__main__":
    main()
