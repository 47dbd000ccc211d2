"""Score vertebral bodies on real volumes that you have, given as NIfTI and as DICOM made from them.

FOLDER holds ``NAME_image.nii.gz`` with ``NAME_vertebrae.nii.gz`` (every visible body outlined, one number each) or
``NAME_labels.nii.gz`` (some bodies outlined). ``NAME`` should hold the sequence, such as ``caseA_T1``. Nothing of it is
copied or kept.

    python benchmarks/real_volumes.py FOLDER [--only 'caseA*'] [--step 4]

Each mask is compared with the segment of ``dicom/vertebrae.dcm`` that overlaps it most; a body is found where their
intersection over union exceeds 0.5. Dice is of all outlined bodies of a volume together. Some sets are outlined on the
marrow, inside the dark cortex: each volume is scored with the segment as given and thinned by one pixel in plane, and
the convention is chosen once per set (the leading letters of NAME), never per volume. ``--step`` takes every n-th
sagittal slice: thick slices, as scanned. Volumes named ``discs*`` have discs outlined and are left out.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from spondyl import __version__
from spondyl.core import Grid, Image, Sequence
from spondyl.io.mr_writer import SyntheticStudy, write_series
from spondyl.io.seg_reader import read_segmentation

SPONDYL = (sys.executable, "-m", "spondyl.app.cli")

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

BODY = re.compile(r"\bbody\b", re.IGNORECASE)
SACRAL = re.compile(r"\bS[1-5]\b")
"""Segments that are bodies, and those of them that masks seldom outline."""

Pair = tuple[float, float]

IN_PLANE = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])[:, :, None]
"""Neighborhood of the thinning, for volumes whose third axis runs across the slices."""

FOUND_IOU = 0.5
"""A body is found above this intersection over union: only one segment can then match it."""


@dataclass(frozen=True)
class Score:
    """What one volume gave."""

    name: str
    kind: str
    dice: Pair
    found: int
    outlined: int
    extra: int
    seconds: float
    exit_code: int


def load(path: Path, step: int) -> tuple[np.ndarray, Grid]:
    """Voxels and grid of a NIfTI file, every `step`-th of its sagittal slices."""
    image = nib.load(path)
    affine = RAS_TO_LPS @ image.affine
    through = next(axis for axis, letter in enumerate(Grid(image.shape[:3], affine).orientation) if letter in "LR")
    keep = tuple(slice(None, None, step if axis == through else 1) for axis in range(3))
    array = np.asarray(image.dataobj)[keep]
    affine[:3, through] *= step
    return array, Grid(array.shape, affine)


def on_grid(mask: np.ndarray, of: Grid, wanted: Grid) -> np.ndarray:
    """Nearest-neighbor value of a mask at each voxel center of another grid."""
    ijk = of.lps_to_ijk(wanted.ijk_to_lps(np.moveaxis(np.indices(wanted.shape), 0, -1)))
    index = np.rint(ijk).astype(int)
    inside = ((index >= 0) & (index < of.shape)).all(axis=-1)
    values = np.zeros(wanted.shape, bool)
    values[inside] = mask[tuple(index[inside].T)] > 0
    return values


def compare(truth: np.ndarray, bodies: dict[str, np.ndarray], *, all_outlined: bool) -> tuple[Pair, int, int]:
    """Dice of the outlined bodies in both conventions, number found, and bodies that match nothing."""
    union, used, found = np.zeros(truth.shape, bool), set(), 0
    for number in (n for n in np.unique(truth) if n):
        body = truth == number
        cut = {name: near(mask, body) for name, mask in bodies.items()}
        overlap = {name: float((mask & body).sum() / max((mask | body).sum(), 1)) for name, mask in cut.items()}
        best = max(overlap, key=overlap.__getitem__, default="")
        if best and overlap[best] > 0:
            used.add(best)
            union |= cut[best]
            found += overlap[best] > FOUND_IOU
    extra = [name for name in bodies if name not in used and not SACRAL.search(name)] if all_outlined else []
    pair = tuple(dice(mask, truth > 0) for mask in (union, ndimage.binary_erosion(union, IN_PLANE)))
    return pair, found, len(extra)


def near(mask: np.ndarray, body: np.ndarray) -> np.ndarray:
    """The part of a mask in the box of a body, grown by three voxels in plane and one slice."""
    box = tuple(
        slice(max(int(w.min()) - margin, 0), int(w.max()) + margin + 1)
        for w, margin in zip(np.nonzero(body), (3, 3, 1), strict=True)
    )
    cut = np.zeros_like(mask)
    cut[box] = mask[box]
    return cut


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice coefficient of two masks."""
    return 2 * float((a & b).sum()) / max(int(a.sum() + b.sum()), 1)


