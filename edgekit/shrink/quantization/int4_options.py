"""One weight rounded both ways, to int4 and to int8, and what each costs: bytes, and noise at the layer's output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.shrink.quantization.int4_rounding import round_int4
from edgekit.shrink.quantization.int4_scales import CHUNK, block_of, choose_int4
from edgekit.shrink.quantization.moments import Layer, Moments, as_rows, from_rows
from edgekit.shrink.quantization.observe import LINEAR
from edgekit.shrink.quantization.weights import choose_weight, round_weight
from edgekit.shrink.reconstruction.coordinate_descent import round_adaptively
from edgekit.types.graph import Graph, Node
from edgekit.types.plan import Weight
from edgekit.types.qparams import RANGES, WEIGHT_LIMIT, Array, QParams

SHORT = 32
"""Rows of fewer weights stay int8: a 4-byte scale for each would undo what int4 saves."""

SHRINKAGE = 0.3
"""How far moments are drawn to equal and independent inputs. A layer has more inputs than photos were seen, and 4 bits
leave errors large enough to fit what is chance in them."""


@dataclass(frozen=True, eq=False)
class Option:
    """A weight rounded one way.

    Attributes:
        weight: Its scale and integers.
        noise: Power of the error at the layer's output relative to the power of the output, where moments are known;
            else that of the weights themselves.
        shift: float64 (C_out,), mean error at the output, which the bias can take out; None where it is not known.
        bytes: Of the integers and scales in a file.
    """

    weight: Weight
    noise: float
    shift: Array | None
    bytes: int


@dataclass(frozen=True, eq=False)
class Choice:
    """Both ways of one weight; `small` is None where int4 is out of the question."""

    wide: Option
    small: Option | None


def int4_layers(graph: Graph) -> tuple[Layer, ...]:
    """The weights that int4 is considered for, with the nodes that read them, in the order they are first used."""
    return tuple(layer for layer in linear_weights(graph) if _may_be_small(graph, layer.nodes[0]))


def linear_weights(graph: Graph) -> tuple[Layer, ...]:
    """Every constant weight of a linear node."""
    found: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.op in LINEAR and node.inputs[1] in graph.constants:
            found.setdefault(node.inputs[1], []).append(node)
    return tuple(Layer(weight, tuple(nodes)) for weight, nodes in found.items())


def weigh(graph: Graph, layer: Layer, moments: Moments | None) -> Choice:
    """Round the weight of a linear layer both ways.

    Args:
        graph: Holds the weight.
        layer: Which, and its readers. With one reader the mean error can go into its bias, so only the covariance of
            the columns counts; with more, a bias for each would cost what is saved.
        moments: Of the columns it multiplies; None rounds to nearest and rates the weights alone.
    """
    node, weight = layer.nodes[0], graph.constants[layer.weight].astype(np.float32, copy=False)
    corrects = len(layer.nodes) == 1
    second = None if moments is None else shrunk(moments.covariance if corrects else moments.second)
    mean = moments.mean if moments is not None and corrects else None
    wide = choose_weight(graph, node, weight, scheme="full")
    options = [Weight(wide, round_weight(weight, wide))]
    if _may_be_small(graph, node):
        options.append(_to_int4(graph, node, weight, second))
    rated = [_rate(graph, node, option, second=second, mean=mean) for option in options]
    return Choice(rated[0], rated[1] if len(rated) > 1 else None)


def weigh_table(table: Array, *, axis: int) -> Choice:
    """Round an embedding table both ways: int8 with one scale, int4 in blocks of each row.

    Args:
        table: float32.
        axis: Which one is looked up; int4 needs rows of a matrix.
    """
    scale = np.asarray(max(float(np.abs(table).max()) / WEIGHT_LIMIT, 1e-8), np.float32)
    wide = QParams(scale, np.asarray(0, np.int32))
    small = None
    if table.ndim == 2 and axis == 0 and block_of(table.shape[1]):
        params = choose_int4(table, channel=0, inputs=1)
        small = _rate_alone(table, Weight(params, params.quantize(table)))
    return Choice(_rate_alone(table, Weight(wide, wide.quantize(table))), small)


def shrunk(second: Array) -> Array:
    """The moments with `SHRINKAGE` of their mean diagonal added to the diagonal: float64 (groups, K, K)."""
    mean = np.einsum("gkk->gk", second).mean(axis=1)
    result: Array = second + SHRINKAGE * mean[:, None, None] * np.eye(second.shape[1])
    return result


def _may_be_small(graph: Graph, node: Node) -> bool:
    """Long rows, a scale for each, and not depthwise: those have few weights, and errors there cannot cancel."""
    rows: Array = as_rows(graph, node, np.empty(graph.shape(node.inputs[1]), np.int8))
    groups, depth = rows.shape[0], rows.shape[2]
    if groups > 1 and (node.op == "ConvTranspose" or graph.shape(node.inputs[1])[1] == 1):
        return False
    return bool(depth >= SHORT)


def _to_int4(graph: Graph, node: Node, weight: Array, second: Array | None) -> Weight:
    """Searched scales; nearest integers, or where moments are known Hessian rounding and adaptive rounding from it."""
    channel, inputs = (1, None) if node.op == "ConvTranspose" else (0, 1)
    if second is None:
        params = choose_int4(weight, channel=channel, inputs=inputs)
        return Weight(params, params.quantize(weight))
    rows = as_rows(graph, node, weight)
    diagonal = np.einsum("gkk->gk", second)[:, None, :].astype(np.float32)
    importance = from_rows(graph, node, np.broadcast_to(diagonal, rows.shape))
    params = choose_int4(weight, channel=channel, inputs=inputs, importance=importance)
    steps = as_rows(graph, node, np.broadcast_to(params.spread(params.scale, weight.ndim), weight.shape))
    return Weight(params, from_rows(graph, node, _round(rows, steps, second)))


def _round(rows: Array, steps: Array, second: Array) -> Array:
    """Adaptive rounding from Hessian rounding, some rows at a time: each needs its own floats several times over."""
    low, high = (np.asarray(limit) for limit in RANGES["int4"])
    count = max(1, CHUNK // (rows.shape[0] * rows.shape[2]))
    found = []
    for start in range(0, rows.shape[1], count):
        some, scale = rows[:, start : start + count], steps[:, start : start + count]
        begin = round_int4(some, scale, second)
        found.append(round_adaptively(some, scale, begin, second=second, low=low, high=high))
    return np.concatenate(found, axis=1)


def _rate(graph: Graph, node: Node, rounded: Weight, *, second: Array | None, mean: Array | None) -> Option:
    weight = graph.constants[node.inputs[1]]
    if second is None:
        return _rate_alone(weight, rounded)
    error = as_rows(graph, node, weight - rounded.params.dequantize(rounded.integers))
    noise, signal = _power(error, second), _power(as_rows(graph, node, weight), second)
    shift = None if mean is None else np.einsum("gok,gk->go", error.astype(np.float64), mean).reshape(-1)
    return Option(rounded, noise / max(signal, 1e-30), shift, _bytes(rounded))


def _rate_alone(weight: Array, rounded: Weight) -> Option:
    error = weight - rounded.params.dequantize(rounded.integers)
    noise, signal = float(np.square(error).sum()), float(np.square(weight).sum())
    return Option(rounded, noise / max(signal, 1e-30), None, _bytes(rounded))


def _power(rows: Array, second: Array) -> float:
    """Sum of r^T H r over all rows (groups, O, K)."""
    return float((np.matmul(rows, second.astype(np.float32)) * rows).sum())


def _bytes(rounded: Weight) -> int:
    size: int = rounded.integers.size
    return (size + 1) // 2 * (1 if rounded.params.dtype == "int4" else 2) + rounded.params.scale.nbytes
