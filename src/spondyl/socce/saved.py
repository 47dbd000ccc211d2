"""A learned model as a file of plain arrays and words: nothing in it can run.

A NumPy archive whose member ``header`` is JSON. Records are taken apart field by field and put together again by the
classes named here; a name that is not among them is refused.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import InputError, OutputError, SettingsError
from spondyl.socce.alignment import Alignment
from spondyl.socce.erasure import Eraser
from spondyl.socce.graph import ConfounderGraph
from spondyl.socce.layers import LayerEncoder
from spondyl.socce.manifold import DiffusionMap
from spondyl.socce.subspace import Subspace
from spondyl.socce.tokens import Codebook
from spondyl.socce.view import View
from spondyl.socce.views import ViewScale

if TYPE_CHECKING:
    from spondyl.socce.encoder import SOCCE

FORMAT, FORMAT_VERSION = "spondyl-socce", 1

RECORDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (Alignment, Codebook, ConfounderGraph, DiffusionMap, Eraser, LayerEncoder, Subspace, View, ViewScale)
}
"""The records a file may hold."""

LEARNED = ("views_", "link_", "dimension_", "codebook_", "map_", "notes_", "confounders_")
"""Attributes that embedding needs."""


def write_model(path: Path | str, model: SOCCE) -> None:
    """Write a fitted model.

    Parameters
    ----------
    path : Path or str
        The file; appears whole or not at all.
    model : SOCCE
        The model.

    Raises
    ------
    OutputError
        If the file cannot be written.
    SettingsError
        If its encoder has no file form.
    """
    target = Path(path)
    arrays: dict[str, np.ndarray] = {}
    parameters = {name: value for name, value in model.get_params(deep=False).items() if name != "encoder"}
    content = {"parameters": parameters, "learned": {name: getattr(model, name) for name in LEARNED}}
    header = {"format": FORMAT, "version": FORMAT_VERSION, "content": _apart(content, arrays)}
    arrays["header"] = np.frombuffer(json.dumps(header, allow_nan=False).encode("utf-8"), dtype=np.uint8)
    part = target.with_name(target.name + ".part")
    try:
        with part.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        msg = f"the file {target.name} cannot be written ({type(error).__name__}); choose another folder"
        raise OutputError(msg) from error


def read_model(path: Path | str, model: SOCCE) -> SOCCE:
    """Read a fitted model.

    Parameters
    ----------
    path : Path or str
        A file of `write_model`.
    model : SOCCE
        An empty one, which is filled.

    Returns
    -------
    SOCCE
        The same, as it was saved.

    Raises
    ------
    InputError
        If the file cannot be read, is another one, or comes from a later version.
    """
    name = Path(path).name
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            header = json.loads(archive["header"].tobytes().decode("utf-8"))
            known = header.get("format") == FORMAT
            content = _together(header["content"], archive) if known and header["version"] <= FORMAT_VERSION else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        msg = f"{name} is no saved encoder or is damaged ({type(error).__name__}); save the encoder again"
        raise InputError(msg) from error
    if content is None:
        why = f"comes from a later version ({header['version']})" if known else "is no saved encoder"
        msg = f"{name} {why}; save the encoder again with this version"
        raise InputError(msg)
    model.set_params(**content["parameters"])
    for key in LEARNED:
        setattr(model, key, content["learned"][key])
    return model


def _apart(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        key = f"a{len(arrays)}"
        arrays[key] = value
        return {"array": key}
    if type(value).__name__ in RECORDS:
        content = {f.name: _apart(getattr(value, f.name), arrays) for f in fields(value)}
        return {"record": type(value).__name__, "fields": content}
    if is_dataclass(value):
        msg = f"an encoder of kind {type(value).__name__} has no file form; use one of {', '.join(RECORDS)}"
        raise SettingsError(msg)
    if hasattr(value, "items"):
        return {"dict": [[str(key), _apart(item, arrays)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"tuple": [_apart(item, arrays) for item in value]}
    return value.item() if isinstance(value, np.generic) else value


def _together(value: Any, archive: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return archive[value["array"]]
    if "dict" in value:
        return {key: _together(item, archive) for key, item in value["dict"]}
    if "tuple" in value:
        return tuple(_together(item, archive) for item in value["tuple"])
    return RECORDS[value["record"]](**{name: _together(item, archive) for name, item in value["fields"].items()})