def by_set(scores: list[Score]) -> dict[str, tuple[int, list[float]]]:
    """For each set of volumes the convention that fits it better on average, and the Dice in it."""
    groups: dict[str, list[Score]] = {}
    for s in scores:
        groups.setdefault(re.match(r"[a-z0-9]+?(?=[A-Z_]|$)", s.name)[0], []).append(s)
    chosen = {}
    for name, members in groups.items():
        pairs = np.array([s.dice for s in members])
        convention = int(pairs.mean(axis=0).argmax())
        chosen[name] = convention, pairs[:, convention].tolist()
    return chosen


def write_input(kind: str, array: np.ndarray, grid: Grid, name: str, folder: Path) -> list[str]:
    """Write the volume as NIfTI or DICOM and give the arguments that name it."""
    found = re.search(r"STIR|T1|T2", name.upper())
    sequence = Sequence(found[0]) if found else Sequence.DIXON_IN if "DIXON" in name.upper() else Sequence.T2
    if kind == "NIfTI":
        path = folder / f"{sequence}.nii.gz"
        nib.save(nib.Nifti1Image(array.astype(np.float32), RAS_TO_LPS @ grid.affine), path)
        return ["--sequence", f"{sequence}={path}"]
    study = SyntheticStudy(patient_id="BENCHMARK", description="Spine MRI")
    write_series(Image(array, grid, sequence), folder / "dicom", study=study, series_number=2)
    return [str(folder / "dicom")]


def score(image_path: Path, truth_path: Path, kind: str, step: int) -> Score:
    """Analyze one volume in a fresh process and compare."""
    name = image_path.name.removesuffix("_image.nii.gz")
    array, grid = load(image_path, step)
    truth, truth_grid = load(truth_path, step)
    outlined = len(np.unique(truth[truth > 0]))
    with tempfile.TemporaryDirectory() as tmp:
        arguments = write_input(kind, array, grid, name, Path(tmp))
        start = time.perf_counter()
        out = Path(tmp) / "out"
        run = subprocess.run([*SPONDYL, "analyze", *arguments, "--out", str(out)], capture_output=True, check=False)
        seconds = time.perf_counter() - start
        seg = out / "dicom" / "vertebrae.dcm"
        if run.returncode or not seg.is_file():
            return Score(name, kind, (0.0, 0.0), 0, outlined, 0, seconds, run.returncode)
        segments = [(i.label, m) for i, m in read_segmentation(seg) if BODY.search(i.label)]
        bodies = {f"{n} {label}": on_grid(m.array, m.grid, truth_grid) for n, (label, m) in enumerate(segments)}
    pair, found, extra = compare(truth, bodies, all_outlined=truth_path.name.endswith("_vertebrae.nii.gz"))
    return Score(name, kind, pair, found, outlined, extra, seconds, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="*", help="pattern of names")
    parser.add_argument("--step", type=int, default=1, help="take every n-th slice")
    arguments = parser.parse_args()
    pairs = []
    for image in sorted(arguments.folder.glob(f"{arguments.only}_image.nii.gz")):
        stem = image.name.removesuffix("_image.nii.gz")
        if stem.startswith("discs"):
            continue
        masks = [p for kind in ("vertebrae", "labels") if (p := image.with_name(f"{stem}_{kind}.nii.gz")).is_file()]
        pairs += [(image, masks[0])] if masks else []
    print(f"spondyl {__version__}, {datetime.now(tz=UTC):%Y-%m-%d}, every {arguments.step}. slice\n")
    print("| volume | as | Dice | thinned | found | extra | s | exit code |\n|---|---|---|---|---|---|---|---|")
    scores = []
    for image, mask in pairs:
        for kind in ("NIfTI", "DICOM"):
            s = score(image, mask, kind, arguments.step)
            scores.append(s)
            found = f"{s.found} of {s.outlined}"
            given, thinned = s.dice
            row = f"| {s.name} | {kind} | {given:.3f} | {thinned:.3f} | {found} | {s.extra} | {s.seconds:.1f} |"
            print(row, f"{s.exit_code} |", flush=True)
    if scores:
        sets = by_set(scores)
        for name, (convention, values) in sets.items():
            way = ("as given", "thinned")[convention]
            print(f"\n{name}, {way}: mean Dice {statistics.mean(values):.3f} over {len(values)}")
        every = [v for _, values in sets.values() for v in values]
        share = sum(s.found for s in scores) / max(sum(s.outlined for s in scores), 1)
        print(f"\nmean Dice {statistics.mean(every):.3f}, bodies found {100 * share:.1f} %")


if __name__ == "__main__":
    main()
