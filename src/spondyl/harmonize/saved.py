"""What was learned as a file of plain arrays and words: nothing in it can run, and any language can read it.

A NumPy archive whose member ``header`` is JSON. Records are taken apart field by field and put together again by the
classes named here; a name that is not among them is refused.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from spondyl.core import InputError, OutputError
from spondyl.harmonize.combat import ComBatFit, ComBatSettings
from spondyl.harmonize.covbat import CovBatFit
from spondyl.harmonize.design import Covariates, Term
from spondyl.harmonize.shrinkage import Prior, SiteEffects, SiteEstimates
from spondyl.harmonize.smooth import SplineBasis
from spondyl.harmonize.space import HarmonizationSpace
from spondyl.harmonize.stages import Stage
from spondyl.harmonize.unseen import Acquisitions, UnseenSettings

FORMAT = "spondyl-harmonizer"
FORMAT_VERSION = 1

RECORDS = {
    kind.__name__: kind
    for kind in (
        Acquisitions,
        ComBatFit,
        ComBatSettings,
        CovBatFit,
        Covariates,
        HarmonizationSpace,
        Prior,
        SiteEffects,
        SiteEstimates,
        SplineBasis,
        Stage,
        Term,
        UnseenSettings,
    )
}
"""The records a file may hold."""


def write_learned(path: Path | str, learned: dict[str, Any]) -> None:
    """Write what was learned.

    Parameters
    ----------
    path : Path or str
        The file; appears whole or not at all.
    learned : dict of str to object
        Records, arrays, tuples, numbers and words.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    target = Path(path)
    arrays: dict[str, np.ndarray] = {}
    header = {"format": FORMAT, "version": FORMAT_VERSION, "content": _taken_apart(learned, arrays)}
    arrays["header"] = np.frombuffer(json.dumps(header, allow_nan=True).encode("utf-8"), dtype=np.uint8)
    part: str | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as file:
            part = file.name
            np.savez(file, allow_pickle=False, **arrays)
        mask = os.umask(0)
        os.umask(mask)
        Path(part).chmod(0o666 & ~mask)
        Path(part).replace(target)
    except OSError as error:
        if part is not None:
            Path(part).unlink(missing_ok=True)
        msg = f"the file {target.name} cannot be written ({type(error).__name__}); choose another folder"
        raise OutputError(msg) from error


def read_learned(path: Path | str) -> dict[str, Any]:
    """Read what was learned.

    Parameters
    ----------
    path : Path or str
        A file of `write_learned`.

    Returns
    -------
    dict of str to object
        As it was written.

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
            if known and header["version"] <= FORMAT_VERSION:
                content: dict[str, Any] = _put_together(header["content"], archive)
                return content
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        msg = f"{name} is no saved harmonizer or is damaged ({type(error).__name__}); save the harmonizer again"
        raise InputError(msg) from error
    why = f"comes from a later version ({header['version']})" if known else "is no saved harmonizer"
    msg = f"{name} {why}; save the harmonizer again with this version"
    raise InputError(msg)


def _taken_apart(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        key = f"a{len(arrays)}"
        arrays[key] = value
        return {"array": key}
    if type(value).__name__ in RECORDS:
        names = getattr(value, "_fields", None) or [f.name for f in fields(value)]
        content = {name: _taken_apart(getattr(value, name), arrays) for name in names}
        return {"record": type(value).__name__, "fields": content}
    if isinstance(value, dict):
        return {"dict": [[str(key), _taken_apart(item, arrays)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"tuple": [_taken_apart(item, arrays) for item in value]}
    return value.item() if isinstance(value, np.generic) else value


def _put_together(value: Any, arrays: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "dict" in value:
        return {key: _put_together(item, arrays) for key, item in value["dict"]}
    if "tuple" in value:
        return tuple(_put_together(item, arrays) for item in value["tuple"])
    kind: Any = RECORDS[value["record"]]
    return kind(**{name: _put_together(item, arrays) for name, item in value["fields"].items()})
