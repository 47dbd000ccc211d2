"""The coded concepts that Spondyl writes, each with its source, so that other software understands the results.

Codes of vertebrae and discs are those of DICOM PS3.16 CID 7603 and CID 7604; they are written out here rather than
looked up by name, because a level must never turn into another by a change in somebody's dictionary (the tests
compare them with pydicom's). What the standard has no code for gets one of our own in the scheme `SCHEME`, declared
in every object that uses it (PS3.3 section C.12.1, Coding Scheme Identification Sequence). A level without a code,
T13 or L6, is therefore never written as a neighbor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from highdicom import UID
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.coding import Code

import spondyl

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEME = "99SPONDYL"
"""Our own coding scheme; private designators start with 99 (PS3.16 section 8.2)."""

SCHEME_UID = UID.from_uuid("74dd7c6c-6b4e-5a5b-9c9d-6a1b8c0d5e01")
"""Identifier of our scheme, derived from a UUID (PS3.5 section B.2), so that nobody had to be asked for it."""

ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
"""PS3.16 CID 7150, Segmentation Property Categories."""
ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
"""PS3.16 CID 7150, Segmentation Property Categories."""

SPINE = Code("421060004", "SCT", "Spine")
VERTEBRA = Code("51282000", "SCT", "Vertebra")
VERTEBRAL_ARCH = Code("40265002", "SCT", "Arch of vertebra")
VERTEBRAL_CANAL = Code("61853006", "SCT", "Vertebral canal")
SPINAL_CORD = Code("2748008", "SCT", "Spinal cord")
SACRUM = Code("54735007", "SCT", "Sacrum")
LESION = Code("52988006", "SCT", "Lesion")
"""PS3.16 CID 4, 6115, 7151: anatomy and findings."""

# PS3.16 CID 7603 Vertebra. S1 to S5 are SNOMED CT concepts outside DICOM's context groups.
_VERTEBRA_VALUES = {
    "C1": "14806007", "C2": "39976000", "C3": "113205007", "C4": "5329002", "C5": "36978003", "C6": "36054005",
    "C7": "87391001", "T1": "64864005", "T2": "53733008", "T3": "1626008", "T4": "73071006", "T5": "56401006",
    "T6": "45296009", "T7": "62487009", "T8": "11068009", "T9": "82687006", "T10": "7610001", "T11": "12989004",
    "T12": "23215003", "L1": "66794005", "L2": "14293000", "L3": "36470004", "L4": "11994002", "L5": "49668003",
    "S1": "65985001", "S2": "11808007", "S3": "49967005", "S4": "69950008", "S5": "21452006",
}  # fmt: skip

# PS3.16 CID 7604 Intervertebral Disc.
_DISC_VALUES = {
    "C2/C3": "1078209008", "C3/C4": "58820006", "C4/C5": "49400002", "C5/C6": "73959003", "C6/C7": "75095006",
    "C7/T1": "37414007", "T1/T2": "40908007", "T2/T3": "6004007", "T3/T4": "2620004", "T4/T5": "82965004",
    "T5/T6": "72692000", "T6/T7": "74401007", "T7/T8": "28693002", "T8/T9": "9188009", "T9/T10": "113209001",
    "T10/T11": "34959001", "T11/T12": "1537001", "T12/L1": "76206002", "L1/L2": "80064006", "L2/L3": "67459009",
    "L3/L4": "62551000", "L4/L5": "84020006", "L5/S1": "715056000",
}  # fmt: skip

DISC = Code("DISC", SCHEME, "Intervertebral disc, level unknown")
"""PS3.16 CID 7604 names discs by level only."""

VERTEBRAL_BODY = Code("BODY", SCHEME, "Vertebral body")
"""Modifier of a vertebra's code: DICOM's context groups hold whole vertebrae and their arches, not bodies by level."""

VOLUME = Code("118565006", "SCT", "Volume")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
"""PS3.16 CID 7468 and CID 7470, measurements of volume and length."""
CERTAINTY_OF_FINDING = Code("111012", "DCM", "Certainty of Finding")
"""PS3.16 section D; a percentage that a device gives to its own finding."""
NO_UNITS = Code("1", "UCUM", "no units")
PERCENT = Code("%", "UCUM", "Percent")
CUBIC_MILLIMETER = Code("mm3", "UCUM", "cubic millimeter")
MILLIMETER = Code("mm", "UCUM", "mm")

IMAGING_REPORT = Code("18748-4", "LN", "Diagnostic imaging report")
"""LOINC; title of the summary (PS3.16 CID 7020)."""

IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
SOURCE = Code("260753009", "SCT", "Source")
"""PS3.16 TID 1500, TID 1600 and TID 1601, parts of a measurement report."""

MRI_PROCEDURE = Code("25056-3", "LN", "MRI unspecified body region")
"""PS3.16 CID 100; the group has no code for MRI of the spine."""
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
"""PS3.16 CID 7162, Algorithm Family."""

DEVICE = Code("121007", "DCM", "Device")
"""PS3.16 CID 270, Observer Type."""

SALIENCY = Code("130404", "DCM", "Saliency")
"""PS3.16 CID 217 and CID 7180: a map of what drove a classification."""
UNCERTAINTY = Code("UNCERTAINTY", SCHEME, "Uncertainty of the classification of a voxel")
"""Normalized entropy from 0 to 1; PS3.16 has no code for it."""

LEVEL_CERTAINTY = Code("LEVEL_CERTAINTY", SCHEME, "Certainty of the vertebral level")
LEVEL_CERTAIN = Code("LEVEL_CERTAIN", SCHEME, "Level certain")
LEVEL_UNCERTAIN = Code("LEVEL_UNCERTAIN", SCHEME, "Level uncertain, to be checked by the reader")
LEVEL_UNKNOWN = Code("LEVEL_UNKNOWN", SCHEME, "Level unknown")
LEVEL_PROBABILITY = Code("P_LEVEL", SCHEME, "Probability of the vertebral level")
CLASSIFICATION_UNCERTAINTY = Code("CLASS_UNCERTAIN", SCHEME, "Uncertainty of the classification")

CLASS_PROBABILITIES = {
    "malignant": Code("P_MALIGNANT", SCHEME, "Probability of malignant lesion"),
    "benign": Code("P_BENIGN", SCHEME, "Probability of benign lesion"),
    "normal": Code("P_NORMAL", SCHEME, "Probability of normal tissue"),
}
"""Probabilities of `Lesion.probabilities` by name; each from 0 to 1."""

FINDING_CLASS = Code("CLASS", SCHEME, "Class of the finding")
FINDING_CLASSES = {
    "malignant": Code("CLASS_MALIGNANT", SCHEME, "Suspicious of malignancy"),
    "benign": Code("CLASS_BENIGN", SCHEME, "Benign"),
    "normal": Code("CLASS_NORMAL", SCHEME, "Normal"),
}
INDETERMINATE = Code("INDETERMINATE", SCHEME, "Indeterminate")
"""Written where the classes cannot be told apart at the promised error rate, or nothing known fits."""

FINDING_SUBTYPE = Code("SUBTYPE", SCHEME, "Most probable subtype of the finding")


def subtype_code(subtype: str) -> Code:
    """Give the code of a subtype.

    Parameters
    ----------
    subtype : str
        Name in lower snake case, such as ``"metastasis_lytic"``.

    Returns
    -------
    Code
        In our own scheme: the code systems in use have no such mixture of tumors and mimics.
    """
    return Code(subtype.upper()[:16], SCHEME, subtype.replace("_", " ").capitalize()[:64])


def vertebra_code(level: str | None) -> Code:
    """Give the code of a whole vertebra.

    Parameters
    ----------
    level : str or None
        Level name such as ``"L3"``; None where it is unknown.

    Returns
    -------
    Code
        SNOMED CT where it has the level, our own scheme for T13 and L6, the code of "vertebra" without a level.
    """
    if level is None:
        return VERTEBRA
    if level in _VERTEBRA_VALUES:
        return Code(_VERTEBRA_VALUES[level], "SCT", f"{level} vertebra")
    return Code(level, SCHEME, f"{level} vertebra")


def disc_code(name: str | None) -> Code:
    """Give the code of an intervertebral disc.

    Parameters
    ----------
    name : str or None
        Disc name such as ``"L4/L5"``; None where the level is unknown.

    Returns
    -------
    Code
        SNOMED CT where it has the disc, our own scheme beside T13 and L6 and without a level.
    """
    if not name or "/" not in name:
        return DISC
    if name in _DISC_VALUES:
        return Code(_DISC_VALUES[name], "SCT", f"{name} disc")
    return Code("DISC_" + name.replace("/", "_"), SCHEME, f"{name} disc")


def coding_schemes() -> Sequence[CodingSchemeIdentificationItem]:
    """Declare our own coding scheme, for the objects that use it.

    Returns
    -------
    sequence of CodingSchemeIdentificationItem
        One item.
    """
    return [
        CodingSchemeIdentificationItem(
            designator=SCHEME,
            name="Spondyl spine oncology concepts",
            version=spondyl.__version__,
            uid=str(SCHEME_UID),
            responsible_organization="Spondyl developers",
        )
    ]


def concept(code: Code) -> CodedConcept:
    """Give a code as the sequence item that highdicom writes.

    Parameters
    ----------
    code : Code
        Any code of this module.

    Returns
    -------
    CodedConcept
        The same concept.
    """
    return CodedConcept(value=code.value, scheme_designator=code.scheme_designator, meaning=code.meaning)
