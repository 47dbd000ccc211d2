"""Whether what was outlined is a spine that the networks know: sure outlines, likely sizes, no metal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import edt
import numpy as np
from scipy import ndimage

from spondyl.core import QualityFlag, Structure
from spondyl.localize.levels import level_posterior

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.localize.level_cues import ColumnCues
    from spondyl.localize.level_model import LevelModel

UNLIKELY_SIZES = 0.0
"""Mean logarithm of the likelihood of a measurement under the best naming, below which sizes are no spine's. Chosen by
us: synthetic spines had 0.27 and more, 19 real lumbar volumes 0.58 and more."""

UNSURE_OUTLINES = 0.85
"""Mean probability inside bodies below which outlines are doubtful, as motion, metal and strange contrasts make them.
Chosen by us: 19 real lumbar volumes had 0.93 and more."""

VOID_SHARE = 0.06
"""Share of the bodies' median signal below which a voxel is void. Chosen by us: no tissue but gas and cortex is."""

VOID_HALF_MM, MARGIN_MM = 5.0, 3.0
"""Half thickness of a void that cortex, ligament or a vessel do not reach, and how far from outlined structures it may
begin. Chosen by us."""

VOID_MM3 = 1000.0
"""Volume of such voids from which metal is suspected: less than one pedicle screw's. Chosen by us."""

COARSE_MM = 1.6
"""Pixels up to this size suffice to see a void that thick; finer ones are left out. Chosen by us."""

SPINE = (Structure.BODY, Structure.CORTEX, Structure.POSTERIOR, Structure.CANAL, Structure.CORD, Structure.S1)
"""Structures beside which implants lie."""


def void_volume_mm3(
    signal: NDArray[np.float32],
    structures: NDArray[np.uint8],
    bodies: NDArray[np.uint16],
    spacing_mm: tuple[float, float, float],
) -> float:
    """Measure thick signal voids within and beside the spine.

    Parameters
    ----------
    signal : ndarray of float32, orientation ``LIP``
        The image.
    structures : ndarray of uint8, same shape
        Values of `Structure`.
    bodies : ndarray of uint16, same shape
        Numbered bodies.
    spacing_mm : tuple of float
        Voxel size.

    Returns
    -------
    float
        Volume in mm³ of voids as thick as metal makes them; those that reach the edge of the slices, as the air behind
        a back and before a belly, do not count.
    """
    threshold = VOID_SHARE * np.median(signal[bodies > 0])
    step = max(1, int(COARSE_MM / max(spacing_mm[1:])))
    thin = (slice(None), slice(None, None, step), slice(None, None, step))
    signal, structures = signal[thin], structures[thin]
    spacing_mm = (spacing_mm[0], spacing_mm[1] * step, spacing_mm[2] * step)
    void = signal < threshold
    plane = edt.edt(np.ascontiguousarray(void), anisotropy=(1e6, *spacing_mm[1:]), black_border=False, parallel=1)
    # Outside air is connected in the slice; what touches the rim of the field is not metal beside the spine.
    labels, n = ndimage.label(void, np.array([np.zeros((3, 3)), np.ones((3, 3)), np.zeros((3, 3))]))
    rim = np.zeros(void.shape[1:], bool)
    rim[[0, -1]], rim[:, [0, -1]] = True, True
    outside = np.isin(labels, np.unique(labels[:, rim]))
    near = edt.edt(~np.isin(structures, SPINE), anisotropy=spacing_mm, black_border=False, parallel=1) <= MARGIN_MM
    thick = np.unique(labels[(plane >= VOID_HALF_MM) & ~outside])
    beside = np.intersect1d(thick[thick > 0], np.unique(labels[near]))
    return float(np.isin(labels, beside).sum() * np.prod(spacing_mm)) if n else 0.0


def mean_log_likelihood(cues: ColumnCues, model: LevelModel) -> float:
    """Say how likely a column's sizes are.

    Parameters
    ----------
    cues : ColumnCues
        Measurements.
    model : LevelModel
        What levels look like.

    Returns
    -------
    float
        Mean logarithm of the density of a measurement under the best naming, against the model's own spread; NaN where
        nothing was measured.
    """
    known = np.isfinite(cues.values).sum()
    posterior = level_posterior(cues, model)
    if posterior is None or known == 0:
        return float("nan")
    return posterior.log_likelihood * model.temperature / float(known)


def spine_flags(confidences: list[float], likelihood: float, void_mm3: float) -> list[QualityFlag]:
    """Give what makes the outlined column doubtful.

    Parameters
    ----------
    confidences : list of float
        Mean probability inside each body.
    likelihood : float
        From `mean_log_likelihood`.
    void_mm3 : float
        From `void_volume_mm3`.

    Returns
    -------
    list of QualityFlag
        Empty where nothing does.
    """
    flags = []
    if likelihood < UNLIKELY_SIZES:
        text = "What was outlined has sizes unlike any spine the model knows; check that this is a spine."
        flags.append(QualityFlag("unlike_a_spine", text))
    if (sure := float(np.mean(confidences))) < UNSURE_OUTLINES:
        text = f"The network is unsure of the bodies it outlined (mean probability {sure:.2f}); check the outlines."
        flags.append(QualityFlag("unsure_outlines", text))
    if void_mm3 > VOID_MM3:
        text = (
            f"Signal is void beside the spine ({void_mm3 / 1000:.1f} mL), as metal leaves it; look at the images there."
        )
        flags.append(QualityFlag("metal_suspected", text))
    return flags
