"""Write TOML from the standard library alone, so that a bare compute node can write settings and cards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def toml_text(table: Mapping[str, Any], *, path: str = "") -> str:
    """Give a table as TOML.

    Parameters
    ----------
    table : mapping of str to object
        Strings, numbers, truth values, lists of them, and tables of those; None is left out, for TOML has no null.
    path : str, optional
        Name of the enclosing table.

    Returns
    -------
    str
        Text that `tomllib` reads back as the same table.

    References
    ----------
    TOML 1.0.0: its basic strings take every escape that JSON writes.
    """
    plain = {k: v for k, v in table.items() if v is not None and not isinstance(v, dict)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    text = "\n".join(lines) + "\n" if lines else ""
    for key, value in table.items():
        if isinstance(value, dict):
            name = f"{path}.{_key(key)}" if path else _key(key)
            text += f"\n[{name}]\n{toml_text(value, path=name)}"
    return text


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, dict):  # inside a list
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
