"""The doctor says what is missing and how to get it."""

from collections import namedtuple

from spondyl.app import doctor
from spondyl.core import ModelError


def _named(checks):
    return {check.name: check for check in checks}


def test_what_is_there_is_ok():
    checks = _named(doctor.examine())
    assert checks["numpy"].state == "ok"
    assert checks["Processors"].found.endswith("usable")


def test_whatever_is_missing_has_a_remedy(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    for check in doctor.examine():
        assert check.state == "ok" or check.remedy, check.name


def test_missing_weights_are_told_with_the_reason(monkeypatch):
    def missing(settings):
        msg = "the weights are not there; install Spondyl again"
        raise ModelError(msg)

    monkeypatch.setattr("spondyl.app.analyze.load_networks", missing)
    check = _named(doctor.examine())["Network weights"]
    assert (check.state, check.remedy) == ("missing", "the weights are not there; install Spondyl again")


def test_a_full_temporary_disk_is_noticed(monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(free=1000))
    assert _named(doctor.examine())["Temporary disk space"].state == "missing"


def test_a_missing_package_is_named_with_the_command():
    assert doctor._package("no-such-package").remedy == "python -m pip install no-such-package"
