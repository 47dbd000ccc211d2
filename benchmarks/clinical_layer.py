"""Scores and response against the truth of the phantom.

``python benchmarks/clinical_layer.py escc|heights|response|predicted [--patients N] [--seed S]`` prints what
docs/how-to/score-for-a-tumor-board.md and docs/how-to/follow-a-patient.md quote. ``escc``, ``heights`` and ``response``
take true outlines, cut to the voxels of usual images; ``predicted`` takes what the shipped networks outline.
"""

from __future__ import annotations

import argparse
import platform
import time

import numpy as np

from spondyl import __version__
from spondyl.core import Grid, Sequence, Structure, Vertebra
from spondyl.evaluation.agreement import agreement
from spondyl.lesions import escc
from spondyl.lesions.change import ResponseSettings
from spondyl.lesions.frames import frames_of
from spondyl.lesions.height_loss import height_losses
from spondyl.lesions.heights import body_heights
from spondyl.lesions.involvement import involvement
from spondyl.lesions.response import compare
from spondyl.lesions.sins import Found, collapse, location
from spondyl.phantom.anatomy import build_anatomy
from spondyl.phantom.compression import SAC
from spondyl.phantom.course import simulate_course
from spondyl.phantom.kinds import LesionKind
from spondyl.phantom.lesion_plan import PlannedLesion
from spondyl.phantom.patient import PatientSettings, labels_on, simulate_patient
from spondyl.phantom.placement import cut
from spondyl.pipeline.truth import true_case

LEVELS = ("T8", "T6", "T10", "C6")
AXES = {"axial": ((0, 0, 1.0), (0, 1.0, 0), (1.0, 0, 0)), "sagittal": ((0, 0, 1.0), (0, 1.0, 0), (1.0, 0, 0))}
SPACING = {"axial": (4.0, 0.6, 0.6), "sagittal": (0.9, 0.9, 4.0)}
SHAPE = {"axial": (25, 90, 80), "sagittal": (110, 60, 12)}


def kappa_line(name: str, truth: list[int], found: list[int]) -> str:
    """Linearly weighted kappa with its interval."""
    rated = agreement(np.column_stack([truth, found]), weights="linear")
    exact = np.mean(np.array(truth) == np.array(found))
    interval = f"{rated.low:.3f} to {rated.high:.3f}"
    return f"{name}: linearly weighted kappa {rated.value:.3f} ({interval}), exact {exact:.2f}, n {len(truth)}"


def run_escc(n: int, seed: int) -> None:
    """Bilsky grades on true outlines."""
    truth: dict[str, list[int]] = {}
    found: dict[str, list[int]] = {}
    for patient in range(n):
        level = LEVELS[patient % len(LEVELS)]
        region, extent = ("cervical", (60, 200, 110)) if level[0] == "C" else ("thoracic", (60, 320, 110))
        for grade in escc.GRADES:
            plan = [PlannedLesion(level, LesionKind.EPIDURAL, escc=grade)]
            anatomy = build_anatomy(
                seed + patient, region=region, lesions=plan, spacing_mm=(1.3, 0.85, 0.85), extent_mm=extent
            )
            body = next((v for v in anatomy.vertebrae if v.level == level), None)
            if body is None or not anatomy.lesions:
                continue
            for plane in ("axial", "sagittal"):
                affine = np.eye(4)
                affine[:3, :3] = np.array(AXES[plane]).T * SPACING[plane]
                affine[:3, 3] = np.add(body.center_lps_mm, (0, 18, 0)) - affine[:3, :3] @ (
                    (np.array(SHAPE[plane]) - 1) / 2
                )
                grid = Grid(SHAPE[plane], affine)
                structure, tissue, lesion = (
                    cut(x, anatomy.grid, grid) for x in (anatomy.structure, anatomy.tissue, anatomy.lesion)
                )
                tumor, canal = lesion > 0, np.isin(structure, (Structure.CANAL, Structure.CORD))
                cord, sac = (structure == Structure.CORD) & ~tumor, canal & np.isin(tissue, SAC) & ~tumor
                for name, given in ((f"{plane} 4 mm, with the sac", sac), (f"{plane} 4 mm, without the sac", None)):
                    graded = escc.compression(escc.Canal(tumor, canal, cord, given, SPACING[plane])).grades
                    if graded:
                        truth.setdefault(name, []).append(escc.GRADES.index(anatomy.lesions[0].escc))
                        found.setdefault(name, []).append(escc.GRADES.index(graded[-1]))
    for name in truth:
        print(kappa_line(name, truth[name], found[name]))


