"""Operators that work number by number: any layout, the operands only have to agree on one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.emit.tflite.layout import Permutation, identity, stored_shape, widened
from edgekit.emit.tflite.lowering import Lowering, Stored
from edgekit.types.graph import Node
from edgekit.types.qparams import QParams

Emit = Callable[[Lowering, Node], None]

_KERNEL_RANK = 4  # broadcasting kernels take at most 4 axes in every version


def binary(code: str, options: type[Any] | None, *, fuses: bool = False) -> Emit:
    """An operator of two operands with numpy broadcasting."""

    def emit(lowering: Lowering, node: Node) -> None:
        int8 = lowering.is_int8(node)
        permutation, operands = agreed(lowering, node, int8=int8)
        arguments = options() if options is not None else None
        rest = node.clamp
        if fuses and arguments is not None:
            arguments.fusedActivationFunction, rest = lowering.fused(node, int8=int8)
        shape = stored_shape(lowering.graph.shape(node.outputs[0]), permutation)
        operands, kernel_shape = _merged(lowering, operands, shape)
        result = lowering.apply(
            code,
            operands,
            shape=kernel_shape,
            qparams=lowering.output_qparams(node, int8=int8),
            dtype="" if int8 else lowering.graph.dtype(node.outputs[0]),
            options=arguments,
        )
        lowering.publish(node.outputs[0], lowering.reshape(result, shape), permutation, clamp=rest)

    return emit


def unary(code: str, options: type[Any] | None = None, *, fixed: QParams | None = None) -> Emit:
    """An operator of one operand; `fixed` is the only scale its int8 kernel can write."""

    def emit(lowering: Lowering, node: Node) -> None:
        int8 = lowering.is_int8(node)
        stored = lowering.read(node.inputs[0], int8=int8)
        qparams = fixed if int8 and fixed is not None else lowering.output_qparams(node, int8=int8)
        result = lowering.apply(
            code,
            [stored.tensor],
            shape=lowering.shape_of(stored.tensor),
            qparams=qparams,
            options=_arguments(options, node),
        )
        lowering.publish(node.outputs[0], result, stored.permutation, clamp=node.clamp)

    return emit


def _arguments(options: type[Any] | None, node: Node) -> Any:
    arguments = options() if options is not None else None
    if isinstance(arguments, schema.LeakyReluOptionsT):
        arguments.alpha = float(node.attributes["alpha"])
    if isinstance(arguments, schema.GeluOptionsT):
        arguments.approximate = node.attributes["approximate"] == "tanh"
    return arguments


def prelu(lowering: Lowering, node: Node) -> None:
    """PRELU; the slope is laid out like the input and always spans its last stored axis.

    XNNPACK takes any slope of rank 1 for one per channel, and reads past a shared one.
    """
    int8 = lowering.is_int8(node)
    stored = lowering.read(node.inputs[0], int8=int8)
    shape = lowering.shape_of(stored.tensor)
    slope, qparams = lowering.contents(node.inputs[1], int8=int8)
    slope = slope.reshape((1,) * (len(shape) - slope.ndim) + slope.shape).transpose(stored.permutation)
    slope = np.broadcast_to(slope, (*slope.shape[:-1], shape[-1]))
    while slope.ndim > 1 and slope.shape[0] == 1:
        slope = slope[0]
    operand = lowering.array(slope, qparams=qparams, name=node.inputs[1], int8=int8)
    result = lowering.apply(
        "PRELU", [stored.tensor, operand], shape=shape, qparams=lowering.output_qparams(node, int8=int8)
    )
    lowering.publish(node.outputs[0], result, stored.permutation, clamp=node.clamp)


def clip(lowering: Lowering, node: Node) -> None:
    """Saturation of the output integers where they say it all; RELU, RELU6 in float; else MAXIMUM and MINIMUM."""
    stored = lowering.read(node.inputs[0], int8=lowering.is_int8(node))
    bounds = (float(node.attributes["low"]), float(node.attributes["high"]))
    if node.clamp is not None:
        bounds = (max(bounds[0], node.clamp[0]), min(bounds[1], node.clamp[1]))
    lowering.publish(node.outputs[0], stored.tensor, stored.permutation, clamp=bounds)


def requantize(lowering: Lowering, node: Node) -> None:
    """QUANTIZE from int8 to int8 of another scale."""
    stored = lowering.read(node.inputs[0], int8=lowering.is_int8(node))
    lowering.publish(node.outputs[0], stored.tensor, stored.permutation, clamp=node.clamp)


def reciprocal(lowering: Lowering, node: Node) -> None:
    """1 / x: DIV of a constant."""
    stored = lowering.read(node.inputs[0], int8=False)
    one = lowering.array(np.ones(1, np.float32))
    shape = lowering.shape_of(stored.tensor)
    result = lowering.apply("DIV", [one, stored.tensor], shape=shape, options=schema.DivOptionsT())
    lowering.publish(node.outputs[0], result, stored.permutation, clamp=node.clamp)


def cast(lowering: Lowering, node: Node) -> None:
    """CAST between element types."""
    stored = lowering.read(node.inputs[0], int8=False)
    shape = lowering.shape_of(stored.tensor)
    target = lowering.graph.dtype(node.outputs[0])
    result = lowering.apply("CAST", [stored.tensor], shape=shape, dtype=target, options=schema.CastOptionsT())
    lowering.publish(node.outputs[0], result, stored.permutation, clamp=node.clamp)


def agreed(lowering: Lowering, node: Node, *, int8: bool) -> tuple[Permutation, list[int]]:
    """Bring all operands to the layout of the largest one; constants are permuted here and now."""
    rank = len(lowering.graph.shape(node.outputs[0]))
    permutation = _common(lowering, node.inputs, rank)
    return permutation, [operand(lowering, name, permutation, int8=int8) for name in node.inputs]


def _common(lowering: Lowering, names: Sequence[str], rank: int) -> Permutation:
    found, largest = identity(rank), -1
    for name in names:
        shape = lowering.graph.shape(name)
        if name in lowering.graph.constants or len(shape) != rank:
            continue
        permutation = lowering.stored[name].permutation
        size = int(np.prod(shape))
        if size > largest or (size == largest and found == identity(rank)):
            found, largest = permutation, size
    return found


def operand(lowering: Lowering, name: str, permutation: Permutation, *, int8: bool) -> int:
    """A value or constant as it broadcasts against a value stored in `permutation`, of the same rank or higher."""
    rank, shape = len(permutation), lowering.graph.shape(name)
    wide = (*(1,) * (rank - len(shape)), *shape)
    if name in lowering.graph.constants:
        data, qparams = lowering.contents(name, int8=int8)
        data = data.reshape(wide).transpose(permutation)
        while data.ndim > 1 and data.shape[0] == 1:
            data = data[0]
        return lowering.array(data.reshape(data.shape or (1,)), qparams=qparams, name=name, int8=int8)
    stored = lowering.read(name, int8=int8)
    if len(shape) == rank:
        return lowering.permuted(stored, permutation, shape=shape)
    if permutation == widened(stored.permutation, rank) and shape:
        return stored.tensor
    model_order = lowering.permuted(stored, identity(len(shape)), shape=shape)
    widest = lowering.reshape(model_order, wide)
    from_model = Stored(widest, identity(rank))
    return lowering.permuted(from_model, permutation, shape=wide)


def _merged(lowering: Lowering, operands: list[int], shape: Sequence[int]) -> tuple[list[int], tuple[int, ...]]:
    """Merge neighbouring axes over which every operand is full, or every operand is 1, where the rank asks for it."""
    if len(shape) <= _KERNEL_RANK:
        return operands, tuple(shape)
    sides = [(*(1,) * (len(shape) - len(lowering.shape_of(t))), *lowering.shape_of(t)) for t in operands]
    merged: list[list[int]] = []
    pattern: tuple[bool, ...] = ()
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        here = tuple(side[axis] == 1 for side in sides)
        if merged and here == pattern:
            merged[-1].append(axis)
        else:
            merged.append([axis])
        pattern = here
    shapes = [[int(np.prod([side[axis] for axis in axes])) for axes in merged] or [1] for side in sides]
    result = tuple(int(np.prod([shape[axis] for axis in axes])) for axes in merged) or (1,)
    return [lowering.reshape(tensor, sizes) for tensor, sizes in zip(operands, shapes, strict=True)], result
