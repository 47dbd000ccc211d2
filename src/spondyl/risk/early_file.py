"""A fitted model of early disease as a readable file of numbers, and the one that is shipped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import ModelError
from spondyl.risk.early import EarlyDisease
from spondyl.risk.tree_table import TreeTable

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = "early_disease.json"
"""The model in the package folder ``spondyl/risk/shipped``."""

FORMAT = "spondyl-early-disease-1"

DIGITS = 5
"""Significant digits of the numbers in a file."""


@dataclass(frozen=True, eq=False)
class EarlyModel:
    """A fitted model and what its columns are.

    Parameters
    ----------
    columns : tuple of str
        Features in order: names of `spondyl.core.marrow.VISIT_SIGNS` and facts.
    estimator : EarlyDisease
        Fitted.
    learned_from : str
        On whom it rests.
    """

    columns: tuple[str, ...]
    estimator: EarlyDisease
    learned_from: str


def write_early(model: EarlyModel, path: Path) -> None:
    """Write a model.

    Parameters
    ----------
    model : EarlyModel
        Fitted.
    path : Path
        The file; its folder exists.
    """
    e = model.estimator
    content = {
        "format": FORMAT,
        "learned_from": model.learned_from,
        "columns": list(model.columns),
        "coverage": e.coverage,
        "limits": [float(v) for v in e.limits_],
        "intercept": e.intercept_,
        **{name: _rounded(getattr(e, f"{name}_")) for name in ("center", "scale", "low", "high", "weights")},
        "modalities": [
            {
                "name": name,
                "columns": [model.columns[i] for i in columns],
                "share": e.shares_[name],
                "offset": e.offsets_[name],
                "absent": e.absent_[name],
                "trees": e.trees_[name].to_json(),
            }
            for name, columns in e.modalities.items()
        ],
    }
    path.write_text(json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")


def _rounded(values: Any) -> Any:
    # What never varies has an infinite scale, for which JSON has no word.
    finite = np.where(np.isfinite(values), values, 0.0)
    return np.vectorize(lambda v: float(f"{v:.{DIGITS}g}"))(finite).tolist()


def read_early(path: Path | None = None) -> EarlyModel:
    """Read a model.

    Parameters
    ----------
    path : Path, optional
        The file; the shipped one where left out.

    Returns
    -------
    EarlyModel
        The model.

    Raises
    ------
    ModelError
        If the file is no such model.
    """
    file = resources.files("spondyl.risk").joinpath("shipped", SHIPPED) if path is None else path
    try:
        return _model(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        msg = (
            f"a model of early disease was wanted, but the file cannot be used ({type(error).__name__}); "
            "make it anew with tools/make_early_model.py"
        )
        raise ModelError(msg) from error


def _model(c: dict[str, Any]) -> EarlyModel:
    if c["format"] != FORMAT:
        msg = f"format {FORMAT} was wanted"
        raise ValueError(msg)
    columns = tuple(map(str, c["columns"]))
    place = {name: i for i, name in enumerate(columns)}
    parts = {str(m["name"]): m for m in c["modalities"]}
    e = EarlyDisease(
        {name: [place[col] for col in m["columns"]] for name, m in parts.items()}, coverage=float(c["coverage"])
    )
    e.classes_, e.n_features_in_ = np.array([0, 1]), len(columns)
    for name in ("center", "scale", "low", "high", "weights"):
        values = np.asarray(c[name], dtype=np.float64)
        if values.shape[-1:] != (len(columns),) or not np.isfinite(values).all():
            msg = f"{name} must hold a number for each column"
            raise ValueError(msg)
        setattr(e, f"{name}_", values)
    e.scale_ = np.where(e.scale_ > 0, e.scale_, np.inf)
    e.shares_, e.offsets_, e.absent_ = (
        {name: float(m[key]) for name, m in parts.items()} for key in ("share", "offset", "absent")
    )
    e.trees_ = {name: TreeTable.from_json(m["trees"], len(m["columns"])) for name, m in parts.items()}
    low, high = (float(v) for v in c["limits"])
    e.limits_, e.intercept_ = (low, high), float(c["intercept"])
    return EarlyModel(columns, e, str(c["learned_from"]))
