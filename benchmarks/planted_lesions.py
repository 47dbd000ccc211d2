"""Plant lesions into real volumes that you have, and see which are found. Nothing of them is copied or kept.

FOLDER holds ``NAME_image.nii.gz`` with ``NAME_vertebrae.nii.gz`` or ``NAME_labels.nii.gz`` (bodies outlined, one number
each); ``NAME`` should hold the sequence, such as ``caseA_T1``. Volumes named ``discs*`` have discs outlined: they are
only looked at as they are.

    python benchmarks/planted_lesions.py FOLDER [--only 'caseA*'] [--step 4] [--plantings 2]

A planted lesion is a lumpy ball with a soft edge that multiplies the signal, so that the marrow's own texture stays.
How bright each kind is relative to marrow follows the published look of it on each sequence (`LOOKS`); sizes are
log-normal, half of them below 1 mL. Each volume is also analyzed as it is. The bodies' masks serve for planting alone:
the analysis sees none of them. These volumes have no diagnosis: an alarm counts as false although it might be right,
and a planted lesion is simpler than a real one. What stands here is no clinical performance.
"""

from __future__ import annotations

import argparse
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage
from synthetic_patients import COUNTED, HIT_SHARE

from spondyl import __version__
from spondyl.app.analyze import load_networks
from spondyl.core import Case, Grid, Image, Sequence, SpondylError
from spondyl.evaluation.detection import FALSE_POSITIVE, Study, sensitivity_by_size
from spondyl.evaluation.proportions import proportion
from spondyl.evaluation.roc import roc_areas
from spondyl.pipeline.run import run
from spondyl.pipeline.settings import Settings

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

LOOKS = {
    "lytic": {"T1": (0.40, 0.65), "T2": (1.30, 1.80), "STIR": (2.0, 3.5), "DIXON_WATER": (1.5, 2.2)},
    "sclerotic": {"T1": (0.25, 0.50), "T2": (0.25, 0.50), "STIR": (0.35, 0.70), "DIXON_WATER": (0.25, 0.50)},
    "mixed": {"T1": (0.30, 0.60), "T2": (0.40, 1.70), "STIR": (0.60, 3.0), "DIXON_WATER": (0.40, 2.0)},
    "hemangioma": {"T1": (1.25, 1.60), "T2": (1.60, 2.30), "STIR": (1.20, 1.60), "DIXON_WATER": (1.15, 1.40)},
    "fatty": {"T1": (1.30, 1.80), "T2": (1.25, 1.50), "STIR": (0.30, 0.60), "DIXON_WATER": (0.30, 0.60)},
}
"""Signal relative to the marrow around it. Lytic: dark on T1, bright on fluid-sensitive images; sclerotic: dark on all;
hemangioma: bright on T1 and T2 (Gaudino 2015, Skeletal Radiol 44:25); fat: bright on T1 and T2, nulled on STIR. The
ranges are chosen by us. A mixed lesion takes both ends of its range in patches."""

MALIGNANT = ("lytic", "sclerotic", "mixed")

SIZES_ML = {"large": (2.5, 0.5, 1.0, 12.0), "small": (0.5, 0.4, 0.15, 1.0)}
"""Median, spread of the logarithm, smallest and largest volume of each half, in mL. Chosen by us."""

EDGE_MM = 0.7
"""Width of the soft edge."""

BODIES_APART = 2
"""Lesions of one planting lie at least so many bodies apart."""

FIRST_SEED = 1_200_000
"""Seeds of this benchmark; training draws below a million."""


@dataclass(frozen=True, eq=False)
class Planted:
    """One planted lesion: its kind and its voxels."""

    kind: str
    where: np.ndarray


