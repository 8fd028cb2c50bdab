"""report.md: the run as a person reads it: verdict, budget, files, ladder, findings, layers, how to load and repeat."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.report import gfm
from edgekit.report.host import tabulate_host
from edgekit.report.ladder_tables import describe_climb, tabulate_budget, tabulate_ladder
from edgekit.report.obstacles import explain_missed, worst
from edgekit.report.snippets import identifier, onnx_code, preprocessing_code, tflite_code
from edgekit.report.tables import tabulate_files, tabulate_layers, tabulate_pairs
from edgekit.report.training_tables import describe_training, tabulate_training
from edgekit.report.verdict import judge_report
from edgekit.types.report import Report
from edgekit.units import duration

SHOWN_LAYERS = 10


def render_markdown(report: Report) -> str:
    """The whole report as GitHub-flavoured Markdown, ending in a newline."""
    sections = (
        _verdict(report),
        _budget(report),
        _training(report),
        _files(report),
        _ladder(report),
        _host(report),
        _findings(report),
        _layers(report),
        _calibration(report),
        _loading(report),
        _repeating(report),
        _machine(report),
    )
    return "\n".join(line for section in sections for line in section).rstrip() + "\n"


def _verdict(report: Report) -> Iterator[str]:
    verdict, model = judge_report(report), report.model
    yield f"# {gfm.escape(model.name)}"
    yield ""
    yield f"**{verdict.headline}.** {gfm.escape(verdict.text)}"
    yield ""
    inputs, outputs = (", ".join(f"`{spec}`" for spec in specs) for specs in (model.inputs, model.outputs))
    yield (
        f"{model.parameters:,} parameters, {model.nodes} nodes of which {model.int8_nodes} are planned in int8 and "
        f"{len(model.islands)} in float. Inputs {inputs}; outputs {outputs}."
    )
    yield ""


def _files(report: Report) -> Iterator[str]:
    yield "## Files"
    yield ""
    yield from gfm.table(tabulate_files(report))
    yield ""
    check = report.check
    yield (
        f"Compared with the float model on {check.samples} held-back samples ({gfm.escape(check.source)}). "
        "SQNR: signal to quantization noise, higher is better. LSB off: largest difference from the integer "
        "reference, in steps of the quantized output. Times are of one inference at batch 1 on one thread, measured "
        "in turns with the float ONNX file, and the ratio is to that; ranges are 95 % intervals. int8/float: nodes "
        "that the runtime executes on integers and on floats."
    )
    reasons = {entry.signal.top1_reason for entry in check.artifacts if entry.signal and entry.signal.top1_reason}
    for reason in sorted(reasons):
        yield f"No top-1 agreement: {gfm.escape(reason)}."
    yield ""
    if check.pairs:
        yield from gfm.table(tabulate_pairs(report))
        yield ""


def _findings(report: Report) -> Iterator[str]:
    yield "## Findings"
    yield ""
    found = (*report.findings, *report.check.findings)
    yield from gfm.list_findings(found, empty="None.")
    yield ""


def _budget(report: Report) -> Iterator[str]:
    if not report.judgements:
        return
    yield "## Budget"
    yield ""
    yield from gfm.table(tabulate_budget(report))
    yield ""
    sentences = explain_missed(report)
    yield from (f"- {gfm.escape(sentence)}" for sentence in sentences)
    if sentences:
        yield ""


def _training(report: Report) -> Iterator[str]:
    if report.training is None:
        return
    yield "## Training"
    yield ""
    yield from gfm.table(tabulate_training(report.training))
    yield ""
    yield gfm.escape(describe_training(report.training))
    yield ""


def _ladder(report: Report) -> Iterator[str]:
    if report.ladder is None or not report.ladder.steps:
        return
    yield "## Accuracy ladder"
    yield ""
    yield from gfm.table(tabulate_ladder(report.ladder))
    yield ""
    yield gfm.escape(describe_climb(report.ladder))
    yield ""


def _host(report: Report) -> Iterator[str]:
    if report.host is None:
        return
    yield "## The file for this machine"
    yield ""
    yield from gfm.table(tabulate_host(report.host))
    yield ""
    yield gfm.escape(f"{gfm.sentence(report.host.why)} Each candidate was run on {report.host.samples} samples.")
    yield ""


def _layers(report: Report) -> Iterator[str]:
    layers = report.check.layers
    if not layers:
        return
    yield "## Worst layers"
    yield ""
    shown = worst(layers, SHOWN_LAYERS)
    yield from gfm.table(tabulate_layers(shown))
    yield ""
    rest = f" The other {len(layers) - len(shown)} are in report.json." if len(layers) > len(shown) else ""
    yield (
        "SQNR of each layer holds all noise from earlier layers; a layer far below its inputs adds noise of its own. "
        "Peak/RMS: largest absolute value over the root mean square (crest factor). Spread: largest over median peak "
        f"of the channels. Out of range: share of the float values that the integers cannot reach.{rest}"
    )
    if any(layer.output_share is not None for layer in shown):
        yield "Of output noise: share that comes from this layer's weights and the rounding of its results."
    if any(layer.float_ms is not None for layer in shown):
        yield (
            "Float: what keeping this layer alone in float would add, time from profiles of both files on the machine "
            "below, size by counting."
        )
    yield ""


def _calibration(report: Report) -> Iterator[str]:
    calibration = report.calibration
    yield "## Calibration"
    yield ""
    yield (
        f"{gfm.escape(calibration.source)}: {calibration.samples} samples for the scales, "
        f"{calibration.held_back} held back for the check."
    )
    yield ""
    yield from gfm.list_findings(calibration.lint, empty="Nothing odd about the set.")
    yield ""


def _loading(report: Report) -> Iterator[str]:
    yield "## How to load"
    yield ""
    if report.preprocessing is not None and report.model.inputs:
        yield from gfm.code("python", preprocessing_code(report.preprocessing, identifier(report.model.inputs[0].name)))
    for entry in report.check.artifacts:
        if entry.error:
            continue
        artifact = entry.artifact
        yield f"`{artifact.path.name}`"
        yield ""
        yield from gfm.code("python", tflite_code(artifact) if artifact.is_tflite else onnx_code(artifact))


def _repeating(report: Report) -> Iterator[str]:
    yield "## How to repeat"
    yield ""
    if report.command:
        yield from gfm.code("sh", report.command)
    yield "`recipe.toml` beside this report holds every setting; the same model, data and recipe give the same bytes."
    yield ""
    for entry in report.check.artifacts:
        yield f"- `{entry.artifact.path.name}` {entry.artifact.digest}"
    if report.model.digest:
        yield f"- from `{report.model.source}` {report.model.digest}"
    yield ""


def _machine(report: Report) -> Iterator[str]:
    machine = report.check.machine
    yield "## Machine"
    yield ""
    runtimes = ", ".join(f"{name} {version}" for name, version in sorted(machine.runtimes.items()))
    yield f"{machine.cpu} ({', '.join(machine.isa) or 'no known extension'}), {machine.cores} cores, {machine.system}."
    yield f"edgekit {report.version}, {runtimes}."
    if report.seconds:
        stages = ", ".join(f"{name} {duration(seconds)}" for name, seconds in report.seconds.items())
        yield f"Wall time (a stage inside another counts in both): {stages}."
