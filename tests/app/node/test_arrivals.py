"""When a study is complete, and that no crash between two steps loses one."""

import time

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


@pytest.fixture
def stand(tmp_path):
    made = Stand(tmp_path)
    yield made
    made.catalog.close()


def test_a_study_is_handed_over_when_nothing_came_for_a_while(stand):
    stand.instance(1)
    assert (stand.arrivals.complete_quiet(), stand.row.state) == (0, StudyState.RECEIVING)
    time.sleep(0.06)
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
