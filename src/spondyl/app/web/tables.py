"""The tables of the review page, beside the catalog in one database.

What people say is only ever added: a changed mind is a new row, and the newest of a person counts. Rows hold no
identifier of a patient; studies are named by their key, findings by their number in one result, which its hash names.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from spondyl.app.catalog import hold_tables, metadata

NAME_LENGTH = 64

users = sa.Table(
    "spondyl_users",
    metadata,
    sa.Column("name", sa.String(NAME_LENGTH), primary_key=True),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("specialty", sa.String(32), nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("locked_until", sa.DateTime(timezone=True)),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
)

sessions = sa.Table(
    "spondyl_sessions",
    metadata,
    sa.Column("token_sha256", sa.String(64), primary_key=True),
    sa.Column("user_name", sa.String(NAME_LENGTH), nullable=False, index=True),
    sa.Column("csrf", sa.String(64), nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
)


def _said() -> list[sa.Column]:
    """Columns of everything that a person says about a finding."""
    return [
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("study_key", sa.String(24), nullable=False, index=True),
        sa.Column("result_sha256", sa.String(64), nullable=False),
        sa.Column("finding", sa.String(40), nullable=False),
        sa.Column("user_name", sa.String(NAME_LENGTH), nullable=False),
        sa.Column("specialty", sa.String(32), nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
    ]


reviews = sa.Table(
    "spondyl_reviews",
    metadata,
    *_said(),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("correction", sa.JSON, nullable=False),
)

feedback = sa.Table(
    "spondyl_feedback",
    metadata,
    *_said(),
    sa.Column("agreement", sa.Integer),
    sa.Column("interpretability", sa.Integer),
    sa.Column("clinical_relevance", sa.Integer),
)

usability = sa.Table(
    "spondyl_usability",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("user_name", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("specialty", sa.String(32), nullable=False),
    sa.Column("answers", sa.JSON, nullable=False),
)

reader_studies = sa.Table(
    "spondyl_reader_studies",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(80), nullable=False, unique=True),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("created_by", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False),
    sa.Column("plan", sa.JSON, nullable=False),
)

readings = sa.Table(
    "spondyl_readings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("reader_study", sa.Integer, nullable=False, index=True),
    sa.Column("user_name", sa.String(NAME_LENGTH), nullable=False, index=True),
    sa.Column("reader", sa.String(16), nullable=False),
    sa.Column("session", sa.Integer, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("case_code", sa.String(16), nullable=False),
    sa.Column("study_key", sa.String(24), nullable=False),
    sa.Column("modality", sa.String(16), nullable=False),
    sa.Column("begun_at", sa.DateTime(timezone=True)),
    sa.Column("done_at", sa.DateTime(timezone=True)),
    sa.Column("seconds", sa.Float),
    sa.Column("score", sa.Float),
    sa.Column("marks", sa.JSON, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.UniqueConstraint("reader_study", "user_name", "session", "position"),
)

audit = sa.Table(
    "spondyl_audit",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("user_name", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("action", sa.String(40), nullable=False),
    sa.Column("study_key", sa.String(24), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)

_KEEP_SQLITE = """CREATE TRIGGER IF NOT EXISTS spondyl_audit_no_{verb} BEFORE {verb} ON spondyl_audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"""

_KEEP_POSTGRESQL = (
    """CREATE OR REPLACE FUNCTION spondyl_audit_keep() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$""",
    """CREATE OR REPLACE TRIGGER spondyl_audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON spondyl_audit
EXECUTE FUNCTION spondyl_audit_keep()""",
)


def make_tables(engine: sa.Engine) -> None:
    """Make the tables where they are missing, and have the database itself refuse changes of the audit log.

    Parameters
    ----------
    engine : Engine
        The database.
    """
    is_sqlite = engine.dialect.name == "sqlite"
    statements: tuple[str, ...] = _KEEP_POSTGRESQL
    if is_sqlite:
        statements = tuple(_KEEP_SQLITE.format(verb=verb) for verb in ("UPDATE", "DELETE"))
    with engine.begin() as connection:
        hold_tables(connection)  # and one wait for the disk, not one a table
        metadata.create_all(connection)
        for statement in statements:
            connection.exec_driver_sql(statement)


def with_zone(at: datetime) -> datetime:
    """Give a time that came from the database its time zone, which SQLite drops.

    Parameters
    ----------
    at : datetime
        In UTC.

    Returns
    -------
    datetime
        In UTC, with its zone.
    """
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
