"""What this machine has, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from spondyl import __version__
from spondyl.core import SpondylError
from spondyl.pipeline.settings import Settings

GIB = 1024**3

NEEDED_MEMORY_GIB = 3.0
"""What the analysis of five sequences may take at most; a requirement that the benchmark checks."""

NEEDED_DISK_GIB = 1.0
"""Room for a study unpacked from an archive, and its result. Chosen by us."""

PACKAGES = ("numpy", "scipy", "SimpleITK", "openvino", "pydicom", "highdicom", "nibabel")

TOOLS = {
    "dciodvfy": "checks DICOM files; Debian and Ubuntu: apt-get install dicom3tools",
    "dcm2niix": "a second reader to compare geometry with; Debian and Ubuntu: apt-get install dcm2niix",
    "chromium": "takes pictures of the report; Debian and Ubuntu: apt-get install chromium",
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name, found : str
        What was looked for, and what is there.
    state : str
        ``"ok"``, ``"optional"`` (missing and not needed for an analysis) or ``"missing"``.
    remedy : str
        How to get it; empty where nothing is missing.
    """

    name: str
    found: str
    state: str = "ok"
    remedy: str = ""


def examine() -> list[Check]:
    """Look at everything an analysis needs.

    Returns
    -------
    list of Check
        In the order in which they are shown.
    """
    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    checks = [Check("Spondyl", __version__), Check("Python", python), _processors(), _memory(), _disk()]
    checks += [_package(name) for name in PACKAGES]
    checks += [_weights(), _training()]
    checks += [_tool(name, why) for name, why in TOOLS.items()]
    return checks


def _processors() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("Processors", f"{usable} usable")


def _memory() -> Check:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    except (ValueError, OSError, AttributeError):
        return Check("Memory", "unknown", "optional", "this system does not say")
    if size < NEEDED_MEMORY_GIB:
        return Check("Memory", f"{size:.1f} GiB", "missing", f"an analysis may need {NEEDED_MEMORY_GIB:.0f} GiB")
    return Check("Memory", f"{size:.1f} GiB")


def _disk() -> Check:
    free = shutil.disk_usage(tempfile.gettempdir()).free / GIB
    if free < NEEDED_DISK_GIB:
        return Check("Temporary disk space", f"{free:.1f} GiB", "missing", "free some space, or set TMPDIR")
    return Check("Temporary disk space", f"{free:.0f} GiB")


def _package(name: str) -> Check:
    try:
        return Check(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, "not installed", "missing", f"python -m pip install {name}")


def _weights() -> Check:
    from spondyl.app.analyze import load_networks

    try:
        networks = load_networks(Settings())
    except SpondylError as error:
        return Check("Network weights", "not usable", "missing", str(error))
    return Check("Network weights", f"{', '.join(n.name for n in networks.values())}: hashes are right")


def _training() -> Check:
    if importlib.util.find_spec("torch") is None:
        return Check("torch", "not installed", "optional", "only to train: python -m pip install 'spondyl[train]'")
    return Check("torch", importlib.metadata.version("torch"))


def _tool(name: str, why: str) -> Check:
    path = shutil.which(name)
    return Check(name, "not installed", "optional", why) if path is None else Check(name, str(Path(path)))
