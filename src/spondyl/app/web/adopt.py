"""Bring a study that was analyzed at the command line into the data folder of a node, so that the page shows it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pydicom
from pydicom.errors import InvalidDicomError

from spondyl.app.catalog import StudyState
from spondyl.app.jobs import summary
from spondyl.core import InputError, OutputError
from spondyl.io.dicom import quiet
from spondyl.io.files import open_study
from spondyl.io.result import read_result

if TYPE_CHECKING:
    from pathlib import Path

    from spondyl.app.catalog import Catalog
    from spondyl.app.data_folder import DataFolder
    from spondyl.io.files import StudyFile


def adopt_result(catalog: Catalog, folder: DataFolder, study: Path, result: Path) -> str:
    """Copy a DICOM study and its result to where a node has them.

    Parameters
    ----------
    catalog : Catalog
        Of the node.
    folder : DataFolder
        Of the node.
    study : Path
        The study as it was analyzed.
    result : Path
        What ``spondyl analyze --out`` wrote.

    Returns
    -------
    str
        Key of the study.

    Raises
    ------
    InputError
        If the study is not DICOM of one study, the result cannot be read, or the node has the study already.
    OutputError
        If the copy cannot be written; nothing is left of it then.
    """
    document = read_result(result)
    draft = folder.make().scratch / f"adopt-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        with open_study(study) as (files, _):
            key, count = _copy_instances(files, folder, draft / "incoming")
        if catalog.get(key) is not None or folder.study(key).exists():
            msg = "this study is here already; a node keeps one result of a study"
            raise InputError(msg)
        shutil.copytree(result, draft / "result")
        draft.rename(folder.study(key))
    except OSError as error:
        msg = f"the study cannot be copied (error {error.errno}); check permissions and space of the data folder"
        raise OutputError(msg) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    catalog.receive(key)
    catalog.set_state(
        key,
        StudyState.DONE,
        urgency=str(summary.urgency(document)),
        case_id=str(document["case_id"]),
        n_instances=count,
        sequences=summary.sequences(document),
        scanner=summary.scanner(document),
        result_dir=str(folder.result(key)),
        summary=summary.numbers(document),
    )
    return key


def _copy_instances(files: tuple[StudyFile, ...], folder: DataFolder, incoming: Path) -> tuple[str, int]:
    incoming.mkdir(parents=True)
    keys, count = set(), 0
    for file in files:
        try:
            with quiet():
                header = pydicom.dcmread(file.path, stop_before_pixels=True)
            study_uid, instance_uid = str(header.StudyInstanceUID), str(header.SOPInstanceUID)
        except (InvalidDicomError, AttributeError, EOFError, ValueError):
            continue  # the analysis has set it aside, too
        keys.add(folder.study_key(study_uid))
        shutil.copyfile(file.path, incoming / folder.instance_name(instance_uid))
        count += 1
    if len(keys) != 1:
        msg = f"expected the DICOM files of one study, got {len(keys)}; give the folder that was analyzed"
        raise InputError(msg)
    return keys.pop(), count
