"""A folder of synthetic anatomies, made once on the CPU and drawn from during training.

Contrast, scanner and position are added anew for every patch, so a few hundred anatomies go a long way. Making them is
resumable: what is there is kept, and a file appears only when it is complete.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import InputError
from spondyl.phantom.anatomy import Anatomy, build_anatomy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_log = logging.getLogger(__name__)

TRAINING_SEEDS = range(1_000_000)
"""Seeds of patients that training may see; tests and benchmarks draw from above, so that none of theirs was learnt."""

REGION_SHARES = {"lumbar": 0.55, "thoracolumbar": 0.19, "thoracic": 0.12, "cervical": 0.14}
"""Share of each region among the anatomies."""

SPACING_MM = (2.0, 1.0, 1.0)
"""Voxel size of the stored anatomies: fine in the sagittal plane, where thick-slice images are fine."""

BENIGN, MALIGNANT = 1, 2
"""Classes of lesions; 0 is normal."""

N_LABELS = 256
"""Labels that a stored map can hold."""


@dataclass(frozen=True, eq=False)
class StoredAnatomy:
    """One anatomy as training reads it.

    Parameters
    ----------
    tissue, structure, lesion, instance : ndarray of uint8, shape (n_left, n_inferior, n_posterior)
        Memory-mapped maps; `lesion` holds the labels of `truth["lesions"]`.
    truth : mapping of str to object
        What is true of the patient, as `truth_of` gives it.
    """

    tissue: np.ndarray
    structure: np.ndarray
    lesion: np.ndarray
    instance: np.ndarray
    truth: Mapping[str, Any] = field(default_factory=dict)

    def lesion_classes(self) -> np.ndarray:
        """Give the class of each lesion label.

        Returns
        -------
        ndarray of uint8, shape (N_LABELS,)
            `BENIGN`, `MALIGNANT`, or 0 for labels that are not there.
        """
        classes = np.zeros(N_LABELS, np.uint8)
        for lesion in self.truth.get("lesions", ()):
            classes[lesion["label"]] = MALIGNANT if lesion["malignant"] else BENIGN
        return classes


def region_of(seed: int) -> str:
    """Choose the region of a training patient from its seed.

    Parameters
    ----------
    seed : int
        The patient's seed.

    Returns
    -------
    str
        A region of the phantom.
    """
    draw = np.random.default_rng([seed, 9]).random()
    edges = np.cumsum(list(REGION_SHARES.values()))
    return list(REGION_SHARES)[int(np.searchsorted(edges, draw * edges[-1]))]


def pack(anatomy: Anatomy) -> np.ndarray:
    """Stack an anatomy's maps for storage.

    Parameters
    ----------
    anatomy : Anatomy
        The patient.

    Returns
    -------
    ndarray of uint8, shape (4, n_left, n_inferior, n_posterior)
        Tissue, structure, lesion label and instance.
    """
    return np.stack([anatomy.tissue, anatomy.structure, anatomy.lesion, anatomy.instance])


def truth_of(anatomy: Anatomy) -> dict[str, Any]:
    """Give what is true of a patient beside the maps.

    Parameters
    ----------
    anatomy : Anatomy
        The patient.

    Returns
    -------
    dict
        ``"lesions"`` and ``"vertebrae"``: one table each of what the phantom says of them, as JSON holds it.
    """
    return {name: [asdict(row) for row in getattr(anatomy, name)] for name in ("lesions", "vertebrae")}


def make_anatomies(folder: Path, seeds: range) -> int:
    """Make the anatomies of a range of seeds that are not there yet.

    Parameters
    ----------
    folder : Path
        Where they are kept.
    seeds : range
        Patients to make, from `TRAINING_SEEDS`.

    Returns
    -------
    int
        How many were made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = 0
    for seed in seeds:
        path = folder / f"{seed:07d}.npy"
        if path.exists():
            continue
        anatomy = build_anatomy(seed, region=region_of(seed), spacing_mm=SPACING_MM)
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(truth_of(anatomy)), encoding="utf-8")
        partial.rename(path.with_suffix(".json"))
        with partial.open("wb") as stream:
            np.save(stream, pack(anatomy))
        partial.rename(path)
        made += 1
        _log.info("anatomy %d made", seed)
    return made


def in_processes(make: Callable[[Path, range], int], folder: Path, seeds: range, *, processes: int) -> int:
    """Spread the making of patients over processes.

    Parameters
    ----------
    make : callable
        Makes those of a range of seeds that are not there, and says how many: `make_anatomies`, or
        `spondyl.training.vertebrae.make_cohort`.
    folder : Path
        Where they are kept.
    seeds : range
        Patients to make.
    processes : int
        How many; with one, no other process is started.

    Returns
    -------
    int
        How many were made.
    """
    if processes <= 1:
        return make(folder, seeds)
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        # Short pieces, so that all processes end at about the same time.
        pieces = [seeds[i :: processes * PIECES] for i in range(min(len(seeds), processes * PIECES))]
        return sum(pool.map(make, [folder] * len(pieces), pieces))


PIECES = 4
"""Pieces of work for each process. Chosen by us."""


def list_anatomies(folder: Path) -> list[Path]:
    """List the finished anatomies of a folder.

    Parameters
    ----------
    folder : Path
        Where they are kept.

    Returns
    -------
    list of Path
        In order of seed.

    Raises
    ------
    InputError
        If there are none.
    """
    paths = sorted(folder.glob("*.npy"))
    if not paths:
        msg = f"no anatomies in {folder}; make some first with `python -m spondyl.training anatomies {folder}`"
        raise InputError(msg)
    return paths


def load_anatomy(path: Path) -> StoredAnatomy:
    """Open a stored anatomy without reading it.

    Parameters
    ----------
    path : Path
        A file of `make_anatomies`.

    Returns
    -------
    StoredAnatomy
        Memory-mapped maps.
    """
    tissue, structure, lesion, instance = np.load(path, mmap_mode="r")
    truth = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return StoredAnatomy(tissue, structure, lesion, instance, truth)
