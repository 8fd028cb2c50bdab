"""`model.int8.onnx`: canonical QDQ ONNX, every quantized value behind one QuantizeLinear and DequantizeLinear.

Weights are stored as int8 behind a DequantizeLinear only, biases as int32 at scale `s_in * s_w`. An absorbed clamp is
written only when saturation at the output's QParams does not already do it, because ONNX Runtime fuses a Conv into
QLinearConv only when nothing stands between it and its QuantizeLinear (qdq_selectors.cc).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from edgekit.emit.onnx_builder import OnnxBuilder
from edgekit.emit.onnx_operators import batched_shape, stores_transposed, write_clamp, write_operator, write_rows_gemm
from edgekit.types.graph import Node, QuantizedGraph
from edgekit.types.qparams import Array, QParams

LINEAR = ("Conv", "ConvTranspose", "Gemm")


def write(
    quantized: QuantizedGraph, path: Path, *, io: str = "float", metadata: Mapping[str, str] | None = None
) -> None:
    """Write the QDQ file; any activation dtype the QParams name (int8 canonical, uint8 when retargeted).

    Args:
        quantized: The graph and its table.
        path: Target file.
        io: "float" for float32 inputs and outputs, "int8" for the integers themselves.
        metadata: Strings for the file's metadata.

    Raises:
        StorageError: The file cannot be written.
    """
    QdqWriter(quantized, io=io).write(path, metadata or {})


class QdqWriter:
    """Walks the graph once; remembers which name in the file holds each value as floats and as integers."""

    def __init__(self, quantized: QuantizedGraph, *, io: str) -> None:
        self.quantized = quantized
        self.graph = quantized.graph
        self.builder = OnnxBuilder(quantized.graph)
        self._integer_io = io == "int8"
        self._float_names: dict[str, str] = {}
        self._integer_names: dict[str, str] = {}

    def write(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Write the whole file."""
        self.write_inputs()
        for node in self.graph.nodes:
            self.write_node(node)
        self.save(path, metadata)

    def write_inputs(self) -> None:
        """Quantize the graph inputs that have QParams."""
        for name in self.graph.inputs:
            if name not in self.quantized.qparams:
                self._float_names[name] = name
            elif self._integer_io:
                self._integer_names[name] = name
            else:
                self.write_quantize(name, name)

    def write_node(self, node: Node) -> None:
        """Write one node between dequantized inputs and quantized outputs."""
        if (
            node.op == "Gemm"
            and node.inputs[1] in self.quantized.integers
            and len(self.graph.shape(node.inputs[0])) > 2
        ):
            self._write_gemm_of_rows(node)
            return
        if node.op == "Requantize" and node.outputs[0] in self.quantized.qparams:
            self.write_quantize(node.outputs[0], self.float_name(node.inputs[0]))
            return
        inputs = [self.operand(node, slot) for slot in range(len(node.inputs))]
        raw = [self._raw_name(name) for name in node.outputs]
        clamp = self.needed_clamp(node)
        if clamp is None:
            write_operator(self.builder, node, inputs, raw)
        else:
            inner = self.builder.fresh(node.outputs[0])
            write_operator(self.builder, node, inputs, [inner])
            write_clamp(self.builder, node, inner, raw[0], clamp)
        for name, source in zip(node.outputs, raw, strict=True):
            self._finish(name, source)

    def needed_clamp(self, node: Node) -> tuple[float, float] | None:
        """The node's clamp, unless saturation of its quantized output is the same thing."""
        params = self.quantized.qparams.get(node.outputs[0])
        if node.clamp is None or params is None:
            return node.clamp
        return None if saturates_like(params, node.clamp) else node.clamp

    def operand(self, node: Node, slot: int) -> str:
        """File name of an input as floats: a value, a float constant, or a dequantized constant."""
        name = node.inputs[slot]
        if name not in self.graph.constants:
            return self.float_name(name) if name else ""
        if name not in self.quantized.integers:
            array = self.graph.constants[name]
            transposed = stores_transposed(self.builder, node, slot)
            return self.builder.initializer(f"{name}.T" if transposed else name, array.T if transposed else array)
        if name not in self._float_names:
            params = self.quantized.qparams[name]
            stored = self.builder.initializer(f"{name}.q", self.quantized.integers[name])
            if self._is_folded(node, slot):
                self._float_names[name] = self._unpack(stored, params)
            else:
                self._float_names[name] = self._dequantize(stored, params, own_zero=True)
        return self._float_names[name]

    def _is_folded(self, node: Node, slot: int) -> bool:
        """Whether this is a weight that no kernel wants as integers: its layer reads float activations."""
        params = self.quantized.qparams[node.inputs[slot]]
        plain = params.dtype == "int8" and not params.block and not params.zero_point.any()
        return slot == 1 and node.op in LINEAR and node.inputs[0] not in self.quantized.qparams and plain

    def _unpack(self, stored: str, params: QParams) -> str:
        """Cast and Mul of constants: ONNX Runtime computes them once, a DequantizeLinear at every inference."""
        name = stored.removesuffix(".q")
        floats, product = self.builder.fresh(f"{name}.cast"), f"{name}.dq"
        scale = params.spread(params.scale, len(self.graph.shape(name)))
        self.builder.node("Cast", [stored], [floats], attributes={"to": onnx.TensorProto.FLOAT})
        self.builder.node("Mul", [floats, self.builder.initializer(f"{name}.scale", scale)], [product])
        return product

    def float_name(self, name: str) -> str:
        """File name of a value as floats, dequantizing its integers the first time."""
        if name not in self._float_names:
            is_output = name in self.graph.outputs and not self._integer_io
            target = name if is_output else None
            self._float_names[name] = self._dequantize(
                self._integer_names[name], self.quantized.qparams[name], target=target
            )
        return self._float_names[name]

    def integer_name(self, name: str) -> str:
        """File name of a quantized value's integers."""
        return self._integer_names[name]

    def take_integers(self, name: str, stored: str) -> None:
        """Record that `stored` holds the integers of value `name`."""
        self._integer_names[name] = stored

    def take_floats(self, name: str, stored: str) -> None:
        """Record that `stored` holds value `name` unquantized."""
        self._float_names[name] = stored

    def plain_name(self, name: str) -> str:
        """File name of a value or constant that is not quantized (indices, masks)."""
        if name in self.graph.constants:
            return self.builder.initializer(name, self.graph.constants[name])
        return self._float_names[name]

    def integer_target(self, name: str) -> str:
        """Name to give the integers of value `name` when they are produced."""
        return name if self._integer_io and name in self.graph.outputs else f"{name}.q"

    def write_quantize(self, name: str, source: str) -> None:
        """Quantize file tensor `source` into the integers of value `name`."""
        params = self.quantized.qparams[name]
        target = self.integer_target(name)
        self.builder.node("QuantizeLinear", [source, *self.parameters(params)], [target])
        self._integer_names[name] = target

    def parameters(self, params: QParams) -> tuple[str, str]:
        """Names of the scale and zero point of some QParams."""
        zero = params.zero_point.astype(params.dtype)
        return self.builder.argument(params.scale, "scale"), self.builder.argument(zero, "zero")

    def save(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Write the file, outputs dequantized or left as integers."""
        for name in self.graph.outputs:
            if name in self.quantized.qparams and not self._integer_io:
                self.float_name(name)
        border = [*self.graph.inputs, *self.graph.outputs]
        stored = {name: self.quantized.qparams[name] for name in border if name in self.quantized.qparams}
        self.builder.save(
            path,
            inputs=[self._border(name) for name in self.graph.inputs],
            outputs=[self._border(name) for name in self.graph.outputs],
            metadata=metadata,
            integers=stored if self._integer_io else {},
        )

    def _border(self, name: str) -> onnx.ValueInfoProto:
        params = self.quantized.qparams.get(name)
        stored = self._integer_io and params is not None
        return self.builder.border(name, params.dtype if stored and params else self.graph.values[name].dtype)

    def _raw_name(self, name: str) -> str:
        return name if name not in self.quantized.qparams else f"{name}.raw"

    def _dequantize(self, stored: str, params: QParams, *, target: str | None = None, own_zero: bool = False) -> str:
        """Dequantize integers; constants with a zero point of their own, see below.

        ONNX Runtime's `session.x64quantprecision` rewrites the zero point of each weight under a new name and fails
        when two weights share one ("Attempt to replace the existing tensor", s8_to_u8.cc).
        """
        target = target or f"{stored.removesuffix('.q')}.dq"
        inputs = [stored, self.builder.argument(params.scale, "scale")]
        if params.dtype != "int32":
            zero = params.zero_point.astype(params.dtype)
            own = self.builder.initializer(f"{stored}.zero", zero) if own_zero else self.builder.argument(zero, "zero")
            inputs.append(own)
        attributes = {} if params.axis is None else {"axis": params.axis}
        self.builder.node("DequantizeLinear", inputs, [target], attributes=attributes)
        return target

    def _write_gemm_of_rows(self, node: Node) -> None:
        """A Linear of rank > 2 as Reshape, Gemm, Reshape.

        Gemm alone adds an int32 bias before rounding. It also keeps weight-only layers in float: ONNX Runtime turns a
        MatMul (or an untransposed Gemm) with an int8 weight into MatMulNBits, which rounds activations to int8.
        """
        *leading, depth = self.graph.shape(node.inputs[0])
        width = self.graph.shape(node.outputs[0])[-1]
        source, rows = self.builder.fresh(f"{node.inputs[0]}.rows"), self.builder.fresh(f"{node.outputs[0]}.rows")
        to_rows = self.builder.ints([-1, depth])
        self.builder.node("Reshape", [self.operand(node, 0), to_rows], [source], source=node)
        flat = self._requantized(source, node.inputs[0], node)
        operands = [flat, *(self.operand(node, slot) for slot in range(1, len(node.inputs)) if node.inputs[slot])]
        write_rows_gemm(self.builder, node, operands, [rows])
        clamp = self.needed_clamp(node)
        if clamp is not None:
            clamped = self.builder.fresh(rows)
            write_clamp(self.builder, node, rows, clamped, clamp)
            rows = clamped
        raw = self._raw_name(node.outputs[0])
        shape = batched_shape(self.builder, node.outputs[0], [*leading, width])
        self.builder.node("Reshape", [self._requantized(rows, node.outputs[0], node), shape], [raw], source=node)
        self._finish(node.outputs[0], raw)

    def _finish(self, name: str, raw: str) -> None:
        """Quantize a node's raw result, or keep it as floats."""
        if name in self.quantized.qparams:
            self.write_quantize(name, self._kept_float(name, raw))
        else:
            self._float_names[name] = raw

    def _kept_float(self, name: str, raw: str) -> str:
        """Where a float linear layer stands between integers, its result behind a Max that changes nothing.

        ONNX Runtime gives such a layer int8 weights of its own, one scale for all channels
        (qdq_transformer/weight_bias_quantization.cc), unless something stands between it and the QuantizeLinear; it
        removes Identity, x + 0 and x * 1, and keeps Max.
        """
        node = self.graph.producers.get(name)
        if node is None or node.op not in LINEAR or self.quantized.is_int8(node):
            return raw
        if node.inputs[0] not in self.quantized.qparams:  # then no DequantizeLinear stands before it
            return raw
        kept = self.builder.fresh(raw)
        lowest = self.builder.argument(np.asarray(np.finfo(np.float32).min), "lowest")
        self.builder.node("Max", [raw, lowest], [kept], source=node)
        return kept

    def _requantized(self, source: str, name: str, node: Node) -> str:
        """The same floats after a trip through the integers of `name`, where fusions of int8 nodes want to see it."""
        params = self.quantized.qparams.get(name)
        if params is None or not (self.quantized.is_int8(node) or self.quantized.multiplies_integers(node)):
            return source
        self.builder.node("QuantizeLinear", [source, *self.parameters(params)], [f"{source}.q"])
        return self._dequantize(f"{source}.q", params)


def saturates_like(params: QParams, clamp: tuple[float, float]) -> bool:
    """Whether saturating at the ends of `params` does what `clamp` does, to within half a step."""
    half: Array = params.scale / np.float32(2)
    return bool(params.low >= clamp[0] - half and params.high <= clamp[1] + half)
