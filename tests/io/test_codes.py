"""Codes mean what the standard says they mean."""

from __future__ import annotations

import pytest
from pydicom.sr import _concepts_dict

from spondyl.core import LEVELS
from spondyl.io import codes

DICTIONARY = {
    scheme: {(value, meaning) for entries in words.values() for value, (meaning, _) in entries.items()}
    for scheme, words in _concepts_dict.concepts.items()
}

STANDARD = [
    value
    for value in vars(codes).values()
    if isinstance(value, codes.Code) and value.scheme_designator in ("SCT", "DCM", "LN", "UCUM")
]


@pytest.mark.parametrize("code", STANDARD, ids=lambda code: code.meaning)
def test_a_standard_code_has_its_published_meaning(code):
    meanings = {m for v, m in DICTIONARY[code.scheme_designator] if v == code.value}
    assert code.meaning.lower() in {m.lower().removesuffix(" (attribute)") for m in meanings}


@pytest.mark.parametrize("level", [level for level in LEVELS if level[0] != "S" and level not in ("T13", "L6")])
def test_a_level_has_the_code_of_its_own_vertebra(level):
    code = codes.vertebra_code(level)
    assert (code.value, f"{level} vertebra") in DICTIONARY["SCT"]


def test_discs_have_the_codes_of_their_own_levels():
    for name, value in codes._DISC_VALUES.items():
        assert (value, f"{name} disc") in DICTIONARY["SCT"] or name == "L5/S1"
        assert codes.disc_code(name).value == value
    meanings = {m for v, m in DICTIONARY["SCT"] if v == codes.disc_code("L5/S1").value}
    assert any("L5" in m and "S1" in m for m in meanings)


@pytest.mark.parametrize("level", ["T13", "L6"])
def test_a_level_without_a_standard_code_gets_our_own_and_its_own_name(level):
    code = codes.vertebra_code(level)
    assert (code.value, code.scheme_designator, code.meaning) == (level, "99SPONDYL", f"{level} vertebra")


def test_an_unknown_level_is_a_vertebra_without_a_level():
    assert codes.vertebra_code(None) == codes.VERTEBRA
    assert codes.disc_code(None) == codes.disc_code("") == codes.DISC


def test_no_two_levels_share_a_code():
    values = [codes.vertebra_code(level).value for level in LEVELS]
    assert len(set(values)) == len(LEVELS)


def test_code_values_and_meanings_fit_their_fields():
    own = [v for v in vars(codes).values() if isinstance(v, codes.Code)]
    own += [*codes.CLASS_PROBABILITIES.values(), codes.disc_code("L6/S1"), codes.disc_code("T12/T13")]
    assert all(len(c.value) <= 16 and len(c.meaning) <= 64 for c in own)
