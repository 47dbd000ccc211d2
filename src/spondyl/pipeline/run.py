"""Takes a case along the road: times each step, keeps the history, and holds a failure to its own step."""

from __future__ import annotations

import ctypes
import platform
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.core import (
    Case,
    InputError,
    NoSpineError,
    QualityFlag,
    SettingsError,
    SpondylError,
    StepRecord,
)
from spondyl.core.at_once import Beside, at_most
from spondyl.pipeline.settings import settings_table
from spondyl.pipeline.steps import STEPS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spondyl.models import Network
    from spondyl.pipeline.settings import Settings
    from spondyl.pipeline.steps import Step, StepEntry

Progress = Callable[[str, int, int], None]
"""Called before each part of the work with its name, its number from 1, and the number of parts."""

DECIDING_PACKAGES = ("numpy", "scipy", "SimpleITK", "openvino", "pydicom", "highdicom", "nibabel")
"""Packages whose version can change a result; written beside it."""


def run(
    case: Case,
    settings: Settings,
    networks: Mapping[str, Network],
    progress: Progress | None = None,
    *,
    steps: Sequence[StepEntry] = STEPS,
    watch: Callable[[str, Case], None] | None = None,
    beside: Beside | None = None,
) -> Case:
    """Analyze one case.

    Parameters
    ----------
    case : Case
        The images as read; it stays as it is.
    settings : Settings
        How to analyze.
    networks : mapping of str to Network
        Loaded networks by role.
    progress : callable, optional
        Told the name, number and count before each step.
    steps : sequence of StepEntry, optional
        The road; the table of this package unless given.
    watch : callable, optional
        Told the name of each step that is done, and the record after it.
    beside : Beside, optional
        Where parts of steps begin early; one of its own unless given.

    Returns
    -------
    Case
        With findings, quality flags and one history record a step.

    Raises
    ------
    NoSpineError
        If no spine is in the study; there is nothing to say then.
    SpondylError
        If a step fails without which there is no result. Programming errors pass through as they are.
    """
    if not case.images:
        msg = "an analysis needs at least one image, got none; give a study with MR images of the spine"
        raise InputError(msg)
    bound = [entry.bound(settings, networks) for entry in steps]
    # Matrices are small here: the threads of a linear algebra library would only wait for each other.
    own = Beside() if beside is None else nullcontext(beside)
    with at_most(settings.threads), threadpool_limits(1, user_api="blas"), own as begun:
        for number, step in enumerate(bound, start=1):
            if progress is not None:
                progress(step.name, number, len(bound))
            case = _taken(step, case, settings, begun)
            _release(steps[number - 1], steps[number:], networks)
            for later in bound[number:]:
                later.begin(step.name, case, begun)
            if watch is not None:
                watch(step.name, case)
    return case


def _release(done: StepEntry, later: Sequence[StepEntry], networks: Mapping[str, Network]) -> None:
    """Let networks that no later step asks give back the memory that a large study took, and the allocator as well."""
    wanted = {role for entry in later for role in entry.networks.values()}
    for role in set(done.networks.values()) - wanted:
        networks[role].release()
    if _trim is not None:
        _trim(0)


def _taken(step: Step, case: Case, settings: Settings, beside: Beside) -> Case:
    """Take one step and see to its record."""
    started = time.perf_counter()
    try:
        after = step(case, beside)
    except (NoSpineError, SettingsError):
        raise
    except SpondylError as error:
        if not step.optional:
            raise
        why = str(error).rstrip(".")
        flag = QualityFlag(f"{step.name}_failed", f"The step {step.name} gave no result: {why}.", severity="error")
        after = case.flagged(flag)
    seconds = time.perf_counter() - started
    history = after.history
    if len(history) == len(case.history):
        own = getattr(settings, step.name, None)
        history += (StepRecord(step.name, step.version, {} if own is None else settings_table(own)),)
    return after.with_(history=(*history[:-1], replace(history[-1], seconds=seconds)))


def run_table(case: Case, settings: Settings, *, timings_s: Mapping[str, float]) -> dict[str, Any]:
    """Give what ``run.toml`` holds: everything needed to make the result again.

    Parameters
    ----------
    case : Case
        The analyzed case.
    settings : Settings
        The settings it was analyzed with.
    timings_s : mapping of str to float
        Seconds by part of the work.

    Returns
    -------
    dict
        Resolved settings at the top, then the tables ``run``, ``machine``, ``models`` and ``timings_s``.
    """
    models = {name: sha for record in case.history for name, sha in record.models.items()}
    return settings_table(settings) | {
        "run": {
            "spondyl": __version__,
            "research_use_only": RESEARCH_USE_ONLY,
            "case_id": case.case_id,
            "steps": [f"{record.name} {record.version}" for record in case.history],
        },
        "machine": machine(),
        "models": models,
        "timings_s": {name: round(seconds, 3) for name, seconds in timings_s.items()},
    }


def machine() -> dict[str, Any]:
    """Say what the analysis runs on, without the name of the machine or its user.

    Returns
    -------
    dict
        Python, system, processor and the versions of the packages that can change a result.
    """
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.machine(),
        "packages": {name: _version(name) for name in DECIDING_PACKAGES},
    }


def _allocator() -> Callable[[int], int] | None:
    """What makes the C library give back memory that nothing uses; None where it has no such function.

    The arenas of glibc, one for each thread, keep what was freed: over 1 GiB after a whole spine, on top of which the
    next study comes.
    """
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


_trim = _allocator()


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
