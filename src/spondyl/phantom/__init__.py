"""The synthetic patient: anatomy, pathology, MR signal and scanner, from numbers alone.

It trains the networks, runs the demo and the tests, and carries its truth with it. No real image went into it.
"""

from spondyl.phantom.anatomy import Anatomy, VertebraTruth, build_anatomy
from spondyl.phantom.kinds import CLASS_OF_KIND, MALIGNANT, Compartment, LesionClass, LesionKind
from spondyl.phantom.pathology import LesionTruth
from spondyl.phantom.patient import SyntheticPatient, simulate_patient
from spondyl.phantom.person import Person

__all__ = [
    "CLASS_OF_KIND",
    "MALIGNANT",
    "Anatomy",
    "Compartment",
    "LesionClass",
    "LesionKind",
    "LesionTruth",
    "Person",
    "SyntheticPatient",
    "VertebraTruth",
    "build_anatomy",
    "simulate_patient",
]
