from dataclasses import replace

import pytest

from edgekit.report.verdict import judge_report
from edgekit.types.finding import Finding, Severity
from edgekit.types.report import CalibrationSummary

QUIET = CalibrationSummary("photos/", 128, 32)


@pytest.mark.parametrize(
    ("severity", "headline"),
    [
        (None, "Ready to ship"),
        (Severity.NOTE, "Ready to ship"),
        (Severity.WARNING, "Usable; read the warnings first"),
        (Severity.ERROR, "Do not ship yet"),
    ],
)
@pytest.mark.parametrize("stage", ["findings", "check", "lint"])
def test_the_worst_finding_of_any_stage_decides(report_with, severity, headline, stage):
    found = (Finding("x", "something", severity),) if severity else ()
    report = report_with(
        findings=found if stage == "findings" else (),
        calibration=replace(QUIET, lint=found if stage == "lint" else ()),
        check={"findings": found if stage == "check" else ()},
    )
    assert judge_report(report).headline == headline


def test_it_says_what_was_gained_and_what_it_cost(report):
    text = judge_report(report).text
    for part in ("2 of 2 int8 files run", "270.0 kB (27.0 % of float)", "97.5 % of 32 samples", "0.65", "-0.5 points"):
        assert part in text


def test_files_that_fail_are_not_praised(report, report_with):
    broken = tuple(replace(entry, error="bad", signal=None, latency=None) for entry in report.check.artifacts)
    text = judge_report(report_with(check={"artifacts": broken})).text
    assert text.startswith("0 of 2 int8 files run")
    assert "% of float" not in text


def test_without_classes_the_signal_is_told(report, report_with):
    unclassed = tuple(
        replace(entry, signal=replace(entry.signal, top1_agreement=None)) if entry.signal else entry
        for entry in report.check.artifacts
    )
    assert "holds 24.1 dB" in judge_report(report_with(check={"artifacts": unclassed})).text


def test_files_of_int4_weights_are_not_called_int8(report, entry):
    files = (entry("onnx-fp32", "model.fp32.onnx"), entry("onnx-int4", "model.int4.onnx"))
    text = judge_report(replace(report, check=replace(report.check, artifacts=files))).text
    assert text.startswith("1 of 1 int4 files run")


def test_outputs_without_a_signal_are_not_said_to_hold_one(report, entry):
    signal = replace(report.check.artifacts[1].signal, sqnr_db=float("nan"), top1_agreement=None)
    files = (report.check.artifacts[0], entry("onnx-int8", "model.int8.onnx", signal=signal))
    text = judge_report(replace(report, check=replace(report.check, artifacts=files))).text
    assert "holds" not in text
