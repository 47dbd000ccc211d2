"""The record and its words. Needs numpy alone."""

from spondyl.core.anatomy import LEVELS, Structure, disc_name
from spondyl.core.case import Case
from spondyl.core.errors import (
    GeometryError,
    InputError,
    ModelError,
    NoSpineError,
    OutputError,
    SettingsError,
    SpondylError,
)
from spondyl.core.findings import Lesion, Measurement, QualityFlag, Score, ScoreItem, StepRecord, Vertebra
from spondyl.core.geometry import SAGITTAL, Grid, reorient
from spondyl.core.image import Image, LabelMap, Source, Station
from spondyl.core.sequence import Acquisition, Sequence

__all__ = [
    "LEVELS",
    "SAGITTAL",
    "Acquisition",
    "Case",
    "GeometryError",
    "Grid",
    "Image",
    "InputError",
    "LabelMap",
    "Lesion",
    "Measurement",
    "ModelError",
    "NoSpineError",
    "OutputError",
    "QualityFlag",
    "Score",
    "ScoreItem",
    "Sequence",
    "SettingsError",
    "Source",
    "SpondylError",
    "Station",
    "StepRecord",
    "Structure",
    "Vertebra",
    "disc_name",
    "reorient",
]
