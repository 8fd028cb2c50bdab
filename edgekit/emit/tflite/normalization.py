"""Softmax and LayerNormalization."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.emit.tflite.layout import Permutation, stored_shape
from edgekit.emit.tflite.lowering import Lowering
from edgekit.types.graph import Node
from edgekit.types.qparams import QParams

UNIT = QParams(np.array(1 / 256), np.array(-128))
"""The only scale the int8 LOGISTIC and SOFTMAX kernels write (LiteRT quantization spec)."""

SYMMETRIC_UNIT = QParams(np.array(1 / 128), np.array(0))
"""The only scale the int8 TANH kernel writes (LiteRT quantization spec)."""


def softmax(lowering: Lowering, node: Node) -> None:
    """SOFTMAX, which works along the last stored axis: the layout is changed only when the axis is elsewhere."""
    int8 = lowering.is_int8(node)
    axis, shape = node.attributes["axis"], lowering.graph.shape(node.inputs[0])
    permutation, tensor = _axis_last(lowering, node, axis, int8=int8)
    flat = (int(np.prod(shape)) // shape[axis], shape[axis])
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    tensor = lowering.reshape(tensor, flat) if len(shape) > 4 else tensor
    qparams = UNIT if int8 else None
    result = lowering.apply("SOFTMAX", [tensor], shape=lowering.shape_of(tensor), qparams=qparams, options=options)
    result = lowering.reshape(result, stored_shape(shape, permutation))
    lowering.publish(node.outputs[0], result, permutation, clamp=node.clamp)


def layer_normalization(lowering: Lowering, node: Node) -> None:
    """(x - mean) * rsqrt(var + epsilon) * scale + bias in float operations, dequantized before and quantized after."""
    stored = lowering.read(node.inputs[0], int8=False)
    axis = stored.permutation.index(len(stored.permutation) - 1)
    centred = _float(lowering, "SUB", [stored.tensor, _mean(lowering, stored.tensor, axis)], schema.SubOptionsT())
    variance = _mean(lowering, _float(lowering, "MUL", [centred, centred], schema.MulOptionsT()), axis)
    epsilon = lowering.array(np.array([node.attributes["epsilon"]], np.float32))
    inverse = _float(lowering, "RSQRT", [_float(lowering, "ADD", [variance, epsilon], schema.AddOptionsT())], None)
    result = _float(lowering, "MUL", [centred, inverse], schema.MulOptionsT())
    names = [*node.inputs[1:], "", ""][:2]
    for name, code, options in zip(names, ("MUL", "ADD"), (schema.MulOptionsT(), schema.AddOptionsT()), strict=True):
        if name:
            vector = lowering.graph.constants[name].astype(np.float32).reshape(-1)
            vector = vector.reshape([-1] + [1] * (len(stored.permutation) - 1 - axis))
            result = _float(lowering, code, [result, lowering.array(vector)], options)
    lowering.publish(node.outputs[0], result, stored.permutation, clamp=node.clamp)


def _axis_last(lowering: Lowering, node: Node, axis: int, *, int8: bool) -> tuple[Permutation, int]:
    stored = lowering.read(node.inputs[0], int8=int8)
    shape = lowering.graph.shape(node.inputs[0])
    permutation = stored.permutation
    if permutation[-1] != axis:
        permutation = (*(other for other in permutation if other != axis), axis)
    return permutation, lowering.permuted(stored, permutation, shape=shape)


def _mean(lowering: Lowering, tensor: int, axis: int) -> int:
    options = schema.ReducerOptionsT()
    options.keepDims = True
    shape = list(lowering.shape_of(tensor))
    shape[axis] = 1
    return lowering.apply("MEAN", [tensor, lowering.integers([axis])], shape=shape, options=options)


def _float(lowering: Lowering, code: str, operands: list[int], options: Any) -> int:
    return lowering.apply(code, operands, shape=lowering.shape_of(operands[0]), options=options)
