"""Cohorts with several tables: a folder of CSV files beside ``patients.csv``, or a MuData file. Rows by patient id.

Any patient may be missing from any table. Patients who are in a table and not in the list of patients are set aside
and counted, never guessed.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spondyl.core import InputError
from spondyl.core.genes import gene_symbol, is_symbol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MODALITIES = ("imaging", "mutations", "expression", "pathology")
"""Names of tables, and of the files ``NAME.csv`` or ``NAME.tsv`` of a folder."""

GENE_TABLES = ("mutations", "expression")
"""Tables whose columns are genes."""

PATIENTS = "patients"
"""Name of the table of patients."""

BURDEN = "tmb_per_mb"
"""Column of mutations that is no gene."""

ID_COLUMNS = ("patient_id", "PATIENT_ID", "patient", "Tumor_Sample_Barcode", "case_id", "id")
"""Columns that may hold the patient id, the first that is there; else the first column."""

LOGGED_BELOW = 30.0
"""Expression whose largest value lies below this is on a logarithmic scale already: transcripts per million reach
thousands, their binary logarithm stays below 20 (one million is 2 to the 19.9)."""

MOST_NAMED = 5
"""Names that a message lists."""


@dataclass(frozen=True, eq=False)
class CohortTables:
    """A cohort as read.

    Parameters
    ----------
    patients : DataFrame
        By patient id.
    modalities : dict of str to DataFrame
        Some of `MODALITIES`; by patient id.
    notes : tuple of str
        What was changed or set aside in reading.
    unmatched : dict of str to tuple of str
        Ids of rows that were set aside, since the patients' table lacks them, by table.
    """

    patients: pd.DataFrame
    modalities: dict[str, pd.DataFrame]
    notes: tuple[str, ...]
    unmatched: dict[str, tuple[str, ...]] = field(default_factory=dict)


def read_cohort_tables(path: Path) -> CohortTables:
    """Read a cohort.

    Parameters
    ----------
    path : Path
        A folder with ``patients.csv`` and some of ``imaging.csv``, ``mutations.csv``, ``expression.csv`` and
        ``pathology.csv``; or a MuData file, ``.h5mu``, with modalities of these names.

    Returns
    -------
    CohortTables
        Genes under today's names, expression as binary logarithm.

    Raises
    ------
    InputError
        If nothing of the kind is there, a file is damaged, or a patient has two rows.
    """
    if path.suffix.lower() == ".h5mu":
        patients, tables = _read_mudata(path)
    elif path.is_dir():
        patients, tables = _read_folder(path)
    else:
        msg = f"a cohort is a folder with patients.csv or a file ending in .h5mu, got {path.name or 'nothing'}"
        raise InputError(msg)
    notes: list[str] = []
    if patients is None:
        ids = pd.Index([]).union(next(iter(tables.values())).index)
        for table in tables.values():
            ids = ids.union(table.index)
        patients = pd.DataFrame(index=ids)
        notes.append("there is no patients.csv, so nothing is known of scanners or primaries")
    patients = _one_row_each(patients, PATIENTS)
    kept: dict[str, pd.DataFrame] = {}
    unmatched = {}
    for name, table in tables.items():
        kept[name] = _checked(name, table, patients.index, notes)
        if strange := tuple(str(i) for i in table.index[~table.index.isin(patients.index)]):
            unmatched[name] = strange
    return CohortTables(patients, kept, tuple(notes), unmatched)


def _read_folder(folder: Path) -> tuple[pd.DataFrame | None, dict[str, pd.DataFrame]]:
    tables = {}
    for name in (PATIENTS, *MODALITIES):
        file = next((folder / f"{name}{s}" for s in (".csv", ".tsv") if (folder / f"{name}{s}").is_file()), None)
        if file is not None:
            tables[name] = _read_text(file)
    if not set(tables) - {PATIENTS}:
        msg = f"a cohort's folder holds at least one of {', '.join(f'{m}.csv' for m in MODALITIES)}, found none"
        raise InputError(msg)
    return tables.pop(PATIENTS, None), tables


def _read_text(file: Path) -> pd.DataFrame:
    separator = "\t" if file.suffix == ".tsv" else ","
    try:
        table = pd.read_csv(file, sep=separator, dtype=None, low_memory=False)
    except (OSError, ValueError) as error:
        msg = f"{file.name} cannot be read ({type(error).__name__}); save it again as CSV in UTF-8"
        raise InputError(msg) from error
    column = next((c for c in ID_COLUMNS if c in table.columns), table.columns[0])
    return table.set_index(table[column].astype(str).str.strip()).drop(columns=column).rename_axis("patient_id")


def _read_mudata(file: Path) -> tuple[pd.DataFrame | None, dict[str, pd.DataFrame]]:
    if not file.is_file():
        msg = f"the cohort {file.name} was not found; check the path"
        raise InputError(msg)
    import mudata

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mudata.set_options(pull_on_update=False)
            content = mudata.read_h5mu(file)
    except (OSError, ValueError, KeyError) as error:
        msg = f"{file.name} cannot be read ({type(error).__name__}); write it again with mudata"
        raise InputError(msg) from error
    tables = {name: content.mod[name].to_df() for name in MODALITIES if name in content.mod}
    if not tables:
        msg = f"{file.name} must have a modality named {', '.join(MODALITIES)}, got {', '.join(content.mod)}"
        raise InputError(msg)
    return content.obs.copy(), tables


def _one_row_each(table: pd.DataFrame, name: str) -> pd.DataFrame:
    if not table.index.is_unique:
        n = int(table.index.duplicated().sum())
        msg = f"every patient has one row in {name}, {n} rows repeat an id; keep one row for each patient"
        raise InputError(msg)
    return table


def _checked(name: str, table: pd.DataFrame, ids: pd.Index, notes: list[str]) -> pd.DataFrame:
    """Keep the rows of known patients and the columns of numbers, under today's names, and say what was not kept."""
    table = _one_row_each(table, name)
    strange = ~table.index.isin(ids)
    if strange.all():
        msg = f"no id in {name} is one of {PATIENTS}; check that both use the same ids"
        raise InputError(msg)
    if strange.any():
        notes.append(f"{int(strange.sum())} rows of {name} have ids that {PATIENTS} lacks and were set aside")
    table = table[~strange]
    if name in GENE_TABLES:
        table = _renamed(table, name, notes)
    words = [str(c) for c in table.columns if not pd.api.types.is_numeric_dtype(table[c])]
    if words:
        notes.append(f"{len(words)} columns of {name} hold words and were left out: {_some(words)}")
        table = table.drop(columns=words)
    if not len(table.columns):
        msg = f"{name} must have at least one column of numbers, got none; check decimal points"
        raise InputError(msg)
    return logged(table, notes) if name == "expression" else table