def read_volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels and LPS affine of a NIfTI file, slices along the first axis."""
    image = nib.load(path)
    affine = RAS_TO_LPS @ image.affine
    through = next(axis for axis, letter in enumerate(Grid(image.shape[:3], affine).orientation) if letter in "LR")
    order = [through, *(a for a in range(3) if a != through)]
    return np.asarray(image.dataobj).transpose(order), affine[:, [*order, 3]]


def sequence_of(name: str) -> Sequence:
    """Sequence that a name tells of."""
    found = re.search(r"STIR|T1|T2", name.upper())
    return Sequence(found[0]) if found else Sequence.DIXON_WATER if "DIXON" in name.upper() else Sequence.T2


def lumpy_ball(rng: np.random.Generator, shape: tuple[int, ...], center: np.ndarray, radius_mm: float) -> np.ndarray:
    """Signed distance in voxels to a ball with a smooth, irregular surface, on voxels of 1 mm."""
    axes = np.meshgrid(*(np.arange(n, dtype=np.float32) - c for n, c in zip(shape, center, strict=True)), indexing="ij")
    stretch = np.exp(rng.normal(0, 0.12, 3))
    distance = np.sqrt(sum((a * s) ** 2 for a, s in zip(axes, stretch, strict=True)))
    lumps = ndimage.gaussian_filter(rng.normal(size=shape).astype(np.float32), max(2.0, radius_mm / 2))
    return distance - radius_mm * (1 + 0.15 * lumps / (lumps.std() + 1e-9))


def plant(
    rng: np.random.Generator, volume: np.ndarray, bodies: np.ndarray, sequence: Sequence
) -> tuple[np.ndarray, list[Planted]]:
    """Plant two lesions, one large and one small, into different bodies."""
    numbers = [n for n in np.unique(bodies) if n]
    first = int(rng.integers(len(numbers)))
    others = [i for i in range(len(numbers)) if abs(i - first) >= BODIES_APART]
    image, planted = volume.astype(np.float32), []
    chosen = [numbers[first]] + ([numbers[int(rng.choice(others))]] if others else [])
    for body, size in zip(chosen, rng.permutation(list(SIZES_ML)), strict=False):
        kind = str(rng.choice(list(LOOKS)))
        image, where = one_lesion(rng, image, bodies == body, (kind, LOOKS[kind][sequence.value], SIZES_ML[size]))
        planted.append(Planted(kind, where))
    return image, planted


def one_lesion(
    rng: np.random.Generator, image: np.ndarray, body: np.ndarray, what: tuple[str, tuple, tuple]
) -> tuple[np.ndarray, np.ndarray]:
    """Multiply the signal of part of a body; give the image and the lesion's voxels."""
    kind, (low, high), (median, spread, least, most) = what
    volume_ml = float(np.clip(rng.lognormal(np.log(median), spread), least, most))
    radius = (volume_ml * 1000 * 3 / (4 * np.pi)) ** (1 / 3)
    box = tuple(slice(max(s.start - 6, 0), s.stop + 6) for s in ndimage.find_objects(body.astype(np.uint8))[0])
    inside = body[box]
    depth = ndimage.distance_transform_edt(inside)
    places = np.argwhere(depth >= min(radius * 0.6, depth.max() * 0.7))
    distance = lumpy_ball(rng, inside.shape, places[rng.integers(len(places))], radius)
    share = np.clip(0.5 - distance / (2 * EDGE_MM), 0, 1) * ndimage.gaussian_filter(inside.astype(np.float32), 0.6)
    factor = np.full(inside.shape, rng.uniform(low, high), np.float32)
    if kind == "mixed":
        patches = ndimage.gaussian_filter(rng.normal(size=inside.shape), 2.0) > 0
        factor = np.where(patches, low, high).astype(np.float32)
        factor = ndimage.gaussian_filter(factor, 0.7)
    out = image.copy()
    out[box] *= 1 + share * (factor - 1)
    where = np.zeros(image.shape, bool)
    where[box] = (share > 0.5) & inside
    return out, where


def analyzed(image: np.ndarray, grid: Grid, sequence: Sequence, networks: dict) -> Case | None:
    """The case after all steps; None where no spine was found."""
    case = Case("case-benchmark", {sequence: Image(image, grid, sequence)})
    try:
        return run(case, Settings(), networks, steps=COUNTED)
    except SpondylError as error:
        print(f"  {error}")
        return None


