"""Asking an archive for earlier studies and fetching one: C-FIND and C-MOVE to this node, or QIDO-RS and WADO-RS.

What is fetched goes through the same door as everything else and lies in a place of its own, so that it is never taken
for a study that somebody sent.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Protocol

from pydicom.dataset import Dataset

from spondyl.app.jobs.queue import JobError
from spondyl.app.node.priors import Earlier, Series
from spondyl.app.node.send import client_context, web_client
from spondyl.app.serve_settings import DicomArchive
from spondyl.io.dicom import UNREADABLE, quiet, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spondyl.app.node.intake import Intake
    from spondyl.app.node.priors import Current
    from spondyl.app.serve_settings import WebArchive

MOST_ANSWERS = 500
"""Studies or series of one answer that are looked at. Chosen by us; nobody has so many."""

PENDING = (0xFF00, 0xFF01)
"""Answers to C-FIND that bring one more match, and to C-MOVE while it goes on (PS3.4 tables C.4-1 and C.4-2)."""

WILD = frozenset("*?\\")
"""What in a PatientID would ask for other patients, too (PS3.4 section C.2.2.2.4)."""

STUDY_KEYS = ("PatientID", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyDescription")
SERIES_KEYS = ("SeriesInstanceUID", "Modality", "BodyPartExamined", "SeriesDescription")


class Archive(Protocol):
    """Where earlier studies are."""

    def studies(self, current: Current) -> list[Earlier]:
        """Give the patient's studies up to the day of the current one.

        Parameters
        ----------
        current : Current
            The new study.

        Returns
        -------
        list of Earlier
            As the archive answered; to be looked at again.
        """

    def series(self, study: Earlier) -> list[Series]:
        """Give the series of a study.

        Parameters
        ----------
        study : Earlier
            The study.

        Returns
        -------
        list of Series
            Of any modality.
        """

    def fetch(self, study: Earlier, series: Series, intake: Intake) -> int:
        """Have a series brought to `DataFolder.asked_for`.

        Parameters
        ----------
        study : Earlier
            The study.
        series : Series
            One of its series.
        intake : Intake
            What is fetched by this process goes through it.

        Returns
        -------
        int
            How many objects the archive says came.
        """


def archive_of(archive: DicomArchive | WebArchive, *, ae_title: str) -> Archive:
    """Give what talks to an archive.

    Parameters
    ----------
    archive : DicomArchive or WebArchive
        From the settings.
    ae_title : str
        Who asks.

    Returns
    -------
    Archive
        Its methods raise JobError if the archive cannot be asked.
    """
    return _ByDicom(archive, ae_title) if isinstance(archive, DicomArchive) else _ByWeb(archive)


class _ByDicom:
    """C-FIND and C-MOVE in the Study Root model (PS3.4 annex C)."""

    def __init__(self, archive: DicomArchive, ae_title: str) -> None:
        self._archive, self._ae_title = archive, ae_title

    def studies(self, current: Current) -> list[Earlier]:
        if WILD & set(current.patient_id):
            return []
        query = _identifier("STUDY", STUDY_KEYS)
        query.PatientID, query.StudyDate, query.ModalitiesInStudy = current.patient_id, f"-{current.date}", ""
        return [_earlier(found) for found in self._find(query)]

    def series(self, study: Earlier) -> list[Series]:
        query = _identifier("SERIES", SERIES_KEYS)
        query.StudyInstanceUID = study.study_uid
        return [_series(found) for found in self._find(query)]

    def fetch(self, study: Earlier, series: Series, intake: Intake) -> int:  # noqa: ARG002 - it comes by the node's door
        from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as Move  # type: ignore[attr-defined]

        query = _identifier("SERIES", ())
        query.StudyInstanceUID, query.SeriesInstanceUID = study.study_uid, series.series_uid
        taker = self._archive.move_destination or self._ae_title
        with self._association(str(Move)) as association:
            answers = [status for status, _ in association.send_c_move(query, taker, Move)]
        last = answers[-1] if answers else Dataset()
        came, failed = (int(last.get(f"NumberOf{k}Suboperations") or 0) for k in ("Completed", "Failed"))
        if last.get("Status") != 0 or failed:
            msg = f"it moved {came} objects and not {failed} (answer {self._code(last)}); does it know {taker!r}?"
            raise JobError(msg)
        return came

    def _find(self, query: Dataset) -> Iterator[Dataset]:
        from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find  # type: ignore[attr-defined]

        found: list[Dataset] = []
        with self._association(str(Find)) as association, quiet():
            for status, match in association.send_c_find(query, Find):
                if status.get("Status") in PENDING and match is not None:
                    found.append(match)
                elif status.get("Status") != 0:
                    msg = f"it did not answer the query (answer {self._code(status)})"
                    raise JobError(msg)
                if len(found) == MOST_ANSWERS:
                    association.abort()
                    break
        return iter(found)

    def _association(self, abstract_syntax: str) -> _Association:
        return _Association(self._archive, self._ae_title, abstract_syntax)

    @staticmethod
    def _code(status: Dataset) -> str:
        return f"{status.Status:04X}H" if "Status" in status else "none"


class _Association:
    """An association with an archive, released or aborted at the end."""

    def __init__(self, archive: DicomArchive, ae_title: str, abstract_syntax: str) -> None:
        self._archive, self._ae_title, self._syntax = archive, ae_title, abstract_syntax

    def __enter__(self) -> Any:
        from pynetdicom import AE

        archive = self._archive
        entity = AE(self._ae_title)
        entity.connection_timeout = entity.acse_timeout = min(archive.wait_s, 30.0)
        entity.dimse_timeout = entity.network_timeout = archive.wait_s
        entity.add_requested_context(self._syntax)
        tls = None if archive.tls is None else (client_context(archive.tls), archive.host)
        self._made = entity.associate(archive.host, archive.port, ae_title=archive.ae_title, tls_args=tls)
        if not self._made.is_established:
            told = "it refused the association" if self._made.is_rejected else "it cannot be reached"
            msg = f"{told}; check host, port and AE titles on both sides"
            raise JobError(msg)
        return self._made

    def __exit__(self, kind: Any, *_: object) -> None:
        if self._made.is_established:
            if kind is None:
                self._made.release()
            else:
                self._made.abort()


class _ByWeb:
    """QIDO-RS and WADO-RS (PS3.18 sections 10.6 and 10.4)."""

    def __init__(self, archive: WebArchive) -> None:
        self._archive = archive

    def studies(self, current: Current) -> list[Earlier]:
        if WILD & set(current.patient_id):
            return []
        asked = {"PatientID": current.patient_id, "StudyDate": f"-{current.date}"}
        found = self._ask(
            lambda client: client.search_for_studies(
                fields=[*STUDY_KEYS, "ModalitiesInStudy"], search_filters=asked, limit=MOST_ANSWERS
            )
        )
        return [_earlier(Dataset.from_json(one)) for one in found]

    def series(self, study: Earlier) -> list[Series]:
        found = self._ask(
            lambda client: client.search_for_series(study.study_uid, fields=list(SERIES_KEYS), limit=MOST_ANSWERS)
        )
        return [_series(Dataset.from_json(one)) for one in found]

    def fetch(self, study: Earlier, series: Series, intake: Intake) -> int:
        def take(client: Any) -> int:
            came = 0
            for dataset in client.iter_series(study.study_uid, series.series_uid):
                path = intake.folder.scratch / f"wado-{secrets.token_hex(12)}.dcm"
                dataset.save_as(path, enforce_file_format=True)
                came += intake.take(path, study_uid=study.study_uid, asked=True).reason is None
            return came

        return int(self._ask(take))

    def _ask(self, question: Any) -> Any:
        import requests

        session, client = web_client(self._archive, timeout_s=self._archive.wait_s)
        try:
            with quiet():
                return question(client)
        except (requests.RequestException, *UNREADABLE) as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            told = f"HTTP {status}" if status else type(error).__name__
            msg = f"it did not answer ({told}); check its URL and password"
            raise JobError(msg) from None
        finally:
            session.close()


def _identifier(level: str, keys: tuple[str, ...]) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword in keys:
        setattr(query, keyword, "")
    return query


def _earlier(found: Dataset) -> Earlier:
    modalities = found.get("ModalitiesInStudy") or ()
    listed = (modalities,) if isinstance(modalities, str) else tuple(map(str, modalities))
    patient, born, uid, date, time, description = (text_of(found, keyword).strip() for keyword in STUDY_KEYS)
    return Earlier(patient, born, uid, date, time, description, listed)


def _series(found: Dataset) -> Series:
    return Series(*(text_of(found, keyword).strip() for keyword in SERIES_KEYS))
