"""The result of an analysis as one JSON file: the form that scripts, the cohort tables and later versions rely on.

Its schema is published beside this module and versioned as MAJOR.MINOR: a minor version only adds, so a reader of 1.0
understands 1.7 and this reader fills what an older minor version did not have. Nothing in the file names a patient:
no free text of a header, no date, no time of day, no station.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING, Any

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.core import SAGITTAL, InputError
from spondyl.io.views import stack_axis

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from spondyl.core import Case, Image, Lesion, Measurement, StepRecord, Vertebra
    from spondyl.io.files import SetAside

SCHEMA_VERSION = "1.1"
"""Version of the form written here."""

SCHEMA_FILE = "result-1.1.schema.json"
"""The published JSON Schema, in the package folder ``spondyl/io/schema``."""

UNPUBLISHED_ACQUISITION = ("acquired_s", "station")
"""Acquisition fields kept out: a time of day, and a name that a hospital chose (DICOM PS3.15 annex E lists both)."""

EMPTY_FIELDS: dict[str, Any] = {
    "reference_sequence": None,
    "frame_of_reference_uid": "",
    "sequences": [],
    "set_aside": [],
    "vertebrae": [],
    "lesions": [],
    "scores": [],
    "response": None,
    "risk": {},
    "omics": {},
    "clinical": {},
    "quality": [],
    "history": [],
    "models": {},
    "timings_s": {},
    "files": {},
}
"""What a reader gets for a field that an older minor version did not write."""


def result_document(
    case: Case,
    *,
    set_aside: Iterable[SetAside] = (),
    timings_s: Mapping[str, float] | None = None,
    files: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Give the result of an analysis as a document that JSON can hold.

    Parameters
    ----------
    case : Case
        The analyzed case.
    set_aside : iterable of SetAside, optional
        What was found in the input and not used.
    timings_s : mapping of str to float, optional
        Seconds by part of the work; those of the steps are added from the history.
    files : mapping of str to str, optional
        What was written, by role, as paths relative to the result folder.

    Returns
    -------
    dict
        The document, valid against the published schema.
    """
    reference = None if case.reference is None else case.images[case.reference].grid
    document = {
        "schema_version": SCHEMA_VERSION,
        "spondyl_version": __version__,
        "research_use_only": True,
        "notice": RESEARCH_USE_ONLY,
        "case_id": case.case_id,
        "reference_sequence": None if case.reference is None else str(case.reference),
        "frame_of_reference_uid": "" if reference is None else reference.frame_of_reference,
        "sequences": [_sequence(image, role="primary") for image in case.images.values()]
        + [_sequence(image, role="other") for image in case.others],
        "set_aside": [{"what": s.what, "reason": s.reason, "remedy": s.remedy} for s in set_aside],
        "vertebrae": [_vertebra(vertebra) for vertebra in case.vertebrae],
        "lesions": [_lesion(lesion) for lesion in case.lesions],
        "scores": [_measurement(score) for score in case.scores],
        "response": None if case.response is None else asdict(case.response),
        "risk": case.risk,
        "omics": {name: value for name, value in case.omics.items() if not name.startswith("_")},
        "clinical": case.clinical,
        "quality": [asdict(flag) for flag in case.quality],
        "history": [_step(record) for record in case.history],
        "models": {name: sha for record in case.history for name, sha in record.models.items()},
        "timings_s": {r.name: round(r.seconds, 3) for r in case.history}
        | {name: round(seconds, 3) for name, seconds in (timings_s or {}).items()},
        "files": dict(files or {}),
    }
    return dict(_plain(document))


def _sequence(image: Image, *, role: str) -> dict[str, Any]:
    acquisition = {k: v for k, v in asdict(image.acquisition).items() if k not in UNPUBLISHED_ACQUISITION}
    return {
        "sequence": str(image.sequence),
        "role": role,
        "confidence": image.sequence_confidence,
        "evidence": list(image.source.evidence),
        "series_number": image.source.series_number,
        "series_uid": image.source.series_uid,
        "stations": [{"series_number": s.series_number, "series_uid": s.series_uid} for s in image.source.stations],
        "plane": image.grid.plane,
        "orientation": image.grid.orientation,
        "shape": list(image.grid.shape),
        "spacing_mm": [round(s, 4) for s in image.grid.spacing_mm],
        "slices": slice_count(image),
        "acquisition": acquisition,
    }


