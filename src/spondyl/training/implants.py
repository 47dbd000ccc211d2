"""Put further lesions into a stored anatomy, new ones for every patch.

A few hundred anatomies hold some hundred lesions, which a network soon knows by heart; what it must learn is the look
of any lesion at any place and of any size. The shapes here are plain; published shapes and growth beyond the bone come
from the anatomies themselves (`spondyl.phantom.tumors`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from spondyl.phantom.tissue import Tissue
from spondyl.training.anatomies import N_LABELS, SPACING_MM, StoredAnatomy

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMPLANT_SHARE = 0.6
"""Share of the patches whose anatomy is given further lesions. Chosen by us."""

MOST_IMPLANTS = 3
"""Lesions given at most; a whole spine of them would teach that disease is everywhere. Chosen by us."""

RADIUS_MM = (2.7, 16.0)
"""Range of radii, drawn evenly on a logarithmic scale: from 0.08 to 17 mL, where the
vertebra has room. Chosen by us."""

KINDS = (
    (0.32, (Tissue.TUMOR_LYTIC,), True),
    (0.16, (Tissue.TUMOR_SCLEROTIC,), True),
    (0.12, (Tissue.TUMOR_LYTIC, Tissue.TUMOR_SCLEROTIC), True),
    (0.08, (Tissue.TUMOR_DIFFUSE,), True),
    (0.16, (Tissue.HEMANGIOMA,), False),
    (0.03, (Tissue.HEMANGIOMA_ATYPICAL,), False),
    (0.13, (Tissue.FATTY_MARROW,), False),
)
"""Share of each kind, its tissues in patches, and whether it is malignant. Chosen by us."""

DIFFUSE_SHARE = 0.05
"""Share of the patches in which all marrow is infiltrated: some thirty of a thousand anatomies are, too few to learn
from. Chosen by us."""

HOSTS = (
    Tissue.MARROW,
    Tissue.BASIVERTEBRAL_VEIN,
    Tissue.POSTERIOR_MARROW,
    Tissue.SACRAL_MARROW,
    Tissue.RED_MARROW,
)
"""Tissues that a lesion replaces; cortex stays."""

LEAST_VOXELS = 20
"""A smaller one is not put in: about 0.04 mL, which no image of thick slices shows. Chosen by us."""

THINNED = 3
"""Hosts are looked for on every third voxel, which is enough to choose a place."""


def with_implants(anatomy: StoredAnatomy, rng: np.random.Generator) -> StoredAnatomy:
    """Give an anatomy up to `MOST_IMPLANTS` further lesions, disease of all its marrow, or none.

    Parameters
    ----------
    anatomy : StoredAnatomy
        The patient; stays as it is.
    rng : numpy.random.Generator
        Source of all variation.

    Returns
    -------
    StoredAnatomy
        The same, or one with its own `tissue` and `lesion`, and the lesions added to its truth.
    """
    draw = rng.random()
    if draw < DIFFUSE_SHARE:
        return _infiltrated(anatomy)
    if draw >= IMPLANT_SHARE:
        return anatomy
    thin = (slice(None, None, THINNED),) * 3
    places = np.argwhere(np.isin(anatomy.tissue[thin], HOSTS) & (anatomy.lesion[thin] == 0)) * THINNED
    if not len(places):
        return anatomy
    tissue, lesion = np.array(anatomy.tissue), np.array(anatomy.lesion)
    rows = list(anatomy.truth.get("lesions", ()))
    for _ in range(int(rng.integers(1, MOST_IMPLANTS + 1))):
        label = 1 + int(lesion.max())
        if label >= N_LABELS:
            break
        malignant = _implant(anatomy, tissue, lesion, places[rng.integers(len(places))], label, rng)
        if malignant is not None:
            rows.append({"label": label, "malignant": malignant})
    return replace(anatomy, tissue=tissue, lesion=lesion, truth={**anatomy.truth, "lesions": rows})


def _infiltrated(anatomy: StoredAnatomy) -> StoredAnatomy:
    """Let tumor take the place of all marrow that holds no other lesion."""
    label = 1 + int(anatomy.lesion.max())
    if label >= N_LABELS:
        return anatomy
    where = np.isin(anatomy.tissue, HOSTS) & (anatomy.lesion == 0)
    tissue = np.where(where, np.uint8(Tissue.TUMOR_DIFFUSE), anatomy.tissue)
    lesion = np.where(where, np.uint8(label), anatomy.lesion)
    rows = [*anatomy.truth.get("lesions", ()), {"label": label, "malignant": True}]
    return replace(anatomy, tissue=tissue, lesion=lesion, truth={**anatomy.truth, "lesions": rows})


def _implant(
    anatomy: StoredAnatomy,
    tissue: NDArray[np.uint8],
    lesion: NDArray[np.uint8],
    center: NDArray[np.int_],
    label: int,
    rng: np.random.Generator,
) -> bool | None:
    """Put one lesion into the vertebra at a place; say whether it is malignant, None if it came out too small."""
    _, tissues, malignant = KINDS[rng.choice(len(KINDS), p=[share for share, _, _ in KINDS])]
    radius_mm = float(np.exp(rng.uniform(*np.log(RADIUS_MM))))
    reach = [int(np.ceil(1.6 * radius_mm / mm)) for mm in SPACING_MM]
    box = tuple(slice(max(c - r, 0), c + r + 1) for c, r in zip(center, reach, strict=True))
    here = tissue[box]
    distance = lumpy_distance_mm(
        here.shape, np.array([c - s.start for c, s in zip(center, box, strict=True)]), radius_mm, rng
    )
    host = np.isin(here, HOSTS) & (lesion[box] == 0) & (anatomy.instance[box] == anatomy.instance[tuple(center)])
    where = host & (distance < rng.uniform(0, 1.0) * smooth_noise(here.shape, 2.0, rng))
    if where.sum() < LEAST_VOXELS:
        return None
    here[where] = tissues[0]
    if len(tissues) > 1:
        patches = smooth_noise(here.shape, rng.uniform(4, 8), rng) > rng.uniform(-0.4, 0.4)
        here[where & patches] = tissues[1]
    lesion[box][where] = label
    return malignant


def lumpy_distance_mm(
    shape: tuple[int, ...], center: NDArray[np.float64], radius_mm: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Give the signed distance to a stretched ball with a lumpy surface.

    Parameters
    ----------
    shape : tuple of int
        Voxels of `SPACING_MM`.
    center : ndarray, shape (3,)
        In voxels.
    radius_mm : float
        Of the ball.
    rng : numpy.random.Generator
        Draws its shape.

    Returns
    -------
    ndarray of float64
        In mm, negative inside.
    """
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    stretch = np.exp(rng.normal(0, 0.18, 3))
    squares = (((a - c) * mm * s) ** 2 for a, c, mm, s in zip(axes, center, SPACING_MM, stretch, strict=True))
    lumps = smooth_noise(shape, max(3.0, radius_mm), rng) * rng.uniform(0.03, 0.25)
    return np.sqrt(sum(squares)) - radius_mm * (1 + lumps)


def smooth_noise(shape: tuple[int, ...], scale_mm: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Make smooth noise of about unit variance.

    Parameters
    ----------
    shape : tuple of int
        Voxels of `SPACING_MM`.
    scale_mm : float
        Distance of independent values.
    rng : numpy.random.Generator
        Source of the noise.

    Returns
    -------
    ndarray of float64
        Of this shape.
    """
    coarse = [max(2, round(n * mm / scale_mm) + 1) for n, mm in zip(shape, SPACING_MM, strict=True)]
    places = np.meshgrid(*(np.linspace(0, c - 1, n) for c, n in zip(coarse, shape, strict=True)), indexing="ij")
    field = ndimage.map_coordinates(rng.normal(size=coarse), places, order=1)
    return field / (field.std() + 1e-6)
