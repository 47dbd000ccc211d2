"""One physics on two kinds of arrays.

The signal and scanner functions run on numpy (demo, tests, no torch) and on torch tensors (training, CUDA). They ask
here for the functions that fit the arrays they were given, so that neither library is imported by name.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
"""A numpy array of any type, where the function's words say the rest."""


def namespace(*arrays: Any) -> Any:
    """Give the array functions that fit some arrays.

    Parameters
    ----------
    *arrays : ndarray or Tensor
        Arrays of one library; plain numbers are passed over.

    Returns
    -------
    module
        The array-API namespace of that library; numpy for numbers alone.

    Notes
    -----
    On a bare compute node without array-api-compat, the library that made the first array serves: both know every
    function used in this package under its standard name.
    """
    given = [a for a in arrays if hasattr(a, "shape")]
    try:
        from array_api_compat import array_namespace
    except ImportError:
        return importlib.import_module(type(given[0]).__module__.split(".")[0] if given else "numpy")
    if not given:
        import array_api_compat.numpy as xp

        return xp
    return array_namespace(*given)


def constant(value: Any, like: Any) -> Any:
    """Give a number or numpy array as an array of the same library, type and device as another.

    Parameters
    ----------
    value : float or ndarray
        What to convert.
    like : ndarray or Tensor
        The array whose library, dtype and device are taken over.

    Returns
    -------
    ndarray or Tensor
        The value there.
    """
    xp = namespace(like)
    device = getattr(like, "device", None)
    if device is None or device == "cpu":
        return xp.asarray(value, dtype=like.dtype)
    return xp.asarray(value, dtype=like.dtype, device=device)
