"""See whether several real series of one patient together say what each says alone.

FOLDER holds ``NAME_image.nii.gz``; what precedes the first ``_`` in NAME is the patient, the rest holds the sequence,
such as ``caseA_T1`` and ``caseA_STIR``. Volumes of one patient must be of one session. Nothing of it is copied or kept.

    python benchmarks/real_studies.py FOLDER [--only 'caseA*'] [--step 4]

A network that has seen synthetic studies alone may go astray where real series differ from them jointly, which a single
series does not show. For every choice of one image a sequence, the table gives the vertebrae judged more likely
malignant than not, the candidates, and the share of the bodies in which the network that outlines sees a lesion. There
is no diagnosis to compare with: what should be seen is agreement, and in people without known disease little.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from planted_lesions import read_volume, sequence_of
from synthetic_patients import COUNTED

from spondyl import __version__
from spondyl.app.analyze import load_networks
from spondyl.core import Case, Grid, Image, Sequence, SpondylError, Structure
from spondyl.pipeline.run import run
from spondyl.pipeline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

LIKELY = 0.5
"""Vertebrae and voxels are counted from this probability on."""


def read_images(folder: Path, only: str, step: int) -> dict[str, dict[Sequence, dict[str, Image]]]:
    """Images by patient, sequence and name."""
    found: dict[str, dict[Sequence, dict[str, Image]]] = defaultdict(lambda: defaultdict(dict))
    for path in sorted(folder.glob(f"{only}_image.nii.gz")):
        name = path.name.removesuffix("_image.nii.gz")
        array, affine = read_volume(path)
        affine = affine.copy()
        affine[:3, 0] *= step
        thick, sequence = array[::step].astype(np.float32), sequence_of(name)
        found[name.split("_", 1)[0]][sequence][name] = Image(thick, Grid(thick.shape, affine), sequence)
    return found


def choices(images: dict[Sequence, dict[str, Image]]) -> Iterator[dict[str, Image]]:
    """Each image alone, then every choice of one image for each sequence."""
    for named in images.values():
        for name, image in named.items():
            yield {name: image}
    for chosen in product(*(named.items() for named in images.values())):
        yield dict(chosen)


def row_of(chosen: dict[str, Image], networks: dict) -> str:
    """One line of the table."""
    names = " + ".join(chosen)
    try:
        case = Case("case-benchmark", {i.sequence: i for i in chosen.values()})
        case = run(case, Settings(threads=1), networks, steps=COUNTED)
    except SpondylError as error:
        return f"| {names} | {error} | | |"
    judged = [(v.level or "?", v.probabilities["malignant"]) for v in case.vertebrae if v.probabilities]
    malignant = ", ".join(f"{level} {p:.2f}" for level, p in judged if p > LIKELY) or "none"
    bodies = case.labels["structures"].array == Structure.BODY
    seen = case.maps["malignant"].array + case.maps["benign"].array
    lesions = ", ".join(f"{x.level or '?'} {x.volume_mm3 / 1000:.1f} mL" for x in case.lesions) or "none"
    share = float((seen[bodies] > LIKELY).mean())
    return f"| {names} | {malignant} (of {len(judged)}) | {lesions} | {share:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="*", help="pattern of names")
    parser.add_argument("--step", type=int, default=4, help="take every n-th slice")
    arguments = parser.parse_args()
    patients = read_images(arguments.folder, arguments.only, arguments.step)
    studies = [images for images in patients.values() if len(images) > 1]
    if not studies:
        parser.error(
            f"no patient with two sequences among {len(patients)} with {arguments.only}_image.nii.gz in "
            f"{arguments.folder}; give a folder that holds one, named as --help tells"
        )
    networks = load_networks(Settings(threads=1))
    print(f"spondyl {__version__}, {datetime.now(tz=UTC):%Y-%m-%d}, {', '.join(n.name for n in networks.values())}\n")
    print(
        "| series | malignant vertebrae | candidates | share of bodies seen as lesion |\n|---|---|---|---|", flush=True
    )
    for images in studies:
        for chosen in choices(images):
            print(row_of(chosen, networks), flush=True)


if __name__ == "__main__":
    main()
