"""Logs are lines of JSON, and no value of a header can get into one."""

import json
import logging

import pytest

from spondyl.app.monitor.logs import JsonLines

PLANTED = "PLANTED^NAME"


@pytest.fixture
def line():
    def made(name, message, **extra):
        error = extra.pop("error", None)
        info = None if error is None else (type(error), error, None)
        record = logging.LogRecord(name, logging.WARNING, "", 0, message, (), info)
        record.__dict__.update(extra)
        return json.loads(JsonLines().format(record))

    return made


def test_our_words_and_facts_are_written(line):
    said = line("spondyl.node", "study analyzed", facts={"study": "ab", "seconds": 1.5})
    assert {k: said[k] for k in ("level", "logger", "message", "study", "seconds")} == {
        "level": "warning",
        "logger": "spondyl.node",
        "message": "study analyzed",
        "study": "ab",
        "seconds": 1.5,
    }


def test_what_libraries_say_is_not_written(line):
    said = line("pynetdicom.assoc", f"cannot decode {PLANTED}")
    assert (said["logger"], "message" in said) == ("pynetdicom.assoc", False)


def test_of_an_exception_only_its_kind_is_written(line):
    said = line("spondyl.node", "the watch stumbled", error=ValueError(PLANTED))
    assert (said["kind"], PLANTED in json.dumps(said)) == ("ValueError", False)
