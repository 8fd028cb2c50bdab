"""`edgekit inspect FILE`: what a file takes and gives, where it comes from, and what each target will make of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit import digest
from edgekit.cli.terminal import Terminal, needing, output_options
from edgekit.cli.values import NameList
from edgekit.errors import InputError, RecipeError
from edgekit.types.artifact import parts_of
from edgekit.types.spec import TensorSpec
from edgekit.types.target import TARGETS, Target
from edgekit.units import size

if TYPE_CHECKING:
    from edgekit.runtime.litert import LitertSession
    from edgekit.runtime.ort import OrtSession


EXAMPLES = """\b
Examples:
  edgekit inspect model.x86.int8.onnx                 (every target, this machine's CPU last)
  edgekit inspect quantized_elsewhere.onnx --for x86-avx2,arm
  edgekit inspect model.int8.tflite --for host --json
"""


@click.command(epilog=EXAMPLES, short_help="Show what a file takes and gives, and what runs int8 on each target.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--for",
    "names",
    multiple=True,
    metavar="LIST",
    shell_complete=NameList(TARGETS).shell_complete,
    help=f"Only these targets, separated by commas: {', '.join(TARGETS)}.  [default: all]",
)
@output_options
@click.pass_obj
def inspect(terminal: Terminal, /, *, file: Path, names: tuple[str, ...]) -> None:
    """Show what an .onnx or .tflite file takes and gives, where it comes from, and what each target makes of it.

    FILE may be float or quantized, made by edgekit or elsewhere. For each target, nodes are counted that will run on
    8-bit integers; those that fall back are named, with the reason. This is forecast from the rules of the target's
    runtime. For `host`, the CPU of this machine, it is read from the graph that the runtime executes after its own
    optimisation.
    """
    targets = _targets(names)
    with terminal.work():
        session = _open(file)
        with needing("compress"):
            from edgekit.targets.forecast import forecast

        forecasts = forecast(file, targets)
        parts = parts_of(file)
        total_bytes = sum(part.stat().st_size for part in parts)
        found = {
            "file": file.name,
            "size_bytes": total_bytes,
            "sha256": digest.of_files(parts),
            "inputs": [dataclasses.asdict(spec) for spec in session.inputs],
            "outputs": [dataclasses.asdict(spec) for spec in session.outputs],
            "metadata": {key: _plain(text) for key, text in sorted(session.metadata.items())},
            "targets": [dataclasses.asdict(found) for found in forecasts],
        }
    if terminal.json:
        terminal.result(found)
        return
    click.echo(f"{file.name}  {size(total_bytes)}  sha256 {found['sha256']}")
    for heading, specs in (("inputs", session.inputs), ("outputs", session.outputs)):
        click.echo(heading)
        for spec in specs:
            click.echo(f"  {_line(spec)}")
    if session.metadata:
        click.echo("metadata")
        for key, text in sorted(session.metadata.items()):
            click.echo(f"  {key}: {text}")
    from edgekit.report.forecast import tell

    click.echo("targets")
    for each in forecasts:
        for line in tell(each):
            click.echo(f"  {line}")


def _targets(names: tuple[str, ...]) -> tuple[Target, ...]:
    """The targets that were asked for; all of them when none was.

    Raises:
        RecipeError: A name that is no target.
    """
    asked = [part.strip() for name in names for part in name.split(",") if part.strip()]
    unknown = [name for name in asked if name not in TARGETS]
    if unknown:
        raise RecipeError(f"--for: there is no target '{unknown[0]}'", hint=f"known targets: {', '.join(TARGETS)}")
    return tuple(target for target in TARGETS.values() if not asked or target.name in asked)


def _open(file: Path) -> OrtSession | LitertSession:
    """The file in its runtime.

    Raises:
        InputError: Missing, or neither .onnx nor .tflite.
        ModelLoadError: The runtime refuses it.
    """
    if not file.is_file():
        raise InputError(f"there is no file {file}")
    if file.suffix == ".onnx":
        with needing("compress"):
            from edgekit.runtime.ort import open_onnx

        return open_onnx(file)
    if file.suffix == ".tflite":
        with needing("compress"):
            from edgekit.runtime.litert import open_tflite

        return open_tflite(file)
    raise InputError(f"{file.name} is neither .onnx nor .tflite", hint="inspect reads the files that compress writes")


def _line(spec: TensorSpec) -> str:
    """One tensor in words: `x:Nx3x8x8:float32`, how it is stored, what its integers stand for."""
    parts = [str(spec)]
    if spec.permutation not in (None, tuple(range(len(spec.shape)))):
        assert spec.permutation is not None
        parts.append("stored as " + "x".join(str(spec.shape[axis]) for axis in spec.permutation))
    if spec.scale is not None and spec.zero_point is not None:
        parts.append(f"real = (integer - {spec.zero_point}) * {spec.scale:.9g}")
    return ", ".join(parts)


def _plain(text: str) -> Any:
    """A metadata string as data where it is JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text
