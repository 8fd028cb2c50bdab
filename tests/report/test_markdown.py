from dataclasses import replace

import pytest

from edgekit.report.markdown import render_markdown
from edgekit.types.finding import Finding


def test_sections_in_reading_order(report):
    text = render_markdown(report)
    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert titles == [
        "# net", "## Files", "## Findings", "## Worst layers", "## Calibration", "## How to load", "## How to repeat",
        "## Machine",
    ]  # fmt: skip
    assert text.index("**Usable; read the warnings first.**") < text.index("## Files")
    assert text.endswith("\n")


def test_every_table_row_has_the_width_of_its_head(report):
    widths = {}
    for line in render_markdown(report).splitlines():
        if line.startswith("| "):
            cells = line.replace("\\|", "").count("|")
            widths.setdefault("current", cells)
            assert cells == widths["current"], line
        else:
            widths.clear()


def test_findings_of_every_stage_and_the_lint_stand_in_their_places(report):
    text = render_markdown(report)
    findings, calibration = text.split("## Calibration")
    assert "`frozen-axis` Axis 2 was frozen at 32. *See --input.*" in findings
    assert "`op-left-float`" in findings
    assert "only 9 photos" in calibration.lower()


def test_file_names_keep_their_case(report_with):
    text = render_markdown(report_with(findings=(Finding("x", "model.int8.onnx does not run"),)))
    assert "model.int8.onnx does not run." in text


@pytest.mark.parametrize("name", ["a|b", "<script>", "*bold*", "[link](x)", "`code`", "two\nlines"])
def test_names_of_the_users_model_cannot_break_the_page(report, name):
    layer = replace(report.check.layers[0], label=name)
    text = render_markdown(replace(report, check=replace(report.check, layers=(layer,))))
    (row,) = [line for line in text.splitlines() if "too \\| narrow" in line]
    assert row.replace("\\|", "").count("|") == 9
    assert "<script>" not in row
    assert "[link]" not in row


def test_no_layers_no_section(report_with):
    assert "## Worst layers" not in render_markdown(report_with(check={"layers": ()}))


def test_nothing_found_is_said(report_with):
    text = render_markdown(report_with(findings=(), check={"findings": ()}))
    assert "## Findings\n\nNone.\n" in text


def test_why_there_is_no_agreement(report, report_with):
    signal = replace(report.check.artifacts[1].signal, top1_agreement=None, top1_reason="no output has classes")
    entries = (report.check.artifacts[0], replace(report.check.artifacts[1], signal=signal))
    assert "No top-1 agreement: no output has classes." in render_markdown(report_with(check={"artifacts": entries}))


def test_a_file_that_does_not_run_has_no_loading_code(report, report_with):
    entries = (report.check.artifacts[0], replace(report.check.artifacts[2], error="bad"))
    assert "Interpreter" not in render_markdown(report_with(check={"artifacts": entries}))


def test_ladder_and_budget_have_their_sections(report_with, ladder, judgements):
    text = render_markdown(report_with(ladder=ladder, judgements=judgements))
    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert titles[:5] == ["# net", "## Budget", "## Files", "## Accuracy ladder", "## Findings"]
    assert "**Best found, below the budget.**" in text
    assert "| hessian-rounding | yes | 23.5 dB | +3.5 dB |" in text
    assert "- Beyond that the weights have to adapt" in text
    kept = render_markdown(report_with(judgements=judgements[:1]))
    assert "missed" not in kept


def test_ten_layers_and_how_many_more_there_are(report, report_with):
    layers = tuple(replace(report.check.layers[0], label=f"layer {index}") for index in range(12))
    text = render_markdown(report_with(check={"layers": layers}))
    assert "| layer 9 |" in text
    assert "| layer 10 |" not in text
    assert "The other 2 are in report.json." in text


def test_how_the_file_for_this_machine_was_found(report_with, host):
    text = render_markdown(report_with(host=host))
    assert "## The file for this machine" in text
    assert "does not run: no kernel" in text
    assert "Accurate and fast. Each candidate was run on 16 samples." in text
    assert "## The file for this machine" not in render_markdown(report_with())
