"""What keeping a node's constants in float adds to a file, in bytes."""

from __future__ import annotations

from edgekit.types.graph import Node, QuantizedGraph


def count_float_bytes(quantized: QuantizedGraph, node: Node) -> int:
    """Bytes that a file gains in constants when a node keeps its own in float: 4 for 1, less scales and zero points.

    A constant that other nodes read as integers, too, costs its whole float copy.
    """
    return sum(
        _float_bytes(quantized, name, shared=len(quantized.graph.consumers[name]) > 1)
        for name in dict.fromkeys(node.inputs)
        if name in quantized.integers
    )


def _float_bytes(quantized: QuantizedGraph, name: str, *, shared: bool) -> int:
    stored, params = quantized.integers[name], quantized.qparams[name]
    exact = 4 * int(stored.size)
    if shared:
        return exact
    zero_points = 0 if params.dtype == "int32" else int(params.zero_point.size)  # int32 biases are written without
    return exact - int(stored.nbytes) - 4 * int(params.scale.size) - zero_points
