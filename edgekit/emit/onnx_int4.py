"""`model.int4.onnx`: float arithmetic on int4 and int8 weights, for where the size of the file is what counts.

ONNX Runtime does not fold a DequantizeLinear when it loads a file: it keeps it for kernels that want integers, and
where there is none it runs at every inference (measured: a 3x3 convolution of 256 channels takes 4.0 ms so, 2.5 ms in
float). A Cast and a Mul of constants are folded, so the session runs at the speed of float. Linear layers and
embedding tables stay packed in memory too: MatMulNBits and GatherBlockQuantized (ONNX Runtime's ContribOperators.md)
unpack as they go.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import TensorProto

from edgekit.emit.int4_limits import refuse_activations
from edgekit.emit.nibbles import pack_nibbles
from edgekit.emit.onnx_builder import OnnxBuilder
from edgekit.emit.onnx_operators import stores_transposed, write_clamp, write_operator
from edgekit.types.graph import Graph, Node, QuantizedGraph
from edgekit.types.qparams import Array, QParams

DOMAIN = "com.microsoft"
FLOAT_ACCURACY = 1
"""MatMulNBits `accuracy_level` that computes in float32; 4 rounds the activations to int8 (46 dB instead of 130)."""
SMALLEST_BLOCK = 16
"""MatMulNBits and GatherBlockQuantized take powers of two from here on."""


def write(
    quantized: QuantizedGraph, path: Path, *, io: str = "float", metadata: Mapping[str, str] | None = None
) -> None:
    """Write the file.

    Args:
        quantized: A weight-only table: QParams for constants, none for values.
        path: Target file.
        io: Ignored: without QParams, inputs and outputs are float either way.
        metadata: Strings for the file's metadata.

    Raises:
        EmitError: A value has QParams: this format keeps activations in float.
        StorageError: The file cannot be written.
    """
    refuse_activations(quantized)
    graph, builder = quantized.graph, OnnxBuilder(quantized.graph)
    writer = _Writer(quantized, builder)
    for node in graph.nodes:
        writer.write_node(node)
    builder.save(
        path,
        inputs=[builder.border(name, graph.values[name].dtype) for name in graph.inputs],
        outputs=[builder.border(name, graph.values[name].dtype) for name in graph.outputs],
        metadata=metadata or {},
    )


class _Writer:
    """Walks the graph; a weight that several nodes read is unpacked once."""

    def __init__(self, quantized: QuantizedGraph, builder: OnnxBuilder) -> None:
        self._quantized, self._builder = quantized, builder
        self._graph: Graph = quantized.graph
        self._unpacked: dict[tuple[str, bool], str] = {}

    def write_node(self, node: Node) -> None:
        """One node and its clamp."""
        target = node.outputs[0] if node.clamp is None else self._builder.fresh(node.outputs[0])
        params = self._quantized.qparams.get(node.inputs[_weight_slot(node)]) if node.inputs else None
        if node.op == "Gemm" and params is not None and _takes_blocks(params, axis=1):
            self._write_matmul(node, params, target)
        elif node.op == "Gather" and params is not None:
            self._write_gather(node, params, target)
        else:
            inputs = [self._operand(node, slot) for slot in range(len(node.inputs))]
            write_operator(self._builder, node, inputs, [target, *node.outputs[1:]])
        if node.clamp is not None:
            write_clamp(self._builder, node, target, node.outputs[0], node.clamp)

    def _operand(self, node: Node, slot: int) -> str:
        """File name of an input as floats."""
        name = node.inputs[slot]
        if name not in self._graph.constants:
            return name
        transposed = stores_transposed(self._builder, node, slot)
        if name in self._quantized.integers:
            return self._unpack(name, transposed=transposed)
        array = self._graph.constants[name]
        return self._builder.initializer(f"{name}.T" if transposed else name, array.T if transposed else array)

    def _unpack(self, name: str, *, transposed: bool) -> str:
        """Cast and Mul (and Transpose) of stored integers: all constant, so the runtime folds them."""
        key = (name, transposed)
        if key in self._unpacked:
            return self._unpacked[key]
        builder, params, shape = self._builder, self._quantized.qparams[name], self._graph.shape(name)
        wide, scale = _in_blocks(params, shape)
        integers = self._stored(name, wide)
        floats, product = builder.fresh(f"{name}.cast"), builder.fresh(f"{name}.dq")
        builder.node("Cast", [integers], [floats], attributes={"to": TensorProto.FLOAT})
        builder.node("Mul", [floats, builder.initializer(f"{name}.scale", scale)], [product])
        if wide != shape:
            whole = builder.fresh(f"{name}.dq")
            builder.node("Reshape", [product, builder.ints(shape)], [whole])
            product = whole
        if transposed:
            turned = builder.fresh(f"{name}.T")
            builder.node("Transpose", [product], [turned])
            product = turned
        self._unpacked[key] = product
        return product

    def _stored(self, name: str, shape: tuple[int, ...]) -> str:
        integers = self._quantized.integers[name].reshape(shape)
        if self._quantized.qparams[name].dtype == "int4":
            return self._builder.packed(f"{name}.q", integers)
        return self._builder.initializer(f"{name}.q", integers)

    def _write_matmul(self, node: Node, params: QParams, target: str) -> None:
        """MatMulNBits: weight (O, blocks, block / 2) in bytes, offset by its default zero point 8."""
        name, builder = node.inputs[1], self._builder
        width, depth = self._graph.shape(name)
        halves = self._quantized.integers[name] + np.int8(8)
        packed = pack_nibbles(halves).reshape(width, depth // params.block, params.block // 2)
        operands = [
            node.inputs[0],
            builder.initializer(f"{name}.q", packed),
            builder.initializer(f"{name}.scale", params.scale),
        ]
        has_bias = len(node.inputs) > 2 and bool(node.inputs[2])
        product = builder.fresh(target) if has_bias else target
        builder.node(
            "MatMulNBits",
            operands,
            [product],
            source=node,
            domain=DOMAIN,
            attributes={
                "K": depth, "N": width, "bits": 4, "block_size": params.block, "accuracy_level": FLOAT_ACCURACY
            },
        )  # fmt: skip
        if has_bias:
            builder.node("Add", [product, self._operand(node, 2)], [target], source=node)

    def _write_gather(self, node: Node, params: QParams, target: str) -> None:
        """Rows of a packed table, unpacked after they are picked."""
        table, builder = node.inputs[0], self._builder
        indices, axis = self._operand(node, 1), node.attributes["axis"]
        if axis == 0 and _takes_blocks(params, axis=len(self._graph.shape(table)) - 1):
            operands = [self._stored(table, self._graph.shape(table)), indices]
            scale = builder.initializer(f"{table}.scale", params.scale)
            attributes = {"gather_axis": 0, "quantize_axis": params.axis, "block_size": params.block}
            builder.node(
                "GatherBlockQuantized", [*operands, scale], [target], source=node, domain=DOMAIN, attributes=attributes
            )
        elif params.axis is None and params.dtype == "int8":
            picked = builder.fresh(f"{target}.q")
            stored = self._stored(table, self._graph.shape(table))
            builder.node("Gather", [stored, indices], [picked], source=node, attributes={"axis": axis})
            scale, zero = builder.argument(params.scale, "scale"), builder.argument(params.zero_point.astype(np.int8))
            builder.node("DequantizeLinear", [picked, scale, zero], [target], source=node)
        else:
            operands = [self._operand(node, 0), indices]
            builder.node("Gather", operands, [target], source=node, attributes={"axis": axis})


def _weight_slot(node: Node) -> int:
    return 0 if node.op == "Gather" or len(node.inputs) < 2 else 1


def _takes_blocks(params: QParams, *, axis: int) -> bool:
    """Whether the contrib operators know these blocks: int4 along `axis`, a power of two of at least 16."""
    power_of_two = params.block & (params.block - 1) == 0
    return params.dtype == "int4" and params.axis == axis and params.block >= SMALLEST_BLOCK and power_of_two


def _in_blocks(params: QParams, shape: tuple[int, ...]) -> tuple[tuple[int, ...], Array]:
    """(shape the integers are stored in, scale that broadcasts over it): blocks become an axis of their own."""
    if params.axis is None:
        return shape, params.scale
    if not params.block:
        return shape, params.spread(params.scale, len(shape))
    axis = params.axis
    wide = (*shape[:axis], shape[axis] // params.block, params.block, *shape[axis + 1 :])
    return wide, np.expand_dims(params.scale, axis + 1)
