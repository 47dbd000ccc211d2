"""Bring studies whose vertebrae have a known class to what classifiers learn from."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import InputError
from spondyl.io.classed import list_classed
from spondyl.io.study import read_study
from spondyl.io.weights import load_network
from spondyl.lesions.classify import sites_of
from spondyl.models.crops import cut
from spondyl.models.space import WorkingSpace
from spondyl.models.study import study_of
from spondyl.pipeline.steps import SPINE, STEPS
from spondyl.training.classifier_export import SLICE_RANGE_MM
from spondyl.training.own_classes import truth_of_row
from spondyl.training.vertebrae import SPACING_MM, PatientCrops, SiteTruth, load_patient, save_patient

if TYPE_CHECKING:
    from pathlib import Path

    from spondyl.core import Case
    from spondyl.io.classed import ClassedStudy
    from spondyl.models import Network
    from spondyl.pipeline.settings import Settings

_log = logging.getLogger(__name__)

BEFORE = ("harmonize", "localize")
"""Steps that every study takes before its vertebrae can be cut out."""


def crops_of_studies(table: Path, kept: Path, settings: Settings) -> tuple[dict[int, PatientCrops], dict[int, str]]:
    """Find the vertebrae of a table in its studies and cut them out; what was cut is kept for the next time.

    Parameters
    ----------
    table : Path
        See `spondyl.io.classed.list_classed`.
    kept : Path
        Folder for what was cut out.
    settings : Settings
        Of the steps that find vertebrae.

    Returns
    -------
    cohort : dict of int to PatientCrops
        By number of the study: the vertebrae that the table names and that were found.
    patients : dict of int to str
        Whose each study is.

    Raises
    ------
    InputError
        If the table is wrong, a study cannot be read, or none of its vertebrae was found in any.
    """
    studies = list_classed(table)
    for study in studies:  # mistakes in the last row are told before the first study is read
        for v in study.vertebrae:
            truth_of_row(v.class_name, v.subtype, v.level, 0.0, where=v.where)
    kept.mkdir(parents=True, exist_ok=True)
    networks: dict[str, Network] = {SPINE: load_network(settings.network, threads=settings.threads)}
    cohort = {}
    for study in studies:
        found = _named(study, _all_vertebrae(study, kept, settings, networks))
        _log.info("study %d: %d of %d vertebrae found", study.number, len(found.sites), len(study.vertebrae))
        if found.sites:
            cohort[study.number] = found
    if not cohort:
        msg = "none of the vertebrae that the table names was found in its studies; check their levels"
        raise InputError(msg)
    return cohort, {s.number: s.patient for s in studies if s.number in cohort}


def _all_vertebrae(study: ClassedStudy, kept: Path, settings: Settings, networks: dict[str, Network]) -> PatientCrops:
    """Cut out every vertebra of a study, or take what was cut before."""
    key = hashlib.sha256(f"{study.path.resolve()} {networks[SPINE].sha256}".encode()).hexdigest()[:16]
    path = kept / f"{key}.json"
    if not path.exists():
        try:
            case = read_study(study.path).case
        except InputError as error:
            msg = f"study {study.number} of the table cannot be used: {error}"
            raise InputError(msg) from error
        save_patient(path.with_suffix(".npy"), vertebra_crops(case, settings, networks))
    return load_patient(path)


def vertebra_crops(case: Case, settings: Settings, networks: dict[str, Network]) -> PatientCrops:
    """Find the vertebrae of a case and cut them out.

    Parameters
    ----------
    case : Case
        As it was read.
    settings : Settings
        Of the steps.
    networks : dict of str to Network
        By role.

    Returns
    -------
    PatientCrops
        Every vertebra that was found and named; all of them normal as yet.
    """
    for entry in STEPS:
        if entry.name in BEFORE:
            case = entry.bound(settings, networks)(case)
    case = case.with_(lesions=())
    study = study_of(case, WorkingSpace(SPACING_MM, SLICE_RANGE_MM))
    if study is None or not case.vertebrae:
        return PatientCrops(np.zeros((0,), np.float16), np.zeros(0, np.float32), [])
    asked = sites_of(case, study.grid)
    spacing_mm = study.grid.spacing_mm
    crops = [cut(study.channels, mask, site, spacing_mm) for site, mask in zip(asked.sites, asked.masks, strict=True)]
    truths = [
        SiteTruth("", 0, is_lesion=False, position=site.position, level=v.level or "", volume_mm3=0.0)
        for site, v in zip(asked.sites, case.vertebrae, strict=True)
    ]
    return PatientCrops(np.stack(crops).astype(np.float16), study.facts, truths)


def _named(study: ClassedStudy, found: PatientCrops) -> PatientCrops:
    """Keep the vertebrae that the table names, with their truth."""
    known = {v.level: v for v in study.vertebrae}
    rows = [i for i, site in enumerate(found.sites) if site.level in known]
    truths = []
    for i in rows:
        site, v = found.sites[i], known[found.sites[i].level]
        truths.append(truth_of_row(v.class_name, v.subtype, v.level, site.position, where=v.where))
    return PatientCrops(found.crops[rows] if rows else found.crops, found.facts, truths)