def run_heights(n: int, seed: int) -> None:
    """Loss of height and the SINS items of images, on true outlines."""
    errors, inside, exact, whole = [], [], {"location": [], "collapse": [], "posterolateral": []}, []
    for patient in range(n):
        region, level = (("lumbar", "L2"), ("thoracolumbar", "T10"), ("thoracic", "T8"))[patient % 3]
        plan = [PlannedLesion(level, LesionKind.PATHOLOGICAL_FRACTURE)]
        anatomy = build_anatomy(seed + patient, region=region, lesions=plan, extent_mm=(88, 322, 130))
        shape = (np.array(anatomy.grid.shape) * anatomy.grid.spacing_mm / (4.0, 0.9, 0.9)).astype(int)
        affine = anatomy.grid.affine.copy()
        affine[:3, :3] = anatomy.grid.directions * (4.0, 0.9, 0.9)
        grid = Grid(tuple(shape.tolist()), affine)
        labels = labels_on(anatomy, grid)
        ordered = sorted(anatomy.vertebrae, key=lambda v: v.instance)
        edges = {ordered[0].instance, ordered[-1].instance}
        vertebrae = [
            Vertebra(
                instance=v.instance,
                level=v.level,
                level_probability=1.0,
                level_uncertain=False,
                level_reason="",
                centroid_lps_mm=v.center_lps_mm,
                volume_mm3=1.0,
                detection_confidence=1.0,
                at_edge=v.instance in edges,
            )
            for v in ordered
        ]
        losses = height_losses(body_heights(labels["structures"], labels["vertebrae"]), vertebrae)
        frames = frames_of(labels["structures"], labels["vertebrae"])
        whole += [losses[v.instance].percent for v in ordered if v.instance in losses and not v.collapse]
        v = next(x for x in ordered if x.level == level)
        if v.instance not in losses:
            continue
        loss = losses[v.instance]
        errors.append(loss.percent - 100 * v.height_loss)
        inside.append(loss.low <= 100 * v.height_loss <= loss.high)
        tumor, own = labels["lesions"].array > 0, labels["vertebrae"].array == v.instance
        taken = involvement(tumor, labels["structures"].array, own, grid, frames[v.instance])
        true_percent, true_sides = true_involvement(anatomy, v.instance)
        seen = Found(level, height_loss_percent=(loss.percent,) * 3, involved_percent=taken.body_percent)
        true = Found(level, height_loss_percent=(100 * v.height_loss,) * 3, involved_percent=true_percent)
        exact["location"].append(location(seen).low == location(true).low)
        exact["collapse"].append(collapse(seen).low == collapse(true).low)
        exact["posterolateral"].append(taken.sides == true_sides)
    absolute = np.abs(errors)
    print(
        f"height loss of fractures: mean absolute error {absolute.mean():.1f} points, "
        f"median {np.median(absolute):.1f}, "
        f"within 3 points {np.mean(absolute <= 3):.2f}, bias {np.mean(errors):+.1f}, "
        f"90 % interval covers {np.mean(inside):.2f}, n {len(errors)}"
    )
    print(
        f"bodies that did not collapse: median {np.median(whole):.1f} %, "
        f"20 % or more in {np.mean(np.array(whole) >= 20):.2f}, n {len(whole)}"
    )
    for name, right in exact.items():
        print(f"SINS {name}: exact in {np.mean(right):.2f}, n {len(right)}")


def true_involvement(anatomy, instance: int) -> tuple[float, int]:
    """Share of the body and sides of the arch on the phantom's own fine voxels, sides told by the canal's middle."""
    own = anatomy.instance == instance
    body = own & np.isin(anatomy.structure, (Structure.BODY, Structure.CORTEX, Structure.S1))
    tumor = anatomy.lesion > 0
    arch = np.argwhere(own & (anatomy.structure == Structure.POSTERIOR) & tumor)
    canal = np.argwhere(np.isin(anatomy.structure, (Structure.CANAL, Structure.CORD)))
    rows = np.argwhere(body)[:, 1]
    near = canal[(canal[:, 1] >= rows.min()) & (canal[:, 1] <= rows.max()), 0]
    near = near if len(near) else canal[:, 0]
    voxel, dx = anatomy.grid.voxel_volume_mm3, anatomy.grid.spacing_mm[0]
    off = (arch[:, 0] - near.mean()) * dx if len(arch) else np.zeros(0)
    limit = 0.6 * np.percentile(np.abs(near - near.mean()), 95) * dx
    sides = sum(int((side * off > limit).sum() * voxel >= 100.0) for side in (-1, 1))
    return 100 * float((body & tumor).sum() / body.sum()), sides


