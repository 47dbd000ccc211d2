"""The audit log only grows, and a change anywhere shows."""

import json
import threading

import pytest
import sqlalchemy as sa

from spondyl.app.catalog import open_database
from spondyl.app.web.audit import AuditLog
from spondyl.app.web.tables import audit, make_tables


@pytest.fixture
def engine(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path / 'a.sqlite'}")
    make_tables(engine)
    yield engine
    engine.dispose()


def _filled(engine, count=5):
    log = AuditLog(engine)
    for number in range(count):
        log.append("ada", "study.view", study_key="ab" * 12, number=number)
    return log


def test_entries_come_back_in_order_and_fit_together(engine):
    log = _filled(engine)
    entries = list(log.entries())
    assert [json.loads(e.detail)["number"] for e in entries] == [0, 1, 2, 3, 4]
    assert [e.number for e in log.newest(2)] == [5, 4]
    assert [e.number for e in log.newest(2, before=4)] == [3, 2]
    found = log.verify()
    assert (found.n_entries, found.broken_at, found.head) == (5, None, entries[-1].hash)


def test_the_database_refuses_to_change_an_entry(engine):
    _filled(engine)
    for statement in (audit.update().values(user_name="eve"), audit.delete()):
        with pytest.raises(sa.exc.IntegrityError, match="append-only"), engine.begin() as connection:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE spondyl_audit SET user_name = 'eve' WHERE number = 3", 3),
        ("UPDATE spondyl_audit SET detail = '{}' WHERE number = 1", 1),
        ("DELETE FROM spondyl_audit WHERE number = 2", 2),
        ("UPDATE spondyl_audit SET at = '2020' WHERE number = 5", 5),
    ],
)
def test_a_change_behind_the_back_of_the_triggers_shows(engine, statement, broken_at):
    log = _filled(engine)
    with engine.begin() as connection:
        for verb in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(f"DROP TRIGGER spondyl_audit_no_{verb}")
        connection.exec_driver_sql(statement)
    assert log.verify().broken_at == broken_at


def test_two_processes_make_one_chain(engine, tmp_path):
    other = open_database(f"sqlite:///{tmp_path / 'a.sqlite'}")
    logs = AuditLog(engine), AuditLog(other)
    threads = [
        threading.Thread(target=lambda log=log: [log.append("ada", "x", n=n) for n in range(15)]) for log in logs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.dispose()
    found = logs[0].verify()
    assert (found.n_entries, found.broken_at) == (30, None)
