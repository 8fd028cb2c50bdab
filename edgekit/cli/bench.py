"""`edgekit bench`: measure artifacts on devices; the verbs below it compare, calibrate, and build what devices need."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from edgekit.cli.bench_values import PROVIDERS, device_options
from edgekit.cli.terminal import Terminal, needing, output_options
from edgekit.cli.values import NameList
from edgekit.cli.verb_group import VerbGroup
from edgekit.errors import CheckError
from edgekit.types.bench import BenchReport, BenchSettings

VERBS: Mapping[str, str] = {
    "compare": "edgekit.cli.bench_compare:compare",
    "calibrate": "edgekit.cli.bench_compare:calibrate",
    "bundle": "edgekit.cli.bench_runtime:bundle",
    "emulator": "edgekit.cli.bench_runtime:emulator",
}

EXAMPLES = """\b
Examples:
  edgekit bench edgekit-out/ --on local:
  edgekit bench model.int8.tflite model.int8.onnx --on local: --on ssh://pi@raspberrypi --threads 1,2,4
  edgekit bench model.int8.onnx --on adb:R5CT123 --runtime runtime-aarch64.tar.gz --profile
  edgekit bench model.int8.onnx --on qemu-user:cortex-a72 --on qemu-system:cortex-a76
  edgekit bench model.int8.tflite --on ssh://pi@raspberrypi --sustained 600
  edgekit bench edgekit-out/ --on local: --history bench.sqlite --revision "$(git rev-parse HEAD)"
Verbs below it (edgekit bench VERB --help):
  compare    judge artifacts against earlier ones, for CI
  calibrate  find how far instruction counts scatter, and the limit that follows
  bundle     build a portable Python with runtimes for a bare device
  emulator   build the emulated ARM machines of qemu-user: and qemu-system:
