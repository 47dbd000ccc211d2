"""The networks as torch modules; `spondyl.training.export` turns them into graphs that run without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from spondyl.models.study_inputs import N_CHANNELS, N_FACTS

if TYPE_CHECKING:
    from collections.abc import Sequence

N_STRUCTURES = 9
N_CODES = 4

STRUCTURE_SHARES = (0.85, 0.03, 0.012, 0.02, 0.018, 0.025, 0.005, 0.01, 0.03)
"""Typical share of each structure. Training starts there, so that it need not first learn what is common."""

LESION_SHARES = (0.95, 0.025, 0.025)
"""Typical share of normal, benign and malignant voxels near the spine."""


def _block(n_in: int, n_out: int, stride: tuple[int, int, int] = (1, 1, 1)) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm3d(n_out), nn.ReLU(inplace=True))


class ThickSliceUNet(nn.Module):
    """A compact 3D U-Net for thick sagittal slices.

    In-plane pixels are folded into channels at the entrance, so that all 3D convolutions run at twice the in-plane
    spacing, where they cost a quarter; a thin full-resolution head then restores the edges from the unfolded features
    and the input (U-Net: Ronneberger 2015, arXiv 1505.04597; folding: Shi 2016, arXiv 1609.05158).

    Parameters
    ----------
    n_input : int
        Channels of the image.
    n_code : int
        Numbers that describe the whole image, such as the kind of contrast.
    shares : sequence of float
        Typical share of each output class, where training starts.
    channels : sequence of int, optional
        Width of each resolution.
    head : int, optional
        Width of the full-resolution head.
    """

    strides = ((1, 1, 1), (1, 2, 2), (2, 2, 2), (1, 2, 2), (2, 2, 2))
    multiple = (4, 32, 32)

    def __init__(
        self,
        n_input: int,
        n_code: int,
        shares: Sequence[float],
        channels: Sequence[int] = (32, 64, 96, 128, 160),
        head: int = 16,
    ) -> None:
        super().__init__()
        self.n_input, self.n_code = n_input, n_code
        self.code = nn.Linear(n_code, channels[0])
        self.stem = nn.Conv3d(4 * n_input, channels[0], 3, padding=1)
        self.encoder = nn.ModuleList()
        previous = channels[0]
        for width, stride in zip(channels, self.strides, strict=True):
            self.encoder.append(nn.Sequential(_block(previous, width, stride), _block(width, width)))
            previous = width
        ups = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.narrow = nn.ModuleList(nn.Conv3d(wide, thin, 1) for wide, thin in ups)
        self.decoder = nn.ModuleList(_block(thin, thin) for _, thin in ups)
        self.unfold = nn.Conv3d(channels[0], 4 * head, 1)
        self.edge = nn.Sequential(
            nn.Conv3d(head + n_input, head, (1, 3, 3), padding=(0, 1, 1), bias=False),
            nn.BatchNorm3d(head),
            nn.ReLU(inplace=True),
        )
        self.out = nn.Conv3d(head, len(shares), (1, 3, 3), padding=(0, 1, 1))
        self.out.bias = nn.Parameter(torch.tensor(shares).log())

    def forward(self, image: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        """Compute logits.

        Parameters
        ----------
        image : Tensor, shape (batch, n_input, n_left, n_inferior, n_posterior)
            Input channels; sizes are multiples of `multiple`.
        code : Tensor, shape (batch, n_code)
            What describes the whole image.

        Returns
        -------
        Tensor, shape (batch, classes, n_left, n_inferior, n_posterior)
            Logits.
        """
        x = self.stem(fold(image)) + self.code(code)[:, :, None, None, None]
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        for narrow, decode, skip in zip(self.narrow, self.decoder, skips[-2::-1], strict=True):
            x = decode(functional.interpolate(narrow(x), size=skip.shape[2:], mode="nearest") + skip)
        x = torch.cat([unfold(self.unfold(x)), image], dim=1)
        return self.out(self.edge(x))


class SpineUNet(ThickSliceUNet):
    """Outlines structures on one image of any contrast.

    Parameters
    ----------
    channels : sequence of int, optional
        Width of each resolution.
    head : int, optional
        Width of the full-resolution head.
    """

    def __init__(self, channels: Sequence[int] = (32, 64, 96, 128, 160), head: int = 16) -> None:
        super().__init__(2, N_CODES, STRUCTURE_SHARES, channels, head)


class LesionUNet(ThickSliceUNet):
    """Outlines lesions on whatever series a study has.

    Parameters
    ----------
    channels : sequence of int, optional
        Width of each resolution.
    head : int, optional
        Width of the full-resolution head.
    """

    def __init__(self, channels: Sequence[int] = (32, 64, 96, 128, 160), head: int = 16) -> None:
        super().__init__(N_CHANNELS, N_FACTS, LESION_SHARES, channels, head)


def fold(x: torch.Tensor) -> torch.Tensor:
    """Move 2 x 2 in-plane pixels into channels.

    Parameters
    ----------
    x : Tensor, shape (b, c, i, j, k)
        The volume; j and k are even.

    Returns
    -------
    Tensor, shape (b, 4 c, i, j / 2, k / 2)
        The folded volume.
    """
    b, c, i, j, k = x.shape
    x = x.reshape(b, c, i, j // 2, 2, k // 2, 2)
    return x.permute(0, 1, 4, 6, 2, 3, 5).reshape(b, 4 * c, i, j // 2, k // 2)


def unfold(x: torch.Tensor) -> torch.Tensor:
    """Move channels back to 2 x 2 in-plane pixels; the inverse of `fold`.

    Parameters
    ----------
    x : Tensor, shape (b, 4 c, i, j, k)
        The folded volume.

    Returns
    -------
    Tensor, shape (b, c, i, 2 j, 2 k)
        The volume.
    """
    b, c, i, j, k = x.shape
    x = x.reshape(b, c // 4, 2, 2, i, j, k)
    return x.permute(0, 1, 4, 5, 2, 6, 3).reshape(b, c // 4, i, 2 * j, 2 * k)
