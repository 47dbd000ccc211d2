"""Make every network from nothing, in one resumable command: patients on all processors, networks side by side.

Each part is a command that may be given by itself; here they only run together, so that processors make patients and
examples while the device learns. What is there already is kept and gone on with.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spondyl.training.classification import NETWORKS, steps_of
from spondyl.training.vertebrae import FIRST_PATIENT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_log = logging.getLogger(__name__)

FIRST_ANATOMY = 10_000
"""Seed of the first anatomy, from `spondyl.training.anatomies.TRAINING_SEEDS`."""

FEW = 96
"""Anatomies that are enough to begin with: runs look for new ones as they go. Chosen by us."""


@dataclass(frozen=True)
class Recipe:
    """How much of everything.

    Parameters
    ----------
    anatomies, patients : int
        Anatomies for the networks that outline, and patients for those that classify.
    seconds : float
        Training time of each network that outlines.
    batch_sizes : tuple of int
        Of the networks that outline the spine and lesions.
    echo : int
        How often each of their examples is used.
    class_steps, class_sites : int
        Steps of each classifier, and vertebrae and lesions a step.
    class_seconds : float
        Longest training of a classifier; 0 for no limit.
    folds : int
        Runs of each classifier, each without one fold of the patients.
    processes : int
        Processes that make patients; examples for the outlining networks are made by as many.
    at_once : int
        Classifiers that learn at the same time.
    """

    anatomies: int = 1200
    patients: int = 900
    seconds: float = 8 * 3600.0
    batch_sizes: tuple[int, int] = (8, 16)
    echo: int = 3
    class_steps: int = 1000
    class_sites: int = 64
    class_seconds: float = 0.0
    folds: int = 5
    processes: int = 2
    at_once: int = 3


def make_all(work: Path, recipe: Recipe, *, start: Path | None = None) -> None:
    """Make patients and train all networks.

    Parameters
    ----------
    work : Path
        Folder of patients, runs and logs.
    recipe : Recipe
        How much of everything.
    start : Path, optional
        Folder of the cards ``spine.toml`` and ``lesions.toml``, from whose weights those networks start; random weights
        by default.

    Raises
    ------
    RuntimeError
        If a part failed; the others have gone on.
    """
    (work / "logs").mkdir(parents=True, exist_ok=True)
    many = ["--processes", str(recipe.processes)]
    make = ["anatomies", str(work / "anatomies"), "--first", str(FIRST_ANATOMY), *many]
    _run(work, "first-anatomies", [*make, "--count", str(min(FEW, recipe.anatomies))])
    with ThreadPoolExecutor(2 + recipe.at_once) as pool:
        jobs = [pool.submit(_run, work, name, words) for name, words in _outlining(work, recipe, start).items()]
        patients = ["patients", str(work / "patients"), "--first", str(FIRST_PATIENT), *many]
        _run(work, "patients", [*patients, "--count", str(recipe.patients)])
        jobs += [pool.submit(_run, work, name, words) for name, words in _classifying(work, recipe).items()]
        _run(work, "anatomies", [*make, "--count", str(recipe.anatomies)])
    failed = [error for job in jobs if (error := job.exception())]
    if failed:
        raise failed[0]


def _outlining(work: Path, recipe: Recipe, start: Path | None) -> dict[str, list[str]]:
    """Commands of the networks that outline; lesions have several series, and take two thirds of the processes."""
    commands = {}
    lesion_workers = max(1, round(recipe.processes * 2 / 3))
    workers = (max(1, recipe.processes - lesion_workers), lesion_workers)
    parts = (("segmentation", "spine"), ("lesions", "lesions"))
    for (part, name), size, n in zip(parts, recipe.batch_sizes, workers, strict=True):
        commands[name] = [part, str(work / "anatomies"), "--out", str(work / "runs" / name)]
        for option, value in (("seconds", recipe.seconds), ("echo", recipe.echo), ("batch-size", size), ("workers", n)):
            commands[name] += [f"--{option}", str(value)]
        # Time ends the run, not steps.
        commands[name] += ["--steps", "10000000"]
        if start is not None:
            commands[name] += ["--from", str(start / f"{name}.toml")]
    return commands


def _classifying(work: Path, recipe: Recipe) -> dict[str, list[str]]:
    """Commands of the classifiers; those without the first fold come first, for they are the ones to be used."""
    commands = {}
    for fold in range(recipe.folds):
        for network in NETWORKS:
            name = f"{network}{fold}"
            options = ["--network", network, "--fold", str(fold), "--steps", str(steps_of(network, recipe.class_steps))]
            options += ["--sites", str(recipe.class_sites), "--workers", "1", "--seconds", str(recipe.class_seconds)]
            commands[name] = ["classifier", str(work / "patients"), "--out", str(work / "runs" / name), *options]
    return commands


def _run(work: Path, name: str, words: Sequence[str]) -> None:
    """Run a part to its end, with its words in a log of its own."""
    log = work / "logs" / f"{name}.log"
    with log.open("a", encoding="utf-8") as stream:
        command = [sys.executable, "-m", "spondyl.training", *words]
        code = subprocess.run(
            command, stdout=stream, stderr=stream, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
        ).returncode
    _log.info("%s %s", name, "done" if code == 0 else f"failed with exit code {code}")
    if code:
        msg = f"the part {name} failed with exit code {code}; its last words are in {log}"
        raise RuntimeError(msg)
