"""Bring studies whose lesions were outlined to what the lesion network learns from."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Grid, InputError, Sequence
from spondyl.io.annotated import read_annotated
from spondyl.io.files import NIFTI_SUFFIXES
from spondyl.io.study import read_study
from spondyl.io.weights import load_network
from spondyl.models.study import Study, study_of
from spondyl.pipeline.steps import SPINE, STEPS
from spondyl.training.lesion_studies import WORDS, WorkingStudy, prepare_study, read_lesion_meanings
from spondyl.training.volumes import WORKING_SPACE

if TYPE_CHECKING:
    from collections.abc import Sequence as Many
    from pathlib import Path

    from spondyl.core import Case
    from spondyl.io.annotated import AnnotatedRow
    from spondyl.models import Network
    from spondyl.pipeline.settings import Settings

_log = logging.getLogger(__name__)

BEFORE = ("harmonize", "localize")
"""Steps that every study takes before lesions can be looked for."""


def studies_with_lesions(rows: Many[AnnotatedRow], kept: Path, settings: Settings) -> list[WorkingStudy]:
    """Find the spine in every study and lay the outlined lesions over it; what was found is kept for the next time.

    Parameters
    ----------
    rows : sequence of AnnotatedRow
        Studies, and the lesions outlined on one of their sequences.
    kept : Path
        Folder for what was found.
    settings : Settings
        Of the steps that find the spine.

    Returns
    -------
    list of WorkingStudy
        In the order of the rows.

    Raises
    ------
    InputError
        If a study cannot be used, its labels do not fit, or no study has a lesion.
    """
    meanings = [read_lesion_meanings(row.meaning) for row in rows]  # told before the first study is read
    kept.mkdir(parents=True, exist_ok=True)
    networks: dict[str, Network] = {SPINE: load_network(settings.network, threads=settings.threads)}
    studies = []
    for row, meaning in zip(rows, meanings, strict=True):
        labels = read_annotated(row)[1]
        try:
            study = _study(row, kept, settings, networks)
        except InputError as error:
            msg = f"{row.where} cannot be used: {error}"
            raise InputError(msg) from error
        studies.append(prepare_study(row.number, row.patient, study, labels, meaning))
        _log.info("study %d: %s", row.number, ", ".join(s.value for s in study.slots))
    if not any(np.isin(s.target, (*WORDS.values(),)).any() for s in studies):
        msg = "no study has an outlined lesion; check the meaning of the labels"
        raise InputError(msg)
    return studies


def _study(row: AnnotatedRow, kept: Path, settings: Settings, networks: dict[str, Network]) -> Study:
    """Give a study as the network sees it, or take what was found before."""
    key = hashlib.sha256(f"{row.image.resolve()} {row.sequence} {networks[SPINE].sha256}".encode()).hexdigest()[:16]
    path = kept / f"{key}.npz"
    if not path.exists():
        found = study_of(_localized(_read(row), settings, networks), WORKING_SPACE)
        if found is None:
            msg = "no series at hand shows marrow in a way the lesion network knows"
            raise InputError(msg)
        _save(path, found)
    return _load(path)


def _read(row: AnnotatedRow) -> Case:
    given = row.sequence is not Sequence.UNKNOWN and row.image.name.lower().endswith(NIFTI_SUFFIXES)
    return read_study(row.image, sequence_files={row.sequence: row.image} if given else None).case


def _localized(case: Case, settings: Settings, networks: dict[str, Network]) -> Case:
    for entry in STEPS:
        if entry.name in BEFORE:
            case = entry.bound(settings, networks)(case)
    return case


def _save(path: Path, study: Study) -> None:
    beside = path.with_suffix(".part.npz")
    np.savez_compressed(
        beside,
        channels=study.channels.astype(np.float16),
        facts=study.facts,
        affine=study.grid.affine,
        slots=np.array([s.value for s in study.slots]),
        sequences=np.array([s.value for s in study.sequences]),
    )
    beside.replace(path)


def _load(path: Path) -> Study:
    from spondyl.models.study_inputs import Slot

    with np.load(path, allow_pickle=False) as held:
        channels = held["channels"].astype(np.float32)
        shape = (int(channels.shape[1]), int(channels.shape[2]), int(channels.shape[3]))
        grid = Grid(shape, held["affine"])
        slots = tuple(Slot(str(s)) for s in held["slots"])
        return Study(grid, channels, held["facts"], slots, tuple(Sequence(str(s)) for s in held["sequences"]))
