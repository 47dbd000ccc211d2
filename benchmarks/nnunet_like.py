"""nnU-Net's standard 3D network with random weights, as a yardstick for speed that anybody can run.

Seconds depend on the machine; the ratio to a network that everybody in the field knows, on the same volume in the same
run, does not depend on it much. The plan (patch, strides, kernels) follows the published rules, so that the yardstick
is not made longer than it is:

References
----------
Isensee et al., nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation. Nature Methods
18, 203-211 (2021), doi 10.1038/s41592-020-01008-z; rules in the online methods and supplementary note 2.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

FEATURES = (32, 64, 128, 256, 320, 320)
"""Feature maps by stage of the 3D full-resolution network (Isensee 2021): doubled from 32, at most 320."""

PATCH_VOXELS = 20 * 320 * 256
"""Voxels of a patch: the plan published for prostate MRI, thick slices as in the spine (Isensee 2021, supplement)."""

SMALLEST_FEATURE_MAP = 4
"""An axis is halved no further than this many voxels (Isensee 2021)."""

ANISOTROPY = 2.0
"""Axes whose spacing is within this factor of the finest are halved, and convolved, together (Isensee 2021)."""

OVERLAP = 0.5
"""Neighboring windows share half of their length (Isensee 2021)."""


@dataclass(frozen=True)
class Plan:
    """What the rules choose for a volume.

    Parameters
    ----------
    patch : tuple of int
        Window size in voxels.
    strides, kernels : tuple of tuple of int
        Downsampling and kernel size by stage.
    """

    patch: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]


def plan(shape: tuple[int, ...], spacing_mm: tuple[float, ...]) -> Plan:
    """Choose patch, strides and kernels for a volume.

    Parameters
    ----------
    shape : tuple of int
        Voxels along each axis.
    spacing_mm : tuple of float
        Spacing along each axis in mm.

    Returns
    -------
    Plan
        For six stages.
    """
    size = np.array(shape, dtype=float)
    while np.prod(size) > PATCH_VOXELS:
        size[np.argmax(size)] -= 32
    strides, kernels, spacing = [(1, 1, 1)], [], np.array(spacing_mm, dtype=float)
    current = size.copy()
    for _ in FEATURES[1:]:
        kernels.append(tuple(3 if s / spacing.min() < ANISOTROPY else 1 for s in spacing))
        can = current >= 2 * SMALLEST_FEATURE_MAP
        finest = spacing[can].min() if can.any() else math.inf
        step = np.where(can & (spacing / finest < ANISOTROPY), 2, 1)
        strides.append(tuple(int(s) for s in step))
        spacing, current = spacing * step, np.ceil(current / step)
    kernels.append((3, 3, 3))
    divisor = np.prod(strides, axis=0)
    patch = tuple(int(max(1, math.ceil(n / d)) * d) for n, d in zip(size, divisor, strict=True))
    return Plan(patch, tuple(strides), tuple(kernels))


def seconds(array: np.ndarray, spacing_mm: tuple[float, ...], *, classes: int, threads: int) -> tuple[float, Plan]:
    """Time one pass of the network over a volume with a sliding window, without mirroring.

    Parameters
    ----------
    array : ndarray, shape (I, J, K)
        The volume.
    spacing_mm : tuple of float
        Spacing along each axis in mm.
    classes : int
        Number of output channels.
    threads : int
        Processor threads.

    Returns
    -------
    seconds : float
        Wall time of the pass; building the network is not counted.
    plan : Plan
        What was run.
    """
    import torch
    from monai.inferers import sliding_window_inference
    from monai.networks.nets import DynUNet

    chosen = plan(array.shape, spacing_mm)
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    network = DynUNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=classes,
        kernel_size=chosen.kernels,
        strides=chosen.strides,
        upsample_kernel_size=chosen.strides[1:],
        filters=FEATURES,
        norm_name=("INSTANCE", {"affine": True}),
        act_name=("leakyrelu", {"negative_slope": 0.01}),
        deep_supervision=False,
        res_block=False,
    ).eval()
    volume = torch.from_numpy(np.array(array, dtype=np.float32))[None, None]
    volume = (volume - volume.mean()) / volume.std().clamp_min(1e-6)
    with torch.inference_mode():
        start = time.perf_counter()
        sliding_window_inference(volume, chosen.patch, 1, network, overlap=OVERLAP, mode="gaussian")
        return time.perf_counter() - start, chosen
