"""`model.qop.int8.onnx`: the same integers as operators on integers (QLinearConv, QLinearAdd, ...), for audits.

A QDQ file means one thing and runs as whatever the runtime's optimizer makes of it; here each int8 node is one
integer kernel by name, at every optimisation level. Operators with no integer kernel in ONNX Runtime stay between
DequantizeLinear and QuantizeLinear. Kernels outside the ONNX standard are ONNX Runtime's `com.microsoft` domain
(docs/ContribOperators.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.emit.onnx_operators import batched_shape, write_operator
from edgekit.emit.onnx_qdq import QdqWriter
from edgekit.types.graph import Node, QuantizedGraph

MICROSOFT = "com.microsoft"


def write(
    quantized: QuantizedGraph, path: Path, *, io: str = "float", metadata: Mapping[str, str] | None = None
) -> None:
    """Write the QOperator file.

    Args:
        quantized: The graph and its table, int8 activations.
        path: Target file.
        io: "float" or "int8".
        metadata: Strings for the file's metadata.

    Raises:
        StorageError: The file cannot be written.
    """
    QopWriter(quantized, io=io).write(path, metadata or {})


class QopWriter(QdqWriter):
    """Writes integer kernels where there is one, and what QdqWriter writes everywhere else."""

    def write_node(self, node: Node) -> None:
        """Write one node on integers if ONNX Runtime has the kernel."""
        kernel = KERNELS.get(node.op)
        if kernel is None or not self.quantized.is_int8(node) or self.needed_clamp(node) is not None:
            super().write_node(node)
            return
        kernel(self, node)
        for name in node.outputs:
            if name in self.quantized.qparams:
                self.take_integers(name, self.integer_target(name))
            else:
                self.take_floats(name, name)

    def triple(self, name: str) -> tuple[str, str, str]:
        """File names of a value's integers, scale and zero point; constants are stored on first use."""
        params = self.quantized.qparams[name]
        if name in self.quantized.integers:
            stored = self.builder.initializer(f"{name}.q", self.quantized.integers[name])
        else:
            stored = self.integer_name(name)
        return (stored, *self.parameters(params))

    def integers(self, name: str) -> str:
        """File name of the integers alone."""
        return self.triple(name)[0]


Kernel = Callable[[QopWriter, Node], None]


def _conv(writer: QopWriter, node: Node) -> None:
    source, weight, result = node.inputs[0], node.inputs[1], node.outputs[0]
    inputs = [*writer.triple(source), *writer.triple(weight), *writer.parameters(writer.quantized.qparams[result])]
    if len(node.inputs) > 2 and node.inputs[2]:
        inputs.append(writer.integers(node.inputs[2]))
    kernel = list(writer.graph.shape(weight)[2:])
    writer.builder.node(
        "QLinearConv",
        inputs,
        [writer.integer_target(result)],
        source=node,
        attributes={"kernel_shape": kernel, **node.attributes},
    )


def _gemm(writer: QopWriter, node: Node) -> None:
    """QGemm (transB: the dialect's (O, K) weight), rows gathered by Reshape when the input has rank > 2."""
    builder, result = writer.builder, node.outputs[0]
    stored, *source_params = writer.triple(node.inputs[0])
    *leading, depth = writer.graph.shape(node.inputs[0])
    target = writer.integer_target(result)
    rows = target
    if len(leading) > 1:
        flat, rows = builder.fresh(f"{stored}.rows"), builder.fresh(f"{target}.rows")
        builder.node("Reshape", [stored, builder.ints([-1, depth])], [flat], source=node)
        stored = flat
    bias = writer.integers(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else ""
    inputs = [
        stored,
        *source_params,
        *writer.triple(node.inputs[1]),
        bias,
        *writer.parameters(writer.quantized.qparams[result]),
    ]
    builder.node("QGemm", inputs, [rows], source=node, domain=MICROSOFT, attributes={"transB": 1})
    if len(leading) > 1:
        shape = batched_shape(builder, result, writer.graph.shape(result))
        builder.node("Reshape", [rows, shape], [target], source=node)


def _binary(op: str, domain: str) -> Kernel:
    def write_binary(writer: QopWriter, node: Node) -> None:
        result = node.outputs[0]
        inputs = [
            *writer.triple(node.inputs[0]),
            *writer.triple(node.inputs[1]),
            *writer.parameters(writer.quantized.qparams[result]),
        ]
        writer.builder.node(op, inputs, [writer.integer_target(result)], source=node, domain=domain)

    return write_binary


def _unary(op: str, attributes: Callable[[Node], dict[str, Any]] = lambda node: {}) -> Kernel:
    def write_unary(writer: QopWriter, node: Node) -> None:
        result = node.outputs[0]
        inputs = [*writer.triple(node.inputs[0]), *writer.parameters(writer.quantized.qparams[result])]
        target = writer.integer_target(result)
        writer.builder.node(op, inputs, [target], source=node, domain=MICROSOFT, attributes=attributes(node))

    return write_unary


def _movement(writer: QopWriter, node: Node) -> None:
    """Operators that only move or compare integers: their standard form, on the int8 tensors."""
    inputs = [
        writer.integers(name) if name in writer.quantized.qparams else writer.plain_name(name) for name in node.inputs
    ]
    outputs = [writer.integer_target(name) if name in writer.quantized.qparams else name for name in node.outputs]
    write_operator(writer.builder, node, inputs, outputs)


def _pad(writer: QopWriter, node: Node) -> None:
    """Pad with the integer that stands for the value."""
    name, builder = node.inputs[0], writer.builder
    params = writer.quantized.qparams[name]
    arguments = [writer.integers(name), builder.ints(node.attributes["pads"])]
    if node.attributes["mode"] == "constant":
        value = np.asarray(node.attributes["value"], np.float32)
        arguments.append(builder.argument(params.quantize(value)))
    builder.node(
        "Pad",
        arguments,
        [writer.integer_target(node.outputs[0])],
        source=node,
        attributes={"mode": node.attributes["mode"]},
    )


KERNELS: dict[str, Kernel] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _binary("QLinearMatMul", ""),
    "Add": _binary("QLinearAdd", MICROSOFT),
    "Mul": _binary("QLinearMul", MICROSOFT),
    "Sigmoid": _unary("QLinearSigmoid"),
    "LeakyRelu": _unary("QLinearLeakyRelu", lambda node: {"alpha": node.attributes["alpha"]}),
    "Softmax": _unary("QLinearSoftmax", lambda node: {"axis": node.attributes["axis"], "opset": 13}),
    "GlobalAveragePool": _unary("QLinearGlobalAveragePool", lambda node: {"channels_last": 0}),
    "Pad": _pad,
    **{
        op: _movement
        for op in (
            "MaxPool",
            "ReduceMax",
            "Concat",
            "Split",
            "Slice",
            "Reshape",
            "Transpose",
            "Expand",
            "Gather",
            "ArgMax",
        )
    },
}
"""Dialect operators with an int8 kernel in ONNX Runtime's CPU provider."""
