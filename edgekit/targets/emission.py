"""Writes the files of a target: the right format, and for the CPU at hand the options its runtime is to use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from edgekit.emit.exporter import emit
from edgekit.emit.retarget import to_uint8_weights, to_x86
from edgekit.types.artifact import FORMATS, Artifact
from edgekit.types.graph import QuantizedGraph
from edgekit.types.recipe import FILES
from edgekit.types.target import SESSION_KEY, HostCandidate, Target


def emit_target(
    quantized: QuantizedGraph, folder: Path, *, target: Target, io: str = "float", metadata: Mapping[str, str]
) -> list[Artifact]:
    """Write the files that exist for this target alone.

    General formats a target uses as well (`onnx-x86`, `tflite-int8`) are not among them: they come from the main
    quantized graph, see `variants.formats_of`.

    Args:
        quantized: Made with the plan that `variants` gives the target.
        folder: Where the files go; they are named as `FILES` says.
        target: Any but `host`.
        io: "float" or "int8".
        metadata: Strings to keep in the files.

    Raises:
        StorageError: A file cannot be written.
    """
    own = [name for name in target.formats if name not in FORMATS]
    return [emit(quantized, folder / FILES[name], format=name, io=io, metadata=metadata) for name in own]


def emit_host(
    quantized: QuantizedGraph, path: Path, *, candidate: HostCandidate, io: str = "float", metadata: Mapping[str, str]
) -> Artifact:
    """Write the file for this machine's CPU as a candidate says.

    Args:
        quantized: Made with the candidate's weight scheme.
        path: Target file.
        candidate: Integer types and session options; the options are kept in the file's metadata, where
            `runtime.ort.open_onnx` finds them.
        io: "float" or "int8".
        metadata: Strings to keep in the file.

    Raises:
        StorageError: The file cannot be written.
    """
    if candidate.weights == "uint8":
        rewrite = to_uint8_weights
    else:
        rewrite = to_x86 if candidate.activations == "uint8" else _as_it_is
    options = {SESSION_KEY: json.dumps(dict(candidate.session))} if candidate.session else {}
    return emit(quantized, path, format="onnx-host", io=io, metadata={**metadata, **options}, retarget=rewrite)


def _as_it_is(quantized: QuantizedGraph) -> QuantizedGraph:
    return quantized
