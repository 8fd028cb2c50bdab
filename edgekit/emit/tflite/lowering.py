"""Lowering: what has been written so far, and the few moves every operator is written with.

An operator reads its inputs in one domain (int8 or float), in a permutation it can work in, adds operations, and
publishes its result. `publish` alone decides which QUANTIZE, DEQUANTIZE or clamp stands between what was computed and
what the table says the value is, so no operator can store integers of another scale than the table's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.emit.tflite.kernel_ranges import fits_kernel
from edgekit.emit.tflite.layout import Permutation, channels_last, identity, merge_transpose, order, stored_shape
from edgekit.emit.tflite.program import Program
from edgekit.errors import EmitError
from edgekit.types.graph import Node, QuantizedGraph
from edgekit.types.operators import OPERATORS, Rule
from edgekit.types.qparams import RANGES, Array, QParams, same

Clamp = tuple[float, float]

_FUSED = {
    (0.0, np.inf): schema.ActivationFunctionType.RELU,
    (0.0, 6.0): schema.ActivationFunctionType.RELU6,
    (-1.0, 1.0): schema.ActivationFunctionType.RELU_N1_TO_1,
}
_TRANSPOSE_RANK = 4  # every runtime and delegate transposes up to 4 axes
_ACTIVATIONS = {(0.0, np.inf): "RELU", (0.0, 6.0): "RELU6", (-1.0, 1.0): "RELU_N1_TO_1"}


@dataclass(frozen=True, eq=False)
class Stored:
    """Where a value lives: a tensor, and how its axes are permuted there.

    `features` is set for a flattened map that was not put back into the model's order: stored feature k is the model's
    `features[k]`. Only Gemm reads such a value.
    """

    tensor: int
    permutation: Permutation
    features: Array | None = None


class Lowering:
    """One walk over a quantized graph; operators call its methods."""

    def __init__(self, quantized: QuantizedGraph) -> None:
        self.quantized = quantized
        self.graph = quantized.graph
        self.program = Program()
        self.stored: dict[str, Stored] = {}
        self._moves: dict[tuple[object, ...], int] = {}
        self._roots: dict[int, int] = {}
        self._temporaries = 0

    # What a node computes on.

    def is_int8(self, node: Node) -> bool:
        """Whether the node's arithmetic runs on int8 tensors."""
        row = OPERATORS[node.op]
        if row.rule is Rule.FLOAT or row.float_inside or not self.quantized.is_int8(node):
            return False
        return fits_kernel(self.quantized, node)

    def qparams(self, name: str) -> QParams:
        """The table's entry of a value.

        Raises:
            EmitError: It has none although an int8 node needs it.
        """
        found = self.quantized.qparams.get(name)
        if found is None:
            raise EmitError(f"an int8 operator needs the scale of '{name}', the quantized graph has none")
        return found

    # Reading.

    def read(self, name: str, *, int8: bool) -> Stored:
        """A value or constant in the asked domain, in whatever permutation it is stored."""
        if name in self.graph.constants:
            return Stored(self.constant(name, int8=int8), identity(len(self.graph.shape(name))))
        stored = self.stored[name]
        tensor = stored.tensor
        if int8 and self.graph.dtype(name) == "float32":
            self.qparams(name)
        if not int8 and self.program.tensors[tensor].qparams is not None:
            tensor = self.dequantized(tensor)
        return Stored(tensor, stored.permutation, stored.features)

    def read_as(self, name: str, permutation: Permutation, *, int8: bool) -> int:
        """A value or constant stored in exactly `permutation`, transposed or reshaped as little as possible."""
        if name in self.graph.constants:
            return self.constant(name, int8=int8, permutation=permutation)
        return self.permuted(self.read(name, int8=int8), permutation, shape=self.graph.shape(name))

    def read_map(self, name: str, *, int8: bool) -> int:
        """A (N,C,L) or (N,C,H,W) value as the rank-4 channels-last tensor of spatial kernels, (N,1,L,C) for 1-D."""
        rank = len(self.graph.shape(name))
        tensor = self.read_as(name, channels_last(rank), int8=int8)
        if rank == 3:
            batch, length, channels = self.program.tensors[tensor].shape
            tensor = self.reshape(tensor, (batch, 1, length, channels))
        return tensor

    def constant(self, name: str, *, int8: bool, permutation: Permutation | None = None) -> int:
        """A constant of the graph: its integers in an int8 node, else floats.

        A float node whose constant was quantized (weight-only) gets the integers and a DEQUANTIZE, which runtimes run
        once when the file is loaded.
        """
        data, qparams = self.contents(name, int8=int8)
        if permutation is not None:
            data, qparams = np.transpose(data, permutation), permuted_axis(qparams, permutation)
        return self.array(data, qparams=qparams, name=name, int8=int8)

    def contents(self, name: str, *, int8: bool) -> tuple[Array, QParams | None]:
        """Integers with their QParams where the table has them, else the float constant."""
        real = self.graph.constants[name]
        qparams = self.quantized.qparams.get(name)
        if name in self.quantized.integers:
            stored, params = self.quantized.integers[name], self.qparams(name)
            if not int8 and params.dtype == "int32":  # a bias, with its correction
                return params.dequantize(stored), None
            return stored, params
        if qparams is not None and int8:
            return qparams.quantize(real), qparams
        if int8 and real.dtype == np.float32:
            self.qparams(name)
        return real, None

    def array(self, data: Array, *, qparams: QParams | None = None, name: str = "", int8: bool = True) -> int:
        """An array as a constant tensor, dequantized when it holds integers and the domain is float."""
        if qparams is not None and qparams.block:
            return self._blocks(data, qparams, name)
        tensor = self.program.constant(name or f"constant{len(self.program.tensors)}", data, qparams=qparams)
        return self.dequantized(tensor) if qparams is not None and not int8 else tensor

    def _blocks(self, data: Array, qparams: QParams, name: str) -> int:
        """Float reals of integers that share scales in blocks: each block is stored as a channel, then reshaped away.

        So no kernel needs to know blocks; the reshape moves nothing.
        """
        assert qparams.axis == data.ndim - 1, "blocks are stored along the last axis"
        rows = data.reshape(-1, qparams.block)
        scales = QParams(qparams.scale.reshape(-1), qparams.zero_point.reshape(-1), qparams.dtype, 0)
        return self.reshape(self.array(rows, qparams=scales, name=name, int8=False), data.shape)

    def integers(self, values: Sequence[int]) -> int:
        """An int32 vector argument such as a shape, axes or paddings."""
        return self.array(np.array(values, np.int32))

    # Moving.

    def dequantized(self, tensor: int) -> int:
        """float32 reals of an integer tensor; one DEQUANTIZE per tensor."""
        return self._once("DEQUANTIZE", tensor, dtype="float32", qparams=None, options=schema.DequantizeOptionsT())

    def quantized_as(self, tensor: int, qparams: QParams) -> int:
        """int8 of a float tensor, or of an int8 tensor with other QParams."""
        present = self.program.tensors[tensor].qparams
        if present is not None and same(present, qparams):
            return tensor
        return self._once("QUANTIZE", tensor, dtype=qparams.dtype, qparams=qparams, options=schema.QuantizeOptionsT())

    def reshape(self, tensor: int, shape: Sequence[int]) -> int:
        """The same bytes under another shape; a chain of reshapes collapses into one."""
        shape = tuple(int(size) for size in shape)
        root = self._roots.get(tensor, tensor)
        if self.program.tensors[root].shape == shape:
            return root
        key = ("RESHAPE", root, shape)
        if key not in self._moves:
            options = schema.ReshapeOptionsT()
            options.newShape = np.array(shape, np.int32)
            self._moves[key] = self.apply(
                "RESHAPE", [root, self.integers(shape)], like=root, shape=shape, options=options
            )
            self._roots[self._moves[key]] = root
        return self._moves[key]

    def transpose(self, tensor: int, axes: Sequence[int]) -> int:
        """TRANSPOSE of stored axes; above rank 4, axes that stay neighbours move as one."""
        shape = stored_shape(self.shape_of(tensor), tuple(axes))
        if len(axes) > _TRANSPOSE_RANK:
            sizes, merged = merge_transpose(self.shape_of(tensor), axes)
            if len(merged) < len(axes):
                return self.reshape(self.transpose(self.reshape(tensor, sizes), merged), shape)
        key = ("TRANSPOSE", tensor, tuple(axes))
        if key not in self._moves:
            options = schema.TransposeOptionsT()
            self._moves[key] = self.apply("TRANSPOSE", [tensor, self.integers(axes)], shape=shape, options=options)
        return self._moves[key]

    def permuted(self, stored: Stored, permutation: Permutation, *, shape: Sequence[int]) -> int:
        """A value of `shape` stored in `permutation`: as is, a RESHAPE when only axes of size 1 move, or TRANSPOSE."""
        assert stored.features is None, "a shuffled flat map reached an operator that is not Gemm"
        if stored.permutation == permutation:
            return stored.tensor
        if order(shape, stored.permutation) == order(shape, permutation):
            return self.reshape(stored.tensor, stored_shape(shape, permutation))
        return self.transpose(stored.tensor, [stored.permutation.index(axis) for axis in permutation])

    def _once(self, code: str, tensor: int, *, dtype: str, qparams: QParams | None, options: Any) -> int:
        scale = () if qparams is None else (qparams.scale.tobytes(), qparams.zero_point.tobytes())
        key = (code, tensor, *scale)
        if key not in self._moves:
            result = self.temporary(self.program.tensors[tensor].shape, dtype=dtype, qparams=qparams)
            self.program.operation(code, [tensor], outputs=[result], options=options)
            self._moves[key] = result
        return self._moves[key]

    # Computing.

    def temporary(self, shape: Sequence[int], *, dtype: str, qparams: QParams | None = None) -> int:
        """A run-time tensor without a name of the model."""
        self._temporaries += 1
        return self.program.tensor(f"edgekit/{self._temporaries}", shape, dtype=dtype, qparams=qparams)

    def apply(
        self,
        code: str,
        inputs: Sequence[int],
        *,
        shape: Sequence[int],
        like: int | None = None,
        qparams: QParams | None = None,
        dtype: str = "",
        options: Any = None,
    ) -> int:
        """Add an operation with one result.

        Args:
            code: Builtin operator.
            inputs: Tensors, -1 for an absent one.
            shape: Stored shape of the result.
            like: Tensor whose dtype and QParams the result has; the first input by default.
            qparams: QParams of an int8 result; overrides `like`.
            dtype: numpy name; overrides `like`.
            options: The schema's options table.
        """
        model = self.program.tensors[inputs[0] if like is None else like]
        if qparams is not None:
            dtype = qparams.dtype
        elif not dtype:
            dtype, qparams = model.dtype, model.qparams
        result = self.temporary(shape, dtype=dtype, qparams=qparams)
        self.program.operation(code, inputs, outputs=[result], options=options)
        return result

    def shape_of(self, tensor: int) -> tuple[int, ...]:
        """Stored shape of a tensor."""
        return self.program.tensors[tensor].shape

    def output_qparams(self, node: Node, *, int8: bool) -> QParams | None:
        """QParams an int8 kernel writes its result with; None in float."""
        return self.qparams(node.outputs[0]) if int8 else None

    # Publishing.

    def fused(self, node: Node, *, int8: bool) -> tuple[int, Clamp | None]:
        """(fused_activation_function, what is left of the clamp for `publish`)."""
        if node.clamp is None or (int8 and is_redundant(node.clamp, self.qparams(node.outputs[0]))):
            return schema.ActivationFunctionType.NONE, None
        low, high = float(node.clamp[0]), float(node.clamp[1])
        if (low, high) in _FUSED:
            return _FUSED[low, high], None
        return schema.ActivationFunctionType.NONE, node.clamp

    def publish(self, name: str, tensor: int, permutation: Permutation, *, clamp: Clamp | None = None) -> None:
        """Make `tensor` the value `name`: as the table stores it, after `clamp`."""
        wanted = self.quantized.qparams.get(name) if self.graph.dtype(name) == "float32" else None
        if wanted is not None:
            tensor = self.quantized_as(tensor, wanted)
        elif self.program.tensors[tensor].qparams is not None:
            tensor = self.dequantized(tensor)
        if clamp is not None:
            tensor = self.clamped(tensor, clamp)
        if self.program.tensors[tensor].name.startswith("edgekit/"):
            self.program.rename(tensor, name)
        assert self.shape_of(tensor) == stored_shape(self.graph.shape(name), permutation), (name, permutation)
        self.stored[name] = Stored(tensor, permutation)

    def publish_map(self, name: str, tensor: int, *, clamp: Clamp | None = None) -> None:
        """Publish the rank-4 channels-last result of a spatial kernel, (N,1,L,C) for a rank-3 value."""
        rank = len(self.graph.shape(name))
        if rank == 3:
            batch, _, length, channels = self.shape_of(tensor)
            tensor = self.reshape(tensor, (batch, length, channels))
        self.publish(name, tensor, channels_last(rank), clamp=clamp)

    def clamped(self, tensor: int, clamp: Clamp) -> int:
        """MAXIMUM and MINIMUM with the bounds that say something; exact in int8, the bounds are integers there."""
        qparams = self.program.tensors[tensor].qparams
        code = _ACTIVATIONS.get((float(clamp[0]), float(clamp[1])))
        if qparams is None and code is not None:
            return self.apply(code, [tensor], shape=self.shape_of(tensor))
        for bound, code, limit in zip(clamp, ("MAXIMUM", "MINIMUM"), (-np.inf, np.inf), strict=True):
            if bound == limit or (qparams is not None and _saturates(bound, limit, qparams)):
                continue
            value = np.array([bound], np.float32)
            operand = self.array(value if qparams is None else qparams.quantize(value), qparams=qparams)
            options = schema.MaximumMinimumOptionsT()
            tensor = self.apply(code, [tensor, operand], shape=self.shape_of(tensor), options=options)
        return tensor


def is_redundant(clamp: Clamp, qparams: QParams) -> bool:
    """Whether saturation of the output integers already does the clamp."""
    return _saturates(clamp[0], -np.inf, qparams) and _saturates(clamp[1], np.inf, qparams)


def _saturates(bound: float, limit: float, qparams: QParams) -> bool:
    smallest, largest = RANGES[qparams.dtype]
    integer = float(qparams.zero_point) + np.rint(bound / float(qparams.scale))
    return bool(integer <= smallest if limit < 0 else integer >= largest)


def permuted_axis(qparams: QParams | None, permutation: Permutation) -> QParams | None:
    """QParams of a constant after its axes were permuted."""
    if qparams is None or qparams.axis is None:
        return qparams
    axis, scale, zero_point = permutation.index(qparams.axis), qparams.scale, qparams.zero_point
    if qparams.block:
        scale, zero_point = scale.transpose(permutation), zero_point.transpose(permutation)
    return QParams(scale, zero_point, qparams.dtype, axis, qparams.block)
