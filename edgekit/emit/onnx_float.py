"""`model.fp32.onnx`: the simplified float graph, which every int8 file is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgekit.emit.onnx_builder import OnnxBuilder
from edgekit.emit.onnx_operators import stores_transposed, write_clamp, write_operator
from edgekit.types.graph import Graph, Node, QuantizedGraph


def write(graph: Graph, path: Path, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write the float graph; value names in the file are the graph's, after the absorbed clamps.

    Raises:
        StorageError: The file cannot be written.
    """
    builder = OnnxBuilder(graph)
    for node in graph.nodes:
        inputs = [_constant(builder, node, slot, name) for slot, name in enumerate(node.inputs)]
        if node.clamp is None:
            write_operator(builder, node, inputs, node.outputs)
        else:
            raw = builder.fresh(node.outputs[0])
            write_operator(builder, node, inputs, [raw])
            write_clamp(builder, node, raw, node.outputs[0], node.clamp)
    builder.save(
        path,
        inputs=[builder.border(name, graph.values[name].dtype) for name in graph.inputs],
        outputs=[builder.border(name, graph.values[name].dtype) for name in graph.outputs],
        metadata=metadata or {},
    )


def write_float_of(quantized: QuantizedGraph, path: Path, *, io: str, metadata: Mapping[str, str]) -> None:
    """The exporter form of `write`: the float graph behind a quantized one, float inputs and outputs always."""
    write(quantized.graph, path, metadata=metadata)


def _constant(builder: OnnxBuilder, node: Node, slot: int, name: str) -> str:
    """Name of an input in the file; constants become initializers."""
    if name not in builder.graph.constants:
        return name
    array = builder.graph.constants[name]
    if stores_transposed(builder, node, slot):
        return builder.initializer(f"{name}.T", array.T)
    return builder.initializer(name, array)
