"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images and reference outputs, which is not part of the project."""
    folder = Path(os.environ.get("SPONDYL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real reference data not found: {folder} (set SPONDYL_DATA)")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded random generator."""
    return np.random.default_rng(20260101)


@pytest.fixture(scope="session")
def dciodvfy() -> Callable[[Path], list[str]]:
    """Give a function that returns the error lines of a DICOM file."""
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("dciodvfy not found: install the Debian package dicom3tools")

    def errors(path: Path) -> list[str]:
        ran = subprocess.run([tool, str(path)], capture_output=True, text=True, errors="replace", check=False)
        return [line for line in (ran.stdout + ran.stderr).splitlines() if line.startswith("Error")]

    return errors
