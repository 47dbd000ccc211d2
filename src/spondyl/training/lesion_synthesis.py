"""Turn a stored anatomy into a training patch for the lesion network: several series, imperfect outlines, truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch
from torch.nn import functional

from spondyl.core import Structure
from spondyl.models.study_inputs import Slot, study_input
from spondyl.phantom.signal import adc_from_pair
from spondyl.training.anatomies import N_LABELS
from spondyl.training.implants import with_implants
from spondyl.training.losses import IGNORED
from spondyl.training.render import IN_PLANE_MM, sample_pose, smooth, view_of
from spondyl.training.study_contrast import Series, SeriesContrast, sample_series, study_contrasts
from spondyl.training.synthesis import field_of_view_cut, scanned

if TYPE_CHECKING:
    from torch import Tensor

    from spondyl.training.anatomies import StoredAnatomy

PATCH_SHAPE = (12, 96, 64)
"""Voxels of a patch to the left, inferior and posterior: three vertebrae with what surrounds them."""

LESION_SHARE = 0.6
"""Share of the patches on the column that look for a lesion."""

REACH_PIXELS = 10
"""Lesions are learnt up to this far from the spine; beyond, the truth is ignored and nothing is ever reported."""

SMALL_VOXELS, HIGHEST_WEIGHT = 400, 4.0
"""Voxels of lesions smaller than this count more, up to this factor, so that small lesions are worth finding."""

TEXTURE_STRENGTH = (0.06, 1.4)
"""Range of the strength of texture, in standard deviations of the patient's marrow: real marrow is nearly even in some
images of high signal and uneven in others. Chosen by us, after looking at real lumbar volumes."""

GRAIN_STRENGTH = (0.01, 0.35)
"""The same of the texture that each series has for itself."""

CALM_SHARE, CALM_UNREST = 0.4, (0.05, 0.35)
"""Share of studies in which marrow is nearly even, and what is left there of texture and noise. Chosen by us."""

FLATTENED_SHARE, FLATTENING, FLATTENING_SPREAD = 0.5, -0.25, 0.4
"""Share of series whose gray values are bent, and mean and spread of the logarithm of the exponent: scanners write
magnitude images through curves of their own. Chosen by us, after looking at real lumbar volumes."""

OFFSET_SHARE, LARGEST_OFFSET = 0.25, 0.8
"""Share of series with a constant on top, and the largest, relative to bright tissue. Chosen by us."""

LEAST_CONTRAST_SD = 1.0
"""A lesion is shown by a series in which its mean differs from the median of normal marrow by as many standard
deviations of that. What no series shows cannot be learnt: to call it would teach to call what is not there. Chosen by
us."""

QUARTILES_APART_SD = 1.349
"""Distance of the quartiles of normally distributed values, in standard deviations."""

FEW_NORMAL_VOXELS = 200
"""With fewer voxels of normal marrow in a patch there is nothing to compare with, and lesions count as shown."""

DIFFUSION_BLUR = 0.9
"""Least blur of echo-planar images, in pixels of 1.25 mm: they are acquired at 1.7 to 2.6 mm."""

BONE = (Structure.BODY, Structure.CORTEX, Structure.S1)


class LesionPatch(NamedTuple):
    """One training example.

    Parameters
    ----------
    channels : Tensor of float32, shape (N_CHANNELS, *PATCH_SHAPE)
        Network input; see `spondyl.models.study_inputs`.
    facts : Tensor of float32, shape (N_FACTS,)
        What is told of the whole study.
    target : Tensor of uint8, shape PATCH_SHAPE
        0 normal, 1 benign, 2 malignant, `IGNORED` far from the spine.
    weight : Tensor of float32, shape PATCH_SHAPE
        How much each voxel counts.
    """

    channels: Tensor
    facts: Tensor
    target: Tensor
    weight: Tensor


def make_lesion_patch(
    anatomy: StoredAnatomy, rng: np.random.Generator, *, device: str | torch.device = "cpu"
) -> LesionPatch:
    """Make one training example.

    Parameters
    ----------
    anatomy : StoredAnatomy
        The patient.
    rng : numpy.random.Generator
        Source of all variation.
    device : str or torch.device, optional
        Where the voxels are computed.

    Returns
    -------
    LesionPatch
        On `device`.
    """
    noise = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
    anatomy = with_implants(anatomy, rng)
    pose = sample_pose(anatomy, rng, PATCH_SHAPE, lesion_share=LESION_SHARE)
    view = view_of(anatomy, pose, rng, noise, torch.device(device), PATCH_SHAPE)
    unrest = draw_unrest(rng)
    texture = patient_texture(PATCH_SHAPE, rng, noise, torch.device(device)) * unrest
    images: dict[Slot, Tensor] = {}
    for series, contrast in study_contrasts(rng, sample_series(rng)).items():
        images |= acquired(series, contrast, view, texture, rng, noise, unrest=unrest)
    truth = view.at_centers(anatomy.structure)
    label = view.at_centers(anatomy.lesion)
    outlines = imperfect_outlines(truth, label, view.at_centers(anatomy.instance), rng, noise)
    channels, facts = study_input(images, outlines, (pose.slice_mm, IN_PLANE_MM, IN_PLANE_MM))
    classes = torch.from_numpy(anatomy.lesion_classes()).to(device)
    target = classes[label.long()]
    seen = torch.stack([torch.isfinite(i) for i in images.values()]).any(0)
    marrow = torch.isin(truth, truth.new_tensor([int(Structure.BODY), int(Structure.S1)]))
    hidden = _hidden_lesions(channels[: len(Slot)], facts, label, marrow & seen)
    target[~(_near_spine(truth > 0) | (target > 0)) | ~seen | hidden] = IGNORED
    return LesionPatch(channels, facts, target, _weight(label))


def _hidden_lesions(channels: Tensor, facts: Tensor, label: Tensor, marrow: Tensor) -> Tensor:
    """Mark lesions that look like normal marrow in every series of the study."""
    normal = marrow & (label == 0)
    given = facts.reshape(len(Slot), -1)[:, 0] > 0
    if int(normal.sum()) < FEW_NORMAL_VOXELS or not bool((label > 0).any()):
        return torch.zeros_like(normal)
    places = label.flatten().long()
    count = torch.bincount(places, minlength=N_LABELS).clamp_min(1)
    shown = torch.zeros(N_LABELS, dtype=torch.bool, device=label.device)
    for channel in channels[given]:
        low, middle, high = channel[normal].quantile(channel.new_tensor([0.25, 0.5, 0.75]))
        mean = torch.bincount(places, channel.flatten(), N_LABELS) / count
        shown |= (mean - middle).abs() > LEAST_CONTRAST_SD * (high - low) / QUARTILES_APART_SD
    return (label > 0) & ~shown[label.long()]


def draw_unrest(rng: np.random.Generator) -> float:
    """Draw how uneven all marrow of a study looks: some scanners show it nearly even.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    float
        Factor on texture and noise, 1 in most studies.
    """
    return float(rng.uniform(*CALM_UNREST)) if rng.random() < CALM_SHARE else 1.0


def patient_texture(
    shape: tuple[int, int, int], rng: np.random.Generator, noise: torch.Generator, device: torch.device
) -> Tensor:
    """Make the patient's own texture, shared by all series: fine trabeculae, patches of red marrow, slow drifts.

    Parameters
    ----------
    shape : tuple of int
        Voxels.
    rng : numpy.random.Generator
        Draws scales and strength.
    noise : torch.Generator
        Source of the fields.
    device : torch.device
        Where they are computed.

    Returns
    -------
    Tensor of float32
        Of this shape, in standard deviations.
    """
    u = rng.uniform
    scales = ((u(1, 2), u(0.2, 0.8)), (u(3, 7), u(0.2, 1.0)), (u(8, 18), u(0.0, 1.0)))
    fields = torch.stack([share * smooth((1, *shape), pixels, noise, device)[0] for pixels, share in scales])
    strength = np.exp(u(*np.log(TEXTURE_STRENGTH)))
    return fields.sum(0) * float(strength / np.linalg.norm([share for _, share in scales]))


class Looked(Protocol):
    """Places of a patient at which signals can be looked up, such as `spondyl.training.render.View`."""

    @property
    def outside(self) -> Tensor:
        """Voxels beyond the anatomy."""

    def averaged(self, tables: np.ndarray) -> Tensor:
        """Average signals over the thickness of the slices.

        Parameters
        ----------
        tables : ndarray of float32, shape (n, N_TISSUES, N_INSTANCES)
            Signal of every tissue of every vertebra.

        Returns
        -------
        Tensor of float32, shape (n, *voxels)
            The signal.
        """

    def looked_up(self, table: np.ndarray) -> Tensor:
        """Look up a contrast table at the voxel centers.

        Parameters
        ----------
        table : ndarray of float32, shape (..., N_TISSUES, N_INSTANCES)
            Something that each tissue of each vertebra has.

        Returns
        -------
        Tensor of float32, shape (..., *voxels)
            Its values.
        """


def acquired(
    series: Series,
    contrast: SeriesContrast,
    view: Looked,
    texture: Tensor,
    rng: np.random.Generator,
    noise: torch.Generator,
    *,
    unrest: float = 1.0,
) -> dict[Slot, Tensor]:
    """Acquire one series.

    Parameters
    ----------
    series : Series
        Which one.
    contrast : SeriesContrast
        What it shows of the patient.
    view : Looked
        Where the voxels lie.
    texture : Tensor
        From `patient_texture`, of their shape.
    rng : numpy.random.Generator
        Source of all variation.
    noise : torch.Generator
        Source of voxel noise.
    unrest : float, optional
        Factor on noise and on the series' own texture, from `draw_unrest`.

    Returns
    -------
    dict of Slot to Tensor
        Its images by the slots they fill, NaN outside the field of view.
    """
    shape = (texture.shape[0], texture.shape[1], texture.shape[2])
    slope = view.looked_up(contrast.slope)
    strength = float(np.exp(rng.uniform(*np.log(GRAIN_STRENGTH))))
    grain = smooth((1, *shape), rng.uniform(1, 3), noise, texture.device)[0] * strength * unrest
    signal = view.averaged(contrast.signal) + slope * (texture + grain)
    diffusion = series is Series.DIFFUSION
    images = scanned(signal, rng, noise, blur=DIFFUSION_BLUR if diffusion else 0.35, unrest=unrest)
    if rng.random() < 0.3:
        images = images.roll((int(rng.integers(-1, 2)), int(rng.integers(-1, 2))), (2, 3))
    hidden = view.outside
    if rng.random() < 0.4:
        hidden = hidden | field_of_view_cut(shape, rng, hidden.device)
    images = torch.where(hidden, images.new_tensor(torch.nan), images)
    if diffusion:
        low, high = contrast.b_values_s_mm2
        adc = adc_from_pair(images[0], images[1], b_low_s_mm2=low, b_high_s_mm2=high, floor=1e-3)
        return {Slot.DWI: images[1], Slot.ADC: torch.where(hidden, images[1], adc.clamp(max=4000))}
    if series is Series.DIXON:
        fraction = images[1] / (images[0] + images[1] + 1e-3)
        both = {Slot.WATER: images[0], Slot.FAT_FRACTION: fraction}
        return {Slot.WATER: images[0]} if rng.random() < 0.35 else both
    if rng.random() < OFFSET_SHARE:
        images = images + float(rng.uniform(0, LARGEST_OFFSET))
    if rng.random() < FLATTENED_SHARE:
        images = images ** float(np.exp(rng.normal(FLATTENING, FLATTENING_SPREAD)))
    return {Slot(series.value): images[0]}


def imperfect_outlines(
    truth: Tensor, lesion: Tensor, instance: Tensor, rng: np.random.Generator, noise: torch.Generator
) -> Tensor:
    """Outline the spine as a network would: borders astray, parts missing, lesions left out.

    Parameters
    ----------
    truth, lesion, instance : Tensor of uint8, shape PATCH_SHAPE
        True structures, lesion labels and vertebra numbers.
    rng : numpy.random.Generator
        Draws which errors are made.
    noise : torch.Generator
        Shapes them.

    Returns
    -------
    Tensor of float32, shape (n_structures, *PATCH_SHAPE)
        Probability of each structure.
    """
    u, found = rng.uniform, truth.clone()
    if u() < 0.3:
        hole = (lesion > 0) & (smooth((1, *truth.shape), u(3, 8), noise, truth.device)[0] > u(-1, 1))
        found[hole] = int(rng.choice([Structure.BACKGROUND, Structure.CORTEX, Structure.DISC]))
    if u() < 0.08:
        numbers = instance.unique()
        found[(instance == numbers[int(rng.integers(len(numbers)))]) & (instance > 0)] = 0
    for structure, instead, share in (
        (Structure.POSTERIOR, Structure.BACKGROUND, 0.08),
        (Structure.S1, Structure.SACRUM, 0.08),
        (Structure.S1, Structure.BACKGROUND, 0.08),
        (Structure.SACRUM, Structure.BACKGROUND, 0.12),
        (Structure.CORD, Structure.CANAL, 0.3),
    ):
        if u() < share:
            found[found == structure] = int(instead)
    if u() < 0.3:
        found = _swollen(found, rng)
    found = _astray(found, rng, noise)
    one_hot = functional.one_hot(found.long(), len(Structure)).movedim(-1, 0).float()
    kernel = 3 if u() < 0.5 else 1
    return functional.avg_pool2d(one_hot, kernel, 1, kernel // 2, count_include_pad=False)


def _swollen(found: Tensor, rng: np.random.Generator) -> Tensor:
    """Let bodies run into the soft tissue in the outer slices, where their borders are hard to see."""
    body = torch.isin(found, found.new_tensor([int(s) for s in BONE]))
    size = 2 * int(rng.integers(1, 4)) + 1
    grown = functional.max_pool3d(body[None].float(), (1, size, size), 1, (0, size // 2, size // 2))[0] > 0
    grown[int(rng.integers(2, 6)) : -int(rng.integers(2, 6))] = False
    return torch.where(grown & (found == Structure.BACKGROUND), int(Structure.BODY), found)


def _astray(found: Tensor, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
    """Move borders by a smooth field, about a pixel in plane and less across slices."""
    device = found.device
    reach = (abs(rng.normal(0, 0.25)), *np.abs(rng.normal(0, 0.8, 2)))
    field = smooth((3, *found.shape), rng.uniform(4, 16), noise, device)
    axes = torch.meshgrid(*(torch.arange(n, device=device) for n in found.shape), indexing="ij")
    places = tuple(
        (axis + float(r) * shift).round().long().clamp(0, n - 1)
        for axis, r, shift, n in zip(axes, reach, field, found.shape, strict=True)
    )
    return found[places]


def _near_spine(spine: Tensor) -> Tensor:
    near, size = spine[None].float(), 2 * REACH_PIXELS + 1
    near = functional.max_pool3d(near, (1, size, 1), 1, (0, REACH_PIXELS, 0))
    return functional.max_pool3d(near, (3, 1, size), 1, (1, 0, REACH_PIXELS))[0] > 0


def _weight(label: Tensor) -> Tensor:
    """Weigh the voxels of small lesions more, whatever of them lies in the patch."""
    count = torch.bincount(label.flatten().long(), minlength=N_LABELS).float()
    weight = (SMALL_VOXELS / count.clamp_min(1)).sqrt().clamp(1, HIGHEST_WEIGHT)
    weight[0] = 1.0
    return weight[label.long()]