def run_response(n: int, seed: int) -> None:
    """Matching and volume change on true outlines of two visits, three months apart."""
    right = wrong = missed = 0
    errors, unchanged, statuses, places = [], [], [], []
    for patient in range(n):
        region = ("lumbar", "thoracolumbar", "thoracic")[patient % 3]
        course = simulate_course(
            seed + patient, (0, 90), region=region, sequences=(Sequence.T2,), settings=PatientSettings(fast=True)
        )
        prior, current = (true_case(v.patient, f"case-{i}") for i, v in enumerate(course.visits))
        response = compare(current, prior, ResponseSettings()).response
        numbers = [{x.label: x.number for x in v.patient.anatomy.lesions} for v in course.visits]
        motion = course.visits[1].motion
        centers = {v.instance: np.append(v.center_lps_mm, 1) for v in course.visits[0].patient.anatomy.vertebrae}
        places += [
            np.linalg.norm(
                (np.asarray(m.prior_to_current) @ centers[m.prior_instance] - motion @ centers[m.prior_instance])[:3]
            )
            for m in response.vertebrae
        ]
        visible = [{numbers[i][x.label] for x in case.lesions} for i, case in enumerate((prior, current))]
        pairs = {(numbers[0][x.prior_lesion], numbers[1][x.lesion]) for x in response.lesions if x.status == "matched"}
        good = {a for a, b in pairs if a == b}
        right, wrong, missed = (
            right + len(good),
            wrong + len(pairs) - len(good),
            missed + len((visible[0] & visible[1]) - good),
        )
        for x in response.lesions:
            if x.status in ("new", "resolved"):
                number = numbers[1][x.lesion] if x.lesion else numbers[0][x.prior_lesion]
                statuses.append((number in visible[0]) != (number in visible[1]))
            if x.status != "matched":
                continue
            volumes = [v.lesion(numbers[0][x.prior_lesion]).volume_mm3 for v in course.visits]
            if min(volumes) >= 1000:
                errors.append((100 + x.changes[0].percent) * volumes[0] / volumes[1] - 100)
                if volumes[0] == volumes[1]:
                    unchanged.append(x.changes[0].percent)
    print(
        f"lesion matching: F1 {2 * right / max(2 * right + wrong + missed, 1):.3f} "
        f"({right} right, {wrong} wrong, {missed} missed); "
        f"new or resolved right in {np.mean(statuses):.2f} of {len(statuses)}"
    )
    absolute = np.abs(errors)
    print(
        "volume now over volume then against truth, lesions of 1 mL or more at both visits: mean absolute error "
        f"{absolute.mean():.1f} %, median {np.median(absolute):.1f} %, within 10 % in {np.mean(absolute <= 10):.2f}, "
        f"n {len(errors)}"
    )
    if unchanged:
        print(
            "lesions that did not change: standard deviation of the measured change "
            f"{np.std(unchanged):.1f} %, n {len(unchanged)}"
        )
    print(
        f"registration: mean error {np.mean(places):.2f} mm, largest {np.max(places):.2f} mm, n {len(places)} vertebrae"
    )


def run_predicted(n: int, seed: int) -> None:
    """Bilsky grades on what the shipped networks outline."""
    from spondyl.app.analyze import load_networks
    from spondyl.core import Case
    from spondyl.pipeline.run import run
    from spondyl.pipeline.settings import Settings
    from spondyl.pipeline.steps import STEPS

    settings = Settings(threads=1)
    networks = load_networks(settings)
    steps = [s for s in STEPS if s.name in ("harmonize", "localize", "lesions", "classify", "scores")]
    truth, found, n_missed = [], [], 0
    for patient in range(n):
        grade = escc.GRADES[patient % 6]
        simulated = simulate_patient(
            seed + patient, region="thoracic", sequences=(Sequence.T1, Sequence.T2, Sequence.STIR),
            lesions=[PlannedLesion("T8", LesionKind.EPIDURAL, escc=grade)],
        )  # fmt: skip
        images = {i.sequence: i for i in simulated.images}
        case = run(Case(f"case-{patient}", images), settings, networks, steps=steps)
        grades = [
            tuple(s.category.split(" or "))
            for s in case.scores
            if getattr(s, "code", "") == "bilsky_escc" and s.category
        ]
        worst = escc.worst(grades) or ("0",)
        n_missed += not grades
        truth.append(escc.GRADES.index(simulated.anatomy.lesions[0].escc))
        found.append(escc.GRADES.index(worst[-1]))
        print(f"  patient {seed + patient}: planned {grade}, found {' or '.join(worst)}", flush=True)
    print(
        kappa_line(f"predicted outlines, sagittal ({n_missed} without a graded candidate, counted as 0)", truth, found)
    )


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parts = {"escc": run_escc, "heights": run_heights, "response": run_response, "predicted": run_predicted}
    parser.add_argument("part", choices=parts)
    parser.add_argument("--patients", type=int, default=12)
    parser.add_argument("--seed", type=int, default=2_600_000)
    given = parser.parse_args()
    print(f"Spondyl {__version__}, numpy {np.__version__}, Python {platform.python_version()}")
    print(f"{given.part}, {given.patients} patients, seeds from {given.seed}")
    started = time.process_time()
    parts[given.part](given.patients, given.seed)
    print(f"{time.process_time() - started:.0f} s of processor time")


if __name__ == "__main__":
    main()
