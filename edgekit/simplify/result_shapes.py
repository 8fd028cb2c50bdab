"""Shape rules of the operators that passes create; the shapes of imported values come from the ONNX file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Shape = tuple[int, ...]

_BROADCAST = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"})
_SAME = frozenset(
    {"Clip", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "Gelu", "HardSwish", "Softmax", "LayerNormalization", "Cast"}
    | {"Requantize", "Exp", "Log", "Sqrt", "Abs", "Neg", "Sin", "Cos", "Floor", "Ceil", "Round", "Reciprocal"}
)


def result_shape(op: str, shapes: Sequence[Shape], attributes: Mapping[str, Any]) -> Shape:
    """Shape of the only result of a dialect operator.

    Args:
        op: Operator of the dialect.
        shapes: Shapes of its present inputs.
        attributes: Its static arguments.

    Raises:
        KeyError: No rule for this operator; the caller must state the shape.
    """
    first = tuple(shapes[0])
    if op in _SAME:
        return first
    if op in _BROADCAST:
        return np.broadcast_shapes(*shapes)
    match op:
        case "Reshape" | "Expand":
            return tuple(attributes["shape"])
        case "Transpose":
            return tuple(first[axis] for axis in attributes["perm"])
        case "Gemm":
            return (*first[:-1], shapes[1][0])
        case "MatMul":
            return matmul_shape(first, tuple(shapes[1]))
        case "Concat":
            axis = attributes["axis"]
            return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])
        case "Slice":
            return _sliced(first, attributes)
        case "Pad":
            half = len(first)
            pads = attributes["pads"]
            return tuple(size + pads[axis] + pads[half + axis] for axis, size in enumerate(first))
        case "ReduceMean" | "ReduceMax" | "ReduceSum":
            return reduced_shape(first, attributes["axes"], keepdims=bool(attributes["keepdims"]))
        case "GlobalAveragePool":
            return (*first[:2], *(1 for _ in first[2:]))
        case "Gather":
            axis = attributes["axis"]
            return (*first[:axis], *shapes[1], *first[axis + 1 :])
    raise KeyError(op)


def reduced_shape(shape: Shape, axes: Sequence[int], *, keepdims: bool) -> Shape:
    """Shape after a reduction over `axes` (>= 0)."""
    if keepdims:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def matmul_shape(left: Shape, right: Shape) -> Shape:
    """Shape of numpy's matmul for operands of rank 1 and up."""
    rows = left[-2:-1]
    columns = right[-1:] if len(right) > 1 else ()
    batch = np.broadcast_shapes(left[:-2], right[:-2])
    return (*batch, *rows, *columns)


def _sliced(shape: Shape, attributes: Mapping[str, Any]) -> Shape:
    sizes = list(shape)
    for start, end, axis, step in zip(
        attributes["starts"], attributes["ends"], attributes["axes"], attributes["steps"], strict=True
    ):
        sizes[axis] = len(range(start, end, step))
    return tuple(sizes)