def slice_count(image: Image) -> int:
    """Give the number of slices of an image.

    Parameters
    ----------
    image : Image
        Any image.

    Returns
    -------
    int
        Voxels along the axis of the stack, or from right to left in a volume that is no stack.
    """
    axis = stack_axis(image.grid)
    return image.grid.reoriented(SAGITTAL).shape[0] if axis is None else image.grid.shape[axis]


def _vertebra(vertebra: Vertebra) -> dict[str, Any]:
    return {
        "instance": vertebra.instance,
        "level": vertebra.level,
        "level_probability": vertebra.level_probability,
        "level_uncertain": vertebra.level_uncertain,
        "level_reason": vertebra.level_reason,
        "centroid_lps_mm": list(vertebra.centroid_lps_mm),
        "volume_mm3": round(vertebra.volume_mm3, 1),
        "detection_confidence": vertebra.detection_confidence,
        "at_edge": vertebra.at_edge,
        "probabilities": dict(vertebra.probabilities),
        "uncertainty": vertebra.uncertainty,
        **_opinion(vertebra),
    }


def _opinion(finding: Vertebra | Lesion) -> dict[str, Any]:
    return {
        "subtype": finding.subtype,
        "subtype_probabilities": dict(finding.subtype_probabilities),
        "prediction_set": list(finding.prediction_set),
    }


def _lesion(lesion: Lesion) -> dict[str, Any]:
    return {
        "id": lesion.label,
        "vertebra_instance": lesion.vertebra_instance,
        "level": lesion.level,
        "volume_mm3": round(lesion.volume_mm3, 1),
        "longest_diameter_mm": round(lesion.longest_diameter_mm, 2),
        "centroid_lps_mm": list(lesion.centroid_lps_mm),
        "probabilities": dict(lesion.probabilities),
        "confidence": lesion.confidence,
        "uncertainty": lesion.uncertainty,
        "sequences_used": list(lesion.sequences_used),
        "measurements": [_measurement(m) for m in lesion.measurements],
        "compartment": lesion.compartment,
        "features": dict(lesion.features),
        **_opinion(lesion),
    }


def _measurement(measurement: Measurement) -> dict[str, Any]:
    return asdict(measurement)


def _step(record: StepRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "version": record.version,
        "settings": record.settings,
        "models": record.models,
        "methods": record.methods,
        "seconds": round(record.seconds, 3),
        "measurements": [_measurement(m) for m in record.measurements],
    }


def _plain(value: Any) -> Any:
    """Give a value in JSON's own kinds; numbers that are not finite become null, since JSON has no word for them."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else str(value)


def write_result(document: Mapping[str, Any], path: Path) -> None:
    """Write a result document.

    Parameters
    ----------
    document : mapping
        As given by `result_document`.
    path : Path
        The file to write; its folder exists.
    """
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_result(path: Path) -> dict[str, Any]:
    """Read a result file of this or an older minor version.

    Parameters
    ----------
    path : Path
        A ``result.json``, or the folder that holds it.

    Returns
    -------
    dict
        The document; fields that its version did not have are empty, fields that are newer are kept.

    Raises
    ------
    InputError
        If the file is missing, is not a Spondyl result, or has another major version.
    """
    file = path / "result.json" if path.is_dir() else path
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"a result.json was wanted, but it cannot be read ({type(error).__name__}); give the folder of a result"
        raise InputError(msg) from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if not isinstance(version, str) or "research_use_only" not in document:
        msg = "a Spondyl result was wanted, but the file has no schema_version; give the result.json of an analysis"
        raise InputError(msg)
    if version.split(".", maxsplit=1)[0] != SCHEMA_VERSION.split(".", maxsplit=1)[0]:
        msg = (
            f"a result of schema {SCHEMA_VERSION} was wanted, got {version}; analyze the study again with this version"
        )
        raise InputError(msg)
    filled: dict[str, Any] = {name: _copy(empty) for name, empty in EMPTY_FIELDS.items()} | document
    return filled


def _copy(empty: Any) -> Any:
    return empty.copy() if isinstance(empty, list | dict) else empty


def result_schema() -> dict[str, Any]:
    """Give the published JSON Schema of the result file.

    Returns
    -------
    dict
        A JSON Schema, draft 2020-12.
    """
    text = resources.files("spondyl.io").joinpath("schema", SCHEMA_FILE).read_text(encoding="utf-8")
    return dict(json.loads(text))
