"""One arithmetic for numpy and torch, also on a bare compute node.

array-api-compat gives both libraries the same function names. SciPy carries a copy of it for its own use, which serves
where the package itself is not installed.
"""

from __future__ import annotations

from typing import Any


def array_namespace(*arrays: Any) -> Any:
    """Give the array functions that fit some arrays.

    Parameters
    ----------
    *arrays : ndarray or Tensor
        Arrays of one library.

    Returns
    -------
    module
        The array-API namespace of that library.
    """
    try:
        from array_api_compat import array_namespace as namespace_of
    except ImportError:
        from scipy._lib.array_api_compat import array_namespace as namespace_of  # type: ignore[no-redef]
    return namespace_of(*arrays)
