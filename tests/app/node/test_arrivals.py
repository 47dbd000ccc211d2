"""When a study is complete, and that no crash between two steps loses one."""

import pytest

from spondyl.app.catalog import Catalog, StudyState
from spondyl.app.data_folder import DataFolder
from spondyl.app.node.arrivals import Arrivals

UID = "1.2.3.4"


class Stand:
    def __init__(self, root, *, quiet_s=0.05):
        self.folder = DataFolder(root).make()
        self.catalog = Catalog(f"sqlite:///{root / 'spondyl.sqlite'}")
        self.handed = []
        self.quiet_s = quiet_s
        self.key = self.folder.study_key(UID)
        self.start()

    def start(self):
        self.arrivals = Arrivals(
            self.folder, self.catalog, lambda key, revision: self.handed.append(revision), quiet_s=self.quiet_s
        )

    def instance(self, number, *, note=True):
        place = self.folder.incoming(self.key)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.dcm").write_bytes(b"x")
        if note:
            self.arrivals.note(self.key)

    @property
    def row(self):
        return self.catalog.get(self.key)


class Clock:
    """A clock that stands still until it is set on."""

    at_s = 1000.0

    def monotonic(self):
        return self.at_s


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr("spondyl.app.node.arrivals.time", made)
    return made


@pytest.fixture
def stand(tmp_path, clock):
    made = Stand(tmp_path)
    yield made
    made.catalog.close()


def test_a_study_is_handed_over_when_nothing_came_for_a_while(stand, clock):
    stand.instance(1)
    assert (stand.arrivals.complete_quiet(), stand.row.state) == (0, StudyState.RECEIVING)
    clock.at_s += 0.06
    assert (stand.arrivals.complete_quiet(), stand.arrivals.complete_quiet()) == (1, 0)
    assert (stand.handed, stand.row.state, stand.row.n_instances) == ([1], StudyState.QUEUED, 1)


def test_a_message_saves_the_wait(stand):
    stand.instance(1)
    assert stand.arrivals.complete(stand.key)
    assert not stand.arrivals.complete(stand.key)
    assert not stand.arrivals.complete(stand.folder.study_key("9.9"))
    assert stand.handed == [1]


def test_late_instances_have_the_study_analyzed_again(stand):
    stand.instance(1)
    stand.arrivals.complete(stand.key)
    stand.instance(2)
    stand.arrivals.complete(stand.key)
    assert (stand.handed, stand.row.revision, stand.row.n_instances) == ([1, 2], 2, 2)


def test_a_restart_finds_what_was_coming(stand):
    stand.instance(1)
    stand.start()
    stand.arrivals.resume()
    assert stand.arrivals.complete(stand.key)


def test_a_restart_finds_files_that_the_catalog_never_heard_of(stand):
    stand.instance(1, note=False)
    stand.arrivals.resume()
    assert stand.arrivals.complete(stand.key)
    stand.instance(2, note=False)
    stand.start()
    stand.arrivals.resume()
    assert stand.arrivals.complete(stand.key)
    assert stand.handed == [1, 2]


def test_a_restart_hands_over_again_what_may_not_have_been(stand):
    stand.instance(1)
    stand.arrivals.complete(stand.key)
    stand.start()
    stand.arrivals.resume()
    assert stand.handed == [1, 1]


def test_a_restart_leaves_finished_studies_alone(stand):
    stand.instance(1)
    stand.arrivals.complete(stand.key)
    stand.catalog.set_state(stand.key, StudyState.DONE)
    stand.start()
    stand.arrivals.resume()
    assert (stand.handed, len(stand.arrivals)) == ([1], 0)


class Away:
    """A catalog whose database does not answer for a while."""

    def __init__(self, catalog):
        self.catalog, self.away = catalog, True

    def __getattr__(self, name):
        if self.away:
            msg = "away"
            raise ConnectionError(msg)
        return getattr(self.catalog, name)


def test_a_database_that_is_away_for_a_while_loses_no_study(stand, clock):
    stand.catalog = Away(stand.catalog)
    stand.start()
    with pytest.raises(ConnectionError):
        stand.instance(1)  # the sender gets a failure, and may never come back
    clock.at_s += 0.06
    with pytest.raises(ConnectionError):
        stand.arrivals.complete_quiet()
    stand.catalog.away = False
    assert stand.arrivals.complete_quiet() == 1
    assert (stand.handed, stand.row.state) == ([1], StudyState.QUEUED)


def test_a_sender_that_begins_again_holds_its_study_open_but_opens_none(stand, clock):
    stand.instance(1)
    for _ in range(4):
        clock.at_s += 0.04
        stand.arrivals.note_again(stand.key)
        assert stand.arrivals.complete_quiet() == 0
    assert stand.arrivals.complete(stand.key)
    stand.arrivals.note_again(stand.key)
    assert (len(stand.arrivals), stand.row.revision) == (0, 1)


def test_it_is_looked_again_when_the_first_study_is_due(stand, clock):
    assert stand.arrivals.due_in_s(0.1) == 0.1
    stand.instance(1)
    assert stand.arrivals.due_in_s(0.01) == 0.01
    clock.at_s += 0.03
    assert stand.arrivals.due_in_s(0.1) == pytest.approx(0.02)
    clock.at_s += 1.0
    assert stand.arrivals.due_in_s(0.1) == 0.0
    stand.arrivals.complete_quiet()
    assert stand.arrivals.due_in_s(0.1) == 0.1