def marks_of(case: Case | None, planted: list[np.ndarray], name: str, voxel_ml: float) -> tuple[Study, list[float]]:
    """What was marked, and how malignant the network holds each planted lesion."""
    sizes = [float(w.sum()) * voxel_ml for w in planted]
    if case is None:
        return Study(name, sizes, [], []), [0.0] * len(planted)
    labels = case.labels["lesions"].array
    covered = [(w & (labels > 0)).sum() >= HIT_SHARE * w.sum() for w in planted]
    scores, hits = [], []
    for lesion in case.lesions:
        own = labels == lesion.label
        at = [n for n, w in enumerate(planted) if covered[n] and (own & w).any()]
        touched = any((own & w).any() for w in planted)
        if at or not touched:  # a candidate that only grazes a lesion is neither right nor an alarm
            scores.append(1 - lesion.probabilities["normal"])
            hits.append(at[0] if at else FALSE_POSITIVE)
    malignant = case.maps["malignant"].array
    share = [float(malignant[w].mean()) if w.any() else 0.0 for w in planted]
    return Study(name, sizes, scores, hits), share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="*", help="pattern of names")
    parser.add_argument("--step", type=int, default=4, help="take every n-th slice")
    parser.add_argument("--plantings", type=int, default=2, help="plantings of two lesions a volume")
    parser.add_argument("--first", type=int, default=0, help="first planting, to see others than those chosen on")
    arguments = parser.parse_args()
    networks = load_networks(Settings(threads=1))
    print(f"spondyl {__version__}, {datetime.now(tz=UTC):%Y-%m-%d}, {', '.join(n.name for n in networks.values())}\n")
    print("| volume | sequence | false alarms | planted (mL) | found | s |\n|---|---|---|---|---|---|", flush=True)
    plain, studies, kinds, beliefs = [], [], [], []
    for number, path in enumerate(sorted(arguments.folder.glob(f"{arguments.only}_image.nii.gz"))):
        name = path.name.removesuffix("_image.nii.gz")
        masks = [p for k in ("vertebrae", "labels") if (p := path.with_name(f"{name}_{k}.nii.gz")).is_file()]
        full, affine = read_volume(path)
        sequence = sequence_of(name)
        rounds: list[tuple[np.ndarray, list[Planted]]] = [(full.astype(np.float32), [])]
        if masks and not name.startswith("discs"):
            bodies, _ = read_volume(masks[0])
            for turn in range(arguments.first, arguments.first + arguments.plantings):
                rng = np.random.default_rng([FIRST_SEED + number, turn])
                rounds.append(plant(rng, full, bodies, sequence))
        affine = affine.copy()
        affine[:3, 0] *= arguments.step
        for image, planted in rounds:
            started = time.perf_counter()
            thick = image[:: arguments.step]
            grid = Grid(thick.shape, affine)
            case = analyzed(thick, grid, sequence, networks)
            where = [p.where[:: arguments.step] for p in planted]
            study, belief = marks_of(case, where, name, grid.voxel_volume_mm3 / 1000)
            (studies if planted else plain).append(study)
            kinds += [p.kind for p in planted]
            beliefs += belief
            sizes = ", ".join(f"{p.kind} {ml:.2f}" for p, ml in zip(planted, study.lesion_ml, strict=True)) or "none"
            alarms = sum(h == FALSE_POSITIVE for h in study.mark_lesion)
            found = len({h for h in study.mark_lesion if h != FALSE_POSITIVE})
            seconds = time.perf_counter() - started
            print(f"| {name} | {sequence} | {alarms} | {sizes} | {found} | {seconds:.1f} |", flush=True)
    summary(plain, studies, kinds, beliefs)


def summary(plain: list[Study], studies: list[Study], kinds: list[str], beliefs: list[float]) -> None:
    """Print sensitivity by size and kind, false alarms, and how well malignant is told from benign."""
    print()
    for title, group in (("as they are", plain), ("planted", studies)):
        if group:
            alarms = [sum(h == FALSE_POSITIVE for h in s.mark_lesion) for s in group]
            print(f"false alarms, volumes {title}: {np.mean(alarms):.2f} a study over {len(group)}")
    if not studies:
        return
    for size in sensitivity_by_size(studies, 0.0, edges_ml=(0.0, 1.0, np.inf)):
        e = size.sensitivity
        print(f"sensitivity {size.name}: {e.value:.2f} ({e.low:.2f} to {e.high:.2f}), {size.n_lesions} lesions")
    found = [n in s.mark_lesion for s in studies for n in range(len(s.lesion_ml))]
    for kind in LOOKS:
        hits = [f for f, k in zip(found, kinds, strict=True) if k == kind]
        print(f"  {kind}: {proportion(sum(hits), len(hits)).value:.2f} of {len(hits)}")
    malignant = np.array([k in MALIGNANT for k in kinds])
    if 0 < malignant.sum() < len(malignant):
        area = roc_areas(malignant, np.array(beliefs)).estimate()
        print(f"AUC malignant against benign: {area.value:.2f} ({area.low:.2f} to {area.high:.2f})")


if __name__ == "__main__":
    main()
