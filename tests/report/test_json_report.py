import copy
import dataclasses
import json
import math
from dataclasses import replace

import pytest

from edgekit.report.json_report import load_schema, render_json
from edgekit.types.preprocessing import Preprocessing

KNOWN = {"$schema", "$id", "$defs", "title", "description", "type", "properties", "required", "items", "enum", "const"}
KNOWN |= {"anyOf", "$ref", "additionalProperties", "minItems", "maxItems"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def violations(value, schema, root, where="report"):
    """Where a value breaks the schema: the keywords our schema uses, read strictly; an unknown keyword is an error."""
    assert schema.keys() <= KNOWN, schema.keys() - KNOWN
    if "$ref" in schema:
        return violations(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, where)
    if "anyOf" in schema:
        tried = [violations(value, option, root, where) for option in schema["anyOf"]]
        return [] if any(not found for found in tried) else [f"{where}: none of {len(tried)} fits", *tried[0]]
    if "const" in schema or "enum" in schema:
        allowed = schema["enum"] if "enum" in schema else [schema["const"]]
        return [] if value in allowed else [f"{where}: {value!r} not in {allowed}"]
    if not has_type(value, schema["type"]):
        return [f"{where}: {value!r} is no {schema['type']}"]
    if isinstance(value, dict):
        return violations_of_object(value, schema, root, where)
    if isinstance(value, list):
        bounds = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf)
        found = [] if bounds else [f"{where}: {len(value)} items"]
        return found + [
            bad for i, item in enumerate(value) for bad in violations(item, schema["items"], root, f"{where}[{i}]")
        ]
    return []


def violations_of_object(value, schema, root, where):
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", "properties" not in schema)
    found = [f"{where}.{name}: missing" for name in schema.get("required", ()) if name not in value]
    for name, item in value.items():
        if name in known:
            found += violations(item, known[name], root, f"{where}.{name}")
        elif rest is False:
            found.append(f"{where}.{name}: not in the schema")
        elif isinstance(rest, dict):
            found += violations(item, rest, root, f"{where}.{name}")
    return found


def has_type(value, name):
    if name in ("integer", "number"):
        return isinstance(value, int if name == "integer" else (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def check(report):
    schema = load_schema()
    return violations(json.loads(render_json(report)), schema, schema)


def test_a_report_obeys_the_shipped_schema(report):
    assert check(report) == []


def test_a_report_without_anything_optional_obeys_it_too(report, report_with, entry):
    bare = [
        replace(found, signal=None, reference=None, fusion=None, latency=None, accuracy=None, error="no")
        for found in report.check.artifacts
    ]
    layer = replace(report.check.layers[0], low=None, high=None, scale=None, zero_point=None, sqnr_db=-math.inf)
    assert check(report_with(check={"artifacts": tuple(bare), "layers": (layer,)}, preprocessing=None)) == []


def test_ladder_and_budget_obey_it(report_with, ladder, judgements):
    assert check(report_with(ladder=ladder, judgements=judgements)) == []
    unscored = replace(
        ladder, steps=(replace(ladder.steps[0], after=replace(ladder.steps[0].after, sqnr_db=math.inf)),)
    )
    assert check(report_with(ladder=unscored)) == []


def test_every_field_is_in_the_schema(report_with, ladder, judgements, host, training):
    """The schema lets readers meet fields of later versions; this version has none that it does not describe."""
    schema = load_schema()
    report = report_with(ladder=ladder, judgements=judgements, host=host, training=training)
    for part in (schema, *schema["$defs"].values()):
        if "properties" in part:
            part["additionalProperties"] = False
    assert violations(json.loads(render_json(report)), schema, schema) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "edgekit.report/2"),
        (("check", "samples"), "32"),
        (("check", "samples"), True),
        (("check", "artifacts", 0, "artifact", "format"), "onnx-int3"),
        (("check", "artifacts", 1, "signal", "sqnr_db"), "huge"),
        (("findings", 0, "severity"), "fatal"),
        (("model", "islands", 0), ["only one"]),
        (("check", "artifacts", 1, "fusion", "operators", "Exp"), 1.5),
    ],
)
def test_the_schema_refuses_what_is_wrong(report, path, value):
    document = json.loads(render_json(report))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    schema = load_schema()
    assert violations(document, schema, schema)


def test_the_schema_refuses_a_missing_field(report):
    document = json.loads(render_json(report))
    schema = load_schema()
    for name in document:
        less = copy.deepcopy(document)
        del less[name]
        assert violations(less, schema, schema) == [f"report.{name}: missing"]


def test_the_same_report_is_the_same_text(report):
    assert render_json(report) == render_json(dataclasses.replace(report))


def test_paths_of_this_machine_stay_out(report):
    text = render_json(report)
    assert "/somewhere" not in text
    assert '"path": "model.int8.onnx"' in text


def test_numbers_that_json_lacks_are_words(report, report_with):
    layers = tuple(replace(report.check.layers[0], sqnr_db=value) for value in (math.inf, -math.inf, math.nan))
    document = json.loads(render_json(report_with(check={"layers": layers})))
    assert [layer["sqnr_db"] for layer in document["check"]["layers"]] == ["inf", "-inf", "nan"]


def test_preprocessing_is_plain(report_with):
    spec = Preprocessing((224, 224), 256, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    document = json.loads(render_json(report_with(preprocessing=spec)))
    assert document["preprocessing"]["size"] == [224, 224]
    assert document["preprocessing"]["mean"] == [0.5, 0.5, 0.5]
