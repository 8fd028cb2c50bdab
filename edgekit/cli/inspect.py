"""`edgekit inspect FILE`: what a written file takes, gives, and says about where it comes from."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit import digest
from edgekit.cli.terminal import Terminal, needing, output_options
from edgekit.errors import InputError
from edgekit.types.artifact import parts_of
from edgekit.types.spec import TensorSpec
from edgekit.units import size

if TYPE_CHECKING:
    from edgekit.runtime.litert import LitertSession
    from edgekit.runtime.ort import OrtSession


@click.command(short_help="Show what a file takes, gives, and where it comes from.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@output_options
@click.pass_obj
def inspect(terminal: Terminal, /, *, file: Path) -> None:
    """Show the inputs, outputs, scales, preprocessing and origin of an .onnx or .tflite file.

    The file is loaded by its runtime, so what is shown is what will run.
    """
    with terminal.work():
        session = _open(file)
        parts = parts_of(file)
        total_bytes = sum(part.stat().st_size for part in parts)
        found = {
            "file": file.name,
            "size_bytes": total_bytes,
            "sha256": digest.of_files(parts),
            "inputs": [dataclasses.asdict(spec) for spec in session.inputs],
            "outputs": [dataclasses.asdict(spec) for spec in session.outputs],
            "metadata": {key: _plain(text) for key, text in sorted(session.metadata.items())},
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
