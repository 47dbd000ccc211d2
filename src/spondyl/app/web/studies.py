"""The studies as the page needs them: where their files lie, what was found, who the patient is, and what came before.

Names of patients are read from the images when a page is made, shown to who is logged in, and kept nowhere else.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.errors import InvalidDicomError

from spondyl.app.catalog import StudyState
from spondyl.app.web.volumes import ViewFolder, view_folder
from spondyl.core import InputError, SpondylError
from spondyl.io.dicom import quiet
from spondyl.io.result import read_result

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from spondyl.app.catalog import Catalog, StudyRow
    from spondyl.app.data_folder import DataFolder

IDENTITY_TAGS = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
)
"""What a reader needs to know whose images these are (PS3.3 sections C.7.1.1, C.7.2.1)."""

REMEMBERED = 2000
"""Studies whose header facts are kept in memory."""

PRIORS_SEARCHED = 500
"""Newest studies of the catalog among which priors are looked for."""


@dataclass(frozen=True)
class Identity:
    """Whose study it is and when it was made, as the images say.

    Parameters
    ----------
    name, patient_id, issuer, birth_date, sex : str
        The patient; empty where the header does not say.
    study_date, study_time, accession : str
        The study.
    """

    name: str = ""
    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    sex: str = ""
    study_date: str = ""
    study_time: str = ""
    accession: str = ""

    @property
    def patient(self) -> tuple[str, str] | None:
        """What two studies of one patient share; None where it cannot be known."""
        return (self.patient_id, self.issuer) if self.patient_id else None


class Studies:
    """The studies of a node.

    Parameters
    ----------
    catalog : Catalog
        How far each study is.
    folder : DataFolder
        Where their files lie.
    """

    def __init__(self, catalog: Catalog, folder: DataFolder) -> None:
        self.catalog = catalog
        self.folder = folder
        self._identities: OrderedDict[tuple[str, int, int], Identity] = OrderedDict()
        self._preparing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spondyl-view")
        self._asked: set[tuple[str, int]] = set()

    def close(self) -> None:
        """Stop what is made ahead."""
        self._preparing.shutdown(wait=False, cancel_futures=True)

    def prepare(self, rows: Iterable[StudyRow]) -> None:
        """Make the viewer's files of studies ahead, one study after the other, so that nobody waits who opens one.

        Parameters
        ----------
        rows : iterable of StudyRow
            The most urgent first.
        """
        for row in rows:
            if row.state is StudyState.DONE and (row.study_key, row.revision) not in self._asked:
                self._asked.add((row.study_key, row.revision))
                self._preparing.submit(self._make_ahead, row)

    def _make_ahead(self, row: StudyRow) -> None:
        with suppress(SpondylError, OSError):  # whoever opens it is told
            self.view(row)

    def get(self, study_key: str) -> StudyRow:
        """Give one study.

        Parameters
        ----------
        study_key : str
            Its key.

        Returns
        -------
        StudyRow
            What the catalog knows.

        Raises
        ------
        InputError
            If there is no such study.
        """
        self.folder.study(study_key)  # refuses what is no key
        row = self.catalog.get(study_key)
        if row is None:
            msg = "there is no such study; it may have been deleted"
            raise InputError(msg)
        return row

    def result_folder(self, row: StudyRow) -> Path:
        """Give the folder of a study's result.

        Parameters
        ----------
        row : StudyRow
            The study.

        Returns
        -------
        Path
            It need not exist.
        """
        return self.folder.result(row.study_key)

    def has_result(self, row: StudyRow) -> bool:
        """Say whether a study has a result to look at.

        Parameters
        ----------
        row : StudyRow
            The study.

        Returns
        -------
        bool
            Also true for a former result while a new one is made.
        """
        return (self.result_folder(row) / "result.json").is_file()

    def result(self, row: StudyRow) -> tuple[dict[str, Any], str]:
        """Give what was found in a study.

        Parameters
        ----------
        row : StudyRow
            The study.

        Returns
        -------
        document : dict
            The content of ``result.json``.
        sha256 : str
            The hash of that file: which result an opinion is about.

        Raises
        ------
        InputError
            If there is no result, or it cannot be read.
        """
        path = self.result_folder(row) / "result.json"
        document = read_result(path)
        return document, hashlib.sha256(path.read_bytes()).hexdigest()

    def view(self, row: StudyRow) -> ViewFolder:
        """Give the viewer's files of a study.

        Parameters
        ----------
        row : StudyRow
            The study.

        Returns
        -------
        ViewFolder
            Made now if they are missing.

        Raises
        ------
        InputError
            If there are no images, or more are coming.
        """
        if row.state is StudyState.RECEIVING and not self.has_result(row):
            msg = "the study is still being received; open it when it is complete"
            raise InputError(msg)
        if not self.folder.incoming(row.study_key).is_dir():
            msg = "the images of this study are not here any more"
            raise InputError(msg)
        return view_folder(self.folder.study(row.study_key))

    def identity(self, row: StudyRow) -> Identity:
        """Say whose study it is.

        Parameters
        ----------
        row : StudyRow
            The study.

        Returns
        -------
        Identity
            Empty where no header can be read.
        """
        key = (row.study_key, row.revision, int(row.n_instances > 0))
        found = self._identities.get(key)
        if found is None:
            found = _identity(self.folder.incoming(row.study_key))
            if found != Identity():
                self._identities[key] = found
                while len(self._identities) > REMEMBERED:
                    self._identities.popitem(last=False)
        return found

    def priors(self, row: StudyRow) -> list[StudyRow]:
        """Give earlier analyzed studies of the same patient.

        Parameters
        ----------
        row : StudyRow
            The study.

        Returns
        -------
        list of StudyRow
            The newest first.
        """
        own = self.identity(row)
        if own.patient is None:
            return []
        found = []
        for other in self.catalog.list(limit=PRIORS_SEARCHED):
            if other.study_key == row.study_key or not self.has_result(other):
                continue
            identity = self.identity(other)
            if identity.patient == own.patient and identity.study_date and identity.study_date < own.study_date:
                found.append((identity.study_date, identity.study_time, other))
        return [other for _, _, other in sorted(found, key=lambda item: item[:2], reverse=True)]


def _identity(incoming: Path) -> Identity:
    """Read the first header that can be read."""
    for path in sorted(incoming.glob("*.dcm"))[:5] if incoming.is_dir() else ():
        try:
            with quiet():  # a warning about a value would carry it into the log
                header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(IDENTITY_TAGS))
                values = [str(header.get(tag, "") or "").strip() for tag in IDENTITY_TAGS]
        except (InvalidDicomError, OSError, EOFError, ValueError, KeyError):
            continue
        return Identity(_spoken_name(values[0]), *values[1:])
    return Identity()


def _spoken_name(name: str) -> str:
    """Give a person name as one writes it: family name, comma, the rest (PS3.5 section 6.2.1)."""
    parts = [part.strip() for part in name.partition("=")[0].split("^")]
    family, rest = parts[0], " ".join(part for part in parts[1:3] if part)
    return f"{family}, {rest}" if family and rest else family or rest
