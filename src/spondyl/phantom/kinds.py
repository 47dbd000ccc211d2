"""The words for what can be wrong in a spine: kinds of lesions, the classes they form, and where they grow."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Compartment(StrEnum):
    """Where a lesion grows from."""

    BONE = "bone"
    EPIDURAL = "epidural"
    PARASPINAL = "paraspinal"
    INTRADURAL = "intradural"
    INTRAMEDULLARY = "intramedullary"


class LesionClass(StrEnum):
    """What a reader would call a lesion; the labels of the third stage."""

    METASTASIS_LYTIC = "metastasis_lytic"
    METASTASIS_SCLEROTIC = "metastasis_sclerotic"
    METASTASIS_MIXED = "metastasis_mixed"
    HEMATOLOGIC = "hematologic"
    PRIMARY_SUSPECTED = "primary_suspected"
    FRACTURE_PATHOLOGICAL = "fracture_pathological"
    FRACTURE_OSTEOPOROTIC = "fracture_osteoporotic"
    HEMANGIOMA = "hemangioma"
    FATTY_MARROW = "fatty_marrow"
    RED_MARROW = "red_marrow"
    BONE_ISLAND = "bone_island"
    DEGENERATIVE = "degenerative"
    SCHMORL_NODE = "schmorl_node"
    INFECTION = "infection"
    INTRADURAL = "intradural"
    POST_TREATMENT = "post_treatment"


class LesionKind(StrEnum):
    """What a lesion is."""

    LYTIC = "lytic metastasis"
    SCLEROTIC = "sclerotic metastasis"
    MIXED = "mixed metastasis"
    EXPANSILE = "expansile metastasis"
    HEMORRHAGIC = "T1-bright metastasis"
    EPIDURAL = "epidural metastasis"
    PARASPINAL = "paraspinal metastasis"
    TREATED = "treated metastasis"
    PATHOLOGICAL_FRACTURE = "pathological fracture"
    MYELOMA = "focal myeloma"
    DIFFUSE = "diffuse infiltration"
    MICRONODULAR = "micronodular infiltration"
    LYMPHOMA = "lymphoma"
    PLASMACYTOMA = "plasmacytoma"
    CHORDOMA = "chordoma"
    HEMANGIOMA = "hemangioma"
    HEMANGIOMA_ATYPICAL = "atypical hemangioma"
    FATTY = "focal fatty marrow"
    RED_MARROW = "red marrow island"
    BONE_ISLAND = "bone island"
    MODIC_1 = "Modic 1 endplate change"
    MODIC_2 = "Modic 2 endplate change"
    MODIC_3 = "Modic 3 endplate change"
    FACET_EDEMA = "facet edema"
    SCHMORL = "Schmorl node"
    SCHMORL_ACUTE = "acute Schmorl node"
    OSTEOPOROTIC_FRACTURE = "osteoporotic fracture"
    OSTEOPOROTIC_FRACTURE_OLD = "old osteoporotic fracture"
    DISCITIS = "spondylodiscitis"
    RADIATION = "radiation change"
    CEMENT = "cemented vertebra"
    MENINGIOMA = "meningioma"
    SCHWANNOMA = "schwannoma"
    LEPTOMENINGEAL = "leptomeningeal metastasis"
    EPENDYMOMA = "ependymoma"
    ASTROCYTOMA = "astrocytoma"
    CORD_METASTASIS = "intramedullary metastasis"


_K, _C = LesionKind, LesionClass

CLASS_OF_KIND: Mapping[LesionKind, LesionClass] = MappingProxyType(
    {
        _K.LYTIC: _C.METASTASIS_LYTIC,
        _K.SCLEROTIC: _C.METASTASIS_SCLEROTIC,
        _K.MIXED: _C.METASTASIS_MIXED,
        _K.EXPANSILE: _C.METASTASIS_LYTIC,
        _K.HEMORRHAGIC: _C.METASTASIS_LYTIC,
        _K.EPIDURAL: _C.METASTASIS_LYTIC,
        _K.PARASPINAL: _C.METASTASIS_LYTIC,
        _K.TREATED: _C.POST_TREATMENT,
        _K.PATHOLOGICAL_FRACTURE: _C.FRACTURE_PATHOLOGICAL,
        _K.MYELOMA: _C.HEMATOLOGIC,
        _K.DIFFUSE: _C.HEMATOLOGIC,
        _K.MICRONODULAR: _C.HEMATOLOGIC,
        _K.LYMPHOMA: _C.HEMATOLOGIC,
        _K.PLASMACYTOMA: _C.PRIMARY_SUSPECTED,
        _K.CHORDOMA: _C.PRIMARY_SUSPECTED,
        _K.HEMANGIOMA: _C.HEMANGIOMA,
        _K.HEMANGIOMA_ATYPICAL: _C.HEMANGIOMA,
        _K.FATTY: _C.FATTY_MARROW,
        _K.RED_MARROW: _C.RED_MARROW,
        _K.BONE_ISLAND: _C.BONE_ISLAND,
        _K.MODIC_1: _C.DEGENERATIVE,
        _K.MODIC_2: _C.DEGENERATIVE,
        _K.MODIC_3: _C.DEGENERATIVE,
        _K.FACET_EDEMA: _C.DEGENERATIVE,
        _K.SCHMORL: _C.SCHMORL_NODE,
        _K.SCHMORL_ACUTE: _C.SCHMORL_NODE,
        _K.OSTEOPOROTIC_FRACTURE: _C.FRACTURE_OSTEOPOROTIC,
        _K.OSTEOPOROTIC_FRACTURE_OLD: _C.FRACTURE_OSTEOPOROTIC,
        _K.DISCITIS: _C.INFECTION,
        _K.RADIATION: _C.POST_TREATMENT,
        _K.CEMENT: _C.POST_TREATMENT,
        _K.MENINGIOMA: _C.INTRADURAL,
        _K.SCHWANNOMA: _C.INTRADURAL,
        _K.LEPTOMENINGEAL: _C.INTRADURAL,
        _K.EPENDYMOMA: _C.INTRADURAL,
        _K.ASTROCYTOMA: _C.INTRADURAL,
        _K.CORD_METASTASIS: _C.INTRADURAL,
    }
)
"""The class of each kind of lesion."""

MALIGNANT = frozenset(
    {
        _K.LYTIC,
        _K.SCLEROTIC,
        _K.MIXED,
        _K.EXPANSILE,
        _K.HEMORRHAGIC,
        _K.EPIDURAL,
        _K.PARASPINAL,
        _K.TREATED,
        _K.PATHOLOGICAL_FRACTURE,
        _K.MYELOMA,
        _K.DIFFUSE,
        _K.MICRONODULAR,
        _K.LYMPHOMA,
        _K.PLASMACYTOMA,
        _K.CHORDOMA,
        _K.LEPTOMENINGEAL,
        _K.ASTROCYTOMA,
        _K.CORD_METASTASIS,
    }
)
"""Kinds that are malignant; a treated metastasis still is one."""

_ELSEWHERE = {
    _K.EPIDURAL: Compartment.EPIDURAL,
    _K.PARASPINAL: Compartment.PARASPINAL,
    _K.MENINGIOMA: Compartment.INTRADURAL,
    _K.SCHWANNOMA: Compartment.INTRADURAL,
    _K.LEPTOMENINGEAL: Compartment.INTRADURAL,
    _K.EPENDYMOMA: Compartment.INTRAMEDULLARY,
    _K.ASTROCYTOMA: Compartment.INTRAMEDULLARY,
    _K.CORD_METASTASIS: Compartment.INTRAMEDULLARY,
}


def compartment_of(kind: LesionKind) -> Compartment:
    """Give where a kind of lesion grows from.

    Parameters
    ----------
    kind : LesionKind
        What it is.

    Returns
    -------
    Compartment
        Bone for most.
    """
    return _ELSEWHERE.get(kind, Compartment.BONE)
