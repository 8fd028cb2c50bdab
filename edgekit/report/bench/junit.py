"""JUnit XML, which every CI shows: a gate as one test case per judgement, a benchmark as one per measurement.

Format: testsuites > testsuite > testcase with failure, error or skipped, as Jenkins, GitLab and GitHub's reporters
read it.
"""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from edgekit.report.bench.gate_wording import describe_change, describe_limit, subject_of
from edgekit.report.bench.quoting import has_wall_time, quoted, reasons_against
from edgekit.report.bench.wording import HEADINGS, cost_with_interval
from edgekit.types.bench import BenchReport, DeviceReport, Measurement
from edgekit.types.gate import GateJudgement, GateReport, Verdict

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, section 2.2; a device's last words may."""


def render_gate_junit(report: GateReport) -> str:
    """One test case per judgement: a regression fails, an undecided one fails or is skipped as the gate says."""
    suite = Element("testsuite", name=_clean(f"edgekit gate: {report.head} against {report.base}"))
    for judgement in report.judgements:
        _add_judgement(suite, judgement, fail_on_undecided=report.fail_on_undecided)
    return _render([suite])


def render_junit(report: BenchReport) -> str:
    """A suite per device: an invalid measurement is a failure, a device that failed an error."""
    return _render([_suite_of(report, device) for device in report.devices])


def _add_judgement(suite: Element, judgement: GateJudgement, *, fail_on_undecided: bool) -> None:
    case = SubElement(
        suite,
        "testcase",
        classname=_clean(" on ".join(filter(None, (judgement.artifact, judgement.device)))),
        name=_clean(subject_of(judgement)),
        time=_seconds(judgement.seconds),
    )
    reason = judgement.reason or judgement.verdict.value
    text = f"change {describe_change(judgement)}, limit {describe_limit(judgement)}: {reason}"
    undecided = judgement.verdict is Verdict.UNDECIDED
    if judgement.verdict is Verdict.REGRESSED or (undecided and fail_on_undecided):
        _add(case, "failure", text, kind=judgement.verdict.value)
    elif undecided or judgement.verdict is Verdict.SKIPPED:
        _add(case, "skipped", text if undecided else reason)
    else:
        SubElement(case, "system-out").text = _clean(text)


def _suite_of(report: BenchReport, device: DeviceReport) -> Element:
    suite = Element("testsuite", name=_clean(f"edgekit bench: {device.name}"))
    if device.error:
        case = SubElement(suite, "testcase", classname=_clean(device.name), name="device", time="0.000")
        _add(case, "error", "\n".join(filter(None, (device.error, device.hint))), kind="DeviceError")
    for entry in report.measurements:
        if entry.device == device.name:
            _add_measurement(suite, report, entry)
    return suite


def _add_measurement(suite: Element, report: BenchReport, entry: Measurement) -> None:
    """Its time is the wall time of its steady states; none is told of an emulated device."""
    shown = has_wall_time(report, entry.device, entry.kind)
    seconds = sum(run.seconds for run in entry.processes) if shown else 0.0
    case = SubElement(
        suite,
        "testcase",
        classname=_clean(f"{entry.artifact} on {entry.device}"),
        name=f"{HEADINGS[entry.kind]}, {_clean(entry.configuration)}",
        time=_seconds(seconds),
    )
    reasons, summary = reasons_against(report, entry), quoted(report, entry)
    if reasons:
        _add(case, "failure", "; ".join(reasons), kind="invalid" if entry.complete else "partial")
    elif summary is not None:
        unit = "" if shown else " instructions"
        SubElement(case, "system-out").text = f"median {cost_with_interval(summary.median, entry.kind)}{unit}"


def _add(case: Element, tag: str, text: str, *, kind: str = "") -> None:
    """The message is what CI lists, the text what it shows on a click."""
    attributes = {"message": _clean(text.splitlines()[0] if text else "")}
    SubElement(case, tag, attributes | ({"type": kind} if kind else {})).text = _clean(text)


def _render(suites: list[Element]) -> str:
    root = Element("testsuites", name="edgekit")
    root.extend(suites)
    for part in [root, *suites]:
        cases = list(part.iter("testcase"))
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            part.set(name, str(sum(case.find(tag) is not None for case in cases)))
        part.set("tests", str(len(cases)))
        part.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _seconds(value: float) -> str:
    """As a reader takes it: a finite number, not negative."""
    return f"{max(0.0, value) if math.isfinite(value) else 0.0:.3f}"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
