"""A spine of boxes filled with tissues of known relaxation, seen by scanners that obey the signal equations exactly.

What harmonization answers about it can be checked against the equations, without noise of anatomy.
"""

from __future__ import annotations

import numpy as np

from spondyl.core import Acquisition, Case, Grid, Image, LabelMap, Lesion, Sequence, Structure
from spondyl.harmonize.contrast import ANCHORS, Atoms, signal

TISSUES: dict[str, Atoms] = dict(ANCHORS) | {
    "marrow": Atoms(*(np.array([v]) for v in (0.75, 0.45, 1000.0, 55.0))),
    "tumor": Atoms(*(np.array([v]) for v in (0.85, 0.02, 1150.0, 75.0))),
}

SCANNERS: dict[str, dict[Sequence, Acquisition]] = {
    "1.5 T": {
        Sequence.T1: Acquisition(1.5, 9.0, 520.0, echo_train_length=3),
        Sequence.T2: Acquisition(1.5, 92.0, 3100.0, echo_train_length=15),
        Sequence.STIR: Acquisition(1.5, 50.0, 4200.0, 150.0, echo_train_length=11, fat_suppressed=True),
    },
    "3 T": {
        Sequence.T1: Acquisition(3.0, 14.0, 760.0, echo_train_length=4),
        Sequence.T2: Acquisition(3.0, 118.0, 5100.0, echo_train_length=24),
        Sequence.STIR: Acquisition(3.0, 38.0, 3600.0, 210.0, echo_train_length=9, fat_suppressed=True),
    },
}

GRID = Grid((13, 150, 110), np.array([[4.0, 0, 0, -24], [0, 0, 1.3, -40], [0, -1.3, 0, 100], [0, 0, 0, 1.0]]))
"""A sagittal stack in orientation LIP; the front of the column lies 20 mm behind the front of the field."""

ADC_UM2_S = {"csf": 2900.0, "disc": 1400.0, "muscle": 1500.0, "fat": 50.0, "marrow": 450.0, "tumor": 1100.0}


def places() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Where each tissue is, and the label maps ``structures``, ``vertebrae`` and ``lesions``."""
    x, y, z = np.moveaxis(GRID.ijk_to_lps(np.moveaxis(np.indices(GRID.shape), 0, -1)), -1, 0)
    column = (np.abs(x) < 20) & (np.abs(z) < 85)
    height = np.mod(z + 85, 34)
    body = column & (y > -20) & (y < 12) & (height > 8)
    disc = column & (y > -20) & (y < 12) & (height < 7)
    canal = (np.abs(x) < 9) & (np.abs(z) < 88) & (y > 16) & (y < 30)
    back = (np.abs(x) < 26) & (np.abs(z) < 90) & (y > 38)
    tumor = (x**2 + (y + 4) ** 2 + (z - 6) ** 2 < 11**2) & body
    masks = {"marrow": body & ~tumor, "tumor": tumor, "disc": disc, "csf": canal}
    masks |= {"muscle": back & (y < 70), "fat": back & (y >= 70) & (y < 92)}
    structures = np.zeros(GRID.shape, np.uint16)
    for mask, value in ((body, Structure.BODY), (disc, Structure.DISC), (canal, Structure.CANAL)):
        structures[mask] = value
    vertebrae = np.where(body, 1 + np.floor((z + 85) / 34), 0).astype(np.uint16)
    return masks, {"structures": structures, "vertebrae": vertebrae, "lesions": tumor.astype(np.uint16)}


def coil(strength: float) -> np.ndarray:
    """Brightness of a spine coil: brighter behind and in the middle."""
    _, y, z = np.moveaxis(GRID.ijk_to_lps(np.moveaxis(np.indices(GRID.shape), 0, -1)), -1, 0)
    return np.exp(strength * ((y - 20) / 120 - (z / 150) ** 2))


def scanned(scanner: str, *, shading: float = 0.0, noise: float = 0.01, seed: int = 0, gain: float = 900.0) -> Case:
    """The spine as one scanner sees it, localized, with its lesion found."""
    rng = np.random.default_rng(seed)
    masks, labels = places()
    images = {}
    for number, (s, acquisition) in enumerate(SCANNERS[scanner].items()):
        array = np.zeros(GRID.shape)
        for name, mask in masks.items():
            array[mask] = float(signal(TISSUES[name], acquisition)[0])
        real, imaginary = rng.normal(0, noise, (2, *GRID.shape))
        array = np.hypot(array * coil(shading) + real, imaginary)
        images[s] = Image(gain * (1 + number) * array, GRID, s, 1.0, acquisition)
    lesion = Lesion(1, 3, "L3", 5000.0, 22.0, (0, 0, 0), {"malignant": 1.0}, 1.0, 0.0, ())
    maps = {name: LabelMap(array, GRID) for name, array in labels.items()}
    return Case("case-boxes", images, reference=Sequence.T2, labels=maps, lesions=(lesion,))
