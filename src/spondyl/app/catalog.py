"""The catalog of a node: one row a study, in SQLite or PostgreSQL, for the node, its workers and the review page.

Files are the truth about what was received and found; the catalog says how far each study is. It holds no identifier:
studies are named by `DataFolder.study_key`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event

if TYPE_CHECKING:
    from collections.abc import Iterable

BUSY_TIMEOUT_MS = 30_000
"""How long a process waits for another that writes to SQLite, in ms; the same as DBOS has."""


TABLES_LOCK = 7_366_511
"""Number of the lock under which tables are made in PostgreSQL; any that nobody else takes. Chosen by us."""


class StudyState(StrEnum):
    """How far a study is."""

    RECEIVING = "receiving"
    QUEUED = "queued"
    ANALYZING = "analyzing"
    RETURNING = "returning"
    DONE = "done"
    FAILED = "failed"


class Urgency(StrEnum):
    """How soon somebody should look, by what was found; in the order of a worklist."""

    EMERGENCY = "emergency"
    URGENT = "urgent"
    ROUTINE = "routine"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class StudyRow:
    """What the catalog knows of a study.

    Parameters
    ----------
    study_key : str
        Its name here.
    received_at : datetime
        When its first instance came, in UTC.
    state : StudyState
        How far it is.
    urgency : Urgency
        ``"unknown"`` until it was analyzed.
    case_id : str
        Its pseudonym in results; empty until it was analyzed.
    n_instances : int
        Instances received.
    sequences : tuple of str
        Sequences recognized.
    scanner : str
        Vendor, model and field strength.
    error : str
        Why it failed; without identifiers.
    result_dir : str
        The result folder, or empty while there is none.
    revision : int
        How often it was completed: it grows when instances come after the analysis.
    changed_at : datetime
        When the row last changed, in UTC.
    summary : mapping of str to object
        Numbers for the worklist and for metrics.
    """

    study_key: str
    received_at: datetime
    state: StudyState
    urgency: Urgency = Urgency.UNKNOWN
    case_id: str = ""
    n_instances: int = 0
    sequences: tuple[str, ...] = ()
    scanner: str = ""
    error: str = ""
    result_dir: str = ""
    revision: int = 0
    changed_at: datetime | None = None
    summary: dict[str, Any] = field(default_factory=dict)


metadata = sa.MetaData()

studies = sa.Table(
    "spondyl_studies",
    metadata,
    sa.Column("study_key", sa.String(24), primary_key=True),
    sa.Column("received_at", sa.DateTime(timezone=True), nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("urgency", sa.String(16), nullable=False),
    sa.Column("case_id", sa.String(64), nullable=False),
    sa.Column("n_instances", sa.Integer, nullable=False),
    sa.Column("sequences", sa.JSON, nullable=False),
    sa.Column("scanner", sa.String(200), nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("result_dir", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("summary", sa.JSON, nullable=False),
)
"""The table; add others to `metadata` beside it, keyed by ``study_key``."""


def now() -> datetime:
    """Give the time, in UTC.

    Returns
    -------
    datetime
        With its time zone.
    """
    return datetime.now(UTC)


def open_database(url: str) -> sa.Engine:
    """Open a database so that several processes can share it.

    Parameters
    ----------
    url : str
        ``sqlite:///...`` or ``postgresql://...``.

    Returns
    -------
    Engine
        Of SQLAlchemy.
    """
    if not url.startswith("sqlite"):
        _, _, rest = url.partition("://")
        return sa.create_engine(f"postgresql+psycopg://{rest}", pool_pre_ping=True)
    engine = sa.create_engine(url)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = "IMMEDIATE"  # two writers wait for each other instead of failing half-way
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode=WAL")

    return engine


def hold_tables(connection: sa.Connection) -> None:
    """Have no other process make tables until this transaction ends; of two at once, the second would fail.

    Parameters
    ----------
    connection : Connection
        In a transaction that has done nothing yet.
    """
    if connection.dialect.name == "sqlite":  # its driver begins no transaction before a table is made
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({TABLES_LOCK})")


def create_missing(engine: sa.Engine, tables: sa.MetaData) -> None:
    """Make tables that are missing.

    Parameters
    ----------
    engine : Engine
        As from `open_database`.
    tables : MetaData
        What is wanted.
    """
    with engine.begin() as connection:
        hold_tables(connection)
        tables.create_all(connection)


class Catalog:
    """The studies of a node.

    Parameters
    ----------
    url : str
        ``sqlite:///...`` or ``postgresql://...``; tables are made where they are missing.
    """

    def __init__(self, url: str) -> None:
        self.engine = open_database(url)
        create_missing(self.engine, metadata)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def get(self, study_key: str) -> StudyRow | None:
        """Give one study.

        Parameters
        ----------
        study_key : str
            Its key.

        Returns
        -------
        StudyRow or None
            None where there is no such study.
        """
        with self.engine.connect() as connection:
            found = connection.execute(sa.select(studies).where(studies.c.study_key == study_key)).mappings().first()
        return None if found is None else _row(found)

    def list(
        self, *, states: Iterable[StudyState] | None = None, limit: int | None = None, offset: int = 0
    ) -> list[StudyRow]:
        """List studies as a worklist has them: most urgent first, then those that came last.

        Parameters
        ----------
        states : iterable of StudyState, optional
            Only those.
        limit, offset : int, optional
            How many, after how many.

        Returns
        -------
        list of StudyRow
            May be empty.
        """
        rank = sa.case({u.value: n for n, u in enumerate(Urgency)}, value=studies.c.urgency, else_=len(Urgency))
        query = sa.select(studies).order_by(rank, studies.c.received_at.desc(), studies.c.study_key)
        if states is not None:
            query = query.where(studies.c.state.in_([str(s) for s in states]))
        if limit is not None:
            query = query.limit(limit)
        with self.engine.connect() as connection:
            return [_row(found) for found in connection.execute(query.offset(offset)).mappings()]

    def counts(self) -> dict[str, int]:
        """Count the studies in each state.

        Returns
        -------
        dict of str to int
            Every state has its number.
        """
        query = sa.select(studies.c.state, sa.func.count()).group_by(studies.c.state)
        with self.engine.connect() as connection:
            found = {state: int(count) for state, count in connection.execute(query)}
        return {str(state): found.get(str(state), 0) for state in StudyState}

    def receive(self, study_key: str) -> StudyRow:
        """Note that instances of a study are coming, for the first time or again.

        Parameters
        ----------
        study_key : str
            Its key.

        Returns
        -------
        StudyRow
            In state ``"receiving"``, with a revision that no analysis has had.
        """
        at = now()
        blank = {
            "urgency": str(Urgency.UNKNOWN),
            "case_id": "",
            "n_instances": 0,
            "sequences": [],
            "scanner": "",
            "error": "",
            "result_dir": "",
            "summary": {},
        }
        first = {
            "study_key": study_key,
            "received_at": at,
            "changed_at": at,
            "revision": 1,
            "state": str(StudyState.RECEIVING),
        }
        again = (
            sa.update(studies)
            .where(studies.c.study_key == study_key, studies.c.state != str(StudyState.RECEIVING))
            .values(state=str(StudyState.RECEIVING), revision=studies.c.revision + 1, error="", changed_at=at)
        )
        with self.engine.begin() as connection:
            if not connection.execute(again).rowcount:
                connection.execute(_insert(self.engine).values(**first, **blank).on_conflict_do_nothing())
        found = self.get(study_key)
        if found is None:  # deleted in between by a purge; begin anew
            return self.receive(study_key)
        return found

    def set_state(self, study_key: str, state: StudyState, *, revision: int | None = None, **columns: Any) -> bool:
        """Say how far a study is.

        Parameters
        ----------
        study_key : str
            Its key.
        state : StudyState
            The new state.
        revision : int, optional
            The revision this is true for; nothing changes where the study has gone on to a later one.
        **columns : object
            Further columns by name.

        Returns
        -------
        bool
            Whether there was such a study, and of this revision.
        """
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in columns.items()}
        query = sa.update(studies).where(studies.c.study_key == study_key)
        if revision is not None:
            query = query.where(studies.c.revision == revision)
        with self.engine.begin() as connection:
            done = connection.execute(query.values(state=str(state), changed_at=now(), **values))
        return bool(done.rowcount)

    def delete(self, study_key: str) -> None:
        """Forget a study.

        Parameters
        ----------
        study_key : str
            Its key; one that is not there is no error.
        """
        with self.engine.begin() as connection:
            connection.execute(sa.delete(studies).where(studies.c.study_key == study_key))


def _insert(engine: sa.Engine) -> Any:
    """Give an insert of the database's own kind, which can pass over a row that is there."""
    from sqlalchemy.dialects import postgresql, sqlite

    return (sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert)(studies)


def _row(found: Any) -> StudyRow:
    values = dict(found)
    for name in ("received_at", "changed_at"):  # SQLite gives them back without a zone
        values[name] = values[name].replace(tzinfo=UTC) if values[name].tzinfo is None else values[name].astimezone(UTC)
    values["sequences"] = tuple(values["sequences"])
    return StudyRow(**values | {"state": StudyState(values["state"]), "urgency": Urgency(values["urgency"])})
