"""The tables of the review page on PostgreSQL, as many machines share them."""

import threading

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from node_fakes import postgres
from spondyl.app.catalog import Catalog, StudyState, open_database
from spondyl.app.jobs.ledger import Ledger
from spondyl.app.web.accounts import Accounts, Role, Specialty
from spondyl.app.web.audit import AuditLog
from spondyl.app.web.reading_store import Design, ReaderStudies
from spondyl.app.web.reviews import Opinions
from spondyl.app.web.tables import audit, make_tables

PASSWORD = "correct horse battery"  # noqa: S105 - of synthetic users
KEYS = [f"{n:024x}" for n in range(4)]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with postgres(tmp_path_factory.mktemp("database") / "pg") as url:
        made = open_database(url("postgres"))
        yield made
        made.dispose()


def at_once(count, job):
    """Do something in several threads at the same moment; gives what went wrong."""
    faults, barrier = [], threading.Barrier(count)

    def begin(number):
        barrier.wait()
        try:
            job(number)
        except sa.exc.SQLAlchemyError as error:
            faults.append(error)

    threads = [threading.Thread(target=begin, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return faults


@pytest.fixture(scope="module", autouse=True)
def tables(engine):
    url = engine.url.render_as_string(hide_password=False)

    def make(_):
        catalog = Catalog(url)
        Ledger(catalog)
        make_tables(catalog.engine)
        catalog.close()

    assert at_once(6, make) == []  # as where a node and its workers start together


@pytest.fixture(scope="module")
def accounts(engine):
    made = Accounts(engine, hasher=PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    made.add("ada", PASSWORD, Role.ADMIN)
    made.add("rad", PASSWORD, Role.READER, Specialty.RADIOLOGIST)
    return made


def test_who_has_an_account_logs_in_and_out(accounts):
    user = accounts.check("rad", PASSWORD)
    assert accounts.check("rad", "wrong") is None
    token, _ = accounts.begin_session(user)
    assert accounts.session(token).user.name == "rad"
    accounts.end_session(token)
    assert accounts.session(token) is None
    assert [u.name for u in accounts.list()] == ["ada", "rad"]


def test_the_audit_log_stays_whole_when_many_write_and_refuses_changes(engine):
    log = AuditLog(engine)
    before = log.verify().n_entries
    assert at_once(4, lambda n: [log.append("ada", "study.view", number=n, turn=turn) for turn in range(5)]) == []
    found = log.verify()
    assert (found.n_entries - before, found.broken_at) == (20, None)
    for statement in (audit.update().values(user_name="eve"), audit.delete()):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(statement)


def test_opinions_come_back_as_they_were_given(engine, accounts):
    opinions, user = Opinions(engine), accounts.get("rad")
    about = {"study_key": KEYS[0], "result_sha256": "0" * 64, "finding": "lesion-1", "comment": "Wrong level"}
    opinions.add_review(user, about, "correct", {"level": "L4"})
    opinions.add_usability(user, [3] * 10)
    (row,) = opinions.of_study(KEYS[0], "0" * 64)["reviews"]
    assert (row["user_name"], row["verdict"], row["correction"]) == ("rad", "correct", {"level": "L4"})
    assert opinions.reviewers(KEYS) == {KEYS[0]: ["rad"]}
    assert opinions.all_usability()[0]["answers"] == [3] * 10


def test_a_reader_study_is_planned_and_read(engine, accounts):
    studies = ReaderStudies(engine)
    number = studies.create(Design("first", {k: n < 2 for n, k in enumerate(KEYS)}, ["rad"], sequential=True), "ada")
    task = studies.next_task("rad")
    studies.begin(task)
    studies.finish(studies.next_task("rad"), score=60.0, seconds=0.0, marks=[], comment="")
    assert len(studies.done(number)) == 1
    assert studies.next_task("rad") != task


def test_the_worklist_is_the_same_as_on_sqlite(engine):
    catalog = Catalog(engine.url.render_as_string(hide_password=False))
    try:
        assert at_once(4, lambda _: catalog.receive(KEYS[0])) == []
        assert catalog.get(KEYS[0]).revision == 1
        catalog.set_state(KEYS[0], StudyState.DONE, sequences=("T1", "T2"), summary={"scores": {"sins": {"stable": 1}}})
        assert catalog.receive(KEYS[0]).revision == 2
        assert catalog.list()[0].sequences == ("T1", "T2")
        assert catalog.list()[0].received_at.tzinfo is not None
    finally:
        catalog.close()
