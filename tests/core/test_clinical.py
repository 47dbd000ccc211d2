"""The words of the clinical form are plain, different, and those of the published scores."""

from __future__ import annotations

import pytest

from spondyl.core import clinical

LISTS = {name: words for name, words in vars(clinical).items() if name.isupper() and isinstance(words, tuple)}


@pytest.mark.parametrize("name", LISTS)
def test_words_are_different_and_can_stand_in_a_form(name):
    words = LISTS[name]
    assert len(set(words)) == len(words) > 1
    assert all(word.replace("_", "").isalnum() for word in words)


def test_grades_of_frankel_run_from_a_to_e():
    assert "".join(clinical.FRANKEL) == "ABCDE"


def test_an_unknown_primary_is_a_word_of_its_own():
    assert {"unknown", "other"} <= set(clinical.PRIMARIES)
