"""The clinical form: what images do not show, given as a TOML or JSON file and checked field by field.

Everything in it is optional, and what is missing stays unknown: a score then says which of its items could not be had.
Dates are turned into days before the study at once, so that no date travels further than this module.
"""

# ruff: noqa: TC001, TC003 - pydantic reads the annotations at run time
from __future__ import annotations

import json
import tomllib
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spondyl.core import InputError
from spondyl.core.anatomy import LEVELS
from spondyl.core.clinical import (
    ALIGNMENT,
    AMBULATION,
    BONE_LESION,
    FRANKEL,
    ORGAN_METASTASES,
    PAIN,
    PRIMARIES,
    RADIOSENSITIVITY,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAX_BYTES = 1_000_000
"""A form is a page; a larger file is something else. Chosen by us."""

REMEDIES = {
    "albumin_g_l": "give g/L: 3.5 g/dL is 35",
    "hemoglobin_g_l": "give g/L: 12.1 g/dL is 121",
    "calcium_mmol_l": "give mmol/L: 9.6 mg/dL is 2.4",
    "platelets_10e9_l": "give 10⁹/L: 250,000 per µL is 250",
    "karnofsky": "give 0 to 100 in steps of 10",
    "ecog": "give 0 to 5",
    "levels": "name levels as C1 to S5, such as L2",
}
"""What to do about a value out of range, where the unit is the usual reason."""

Level = Literal[LEVELS]  # type: ignore[valid-type]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)


class _LevelItems(_Part):
    """What is known of one level beyond the images."""

    pain: Annotated[Literal[PAIN] | None, Field(description="Pain from this level, as SINS has it.")] = None  # type: ignore[valid-type]
    bone_lesion: Annotated[
        Literal[BONE_LESION] | None,  # type: ignore[valid-type]
        Field(description="What CT or radiographs show of the bone."),
    ] = None
    alignment: Annotated[
        Literal[ALIGNMENT] | None,  # type: ignore[valid-type]
        Field(description="Alignment on radiographs."),
    ] = None


class _Radiotherapy(_Part):
    """One course of radiotherapy."""

    levels: Annotated[
        list[Level] | None, Field(min_length=1, description="Levels irradiated; the whole spine unless given.")
    ] = None
    end_date: Annotated[date | None, Field(description="Last day; needs `study_date`.")] = None
    days_before_study: Annotated[int | None, Field(ge=0, le=36500, description="Instead of `end_date`.")] = None
    dose_gy: Annotated[float | None, Field(gt=0, le=100, description="Total dose in Gy.")] = None
    fractions: Annotated[int | None, Field(ge=1, le=60, description="Number of fractions.")] = None


class _SystemicTherapy(_Part):
    """One systemic therapy."""

    kind: Annotated[
        Literal["chemotherapy", "immunotherapy", "targeted", "hormone", "bone_agent", "other"],
        Field(description="What kind of therapy."),
    ]
    start_date: Annotated[date | None, Field(description="First day; needs `study_date`.")] = None
    days_before_study: Annotated[int | None, Field(ge=0, le=36500, description="Instead of `start_date`.")] = None
    ongoing: Annotated[bool | None, Field(description="Whether it goes on.")] = None


class _Form(_Part):
    """The whole form. Ranges are those a living patient can have, chosen wide by us; they catch wrong units."""

    study_date: Annotated[date | None, Field(description="Day of the study; turns dates into days.")] = None
    prior_study_date: Annotated[date | None, Field(description="Day of the prior study; needs `study_date`.")] = None
    days_since_prior: Annotated[int | None, Field(ge=0, le=36500, description="Instead of `prior_study_date`.")] = None
    age_years: Annotated[float | None, Field(ge=0, le=120, description="Age in years.")] = None
    sex: Annotated[Literal["F", "M", "other"] | None, Field(description="Sex.")] = None
    primary: Annotated[Literal[PRIMARIES] | None, Field(description="Primary tumor.")] = None  # type: ignore[valid-type]
    primary_controlled: Annotated[bool | None, Field(description="Whether the primary is under control.")] = None
    months_since_diagnosis: Annotated[float | None, Field(ge=0, le=1200, description="Since the primary.")] = None
    karnofsky: Annotated[
        int | None, Field(ge=0, le=100, multiple_of=10, description="Karnofsky performance status in percent.")
    ] = None
    ecog: Annotated[int | None, Field(ge=0, le=5, description="ECOG performance status.")] = None
    frankel: Annotated[Literal[FRANKEL] | None, Field(description="Frankel grade.")] = None  # type: ignore[valid-type]
    myelopathy: Annotated[bool | None, Field(description="Whether there are signs of myelopathy.")] = None
    ambulation: Annotated[Literal[AMBULATION] | None, Field(description="How the patient walks.")] = None  # type: ignore[valid-type]
    neurological_deterioration: Annotated[
        bool | None, Field(description="New deficit since the prior study, due to known epidural disease.")
    ] = None
    pain: Annotated[Literal[PAIN] | None, Field(description="Spinal pain, where `levels` does not say more.")] = None  # type: ignore[valid-type]
    vertebral_metastases: Annotated[
        int | None, Field(ge=0, le=33, description="Number of vertebrae with metastases in the whole spine.")
    ] = None
    extraspinal_bone_metastases: Annotated[
        int | None, Field(ge=0, le=1000, description="Number of bone metastases outside the spine.")
    ] = None
    organ_metastases: Annotated[
        Literal[ORGAN_METASTASES] | None,  # type: ignore[valid-type]
        Field(description="Metastases of major organs."),
    ] = None
    brain_metastases: Annotated[bool | None, Field(description="Whether there are brain metastases.")] = None
    radiosensitivity: Annotated[
        Literal[RADIOSENSITIVITY] | None,  # type: ignore[valid-type]
        Field(description="Radiosensitivity as the board judges it; from the primary unless given."),
    ] = None
    systemic_tolerance: Annotated[
        Literal["good", "poor"] | None, Field(description="Whether the patient can bear an operation.")
    ] = None
    albumin_g_l: Annotated[float | None, Field(ge=10, le=70, description="Serum albumin in g/L.")] = None
    hemoglobin_g_l: Annotated[float | None, Field(ge=30, le=250, description="Hemoglobin in g/L.")] = None
    calcium_mmol_l: Annotated[float | None, Field(ge=1, le=5, description="Total serum calcium in mmol/L.")] = None
    ldh_u_l: Annotated[float | None, Field(ge=20, le=20000, description="Lactate dehydrogenase in U/L.")] = None
    alkaline_phosphatase_u_l: Annotated[
        float | None, Field(ge=5, le=10000, description="Alkaline phosphatase in U/L.")
    ] = None
    crp_mg_l: Annotated[float | None, Field(ge=0, le=1000, description="C-reactive protein in mg/L.")] = None
    platelets_10e9_l: Annotated[float | None, Field(ge=1, le=3000, description="Platelets in 10⁹/L.")] = None
    levels: Annotated[dict[Level, _LevelItems], Field(description="What is known of single levels, by name.")] = {}
    radiotherapy: Annotated[list[_Radiotherapy], Field(max_length=50, description="Courses of radiotherapy.")] = []
    systemic_therapy: Annotated[list[_SystemicTherapy], Field(max_length=50, description="Systemic therapies.")] = []


def read_clinical(path: Path) -> dict[str, Any]:
    """Read and check a clinical form.

    Parameters
    ----------
    path : Path
        A TOML or JSON file.

    Returns
    -------
    dict
        The fields that were given, by name, for `Case.clinical`; days before the study in place of dates.

    Raises
    ------
    InputError
        If the file cannot be read, or a field is unknown, of the wrong kind, or out of range.
    """
    if path.suffix.lower() not in (".toml", ".json"):
        msg = f"the clinical form must be a file ending in .toml or .json, got one ending in {path.suffix or 'nothing'}"
        raise InputError(msg)
    try:
        if path.stat().st_size > MAX_BYTES:
            msg = "the clinical form is larger than 1 MB; give the form of one patient"
            raise InputError(msg)
        text = path.read_text(encoding="utf-8-sig")
        table = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f'the clinical form is not TOML: {error}; quote words, as in primary = "breast"'
        raise InputError(msg) from error
    except (json.JSONDecodeError, RecursionError) as error:
        place = f": {error}" if isinstance(error, json.JSONDecodeError) else ""
        msg = f"the clinical form is not JSON{place}; save it again as JSON in UTF-8"
        raise InputError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the clinical form cannot be read ({type(error).__name__}); give a TOML or JSON file in UTF-8"
        raise InputError(msg) from error
    return checked_clinical(table)


def checked_clinical(table: Any) -> dict[str, Any]:
    """Check the fields of a clinical form.

    Parameters
    ----------
    table : object
        What the file held.

    Returns
    -------
    dict
        As `read_clinical`.

    Raises
    ------
    InputError
        If a field is unknown, of the wrong kind, or out of range.
    """
    if not isinstance(table, dict):
        msg = f"the clinical form must be a table of fields, got a {type(table).__name__}; name fields, as in karnofsky"
        raise InputError(msg)
    try:
        form = _Form.model_validate(table)
    except ValidationError as error:
        problems = [_problem(e) for e in error.errors(include_url=False)]
        msg = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise InputError(msg) from error
    return _in_days(form)


def _problem(error: Mapping[str, Any]) -> str:
    """Say what is wrong with one field. Unknown fields may hold anything, so their value is never repeated."""
    place = ".".join(str(part) for part in error["loc"] if part != "[key]")
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = ", ".join(sorted(_fields_at(error["loc"])))
        return f"clinical form: unknown field {place}; remove it or use one of {known}"
    wanted = {
        "literal_error": f"one of {context.get('expected', '')}",
        "greater_than_equal": f"{context.get('ge')} or more",
        "less_than_equal": f"{context.get('le')} or less",
        "greater_than": f"more than {context.get('gt')}",
        "multiple_of": f"a multiple of {context.get('multiple_of')}",
    }.get(kind, error["msg"][:1].lower() + error["msg"][1:])
    value = error["input"]
    shown = str(value) if isinstance(value, bool | int | float) else f"a {type(value).__name__}"
    if kind == "literal_error" and isinstance(value, str) and len(value) <= 20:
        shown = repr(value)
    names = [str(part) for part in error["loc"]]
    remedy = next((REMEDIES[n] for n in reversed(names) if n in REMEDIES), "correct it or leave the field out")
    return f"clinical form: {place} wants {wanted}, got {shown}; {remedy}"


def _fields_at(place: tuple[Any, ...]) -> set[str]:
    kinds: dict[str, type[BaseModel]] = {
        "levels": _LevelItems,
        "radiotherapy": _Radiotherapy,
        "systemic_therapy": _SystemicTherapy,
    }
    return set(kinds.get(str(place[0]), _Form).model_fields if len(place) > 1 else _Form.model_fields)


def _in_days(form: _Form) -> dict[str, Any]:
    """Give the fields that were given, with days in place of dates."""
    given = form.model_dump(exclude_none=True, exclude_defaults=True)
    today = given.pop("study_date", None)
    if "prior_study_date" in given:
        _only_one(given, "prior_study_date", "days_since_prior", "prior_study_date")
        given["days_since_prior"] = _days(given.pop("prior_study_date"), today, "prior_study_date")
    for name, when in (("radiotherapy", "end_date"), ("systemic_therapy", "start_date")):
        for number, entry in enumerate(given.get(name, ())):
            if when in entry:
                place = f"{name}.{number}.{when}"
                _only_one(entry, when, "days_before_study", place)
                entry["days_before_study"] = _days(entry.pop(when), today, place)
    return given


def _only_one(table: Mapping[str, Any], first: str, second: str, place: str) -> None:
    if first in table and second in table:
        msg = f"clinical form: {place} wants to be alone, got {second} beside it; give one of the two"
        raise InputError(msg)


def _days(then: date, today: date | None, place: str) -> int:
    if today is None:
        msg = f"clinical form: {place} is a date, but study_date is missing; give study_date, or days in its place"
        raise InputError(msg)
    days = (today - then).days
    if days < 0:
        msg = f"clinical form: {place} wants a day before study_date, got one {-days} days after it; correct the dates"
        raise InputError(msg)
    return days


def form_fields() -> Iterator[tuple[str, str, str]]:
    """List the fields of the form, for its page.

    Yields
    ------
    name, allowed, description : str
        Dotted name, allowed values, and meaning.
    """
    parts = (("", _Form), ("levels.LEVEL.", _LevelItems), ("radiotherapy[].", _Radiotherapy))
    for prefix, part in (*parts, ("systemic_therapy[].", _SystemicTherapy)):
        for name, schema in part.model_json_schema()["properties"].items():
            yield prefix + name, _allowed(schema), schema.get("description", "")


def _allowed(schema: Mapping[str, Any]) -> str:
    options = [s for s in schema.get("anyOf", [schema]) if s.get("type") != "null"]
    one = options[0]
    if "enum" in one:
        return ", ".join(f"`{value}`" for value in one["enum"])
    if one.get("format") == "date":
        return "date, `2026-05-04`"
    if one["type"] in ("integer", "number"):
        low = one.get("minimum", one.get("exclusiveMinimum"))
        step = f" in steps of {one['multipleOf']}" if "multipleOf" in one else ""
        word = "whole number" if one["type"] == "integer" else "number"
        return f"{word}, {low:g} to {one['maximum']:g}{step}"
    return {"boolean": "`true`, `false`", "object": "table", "array": "list"}[one["type"]]
