"""Elementwise, Softmax and LayerNormalization: real functions, in float32 for islands and float64 inside int8 nodes.

int8 nodes of these operators are defined as dequantize, compute in float64, round once: the value every kernel
approximates (with tables, fixed-point polynomials or float32), and none defines by itself. Semantics: ONNX opset 20.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from edgekit.runtime.reference.rounding import Arrays
from edgekit.types.graph import Node
from edgekit.types.qparams import Array


def _erf(x: Array) -> Array:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), x.dtype)


def _sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-x)))


def sigmoid(node: Node, arrays: Arrays) -> Array:
    """1 / (1 + exp(-x))."""
    return _sigmoid(arrays[0])


def leaky_relu(node: Node, arrays: Arrays) -> Array:
    """X where positive, alpha x elsewhere."""
    return np.where(arrays[0] < 0, arrays[0] * arrays[0].dtype.type(node.attributes["alpha"]), arrays[0])


def prelu(node: Node, arrays: Arrays) -> Array:
    """X where positive, slope x elsewhere."""
    return np.where(arrays[0] < 0, arrays[0] * arrays[1], arrays[0])


def gelu(node: Node, arrays: Arrays) -> Array:
    """X times the normal distribution function, exact or by tanh (Hendrycks and Gimpel, arXiv 1606.08415)."""
    x = arrays[0]
    if node.attributes["approximate"] == "tanh":
        return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
    return np.asarray(0.5 * x * (1 + _erf(x / math.sqrt(2))))


def hard_swish(node: Node, arrays: Arrays) -> Array:
    """X clip(x / 6 + 1/2, 0, 1)."""
    return np.asarray(arrays[0] * np.clip(arrays[0] / 6 + 0.5, 0, 1))


def clip(node: Node, arrays: Arrays) -> Array:
    """Clip to [low, high]."""
    return np.clip(arrays[0], node.attributes["low"], node.attributes["high"])


def softmax(node: Node, arrays: Arrays) -> Array:
    """exp(x) over its sum along `axis`, shifted by the maximum."""
    axis = node.attributes["axis"]
    powers = np.exp(arrays[0] - arrays[0].max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def layer_normalization(node: Node, arrays: Arrays) -> Array:
    """Zero mean and unit variance over the last axis, then scale and bias (C,)."""
    centred = arrays[0] - arrays[0].mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt(variance + node.attributes["epsilon"]) * arrays[1]
    return np.asarray(scaled + arrays[2] if len(arrays) > 2 else scaled)


def divide(node: Node, arrays: Arrays) -> Array:
    """Quotient; integers truncate towards zero, as ONNX."""
    if np.issubdtype(arrays[0].dtype, np.integer):
        return np.asarray(np.trunc(arrays[0] / arrays[1]).astype(arrays[0].dtype))
    return np.asarray(arrays[0] / arrays[1])


def cast(node: Node, arrays: Arrays) -> Array:
    """Convert; float to integer truncates."""
    return arrays[0].astype(node.attributes["to"])


def identity(node: Node, arrays: Arrays) -> Array:
    """Requantize in float: nothing."""
    return arrays[0]


def _numpy(function: Callable[..., Array]) -> Callable[[Node, Arrays], Array]:
    """A kernel that is one numpy function of its inputs."""
    return lambda node, arrays: np.asarray(function(*arrays))


REAL: dict[str, Callable[[Node, Arrays], Array]] = {
    "Add": _numpy(np.add),
    "Sub": _numpy(np.subtract),
    "Mul": _numpy(np.multiply),
    "Div": divide,
    "Clip": clip,
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Sigmoid": sigmoid,
    "Tanh": _numpy(np.tanh),
    "Gelu": gelu,
    "HardSwish": hard_swish,
    "Softmax": softmax,
    "LayerNormalization": layer_normalization,
    "Requantize": identity,
    "Exp": _numpy(np.exp),
    "Log": _numpy(np.log),
    "Sqrt": _numpy(np.sqrt),
    "Abs": _numpy(np.abs),
    "Neg": _numpy(np.negative),
    "Sin": _numpy(np.sin),
    "Cos": _numpy(np.cos),
    "Floor": _numpy(np.floor),
    "Ceil": _numpy(np.ceil),
    "Round": _numpy(np.rint),
    "Reciprocal": _numpy(np.reciprocal),
    "Pow": _numpy(np.power),
    "Max": _numpy(np.maximum),
    "Min": _numpy(np.minimum),
    "Cast": cast,
}
"""operator -> real function of its inputs, in their own float type."""

ONE_INPUT = frozenset({"Clip", "LeakyRelu", "Sigmoid", "Tanh", "Gelu", "HardSwish", "Requantize"})
"""Elementwise functions of one tensor: 256 possible inputs in int8, so a table says it all."""
