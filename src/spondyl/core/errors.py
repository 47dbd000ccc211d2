"""The errors Spondyl raises on purpose.

::

    SpondylError
    ├── InputError          the study, file or table given cannot be used (exit code 3)
    │   ├── GeometryError   positions, spacing or grids do not fit together
    │   └── NoSpineError    a readable study in which no spine was found
    ├── OutputError         the result cannot be written (exit code 3)
    ├── ModelError          weights or a model card are missing, damaged or do not fit
    └── SettingsError       a setting is out of range (exit code 2)

A message says what was wanted, what came, where, and what to do, in that order, and never holds a value that
could identify a patient: series are named by number and UID, files by their name inside the input folder's listing
index, never by PatientName or PatientID.
"""

from __future__ import annotations


class SpondylError(Exception):
    """Base of all errors that Spondyl raises on purpose."""


class InputError(SpondylError):
    """The study, file or table given cannot be used."""


class GeometryError(InputError):
    """Positions, spacing or grids do not fit together."""


class NoSpineError(InputError):
    """The study is readable, but no spine was found in it."""


class OutputError(SpondylError):
    """The result cannot be written where it was asked for."""


class ModelError(SpondylError):
    """Weights or a model card are missing, damaged or do not fit this version."""


class SettingsError(SpondylError):
    """A setting is out of range."""
