"""The catalog of studies: states, revisions and the order of a worklist, on SQLite."""

import threading
from datetime import UTC

import pytest
import sqlalchemy as sa

from spondyl.app.catalog import Catalog, StudyState, Urgency


@pytest.fixture
def catalog(tmp_path):
    made = Catalog(f"sqlite:///{tmp_path / 'spondyl.sqlite'}")
    yield made
    made.close()


def key(number):
    return f"{number:024x}"


def test_a_study_is_received_once_however_often_it_is_noted(catalog):
    first = catalog.receive(key(1))
    again = catalog.receive(key(1))
    assert first == again
    assert (first.state, first.revision, first.urgency) == (StudyState.RECEIVING, 1, Urgency.UNKNOWN)
    assert first.received_at.tzinfo is UTC


def test_instances_after_the_analysis_make_a_new_revision(catalog):
    catalog.receive(key(1))
    catalog.set_state(key(1), StudyState.DONE, result_dir="somewhere", case_id="case-1")
    again = catalog.receive(key(1))
    assert (again.state, again.revision, again.result_dir) == (StudyState.RECEIVING, 2, "somewhere")


def test_an_analysis_of_an_older_revision_changes_nothing(catalog):
    catalog.receive(key(1))
    catalog.set_state(key(1), StudyState.ANALYZING, revision=1)
    catalog.receive(key(1))
    assert not catalog.set_state(key(1), StudyState.DONE, revision=1)
    assert catalog.get(key(1)).state is StudyState.RECEIVING
    assert catalog.set_state(key(1), StudyState.QUEUED, revision=2)


def test_the_list_has_the_most_urgent_first_then_the_latest(catalog):
    for number, urgency in enumerate((Urgency.ROUTINE, Urgency.EMERGENCY, Urgency.UNKNOWN, Urgency.EMERGENCY)):
        catalog.receive(key(number))
        catalog.set_state(key(number), StudyState.DONE, urgency=urgency)
    assert [row.study_key for row in catalog.list()] == [key(3), key(1), key(0), key(2)]
    assert [row.study_key for row in catalog.list(limit=2, offset=1)] == [key(1), key(0)]
    assert catalog.list(states=[StudyState.FAILED]) == []


def test_every_state_is_counted(catalog):
    catalog.receive(key(1))
    assert catalog.counts() == {str(s): int(s is StudyState.RECEIVING) for s in StudyState}


def test_lists_and_numbers_come_back_as_they_went_in(catalog):
    catalog.receive(key(1))
    catalog.set_state(key(1), StudyState.DONE, sequences=("T1", "STIR"), summary={"analysis_s": 7.5})
    row = catalog.get(key(1))
    assert (row.sequences, row.summary) == (("T1", "STIR"), {"analysis_s": 7.5})


def test_a_deleted_study_is_gone_and_can_come_again(catalog):
    catalog.receive(key(1))
    catalog.delete(key(1))
    catalog.delete(key(2))
    assert catalog.get(key(1)) is None
    assert catalog.receive(key(1)).revision == 1


def test_many_processes_may_make_the_tables_at_once(tmp_path):
    """A node and its workers are started together, by hand or after the machine came up."""
    faults, barrier = [], threading.Barrier(8)

    def begin():
        barrier.wait()
        try:
            Catalog(f"sqlite:///{tmp_path / 'spondyl.sqlite'}").close()
        except sa.exc.SQLAlchemyError as error:
            faults.append(error)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_many_processes_may_write_at_once(tmp_path):
    url = f"sqlite:///{tmp_path / 'spondyl.sqlite'}"
    catalogs = [Catalog(url) for _ in range(4)]

    def write(own):
        for number in range(15):
            own.receive(key(number))
            own.set_state(key(number), StudyState.QUEUED)
            own.receive(key(number))

    threads = [threading.Thread(target=write, args=(own,)) for own in catalogs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(catalogs[0].list()) == 15
    for own in catalogs:
        own.close()
