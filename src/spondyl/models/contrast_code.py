"""What the networks are told about an image's contrast: one of four kinds."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from spondyl.core import Sequence


class ContrastCode(IntEnum):
    """Kind of contrast, as a network input."""

    T1 = 0
    T2 = 1
    FAT_SUPPRESSED = 2
    OTHER = 3


_CODE_OF_SEQUENCE = {
    Sequence.T1: ContrastCode.T1,
    Sequence.T2: ContrastCode.T2,
    Sequence.STIR: ContrastCode.FAT_SUPPRESSED,
    Sequence.T2FS: ContrastCode.FAT_SUPPRESSED,
}


def code_of(sequence: Sequence) -> ContrastCode:
    """Give the kind of contrast of a sequence.

    Parameters
    ----------
    sequence : Sequence
        What the image shows.

    Returns
    -------
    ContrastCode
        `OTHER` for everything that has no kind of its own.
    """
    return _CODE_OF_SEQUENCE.get(sequence, ContrastCode.OTHER)


def one_hot(code: ContrastCode) -> np.ndarray:
    """Give the network input of a kind of contrast.

    Parameters
    ----------
    code : ContrastCode
        The kind.

    Returns
    -------
    ndarray of float32, shape (1, 4)
        One-hot vector.
    """
    return np.eye(len(ContrastCode), dtype=np.float32)[[int(code)]]
