"""`edgekit bench compare` and `edgekit bench calibrate`: the gate of a CI, and the limits it should have."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from edgekit.cli.bench_values import device_options
from edgekit.cli.terminal import Terminal, needing, output_options
from edgekit.errors import CheckError, InputError
from edgekit.types.gate import GateRecipe, GateReport

COMPARE_EXAMPLES = """\b
Examples:
  edgekit bench compare main-out/ edgekit-out/ --on local: --gate gate.toml --out gate
  edgekit bench compare old.int8.onnx new.int8.onnx --on local: --on qemu-system:cortex-a76
  edgekit bench compare main/report.json edgekit-bench/report.json       (sizes, accuracy, instructions)
Exit code 4 when something regressed; docs/ci.md says how the verdicts are reached.
"""
CALIBRATE_EXAMPLES = """\b
Example:
  edgekit bench calibrate edgekit-out/ --on qemu-system:cortex-a76 >> gate.toml
"""


@click.command(epilog=COMPARE_EXAMPLES, short_help="Judge artifacts against earlier ones.")
@click.argument("base", type=click.Path(path_type=Path), metavar="BASE")
@click.argument("head", type=click.Path(path_type=Path), metavar="HEAD")
@device_options
@click.option("--gate", "gate_file", type=click.Path(path_type=Path), metavar="FILE", help="TOML with a table [gate].")
@click.option("--budget", type=click.FloatRange(1, 3600), help="Longest time per wall comparison, seconds.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("edgekit-gate"),
    show_default=True,
    help="Folder for gate.json, gate.md and gate-junit.xml.",
)
@output_options
@click.pass_obj
def compare(
    terminal: Terminal,
    /,
    *,
    base: Path,
    head: Path,
    on: tuple[str, ...],
    runtime: Path | None,
    threads: tuple[int, ...],
    gate_file: Path | None,
    budget: float | None,
    out: Path,
) -> None:
    """Judge the artifacts of HEAD against those of BASE: files, folders of files, or two earlier report.json.

    Files are compared by name. Wall time is measured side by side in the same processes until the answer is clear, and
    counts as slower only when both the confidence interval and the estimate say so; instructions, size and accuracy
    have fixed limits.
    """
    recipe = GateRecipe.load(gate_file) if gate_file else GateRecipe()
    recipe = dataclasses.replace(recipe, budget_s=budget) if budget else recipe
    with terminal.work() as progress:
        with needing("bench"):
            from edgekit.bench.comparing import compare as compare_files
            from edgekit.report.bench.files import write_gate

        if base.suffix == ".json" or head.suffix == ".json":
            report = _compare_reports(base, head, recipe)
        else:
            report = compare_files(base, head, on, recipe=recipe, threads=threads, runtime=runtime, progress=progress)
        write_gate(report, out)
    _show(terminal, report, out)
    if not report.passed:
        raise CheckError(
            f"the gate fails: {len(report.failed)} of {len(report.judgements)} comparisons",
            hint=f"{out / 'gate.md'} says which and why",
        )


@click.command(epilog=CALIBRATE_EXAMPLES, short_help="Find how far instruction counts scatter.")
@click.argument("artifacts", nargs=-1, type=click.Path(path_type=Path), metavar="ARTIFACT...")
@click.option("--on", default="qemu-system:cortex-a76", show_default=True, metavar="URI", help="A device that counts.")
@click.option("--repeats", type=click.IntRange(2, 1000), default=5, show_default=True, help="Counts per artifact.")
@output_options
@click.pass_obj
def calibrate(terminal: Terminal, /, *, artifacts: tuple[Path, ...], on: str, repeats: int) -> None:
    """Count the instructions of each file several times, and print the limits that a gate should have, as TOML.

    A limit is ten times the spread that was seen, and at least 0.05 %.
    """
    import threading

    with terminal.work() as progress:
        with needing("bench"):
            from edgekit.bench.artifacts import collect
            from edgekit.bench.calibration import calibrate as count
            from edgekit.devices.opening import open_device

        files = collect(artifacts)
        device = open_device(on)
        try:
            with progress.stage(f"count on {on}", len(files) * repeats) as stage:
                found = count(device, files, repeats=repeats, stop=threading.Event(), advance=stage.advance)
        finally:
            device.close()
    if terminal.json:
        terminal.result(
            [
                {"artifact": one.artifact, "counts": one.counts, "spread": one.spread, "limit": one.limit}
                for one in found
            ]
        )
        return
    click.echo("[gate.instructions_limits]")
    for one in found:
        spread = f"{one.spread:.4%} over {len(one.counts)} counts"
        click.echo(f"{json.dumps(one.artifact, ensure_ascii=False)} = {one.limit:g}  # spread {spread}")


def _compare_reports(base: Path, head: Path, recipe: GateRecipe) -> GateReport:
    from edgekit.bench.comparing import compare_reports
    from edgekit.report.bench.document import read_file

    if base.suffix != ".json" or head.suffix != ".json":
        raise InputError(
            f"{base.name} and {head.name} are a report and no report",
            hint="compare files with files, or a report.json with another",
        )
    return compare_reports(read_file(base), read_file(head), (str(base), str(head)), recipe)


def _show(terminal: Terminal, report: GateReport, out: Path) -> None:
    if terminal.json:
        from edgekit.report.bench.document import to_document

        terminal.result(to_document(report))
    elif not terminal.quiet:
        from rich.console import Console

        from edgekit.report.bench.terminal import show_gate

        console = Console()
        show_gate(report, console)
        console.print(f"\nThe same for a pull request is in [bold]{out / 'gate.md'}[/].", highlight=False)
