"""A spine made of boxes whose gray value says what each voxel is, and a network that reads it.

With them the steps can be tested without weights, in any orientation, in a second: whatever a step answers about such
a patient comes from the step, not from the network.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from spondyl.core import Acquisition, Case, Grid, Image, Sequence, Source, Structure, reorient
from spondyl.models import ModelCard
from spondyl.models.study_inputs import Slot

PLANTED = "PLANTED^NAME"
"""Stands where free text of a header stands; must turn up nowhere."""

GRAY = {
    "air": 0.0,
    "soft tissue": 200.0,
    Structure.CORTEX: 300.0,
    Structure.POSTERIOR: 400.0,
    Structure.DISC: 500.0,
    Structure.SACRUM: 600.0,
    Structure.BODY: 700.0,
    Structure.S1: 800.0,
    Structure.CANAL: 900.0,
    Structure.CORD: 1000.0,
    "lesion": 1100.0,
}
"""Gray value of each thing, in ascending order."""

BODIES_MM = tuple((0.0, 0.0, 120.0 - 34.0 * n) for n in range(6))
"""Centers of five lumbar bodies and S1 in LPS mm, from the head down."""

LESION_MM = (4.0, 3.0, 52.0)
LESION_RADIUS_MM = 8.0
"""One lesion, in the third body."""


def sagittal_grid(*, slices: int = 15) -> Grid:
    """A sagittal stack of 4 mm slices around the column, in orientation LIP."""
    affine = np.array([[4.0, 0, 0, -2.0 * (slices - 1)], [0, 0, 1.5, -60.0], [0, -1.5, 0, 165.0], [0, 0, 0, 1.0]])
    return Grid((slices, 192, 96), affine)


def _box(offset: np.ndarray, half_mm: tuple[float, float, float]) -> np.ndarray:
    return (np.abs(offset) <= half_mm).all(axis=-1)


def gray_column(grid: Grid, *, lesion: bool = True) -> np.ndarray:
    """Gray values of the column of boxes on any grid, float32."""
    points = grid.ijk_to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))
    gray = np.where(_box(points - (0, 0, 20), (45, 55, 135)), GRAY["soft tissue"], GRAY["air"]).astype(np.float32)
    top, bottom = BODIES_MM[0][2] + 20, BODIES_MM[-1][2] - 20
    middle = (0.0, 24.0, (top + bottom) / 2)
    gray[_box(points - middle, (9, 7, (top - bottom) / 2))] = GRAY[Structure.CANAL]
    gray[_box(points - (0, 24, top - 20), (5, 4, 20))] = GRAY[Structure.CORD]
    for number, center in enumerate(BODIES_MM):
        offset = points - center
        is_s1 = number == len(BODIES_MM) - 1
        gray[_box(offset, (22, 16, 13))] = GRAY[Structure.S1] if is_s1 else GRAY[Structure.CORTEX]
        if not is_s1:
            gray[_box(offset, (20, 14, 11))] = GRAY[Structure.BODY]
            gray[_box(offset - (0, 0, -17), (20, 15, 3.5))] = GRAY[Structure.DISC]
            gray[_box(offset - (0, 40, -4), (5, 8, 9))] = GRAY[Structure.POSTERIOR]
    gray[_box(points - BODIES_MM[-1] - (0, 8, -26), (26, 14, 12))] = GRAY[Structure.SACRUM]
    for side in (-26, 26):
        gray[_box(points - BODIES_MM[-1] - (side, 8, 0), (4, 14, 13))] = GRAY[Structure.SACRUM]
    if lesion:
        gray[np.linalg.norm(points - LESION_MM, axis=-1) < LESION_RADIUS_MM] = GRAY["lesion"]
    return gray


def gray_image(sequence: Sequence, grid: Grid, *, number: int = 1) -> Image:
    """The column as an image of one sequence, with a name planted where headers hold free text."""
    acquisition = Acquisition(field_strength_t=1.5, echo_time_ms=90.0, vendor="siemens", station=PLANTED)
    source = Source(f"1.2.826.0.1.{number}", number, f"{PLANTED} spine", ("TE 90 ms",))
    return Image(gray_column(grid), grid, sequence, 0.9, acquisition, source)


def gray_case(*, sequences: tuple[Sequence, ...] = (Sequence.T1, Sequence.T2), grid: Grid | None = None) -> Case:
    """The column as a study before its first step."""
    grid = grid or sagittal_grid()
    return Case("case-0a1b2c3d", {s: gray_image(s, grid, number=n) for n, s in enumerate(sequences, start=1)})


def reoriented_image(image: Image, orientation: str) -> Image:
    """The same image with its array axes in another order and direction."""
    array = reorient(np.asarray(image.array), image.grid.orientation, orientation)
    grid = image.grid.reoriented(orientation)
    return Image(array, grid, image.sequence, image.sequence_confidence, image.acquisition, image.source)


def reoriented_case(case: Case, orientation: str) -> Case:
    """The same study with the array axes of every image in another order and direction."""
    return case.with_(images={s: reoriented_image(i, orientation) for s, i in case.images.items()})


class Released:
    """Counts how often memory was asked back."""

    released = 0

    def release(self) -> None:
        """Nothing is kept."""
        self.released += 1


class GrayNetwork(Released):
    """A network that tells structures by their gray value, as far as the column of boxes goes.

    Pixels between two gray values, as interpolation makes them, take the structure of the nearest pixel that has one.
    """

    card = ModelCard(
        name="gray",
        version="1",
        task="reads the gray values of tests/fakes.py",
        weights="none",
        sha256="0" * 64,
        spacing_mm=(4.0, 1.5, 1.5),
        slice_range_mm=(2.0, 6.0),
        multiple=(1, 1, 1),
        structures=tuple(s.name.lower() for s in Structure),
        lesion_classes=("normal", "benign", "malignant"),
    )
    name = "gray 1"
    sha256 = card.sha256
    sure = 0.97
    """Probability of the structure seen; the rest is shared."""

    def predict(self, channels: np.ndarray, facts: np.ndarray) -> np.ndarray:
        """Probabilities of nine structures and three lesion classes."""
        # Undo the square root and the scale of the input channels; the lesion has the highest gray value.
        scaled = ((channels[0] + 0.8) / 2) ** 2
        gray = scaled / max(float(scaled.max()), 1e-6) * GRAY["lesion"]
        levels = np.array(list(GRAY.values()))
        nearest = np.abs(gray[..., None] - levels).argmin(axis=-1)
        between = np.abs(gray - levels[nearest]) > 10
        if between.any() and not between.all():
            places = ndimage.distance_transform_edt(between, return_distances=False, return_indices=True)
            nearest = nearest[tuple(places)]
        kinds = [k if isinstance(k, Structure) else Structure.BACKGROUND for k in GRAY]
        kinds[-1] = Structure.BODY
        structure = np.array(kinds)[nearest]
        lesion = np.where(nearest == len(GRAY) - 1, 2, 0)
        return np.concatenate([_soft(structure, len(Structure), self.sure), _soft(lesion, 3, self.sure)])


class GrayLesionNetwork(Released):
    """A lesion network for the same column: what is far brighter than the spine around it, and bone, is malignant."""

    card = ModelCard(
        name="gray lesions",
        version="1",
        task="reads the gray values of tests/fakes.py",
        weights="none",
        sha256="1" * 64,
        spacing_mm=(4.0, 1.5, 1.5),
        slice_range_mm=(2.0, 6.0),
        multiple=(1, 1, 1),
        structures=(),
        lesion_classes=("normal", "benign", "malignant"),
    )
    name = "gray lesions 1"
    sha256 = card.sha256
    sure = 0.995

    def predict(self, channels: np.ndarray, facts: np.ndarray) -> np.ndarray:
        """Probabilities of three lesion classes."""
        bright = channels[: len(Slot)].max(axis=0) > 0.3
        bone = channels[len(Slot)] > 0.5
        return _soft(np.where(bright & bone, 2, 0), 3, self.sure)


class GrayClassifier(Released):
    """A classifier for the same column: the brighter what is meant stands out, the more malignant it is."""

    def __init__(self, kind: str) -> None:
        takes_tokens = kind == "context"
        self.name, self.sha256 = f"gray {kind} 1", "2" * 64
        self.card = ModelCard(
            name=f"gray {kind}",
            version="1",
            task="reads the gray values of tests/fakes.py",
            weights="none",
            sha256=self.sha256,
            spacing_mm=(4.0, 1.5, 1.5),
            slice_range_mm=(2.0, 6.0),
            multiple=(1, 1, 1),
            structures=(),
            lesion_classes=(),
            details={
                "classification": {
                    "classes": ["normal", "benign", "malignant"],
                    "subtypes": ["normal", "red_marrow", "metastasis_lytic"],
                    "class_of_subtype": ["normal", "benign", "malignant"],
                    "temperature": 1.0,
                    "takes_tokens": takes_tokens,
                },
                "ensemble": {"quantiles": [0.5, 0.5, 0.5]},
            },
        )

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Logits, and for a network of single crops where the crop is bright."""
        crops = inputs[0]
        tokens = self.card.details["classification"]["takes_tokens"]
        images = crops[:, :1] if tokens else crops[:, : len(Slot)]
        mask = crops[:, -1:] > 0.5
        seen = np.where(mask, images, 0).sum((1, 2, 3, 4)) / np.maximum(mask.sum((1, 2, 3, 4)), 1)
        if tokens:  # Tokens of one site agree on their mean.
            site = inputs[4].astype(int)
            seen = (np.bincount(site, seen) / np.bincount(site))[site]
        logits = np.stack([0 * seen, 0 * seen - 1, 20 * (seen - 0.25)], 1).astype(np.float32)
        return [logits] if tokens else [logits, images.max(1)[:, ::2, ::4, ::4]]


GRAY_NETWORKS = {
    "spine": GrayNetwork(),
    "lesions": GrayLesionNetwork(),
    **{f"vertebra {kind}": GrayClassifier(kind) for kind in ("context", "resnet", "densenet")},
}
"""Networks by role, as a run takes them."""


def _soft(labels: np.ndarray, count: int, sure: float) -> np.ndarray:
    one_hot = np.moveaxis(np.eye(count, dtype=np.float32)[labels], -1, 0)
    return one_hot * (sure - (1 - sure) / (count - 1)) + (1 - sure) / (count - 1)
