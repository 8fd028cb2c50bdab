"""One door for every format: the table of exporters, and the Artifact a written file becomes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from edgekit import digest
from edgekit.emit.int4_limits import refuse_int4
from edgekit.emit.retarget import to_explicit, to_static_uint8, to_x86
from edgekit.plugins import Family
from edgekit.types.artifact import Artifact, Format, parts_of
from edgekit.types.graph import Graph, QuantizedGraph
from edgekit.types.spec import TensorSpec


class Exporter(Protocol):
    """Writes one format. A third party's is an entry point of the group "edgekit.exporters"."""

    def __call__(self, quantized: QuantizedGraph, path: Path, *, io: str, metadata: Mapping[str, str]) -> object:
        """Write `quantized` to `path`, atomically.

        Args:
            quantized: The graph and its table; translate, decide nothing.
            path: Target file; its folder exists.
            io: "float" or "int8": element type of quantized inputs and outputs.
            metadata: Strings to keep in the file.
        """
        ...


EXPORTERS: Family[Exporter] = Family(
    "edgekit.exporters",
    {
        "onnx-fp32": "edgekit.emit.onnx_float:write_float_of",
        "onnx-int8": "edgekit.emit.onnx_qdq:write",
        "onnx-x86": "edgekit.emit.onnx_qdq:write",
        "onnx-qop": "edgekit.emit.onnx_qop:write",
        "tflite-int8": "edgekit.emit.tflite.export:write",
        "onnx-vnni": "edgekit.emit.onnx_qdq:write",
        "onnx-arm": "edgekit.emit.onnx_qdq:write",
        "onnx-qnn": "edgekit.emit.onnx_qdq:write",
        "onnx-tensorrt": "edgekit.emit.onnx_qdq:write",
        "onnx-host": "edgekit.emit.onnx_qdq:write",
        "onnx-int4": "edgekit.emit.onnx_int4:write",
        "tflite-int4": "edgekit.emit.tflite.int4:write",
    },
)

Retarget = Callable[[QuantizedGraph], QuantizedGraph]

RETARGETS: Mapping[str, Retarget] = {
    "onnx-x86": to_x86,
    "onnx-vnni": to_x86,
    "onnx-qnn": to_static_uint8,
    "onnx-tensorrt": to_explicit,
    "onnx-host": to_x86,
}
"""format -> rewrite of the table before it is written."""
FLOAT_BORDERS = frozenset({"onnx-fp32", "onnx-tensorrt"})
"""Formats that take and give floats whatever was asked: TensorRT's explicit mode starts at a QuantizeLinear."""


def emit(
    quantized: QuantizedGraph,
    path: Path,
    *,
    format: Format,
    io: str = "float",
    metadata: Mapping[str, str],
    retarget: Retarget | None = None,
) -> Artifact:
    """Write one file and describe it.

    Args:
        quantized: What every file is made from.
        path: Target file.
        format: Name in `EXPORTERS`.
        io: "float" or "int8"; the formats in `FLOAT_BORDERS` ignore it.
        metadata: Strings to keep in the file.
        retarget: Rewrite of the table instead of the format's own.

    Raises:
        InputError: No exporter of that name.
        EmitError: The format has no place for what the table holds.
        UnsupportedOpError: The format cannot hold some operator.
        StorageError: The file cannot be written.
    """
    rewrite = retarget or RETARGETS.get(format)
    if rewrite is not None:
        quantized = rewrite(quantized)
    refuse_int4(quantized, format)
    io = "float" if format in FLOAT_BORDERS else io
    EXPORTERS.load(format)(quantized, path, io=io, metadata=metadata)
    integer = io == "int8"
    parts = parts_of(path)  # external data is counted in: without it the file says nothing about the weights
    return Artifact(
        path=path,
        format=format,
        size_bytes=sum(part.stat().st_size for part in parts),
        digest=digest.of_files(parts),
        inputs=tuple(_spec(quantized, name, integer=integer) for name in quantized.graph.inputs),
        outputs=tuple(_spec(quantized, name, integer=integer) for name in quantized.graph.outputs),
    )


def float_artifact(graph: Graph, path: Path, *, metadata: Mapping[str, str]) -> Artifact:
    """Write the float ONNX file, which calibration runs and every int8 file is measured against."""
    return emit(QuantizedGraph(graph, {}, {}), path, format="onnx-fp32", metadata=metadata)


def _spec(quantized: QuantizedGraph, name: str, *, integer: bool) -> TensorSpec:
    spec, params = quantized.graph.spec(name), quantized.qparams.get(name)
    if params is None or not integer:
        return spec
    return dataclasses.replace(spec, dtype=params.dtype, scale=float(params.scale), zero_point=int(params.zero_point))
