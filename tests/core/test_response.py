"""What has changed is a record of its own: frozen, and silent about what it was not told."""

from __future__ import annotations

import dataclasses

import pytest

from spondyl.core.response import Change, LesionChange, Response, Verdict, VertebraMatch

VOLUME = Change("volume", "mm3", 1000.0, 1500.0, 50.0, "20 %", "increased")
STILL = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def test_what_was_not_told_claims_nothing():
    unknown = Response(assessable=False, reason="another region")
    assert unknown.same_patient == "not checkable"
    assert unknown.days_since_prior is None
    assert (unknown.vertebrae, unknown.lesions, unknown.verdicts) == ((), (), ())
    lesion = LesionChange("new", 1, None, "L3")
    assert (lesion.category, lesion.changes) == ("", ())
    # Without a word about it a lesion is taken seriously.
    assert lesion.suspicious


@pytest.mark.parametrize(
    "record",
    [
        VOLUME,
        LesionChange("matched", 1, 2, "L3", (VOLUME,)),
        VertebraMatch(3, 4, "L3", "L3", 0.7, STILL),
        Verdict("RECIST", "RECIST 1.1", "not assessable"),
        Response(assessable=True),
    ],
    ids=lambda record: type(record).__name__,
)
def test_every_part_is_frozen(record):
    name = dataclasses.fields(record)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, name, None)
