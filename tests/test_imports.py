"""What a package says it offers is what it offers."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import spondyl

PACKAGES = ["spondyl", *(m.name for m in pkgutil.iter_modules(spondyl.__path__, "spondyl.") if m.ispkg)]


def package(name: str):
    if name == "spondyl.training":
        pytest.importorskip("torch", reason="torch is not installed (extra: train)")
    return importlib.import_module(name)


def public_names(module) -> set[str]:
    """Names without an underscore that are not modules; `annotations` comes from the future import."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }


@pytest.mark.parametrize("name", PACKAGES)
def test_all_equals_what_the_package_offers(name):
    module = package(name)
    said = getattr(module, "__all__", [])
    assert len(said) == len(set(said))
    # The version is public although its name starts with underscores.
    assert {n for n in said if n != "__version__"} == public_names(module)


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_says_why_it_exists(name):
    assert (package(name).__doc__ or "").strip()
