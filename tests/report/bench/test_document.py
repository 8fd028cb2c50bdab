import copy
import json
import math
from dataclasses import replace

import jsonschema
import pytest
from hypothesis import given

from edgekit.errors import InputError
from edgekit.report.bench import document
from edgekit.report.bench.document import (
    load_schema,
    read_file,
    read_gate_json,
    read_json,
    render_gate_json,
    render_json,
    to_document,
)
from edgekit.types import bench, gate
from edgekit.types.bench import BenchReport, BenchSettings
from tests.report.bench.example import PI
from tests.report.bench.schema_of import FOLDER, text_of
from tests.report.bench.strategies import gates, reports

EMPTY = BenchReport("0.1.0", "", "2026-11-22T14:03:11Z", BenchSettings(), (), ())


@given(reports())
def test_law_a_benchmark_is_read_back_as_it_was(report):
    assert read_json(render_json(report)) == report


@given(gates())
def test_law_a_gate_is_read_back_as_it_was(report):
    assert read_gate_json(render_gate_json(report)) == report


def test_the_example_is_read_back(report, gate):
    assert read_json(render_json(report)) == report
    assert read_gate_json(render_gate_json(gate)) == gate
    assert read_json(render_json(EMPTY)) == EMPTY


def test_raw_samples_stand_on_one_line(report):
    text = render_json(report)
    assert text.endswith("}\n")
    assert len(text.splitlines()) < 7000
    samples = str(list(report.measurements[0].processes[0].samples))
    assert f'"samples": {samples}' in text


def test_text_that_utf_8_cannot_hold_survives(report):
    broken = replace(report, command="bytes \udcff\ud800 of a device")
    text = render_json(broken)
    text.encode("utf-8")
    assert read_json(text) == broken


# ---- schema


@pytest.mark.parametrize("name", [bench.SCHEMA, gate.SCHEMA])
def test_the_shipped_schema_is_what_the_types_say(name):
    shipped = (FOLDER / document.SCHEMA_FILES[name]).read_text(encoding="utf-8")
    assert shipped == text_of(name), "run: python -m tests.report.bench.schema_of"


@pytest.mark.parametrize("name", [bench.SCHEMA, gate.SCHEMA])
def test_every_field_is_described(name):
    schema = load_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == name
    for part in (schema, *schema["$defs"].values()):
        assert part["description"]
        for field in part.get("properties", {}).values():
            assert len(field["description"]) > 3


def strict(name):
    """The schema, with every field that it does not name refused."""
    schema = load_schema(name)
    for part in (schema, *schema["$defs"].values()):
        if "properties" in part:
            part["additionalProperties"] = False
    return jsonschema.Draft202012Validator(schema)


@given(reports())
def test_every_benchmark_obeys_the_schema(report):
    strict(bench.SCHEMA).validate(json.loads(render_json(report)))


@given(gates())
def test_every_gate_obeys_the_schema(report):
    strict(gate.SCHEMA).validate(json.loads(render_gate_json(report)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "edgekit.bench/2"),
        (("settings", "processes"), "5"),
        (("settings", "processes"), True),
        (("measurements", 0, "kind"), "seconds"),
        (("measurements", 0, "processes", 0, "samples", 0), 1.5),
        (("measurements", 0, "summary", "median"), 3.0),
        (("measurements", 0, "summary", "minimum"), "huge"),
        (("findings", 0, "severity"), "fatal"),
        (("outputs", 0, "lsb"), [1]),
        (("devices", 0, "before", "frequency_mhz", "cpu0"), "fast"),
    ],
)
def test_schema_and_reader_refuse_what_is_wrong(report, path, value):
    found = json.loads(render_json(report))
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not jsonschema.Draft202012Validator(load_schema()).is_valid(found)
    with pytest.raises(InputError):
        read_json(json.dumps(found))


def test_the_schema_refuses_a_missing_field(report):
    found = to_document(report)
    for name in found:
        less = copy.deepcopy(found)
        del less[name]
        assert not jsonschema.Draft202012Validator(load_schema()).is_valid(less)


# ---- reading what came from outside


def test_another_version_is_refused_before_anything_else():
    with pytest.raises(InputError, match=r"'edgekit\.bench/2', this version reads 'edgekit\.bench/1'"):
        read_json('{"schema": "edgekit.bench/2", "new": "world"}')
    with pytest.raises(InputError, match=r"edgekit\.gate/1"):
        read_gate_json(render_json(EMPTY))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no valid JSON"),
        ("[]", 'no "schema"'),
        ("{}", 'no "schema"'),
        ('{"schema": null}', "of schema 'None'"),
        ('{"schema": "edgekit.bench/1", "schema": "edgekit.bench/1"}', "key 'schema' comes twice"),
        ('{"schema": "edgekit.bench/1", "a": {"b": 1, "b": 2}}', "key 'b' comes twice"),
        ('{"schema": "edgekit.bench/1", "version": NaN}', "NaN is no number"),
        ('{"schema": "edgekit.bench/1"}', r"report\.version is missing"),
        ("[" * 200_000, "nested too deeply"),
        ('{"schema": ' + "9" * 5000 + "}", "no valid JSON"),
    ],
)
def test_what_is_no_report_is_refused_with_its_reason(text, message):
    with pytest.raises(InputError, match=message):
        read_json(text)


def test_names_must_be_unique_and_lead_somewhere(report):
    for changes, message in (
        ({"devices": (*report.devices, report.devices[0])}, "devices has 'workstation' twice"),
        ({"artifacts": (*report.artifacts, report.artifacts[0])}, "artifacts has 'resnet8.fp32.onnx' twice"),
        ({"artifacts": report.artifacts[1:]}, "measurements speaks of the artifact 'resnet8.fp32.onnx'"),
        ({"devices": tuple(one for one in report.devices if one.name != PI)}, "speaks of the device 'pi5'"),
    ):
        with pytest.raises(InputError, match=message):
            read_json(render_json(replace(report, **changes)))
    outputs = (replace(report.outputs[0], device="nowhere"),)
    with pytest.raises(InputError, match="outputs speaks of the device 'nowhere'"):
        read_json(render_json(replace(report, outputs=outputs)))


def test_numbers_that_overflow_are_refused(report):
    text = render_json(report).replace('"duration_s": 2.0', '"duration_s": 1e999')
    with pytest.raises(InputError, match=r"duration_s must be a number"):
        read_json(text)


def test_too_large_a_file_is_not_read(report, tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    path.write_text(render_json(report), encoding="utf-8")
    assert read_file(path) == report
    monkeypatch.setattr(document, "LARGEST_BYTES", 1000)
    with pytest.raises(InputError, match="at most 1,000 are read"):
        read_file(path)
    with pytest.raises(InputError, match="at most 1,000 are read"):
        read_json(path.read_text(encoding="utf-8"))


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"cannot read report\.json"):
        read_file(tmp_path / "report.json")
    (tmp_path / "latin.json").write_bytes(b'{"schema": "\xe9"}')
    with pytest.raises(InputError, match="no UTF-8 text"):
        read_file(tmp_path / "latin.json")


def test_numbers_that_json_lacks_are_words(report):
    found = replace(report, settings=replace(report.settings, warmup_s=math.inf))
    assert '"warmup_s": "inf"' in render_json(found)
    assert read_json(render_json(found)).settings.warmup_s == math.inf
