from dataclasses import replace
from xml.etree import ElementTree

from hypothesis import given

from edgekit.report.bench.junit import render_gate_junit, render_junit
from edgekit.types.bench import Kind
from tests.report.bench.example import EMULATED, make_gate
from tests.report.bench.strategies import gates, reports

ALLOWED = {
    "testsuites": ({"name", "tests", "failures", "errors", "skipped", "time"}, {"testsuite"}),
    "testsuite": ({"name", "tests", "failures", "errors", "skipped", "time"}, {"testcase"}),
    "testcase": ({"classname", "name", "time"}, {"failure", "error", "skipped", "system-out"}),
    "failure": ({"message", "type"}, set()),
    "error": ({"message", "type"}, set()),
    "skipped": ({"message"}, set()),
    "system-out": (set(), set()),
}
"""Element -> its attributes and what may stand in it: what Jenkins' and GitLab's readers have in common."""


def parse(text):
    """The root, after its structure and its sums were checked."""
    root = ElementTree.fromstring(text.encode("utf-8"))
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites ')
    for part in root.iter():
        attributes, children = ALLOWED[part.tag]
        assert set(part.keys()) <= attributes
        assert {child.tag for child in part} <= children
        if part.tag in ("testsuites", "testsuite"):
            cases = list(part.iter("testcase"))
            assert part.get("tests") == str(len(cases))
            for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
                assert part.get(name) == str(len(list(part.iter(tag))))
        if part.tag == "testcase":
            assert len(part) <= 1
            assert part.get("name") is not None
            assert float(part.get("time")) >= 0
    return root


def outcomes(root):
    return [case[0].tag if len(case) else "" for case in root.iter("testcase")]


def test_a_gate_has_a_case_per_judgement(gate):
    root = parse(render_gate_junit(gate))
    said, skipped = "system-out", "skipped"
    assert outcomes(root) == ["failure", said, skipped, said, said, said, skipped]
    case = next(root.iter("testcase"))
    assert case.get("classname") == "resnet8.int8.onnx on pi5"
    assert case.get("name") == "wall time, cpu, 1 thread"
    assert case.get("time") == "41.200"
    assert case[0].get("type") == "regressed"
    assert case[0].get("message").startswith("change +7.20 % (+6.60 to +7.90), limit +2 %: all of the interval")


def test_undecided_fails_where_the_gate_says_so():
    root = parse(render_gate_junit(make_gate(fail_on_undecided=True)))
    assert outcomes(root)[2] == "failure"
    assert root.get("failures") == "2"


def test_a_benchmark_has_a_suite_per_device(report):
    root = parse(render_junit(report))
    assert [suite.get("name") for suite in root] == [f"edgekit bench: {device.name}" for device in report.devices]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("17", "2", "1")
    assert [case.get("type") for case in root.iter("failure")] == ["invalid", "partial"]
    error = next(root.iter("error"))
    assert error.get("message").startswith("the device went away")
    assert "plug it in again" in error.text


def test_emulated_time_is_not_told(report):
    marked = tuple(
        replace(found, kind=Kind.WALL_NS) if found.device == EMULATED else found for found in report.measurements
    )
    for found in (report, replace(report, measurements=marked)):
        suite = parse(render_junit(found))[2]
        assert suite.get("time") == "0.000"
        assert " ms" not in ElementTree.tostring(suite, encoding="unicode")


def test_what_xml_cannot_hold_is_replaced(report):
    broken = replace(report.devices[3], error="\x1b[31mgone\x00 \ud800 ]]> & <b>")
    root = parse(render_junit(replace(report, devices=(*report.devices[:3], broken))))
    assert next(root.iter("error")).get("message") == "\ufffd[31mgone\ufffd \ufffd ]]> & <b>"


@given(gates())
def test_law_every_gate_is_well_formed(report):
    assert len(outcomes(parse(render_gate_junit(report)))) == len(report.judgements)


@given(reports())
def test_law_every_benchmark_is_well_formed(report):
    cases = len(report.measurements) + sum(bool(device.error) for device in report.devices)
    assert len(outcomes(parse(render_junit(report)))) == cases
