"""What is measured of a crop before a network judges it: brightness inside and around what is meant, and its shape.

These are the first-order and shape features of radiomics (IBSI reference manual, arXiv 1612.07003v11) in a form that
stands in the graph of the network, with histograms instead of percentiles. A network that starts from them need not
learn them from a few hundred patients, and can spend what it learns on neighbors and sequences.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

RING = (1, 5, 5)
"""Box by which what is meant is widened, in voxels; what that adds is its surroundings."""

BRIGHTNESS = (-1.5, 2.5)
"""Values of a channel that the histograms span; what lies beyond counts for the outermost."""

N_BINS = 17
"""Bins of a histogram, each half as wide as the standard deviation of marrow in a network's channels. Chosen by us."""

LEAST = 1e-4
"""Least weight that a mean is divided by."""

N_MOMENTS, N_SHAPE = 4, 7
"""Mean, spread, asymmetry and tails; volume, and reach and spread along three axes."""

BOXES = ((1, 1, 1), (1, 3, 3), (3, 5, 5), (3, 9, 9))
"""Boxes, in voxels, whose means are compared with those of the next: spots from one voxel to half a body across."""

N_SPOT = 4
"""Highest, lowest, and typical difference of two boxes, and how far they spread."""

WELL_INSIDE = 0.6
"""Least share of a box that lies in what is looked at, for its mean to be compared."""


def n_measures(n_shapes: int) -> int:
    """Count the numbers that `TokenMeasures` gives.

    Parameters
    ----------
    n_shapes : int
        Channels of outlined structures.

    Returns
    -------
    int
        Length of a row.
    """
    return 3 * (N_MOMENTS + N_BINS + n_shapes) + 3 + 3 + N_SHAPE + (len(BOXES) - 1) * N_SPOT


class TokenMeasures(nn.Module):
    """Measure the crop of one sequence; nothing in it is learnt."""

    centers: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centers", torch.linspace(*BRIGHTNESS, N_BINS), persistent=False)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Measure.

        Parameters
        ----------
        crops : Tensor, shape (n, 2 + n_shapes, i, j, k)
            The image, structures, and the mask of what is meant.

        Returns
        -------
        Tensor, shape (n, n_measures(n_shapes))
            For what is meant, for its surroundings, and for the vertebral body in it: four moments, histogram, and
            shares of structures; then difference of the means, darkest and brightest place, mean steps along three
            axes, shape, and spots in the body.
        """
        crops = crops.float()
        image, shapes, mask = crops[:, :1], crops[:, 1:-1], crops[:, -1:].clamp(0, 1)
        pad = (RING[0] // 2, RING[1] // 2, RING[2] // 2)
        ring = functional.max_pool3d(mask, RING, 1, pad) - mask
        # What is meant of lesions in arches or soft tissue holds no body: it is looked at as a whole.
        body = mask * shapes[:, :1].clamp(0, 1)
        empty = (body.sum((2, 3, 4), keepdim=True) < 1).to(mask.dtype)
        body = body + empty * mask
        inside, around, marrow = (self._brightness(image, shapes, where) for where in (mask, ring, body))
        far = 1e3 * (1 - mask)
        ends = [(image + far).amin((2, 3, 4)).clamp(max=9), (image - far).amax((2, 3, 4)).clamp(min=-9)]
        difference = inside[:, :1] - around[:, :1]
        told = [inside, around, marrow, difference, *ends, _steps(image, mask), _shape(mask), _spots(image, body)]
        return torch.cat(told, 1)

    def _brightness(self, image: torch.Tensor, shapes: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        share = where / where.sum((2, 3, 4), keepdim=True).clamp(min=LEAST)
        mean = (image * share).sum((2, 3, 4), keepdim=True)
        off = image - mean
        spread = ((off**2 * share).sum((2, 3, 4), keepdim=True) + LEAST).sqrt()
        scaled = (off / spread).clamp(-6, 6)
        moments = [mean, spread, (scaled**3 * share).sum((2, 3, 4), keepdim=True)]
        moments.append((scaled**4 * share).sum((2, 3, 4), keepdim=True).sqrt())
        width = self.centers[1] - self.centers[0]
        held = image.clamp(*BRIGHTNESS).flatten(1)[:, None]
        near = (1 - (held - self.centers[:, None]).abs() / width).clamp(min=0)
        bins = (near * share.flatten(1)[:, None]).sum(2)
        return torch.cat([m.flatten(1) for m in moments] + [bins, (shapes * share).sum((2, 3, 4))], 1)


def _steps(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean difference of neighbors inside the mask, along each axis."""
    found = []
    for axis in (2, 3, 4):
        n = image.shape[axis]
        both = mask.narrow(axis, 1, n - 1) * mask.narrow(axis, 0, n - 1)
        step = (image.narrow(axis, 1, n - 1) - image.narrow(axis, 0, n - 1)).abs()
        found.append((step * both).sum((2, 3, 4)) / both.sum((2, 3, 4)).clamp(min=LEAST))
    return torch.cat(found, 1)


def _spots(image: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """How far means over boxes differ from those over larger ones, where both lie well inside."""
    found, means, shares = [], [], []
    for box in BOXES:
        pad = (box[0] // 2, box[1] // 2, box[2] // 2)
        share = functional.avg_pool3d(where, box, 1, pad)
        means.append(functional.avg_pool3d(image * where, box, 1, pad) / share.clamp(min=LEAST))
        shares.append(share)
    for fine, coarse, share in zip(means[:-1], means[1:], shares[1:], strict=True):
        known = where * (share > WELL_INSIDE * share.amax((2, 3, 4), keepdim=True)).to(where.dtype)
        difference = (fine - coarse) * known
        n = known.sum((2, 3, 4)).clamp(min=1)
        typical = difference.abs().sum((2, 3, 4)) / n
        spread = ((difference**2).sum((2, 3, 4)) / n + LEAST**2).sqrt()
        found += [difference.amax((2, 3, 4)), difference.amin((2, 3, 4)), typical, spread]
    return torch.cat(found, 1)


def _shape(mask: torch.Tensor) -> torch.Tensor:
    """Logarithm of the volume, and reach and spread along each axis."""
    volume = mask.sum((2, 3, 4))
    found = [volume.clamp(min=0.5).log()]
    for axis in (2, 3, 4):
        others = [a for a in (2, 3, 4) if a != axis]
        profile = mask.sum(others)[:, 0]
        place = torch.arange(mask.shape[axis], device=mask.device, dtype=mask.dtype)
        share = profile / profile.sum(1, keepdim=True).clamp(min=LEAST)
        middle = (share * place).sum(1, keepdim=True)
        found.append((profile > 0.5).to(mask.dtype).sum(1, keepdim=True))
        found.append(((place - middle) ** 2 * share).sum(1, keepdim=True).clamp(min=0).sqrt())
    return torch.cat(found, 1)
