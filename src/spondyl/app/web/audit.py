"""Who saw and did what: a log that can only grow, each entry sealed by a hash over itself and the one before.

The database refuses changes by triggers. Whoever gets around them breaks the chain, and `AuditLog.verify` tells where;
an end that was cut off shows only against a head kept elsewhere, which is why the page shows the head.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from spondyl.app.catalog import now
from spondyl.app.web.tables import audit
from spondyl.core import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_PREVIOUS = "0" * 64
"""What stands in the place of a hash before the first entry."""

ATTEMPTS = 50
"""How often an entry is tried while other processes write theirs."""

_FIELDS = ("number", "at", "user_name", "action", "study_key", "detail", "previous")


@dataclass(frozen=True)
class AuditEntry:
    """One entry of the log.

    Parameters
    ----------
    number : int
        From 1, without gaps.
    at : str
        Time in UTC, ISO 8601.
    user_name : str
        Who; empty where nobody was logged in.
    action : str
        What was done, such as ``"study.view"``.
    study_key : str
        The study concerned; empty for none.
    detail : str
        JSON; never an identifier of a patient.
    previous, hash : str
        SHA-256 of the entry before and of this one.
    """

    number: int
    at: str
    user_name: str
    action: str
    study_key: str
    detail: str
    previous: str
    hash: str

    def sealed(self) -> str:
        """Give the hash that belongs to the fields.

        Returns
        -------
        str
            SHA-256 over the canonical JSON of all fields but the hash.
        """
        return _seal({name: getattr(self, name) for name in _FIELDS})


@dataclass(frozen=True)
class AuditCheck:
    """What a check of the log found.

    Parameters
    ----------
    n_entries : int
        Entries read.
    broken_at : int or None
        First entry that does not fit, or None if all do.
    head : str
        Hash of the last entry; kept elsewhere, it proves later that nothing was cut off.
    """

    n_entries: int
    broken_at: int | None
    head: str


def _seal(fields: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class AuditLog:
    """The audit log of one database.

    Parameters
    ----------
    engine : Engine
        The database, with its tables made.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._mine = threading.Lock()  # threads of one process wait instead of colliding

    def append(self, user_name: str, action: str, *, study_key: str = "", **detail: Any) -> None:
        """Add an entry.

        Parameters
        ----------
        user_name : str
            Who.
        action : str
            What was done.
        study_key : str, optional
            The study concerned.
        **detail : object
            More about it, as JSON can hold it.

        Raises
        ------
        OutputError
            If other processes left no gap to write in.
        """
        with self._mine:
            for _ in range(ATTEMPTS):
                try:
                    self._append(user_name, action, study_key, json.dumps(detail, sort_keys=True))
                except sa.exc.IntegrityError:  # another process took the number
                    continue
                return
        msg = "the audit log could not be written, so nothing was done; try again"
        raise OutputError(msg)

    def _append(self, user_name: str, action: str, study_key: str, detail: str) -> None:
        with self._engine.begin() as connection:
            last = connection.execute(sa.select(audit).order_by(audit.c.number.desc()).limit(1)).mappings().first()
            fields: dict[str, Any] = {
                "number": 1 if last is None else last["number"] + 1,
                "at": now().isoformat(timespec="milliseconds"),
                "user_name": user_name,
                "action": action,
                "study_key": study_key,
                "detail": detail,
                "previous": FIRST_PREVIOUS if last is None else last["hash"],
            }
            connection.execute(audit.insert().values(**fields, hash=_seal(fields)))

    def newest(self, limit: int, *, before: int | None = None) -> list[AuditEntry]:
        """Give the newest entries.

        Parameters
        ----------
        limit : int
            How many.
        before : int, optional
            Only those with a lower number.

        Returns
        -------
        list of AuditEntry
            The newest first.
        """
        query = sa.select(audit).order_by(audit.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.number < before)
        with self._engine.connect() as connection:
            return [AuditEntry(**row) for row in connection.execute(query).mappings()]

    def entries(self) -> Iterator[AuditEntry]:
        """Give all entries.

        Yields
        ------
        AuditEntry
            The oldest first.
        """
        with self._engine.connect() as connection:
            for row in connection.execute(sa.select(audit).order_by(audit.c.number)).mappings():
                yield AuditEntry(**row)

    def verify(self) -> AuditCheck:
        """Check the chain.

        Returns
        -------
        AuditCheck
            Whether every entry fits the one before.
        """
        previous, count = FIRST_PREVIOUS, 0
        for count, entry in enumerate(self.entries(), 1):
            if entry.number != count or entry.previous != previous or entry.hash != entry.sealed():
                return AuditCheck(count, count, previous)
            previous = entry.hash
        return AuditCheck(count, None, previous)
