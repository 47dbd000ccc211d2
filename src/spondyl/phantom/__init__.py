"""The synthetic patient: anatomy, pathology, MR signal and scanner, from numbers alone.

It trains the networks, runs the demo and the tests, and carries its truth with it. No real image went into it.
"""

from spondyl.phantom.anatomy import Anatomy, VertebraTruth, build_anatomy
from spondyl.phantom.pathology import LesionKind, LesionTruth
from spondyl.phantom.patient import SyntheticPatient, simulate_patient

__all__ = [
    "Anatomy",
    "LesionKind",
    "LesionTruth",
    "SyntheticPatient",
    "VertebraTruth",
    "build_anatomy",
    "simulate_patient",
]
