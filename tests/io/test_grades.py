import pytest

from spondyl.core import InputError
from spondyl.io.grades import read_grade


@pytest.mark.parametrize(
    ("primary", "text", "grade"),
    [("prostate", "Gleason 3+3", 1), ("prostate", "3+4=7", 2), ("prostate", "4+3", 3), ("prostate", "4+4", 4),
     ("prostate", "5+4", 5), ("prostate", "ISUP 4", 4), ("breast", "G2", 2), ("breast", "3+3+2", 3),
     ("breast", "1+2+2", 1),
     ("breast", "2+2+2", 2), ("kidney", "WHO/ISUP grade 3", 3), ("myeloma", "R-ISS II", 2)],
)  # fmt: skip
def test_grades_are_read_as_they_are_written(primary, text, grade):
    assert read_grade(primary, text)["grade"] == grade


@pytest.mark.parametrize(
    ("primary", "text"), [("prostate", "6"), ("kidney", "5"), ("breast", "high"), ("prostate", "9+9")]
)
def test_grades_that_do_not_exist_are_refused(primary, text):
    with pytest.raises(InputError, match="lies between"):
        read_grade(primary, text)


def test_a_primary_without_a_system_keeps_the_words():
    assert read_grade("sarcoma", "high") == {"system": "", "grade": None, "text": "high"}
