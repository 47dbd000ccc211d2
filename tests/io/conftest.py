"""Fixtures for the tests of reading and writing."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
