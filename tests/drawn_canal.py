"""Drawn T2 images of a canal with a mass, shared by the tests that look for it."""

from __future__ import annotations

import numpy as np

from spondyl.core import Grid, Structure, reorient
from spondyl.lesions.candidates import Candidate

SPACING = (4.0, 1.0, 1.0)
GRID = Grid((9, 160, 70), np.array([[4.0, 0, 0, -16], [0, 0, 1.0, -30], [0, -1.0, 0, 80], [0, 0, 0, 1]]))
FLUID, CORD, MARROW = 900.0, 400.0, 300.0
SOFT, DISC = 380.0, 90.0
ROWS = slice(70, 86)


def drawn(*, inside=SOFT, depth_mm=4, rows=ROWS, fluid=FLUID):
    """Body, canal and cord; something in front of the cord at some rows; tumor in the body only."""
    x, z, p = np.indices(GRID.shape)
    structures = np.zeros(GRID.shape, np.uint16)
    across = np.abs(x - 4) <= 2
    structures[across & (p >= 10) & (p < 30) & (z % 32 < 26)] = Structure.BODY
    structures[across & (p >= 30) & (p < 48)] = Structure.CANAL
    structures[(np.abs(x - 4) <= 1) & (p >= 36) & (p < 43)] = Structure.CORD
    t2 = np.select([structures == Structure.CANAL, structures == Structure.CORD], [fluid, CORD], MARROW)
    mass = np.zeros(GRID.shape, bool)
    mass[3:6, rows, 30 : 30 + depth_mm] = True
    t2[mass] = inside
    tumor = np.zeros(GRID.shape, bool)
    tumor[3:6, ROWS, 20:28] = True
    noise = np.random.default_rng(3).normal(0, 25, GRID.shape)
    return t2 + noise, structures, tumor, mass


def candidate_of(mask, grid, *, malignant=0.9):
    turned = reorient(mask, GRID.orientation, grid.orientation)
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(turned))
    return Candidate(box, turned[box], malignant, 1 - malignant, 0.95)