"""


class BenchGroup(VerbGroup):
    """A group whose command line without one of its verbs is the benchmark itself."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb; "run" is the benchmark, which nobody has to name."""
        return run if cmd_name == "run" else super().get_command(ctx, cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put "run" before what does not begin with a verb."""
        if not args or args[0] not in VERBS:
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but the benchmark itself goes by no name in messages."""
        name, command, rest = super().resolve_command(ctx, args)
        return (None if command is run else name), command, rest


class NamelessContext(click.Context):
    """Of the benchmark itself, which goes by the group's name."""

    @property
    def command_path(self) -> str:
        """Without the blank before a name that there is not."""
        return super().command_path.rstrip()


class NamelessCommand(click.Command):
    """The benchmark itself."""

    context_class = NamelessContext


class ArtifactPath(click.Path):
    """A file; the shell also offers the verbs in its place."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Verbs, then whatever files the shell finds."""
        verbs = (
            []
            if ctx.params.get("artifacts")
            else [verb for verb in VERBS if incomplete and verb.startswith(incomplete)]
        )
        return [*(CompletionItem(verb) for verb in verbs), *super().shell_complete(ctx, param, incomplete)]


@click.group(cls=BenchGroup, verbs=VERBS, short_help="Measure files on the devices that they are for, and compare.")
def bench() -> None:
    """Measure artifacts on devices; see `edgekit bench --help`."""


@click.command("bench", cls=NamelessCommand, epilog=EXAMPLES)
@click.argument("artifacts", nargs=-1, type=ArtifactPath(path_type=Path), metavar="ARTIFACT...")
@device_options
@click.option("--batch", type=click.IntRange(1, 4096), default=1, show_default=True, help="Samples per inference.")
@click.option(
    "--provider",
    "providers",
    type=NameList(PROVIDERS),
    default="cpu",
    show_default=True,
    help="ONNX Runtime execution providers, separated by commas: cpu, xnnpack, cuda, tensorrt.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="Fresh processes per measurement; fewer than 5 make it invalid.",
)
@click.option(
    "--duration",
    type=click.FloatRange(0.05, 3600),
    default=2.0,
    show_default=True,
    help="Steady state of each process, seconds.",
)
@click.option(
    "--warmup",
    type=click.FloatRange(0, 3600),
    default=10.0,
    show_default=True,
    help="Longest warm-up of each process, seconds; it ends earlier when inferences have settled.",
)
@click.option(
    "--sustained",
    type=click.FloatRange(0, 86_400),
    default=0.0,
    help="One run of this many seconds more: latency against time and temperature.",
)
@click.option("--profile", is_flag=True, help="Costs per operator, by torch module.")
@click.option("--count", is_flag=True, help="Count instructions instead of time, where the processor does.")
@click.option(
    "--inputs",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Golden inputs, .npz by input name, first axis samples; 'labels' holds class numbers.  [default: random]",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of the random golden inputs.")
@click.option(
    "--history", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="SQLite file to add medians to."
)
@click.option("--revision", default="", help="What is measured, for the history: a commit.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("edgekit-bench"),
    show_default=True,
    help="Folder for report.json, report.md, junit.xml, benchmark-action.json and index.html.",
)
@output_options
@click.pass_obj
def run(
    terminal: Terminal,
    /,
    *,
    artifacts: tuple[Path, ...],
    on: tuple[str, ...],
    runtime: Path | None,
    threads: tuple[int, ...],
    inputs: Path | None,
    history: Path | None,
    revision: str,
    out: Path,
    **options: Any,
) -> None:
    """Measure .onnx and .tflite files on devices, the same way everywhere.

    A device is local:, ssh://user@host (any Linux: Pi, Jetson), adb:SERIAL (Android), qemu-user:CPU (emulated ARM, for
    what it computes) or qemu-system:CPU (emulated ARM, for counts of instructions). Each measurement takes at least
    five fresh processes; artifacts take turns. What a device does not allow to be measured properly (throttling, a
    clock that jumps, emulation) is reported as invalid, with its reason, and the exit code is 4.
    """
    settings = _settings(threads, options)
    with terminal.work() as progress:
        with needing("bench"):
            from edgekit.bench.measure import bench as measure
            from edgekit.report.bench.files import write_bench

        if history:
            _open_history(history)
        report = measure(
            artifacts,
            on,
            settings=settings,
            inputs=inputs,
            runtime=runtime,
            command=terminal.command,
            progress=progress,
        )
        try:
            if history:
                report = _remember(report, history, revision)
        finally:  # what was measured is not to be lost with the history
            write_bench(report, out)
    _show(terminal, report, out)
    invalid = [one for one in report.measurements if not one.valid]
    lost = [device for device in report.devices if device.error]
    missing = [check for check in report.outputs if check.error]
    if invalid or lost or missing:
        raise CheckError(
            f"{len(invalid)} of {len(report.measurements)} measurements must not be used, "
            f"{len(missing)} of {len(report.outputs)} outputs are missing, "
            f"{len(lost)} of {len(report.devices)} devices were lost",
            hint=f"the reasons are in {out / 'report.md'}",
        )


def _settings(threads: tuple[int, ...], options: Mapping[str, Any]) -> BenchSettings:
    return BenchSettings(
        processes=options["processes"],
        duration_s=options["duration"],
        warmup_s=options["warmup"],
        threads=threads,
        batch=options["batch"],
        providers=options["providers"],
        sustained_s=options["sustained"],
        profile=options["profile"],
        count=options["count"],
        seed=options["seed"],
    )


def _open_history(path: Path) -> None:
    """See that it can be added to, before an hour is spent on what it is to remember."""
    with needing("bench"):
        from edgekit.bench.history import History

    with History(path):
        pass


def _remember(report: BenchReport, path: Path, revision: str) -> BenchReport:
    """Add the report to the history, and the history to the report."""
    from edgekit.bench.history import History

    with History(path) as store:
        store.add(report, revision)
        return dataclasses.replace(report, history=store.points_for(report))


def _show(terminal: Terminal, report: BenchReport, out: Path) -> None:
    if terminal.json:
        from edgekit.report.bench.document import to_document

        terminal.result(to_document(report))
    elif not terminal.quiet:
        from rich.console import Console

        from edgekit.report.bench.terminal import show_bench

        console = Console()
        show_bench(report, console)
        console.print(f"\nThe page is [bold]{out / 'index.html'}[/]; report.json and report.md are beside it.")
