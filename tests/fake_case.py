"""A small case made of numpy alone: a curved column of bodies with one lesion, and the findings that belong to it."""

from __future__ import annotations

import numpy as np

from spondyl.core import (
    Acquisition,
    Case,
    Grid,
    Image,
    LabelMap,
    Lesion,
    QualityFlag,
    Sequence,
    Source,
    StepRecord,
    Structure,
    Vertebra,
)

LEVEL_NAMES = ("T12", "L1", "L2", "L3", "L4", "L5", "S1")
PLANTED = "PLANTED^NAME"
"""Stands where free text of a header stands; must turn up in no output."""

_MARROW = {Sequence.T1: 500, Sequence.T2: 420, Sequence.STIR: 90, Sequence.DWI: 60, Sequence.T1CE: 300}
_FLUID = {Sequence.T1: 150, Sequence.T2: 900, Sequence.STIR: 800, Sequence.DWI: 200, Sequence.T1CE: 150}
_LESION = {Sequence.T1: 220, Sequence.T2: 500, Sequence.STIR: 500, Sequence.DWI: 420, Sequence.T1CE: 700}


def sagittal_grid(*, slices: int = 9, rows: int = 120, columns: int = 90, spacing_mm=(4.0, 2.0, 2.0)) -> Grid:
    """A sagittal stack from right to left, rows downward, columns backward."""
    affine = np.zeros((4, 4))
    affine[0, 0], affine[2, 1], affine[1, 2] = spacing_mm[0], -spacing_mm[1], spacing_mm[2]
    affine[:3, 3] = (-spacing_mm[0] * (slices - 1) / 2, -60.0, 120.0)
    affine[3, 3] = 1
    return Grid((slices, rows, columns), affine)


def _centers(*, scoliosis_mm: float) -> list[tuple[float, float, float]]:
    offsets = np.linspace(-1, 1, len(LEVEL_NAMES))
    return [(scoliosis_mm * (1 - o * o), 8 * o * o, 96 - 32 * n) for n, o in enumerate(offsets)]


def structures(grid: Grid, *, scoliosis_mm: float = 0.0) -> dict[str, np.ndarray]:
    """Structure, vertebra and lesion labels of the fake column on any grid."""
    points = grid.ijk_to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))
    structure = np.zeros(grid.shape, np.uint16)
    vertebra, lesion = np.zeros_like(structure), np.zeros_like(structure)
    for number, center in enumerate(_centers(scoliosis_mm=scoliosis_mm), start=1):
        off = np.abs(points - center)
        body = (off[..., 0] < 18) & (off[..., 1] < 15) & (off[..., 2] < 12)
        structure[body], vertebra[body] = Structure.BODY, number
        canal = (off[..., 0] < 8) & (np.abs(points[..., 1] - center[1] - 24) < 7) & (off[..., 2] <= 16)
        structure[canal] = Structure.CANAL
    third = np.asarray(_centers(scoliosis_mm=scoliosis_mm)[3])
    lesion[np.linalg.norm(points - third - (2, 4, 1), axis=-1) < 8] = 1
    return {"structures": structure, "vertebrae": vertebra, "lesions": lesion}


def image(sequence: Sequence, grid: Grid, *, scoliosis_mm: float = 0.0, number: int = 1) -> Image:
    """The fake column as one sequence shows it."""
    labels = structures(grid, scoliosis_mm=scoliosis_mm)
    array = np.full(grid.shape, 250.0, np.float32)
    array[labels["structures"] == Structure.BODY] = _MARROW.get(sequence, 300)
    array[labels["structures"] == Structure.CANAL] = _FLUID.get(sequence, 600)
    array[labels["lesions"] > 0] = _LESION.get(sequence, 500)
    array += np.random.default_rng(number).normal(0, 15, grid.shape).astype(np.float32)
    array[:, :, :6] = 3.0
    acquisition = Acquisition(field_strength_t=1.5, echo_time_ms=12.0, repetition_time_ms=550.0, vendor="siemens")
    source = Source(f"1.2.826.0.1.{number}", number, f"{PLANTED} spine", ("TE 12 ms, TR 550 ms",))
    return Image(np.abs(array), grid, sequence, 0.9, acquisition, source)


def analyzed_case(*sequences: Sequence, scoliosis_mm: float = 0.0, grid: Grid | None = None) -> Case:
    """A case as it stands after the last step."""
    used = sequences or (Sequence.T1, Sequence.T2, Sequence.STIR)
    grid = grid or sagittal_grid()
    labels = structures(grid, scoliosis_mm=scoliosis_mm)
    vertebrae = tuple(
        Vertebra(
            n, None if n == 7 else level, 0.93, n >= 6, "the sacrum is cut off" if n >= 6 else "", c, 31000.0, 0.95
        )
        for n, (level, c) in enumerate(zip(LEVEL_NAMES, _centers(scoliosis_mm=scoliosis_mm), strict=True), start=1)
    )
    probabilities = {"malignant": 0.82, "benign": 0.13, "normal": 0.05}
    center = tuple(np.add(vertebrae[3].centroid_lps_mm, (2, 4, 1)).tolist())
    lesion = Lesion(
        1, 4, "L3", 2140.0, 16.2, center, probabilities, 0.88, 0.52, tuple(map(str, used)),
        compartment="bone", subtype="metastasis_lytic",
        subtype_probabilities={"metastasis_lytic": 0.82, "modic_1": 0.18}, prediction_set=("malignant",),
    )  # fmt: skip
    return Case(
        "case-0123abcd",
        {s: image(s, grid, scoliosis_mm=scoliosis_mm, number=n) for n, s in enumerate(used, start=1)},
        reference=used[0],
        labels={name: LabelMap(array, grid) for name, array in labels.items()},
        vertebrae=vertebrae,
        lesions=(lesion,),
        quality=(QualityFlag("level_uncertain", "The lowest levels could not be told apart.", where="L5"),),
        history=(StepRecord("localize", "0.1.0", {"threshold": 0.5}, {"spine": "ab" * 32}, "Bodies were found.", 2.5),),
    )
