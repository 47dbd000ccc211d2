"""The result file: exactly its schema, without identifiers, readable across minor versions."""

import json
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest

from fake_case import PLANTED, analyzed_case
from spondyl.core import Case, InputError, Measurement, Score, ScoreItem
from spondyl.io.result import (
    EMPTY_FIELDS,
    SCHEMA_VERSION,
    read_result,
    result_document,
    result_schema,
    write_result,
)


def _document(case=None, **changes):
    aside = SimpleNamespace(what="series 1 (1.2.3)", reason="a localizer", remedy="nothing to do")
    given = {"set_aside": [aside], "timings_s": {"read": 0.5}, "files": {"report": "report.html"}} | changes
    return result_document(case or analyzed_case(), **given)


def test_the_document_fits_the_published_schema():
    jsonschema.Draft202012Validator.check_schema(result_schema())
    jsonschema.validate(_document(), result_schema())


def test_an_empty_case_fits_the_schema_too():
    jsonschema.validate(result_document(Case("case-0", {})), result_schema())


def _undocumented(document, schema, path=""):
    if schema.get("type") == "array" and "items" in schema:
        return [u for item in document for u in _undocumented(item, schema["items"], path + "[]")]
    if document is None or "properties" not in schema:
        return []
    unknown = [f"{path}.{key}" for key in document if key not in schema["properties"]]
    return unknown + [
        u
        for key in document
        if key in schema["properties"]
        for u in _undocumented(document[key], schema["properties"][key], f"{path}.{key}")
    ]


def test_the_schema_documents_every_field_that_is_written():
    item = ScoreItem("pain", "", 0.0, 3.0, "", "give pain")
    score = Score("SINS", None, "{points}", 7.0, 12.0, code="sins", level="L3", items=(item,))
    case = analyzed_case().with_(scores=(Measurement("length", 1.0, "mm"), score))
    assert _undocumented(_document(case), result_schema()) == []


def test_the_schema_version_is_the_one_of_its_file():
    assert result_schema()["$id"].endswith(SCHEMA_VERSION)


def test_no_free_text_or_time_of_the_header_is_in_the_document():
    text = json.dumps(_document())
    assert PLANTED not in text
    assert "acquired_s" not in text
    assert '"station"' not in text


def test_numbers_that_are_not_finite_become_null():
    case = analyzed_case().with_(risk={"hazard": np.float32("nan"), "curve": np.array([1.0, np.inf])})
    assert _document(case)["risk"] == {"hazard": None, "curve": [1.0, None]}


def test_what_was_written_is_read_back(tmp_path):
    write_result(_document(), tmp_path / "result.json")
    assert read_result(tmp_path) == _document()


def test_a_file_of_an_older_minor_version_is_filled_with_empty_fields(tmp_path):
    old = {"schema_version": "1.0", "research_use_only": True, "case_id": "case-1"}
    (tmp_path / "result.json").write_text(json.dumps(old))
    assert read_result(tmp_path / "result.json") == EMPTY_FIELDS | old


def test_fields_of_a_newer_minor_version_are_kept(tmp_path):
    write_result(_document() | {"schema_version": "1.9", "novelty": 1}, tmp_path / "result.json")
    assert read_result(tmp_path)["novelty"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "no schema_version"),
        ('{"schema_version": "1.0"}', "no schema_version"),
        ('{"schema_version": "2.0", "research_use_only": true}', "schema 1.1 was wanted, got 2.0"),
    ],
)
def test_what_is_no_result_is_refused_with_the_remedy(tmp_path, text, message):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_result(tmp_path)


def test_the_lesion_table_is_the_one_promised():
    lesion = _document()["lesions"][0]
    assert lesion["id"] == 1
    assert lesion["level"] == "L3"
    assert lesion["probabilities"] == {"malignant": 0.82, "benign": 0.13, "normal": 0.05}
    assert lesion["longest_diameter_mm"] == 16.2


def test_step_times_stand_beside_the_others():
    assert _document()["timings_s"] == {"localize": 2.5, "read": 0.5}
