"""Validate the docstrings of everything public, with the checks chosen in pyproject.toml.

numpydoc's own file checker reads source text and so cannot see the parameters of a dataclass; this one imports the
package and looks at the objects themselves. Run it as ``python tools/check_docstrings.py``; it exits 1 on a finding.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import tomllib
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpydoc.validate import validate
from pydantic_settings import BaseSettings

import spondyl

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]

NO_PARAMETERS = (Enum, BaseException, BaseSettings)
"""Classes whose call signature is not their author's, so that parameters need no section."""


def modules() -> Iterator[Any]:
    """Import every module of the package.

    Yields
    ------
    module
        Each module, by name.
    """
    yield spondyl
    for found in sorted(pkgutil.walk_packages(spondyl.__path__, "spondyl."), key=lambda m: m.name):
        yield importlib.import_module(found.name)


def public_members(owner: Any) -> Iterator[tuple[str, Any]]:
    """Find the public functions, classes, methods and properties that an object defines itself.

    Parameters
    ----------
    owner : module or class
        Where to look.

    Yields
    ------
    name : str
        Full dotted name.
    member : object
        The object of that name.
    """
    module = owner.__name__ if inspect.ismodule(owner) else owner.__module__
    prefix = module if inspect.ismodule(owner) else f"{module}.{owner.__qualname__}"
    for name, member in vars(owner).items():
        if name.startswith("_") or not _defined_in(member, module):
            continue
        yield f"{prefix}.{name}", member
        if inspect.isclass(member):
            yield from public_members(member)


def _defined_in(member: Any, module: str) -> bool:
    plain = member.fget if isinstance(member, property) else inspect.unwrap(getattr(member, "__func__", member))
    is_code = inspect.isclass(plain) or inspect.isfunction(plain)
    return is_code and plain.__module__ == module


def findings(name: str, member: Any, checks: set[str]) -> list[str]:
    """Validate one docstring.

    Parameters
    ----------
    name : str
        Full dotted name.
    member : object
        The object of that name.
    checks : set of str
        Codes of the numpydoc checks to apply.

    Returns
    -------
    list of str
        One line per finding.
    """
    if inspect.isclass(member) and (issubclass(member, NO_PARAMETERS) or getattr(member, "_is_protocol", False)):
        checks = checks - {"PR01", "PR02"}
    return [f"{name}: {code} {text}" for code, text in validate(name)["errors"] if code in checks]


def main() -> int:
    """Print every finding.

    Returns
    -------
    int
        Exit code: 1 if there was a finding.
    """
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    checks = set(settings["tool"]["numpydoc_validation"]["checks"])
    lines, count = [], 0
    for module in modules():
        if not (module.__doc__ or "").strip():
            lines.append(f"{module.__name__}: the module says not why it exists")
        for name, member in public_members(module):
            count += 1
            lines += findings(name, member, checks)
    for line in lines:
        print(line)
    print(f"docstrings: {count} objects, {len(lines)} findings")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