def _renamed(table: pd.DataFrame, name: str, notes: list[str]) -> pd.DataFrame:
    odd = [str(c) for c in table.columns if str(c) != BURDEN and not is_symbol(str(c))]
    if odd:
        notes.append(f"{len(odd)} columns of {name} are named by no gene symbol: {_some(odd)}")
    names = [gene_symbol(str(c)) for c in table.columns]
    changed = [str(c) for c, new in zip(table.columns, names, strict=True) if str(c) != new]
    if changed:
        notes.append(f"{len(changed)} genes of {name} were given today's names: {_some(changed)}")
    table = table.set_axis(names, axis=1)
    if table.columns.is_unique:
        return table
    notes.append(f"{int(table.columns.duplicated().sum())} columns of {name} repeat a gene; the first was kept")
    return table.loc[:, ~table.columns.duplicated()]


def logged(table: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Bring expression to a binary logarithm, unless it is on one.

    Parameters
    ----------
    table : DataFrame
        Expression, patients by genes.
    notes : list of str
        What was found is added.

    Returns
    -------
    DataFrame
        ``log2(value + 1)`` of counts and the like; as given if the largest value or a negative one says it is logged.
    """
    values = table.to_numpy(float, na_value=np.nan)
    known = values[np.isfinite(values)]
    if not len(known) or known.max() < LOGGED_BELOW or known.min() < 0:
        notes.append("expression is on a logarithmic scale already and was taken as it is")
        return table
    notes.append("expression was not on a logarithmic scale; log2(value + 1) was taken")
    return pd.DataFrame(np.log2(np.maximum(values, 0.0) + 1), index=table.index, columns=table.columns)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def write_cohort_folder(
    folder: Path, patients: pd.DataFrame, modalities: Mapping[str, pd.DataFrame], **more: pd.DataFrame
) -> None:
    """Write a cohort as a folder of CSV files.

    Parameters
    ----------
    folder : Path
        Made if missing.
    patients : DataFrame
        By patient id.
    modalities : mapping of str to DataFrame
        By patient id.
    **more : DataFrame
        Further tables by name, such as a truth.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in {PATIENTS: patients, **modalities, **more}.items():
        table.to_csv(folder / f"{name}.csv", index_label="patient_id")


def write_embedding(
    path: Path,
    embedding: np.ndarray,
    obs: pd.DataFrame,
    *,
    obsm: Mapping[str, np.ndarray],
    uns: Mapping[str, Any],
    modalities: Mapping[str, pd.DataFrame],
) -> None:
    """Write an embedded cohort as MuData: the tables as given, and what was learned about every patient.

    Parameters
    ----------
    path : Path
        The file to write, ending in ``.h5mu``.
    embedding : ndarray of float, shape (n, d)
        Places; become ``obsm["X_socce"]``, of the modality ``socce`` and of the whole.
    obs : DataFrame, shape (n, ...)
        Columns of the patients, with tokens and scores.
    obsm : mapping of str to ndarray, shape (n, ...)
        Further columns that belong together.
    uns : mapping of str to object
        Provenance.
    modalities : mapping of str to DataFrame
        The tables.
    """
    import anndata
    import mudata

    text = obs.copy()
    for name in text.columns:
        if text[name].dtype == object:
            text[name] = text[name].where(text[name].notna(), "").astype(str)
    text.index = text.index.astype(str)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mudata.set_options(pull_on_update=False)
        names = pd.Index([f"socce_{i + 1}" for i in range(embedding.shape[1])])
        parts = {"socce": anndata.AnnData(embedding, obs=text[[]], var=pd.DataFrame(index=names))}
        for name, table in modalities.items():
            own = table.loc[table.index.isin(obs.index)]
            values = own.to_numpy(np.float64, na_value=np.nan)
            index, columns = own.index.astype(str), own.columns.astype(str)
            parts[name] = anndata.AnnData(values, obs=pd.DataFrame(index=index), var=pd.DataFrame(index=columns))
        content = mudata.MuData(parts)
        content.obs = text.loc[content.obs_names]
        rows = text.index.get_indexer(content.obs_names)
        content.obsm["X_socce"] = embedding[rows]
        for name, values in obsm.items():
            content.obsm[name] = values[rows]
        content.uns.update(dict(uns))
        content.write_h5mu(path)
