"""Layer after layer, weights are fitted to rebuild the float layer's output from quantized inputs.

A linear layer is decided when the walk through both graphs reaches it: by then what it will read at run time is known,
the roundings before it included. One pass, closed form, no gradients.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from edgekit.shrink.quantization.bias import mean_shift
from edgekit.shrink.quantization.moments import as_rows, from_rows, linear_layers
from edgekit.shrink.reconstruction.regression import Pair, gather_pairs, regressed
from edgekit.shrink.reconstruction.rounding import round_layer
from edgekit.shrink.reconstruction.walk import Walk
from edgekit.shrink.synthesis.scaling import with_batch
from edgekit.types.graph import Graph, Node, QuantizedGraph
from edgekit.types.plan import Weight, WeightScheme
from edgekit.types.qparams import Array

LARGEST_MOMENTS = 2560**2
"""Entries in a moment matrix (all groups); a layer beyond it costs minutes and gigabytes, and stays as it is."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """What was decided.

    Attributes:
        weights: weight name -> scale and integers.
        ridges: weight name -> ridge of its regression, inf where the float weight stayed the target.
    """

    weights: dict[str, Weight] = field(default_factory=dict)
    ridges: dict[str, float] = field(default_factory=dict)


def decidable(quantized: QuantizedGraph) -> tuple[str, ...]:
    """Names of the nodes whose weights can be fitted, in order: int8, read by nobody else, moments of bounded size."""
    graph = quantized.graph
    return tuple(
        layer.nodes[0].name
        for layer in linear_layers(quantized)
        if len(layer.nodes) == 1
        and quantized.qparams[layer.weight].dtype == "int8"
        and _entries(graph, layer.nodes[0]) <= LARGEST_MOMENTS
    )


def fit_in_sequence(
    quantized: QuantizedGraph,
    samples: Iterable[Mapping[str, Array]],
    *,
    scheme: WeightScheme,
    regress: bool = True,
    correct_bias: bool = True,
    seed: int = 0,
    deadline: float = math.inf,
    advance: Callable[[int], None] = lambda count: None,
) -> Fitted:
    """Decide the weights of every layer in `decidable`.

    Args:
        quantized: Scales of everything; the graph's constants are the float weights.
        samples: Model inputs; all of them are held in memory (`walk.affordable` says how many can be).
        scheme: What the kernels can take.
        regress: Weights may make up for what roundings before them changed (`regression`); else their float values stay
            the target, and only the moments are those of the quantized prefix.
        correct_bias: Whether the quantizer will take mean errors out of biases (`Plan.correct_bias`).
        seed: Of the positions looked at.
        deadline: `time.monotonic()` after which layers stay as they are.
        advance: Called with 1 after each layer.

    Returns:
        The decisions. Scales stay those of `quantized`. The same for the same input on one machine and torch build.
    """
    batched = with_batch(quantized.graph)
    walk = Walk(replace(quantized, graph=batched) if batched else quantized, list(samples))
    wanted, fitted = set(decidable(quantized)), Fitted()
    for index, node in enumerate(walk.nodes):
        if node.name in wanted and time.monotonic() < deadline:
            _fit(quantized, walk, node, fitted, scheme=scheme, regress=regress, correct_bias=correct_bias, seed=seed)
            advance(1)
        walk.step(index)
    return fitted


def _fit(
    quantized: QuantizedGraph,
    walk: Walk,
    node: Node,
    fitted: Fitted,
    *,
    scheme: WeightScheme,
    regress: bool,
    correct_bias: bool,
    seed: int,
) -> None:
    """Decide one layer from what the walk holds, and let the walk use it."""
    graph, name = quantized.graph, node.inputs[1]
    params, weight = quantized.qparams[name], graph.constants[name]
    has_bias = correct_bias and len(node.inputs) > 2 and node.inputs[2] in quantized.integers
    pairs, rows = walk.pairs(node.inputs[0]), as_rows(graph, node, weight)
    seen, left_out = gather_pairs(graph, node, rows, pairs, seed=seed)
    target, ridge = regressed(seen, left_out, centred=has_bias) if regress else (rows, math.inf)
    moments = seen + left_out
    integers = round_layer(
        graph,
        node,
        weight,
        params=params,
        second=moments.shrunk(centred=has_bias),
        scheme=scheme,
        target=from_rows(graph, node, target),
    )
    stored = params.dequantize(integers)
    fitted.weights[name], fitted.ridges[name] = Weight(params, integers), ridge
    walk.trained[name] = torch.from_numpy(stored)
    if has_bias:
        change = mean_shift(graph, node, weight - stored, _mean(node, pairs))
        bias = graph.constants[node.inputs[2]].astype(np.float64) + change
        walk.trained[node.inputs[2]] = torch.from_numpy(bias.astype(np.float32))


def _mean(node: Node, pairs: Sequence[Pair]) -> Array:
    """float64 (C_in,), mean of x over all positions, as the quantizer's own correction takes it.

    Means of x_q in its place were measured to be worse: they move the bias by what clipping takes from few values.
    """
    axis = -1 if node.op == "Gemm" else 1
    width = pairs[0][0].shape[axis]
    means = [np.moveaxis(exact, axis, 0).reshape(width, -1).mean(axis=1) for exact, _ in pairs]
    result: Array = np.asarray(means, np.float64).mean(axis=0)
    return result


def _entries(graph: Graph, node: Node) -> int:
    groups, _, depth = as_rows(graph, node, np.empty(graph.shape(node.inputs[1]), np.int8)).shape
    return int(groups * depth * depth)
