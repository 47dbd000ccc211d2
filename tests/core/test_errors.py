"""One tree of errors, drawn in its module and true."""

from __future__ import annotations

import pytest

from spondyl.core import GeometryError, InputError, NoSpineError, SpondylError, errors


def error_classes() -> list[type]:
    return [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]


@pytest.mark.parametrize("error", error_classes(), ids=lambda c: c.__name__)
def test_every_error_is_a_spondyl_error_and_stands_in_the_picture(error):
    assert issubclass(error, SpondylError)
    assert error.__name__ in errors.__doc__


@pytest.mark.parametrize("error", [GeometryError, NoSpineError])
def test_what_cannot_be_used_is_an_input_error(error):
    assert issubclass(error, InputError)
