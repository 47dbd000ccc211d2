"""Tables of a cohort as files: CSV and TSV as everybody has them, AnnData (h5ad) with layers and provenance."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spondyl.core import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
"""Suffixes of text tables and what stands between their cells."""

HDF_SUFFIX = ".h5ad"


def read_table(path: Path, *, text: bool = False) -> pd.DataFrame:
    """Read a table with one row per patient, scan or lesion.

    Parameters
    ----------
    path : Path
        A CSV or TSV file with a line of column names, or an AnnData file, of which ``X`` and ``obs`` are taken.
    text : bool, optional
        Leave the cells of a CSV or TSV file as text, so that the name ``007`` stays one.

    Returns
    -------
    DataFrame
        All columns side by side; the names of rows of an AnnData file are the index.

    Raises
    ------
    InputError
        If the file is missing, of another kind, damaged, empty, or has columns of one name.
    """
    suffix = path.suffix.lower()
    if suffix not in SEPARATORS and suffix != HDF_SUFFIX:
        msg = f"a table is a file ending in {', '.join(SEPARATORS)} or {HDF_SUFFIX}, got {path.name}"
        raise InputError(msg)
    if not path.is_file():
        msg = f"the table {path.name} was not found; check the path"
        raise InputError(msg)
    try:
        table = _read_h5ad(path) if suffix == HDF_SUFFIX else _read_text(path, SEPARATORS[suffix], text=text)
    except (OSError, ValueError, KeyError) as error:
        msg = f"the table {path.name} cannot be read ({type(error).__name__}); save it again as CSV in UTF-8"
        raise InputError(msg) from error
    if not len(table) or not len(table.columns):
        msg = f"the table {path.name} must have a line of column names and at least one row, got {table.shape}"
        raise InputError(msg)
    return table


def _read_text(path: Path, separator: str, *, text: bool) -> pd.DataFrame:
    head = pd.read_csv(path, sep=separator, header=None, nrows=1, dtype=str).iloc[0]
    twice = head[head.duplicated()].unique()
    if len(twice):  # pandas would rename them without a word
        msg = f"every column of {path.name} needs a name of its own, {', '.join(map(repr, twice[:5]))} stand twice"
        raise InputError(msg)
    return pd.read_csv(path, sep=separator, dtype=str if text else None)


def _read_h5ad(path: Path) -> pd.DataFrame:
    import anndata

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notices of the library about its own future
        content = anndata.read_h5ad(path)
    features = content.to_df()
    doubled = features.columns.intersection(content.obs.columns)
    if len(doubled):
        msg = f"columns of X and obs share names: {', '.join(map(str, doubled[:5]))}"
        raise ValueError(msg)
    return pd.concat([features, content.obs], axis=1)


def write_cohort(
    path: Path,
    features: pd.DataFrame,
    obs: pd.DataFrame,
    *,
    layers: Mapping[str, NDArray],
    obsm: Mapping[str, NDArray] | None = None,
    var: pd.DataFrame | None = None,
    uns: Mapping[str, Any] | None = None,
) -> None:
    """Write a cohort as AnnData.

    Parameters
    ----------
    path : Path
        The file to write, ending in ``.h5ad``.
    features : DataFrame, shape (n, p)
        Values as measured; become ``X``.
    obs : DataFrame, shape (n, ...)
        Everything else about the rows.
    layers : mapping of str to ndarray, shape (n, p)
        Further values of the same features, such as harmonized ones.
    obsm : mapping of str to ndarray, shape (n, ...), optional
        Further columns that belong together.
    var : DataFrame, shape (p, ...), optional
        About the features.
    uns : mapping of str to object, optional
        Provenance; dictionaries, numbers, words.
    """
    import anndata

    text = obs.copy()
    for name in text.columns:
        if text[name].dtype == object:  # HDF5 has one kind a column
            text[name] = text[name].astype(object).where(text[name].notna(), "").astype(str)
    rows = pd.Index([str(row) for row in features.index])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = anndata.AnnData(
            X=features.to_numpy(dtype=np.float64, na_value=np.nan),
            obs=text.set_axis(rows, axis=0),
            var=pd.DataFrame(index=features.columns) if var is None else var.set_axis(features.columns, axis=0),
            layers=dict(layers),
            obsm=dict(obsm or {}),
            uns=dict(uns or {}),
        )
        content.write_h5ad(path)
