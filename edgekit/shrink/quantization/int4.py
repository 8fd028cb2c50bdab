"""int4 weights, float activations: the smallest file, for those who are bound by size.

4 bits are too few for every weight, but most of a network's weights sit in a few layers that bear them. So each weight
is rounded both ways, and int8 goes to those where it removes most noise per byte, within a small share of the file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from edgekit.shrink.quantization.bias import shift_bias
from edgekit.shrink.quantization.constants import separate_roles
from edgekit.shrink.quantization.int4_options import Choice, Option, linear_weights, weigh, weigh_table
from edgekit.shrink.quantization.islands import touches_float
from edgekit.shrink.quantization.moments import Layer, Moments
from edgekit.types.graph import Graph, QuantizedGraph

SPARE = 0.05
"""Bytes that int8 may add to a file of int4 weights, as a share of it."""


def quantize_int4(
    graph: Graph,
    moments: Iterable[tuple[Layer, Moments]] = (),
    *,
    spare: float = SPARE,
    reason: str = "weight-only int4",
) -> QuantizedGraph:
    """Weight-only int4: every node computes in float, weights and embedding tables are stored as int4 or int8.

    1. int4 scales in blocks of 64, 32 or 16 inputs, else per channel, searched for the least squared error.
    2. Hessian and adaptive rounding, such that errors cancel in the layer's output, where its moments are known; else
       to nearest.
    3. The bias takes out the mean error, where the mean of the input is known.
    4. int8 for what holds few bytes (short rows, depthwise convolutions), and for the weights that gain most by it.

    Args:
        graph: Simplified float graph; with moments, the one that `separate_roles` returned.
        moments: What `gather` yields for `int4_layers(graph)`; taken one layer at a time.
        spare: Bytes that int8 may add, as a share of the int4 weights.
        reason: Why every node is a float island, for the report.

    Returns:
        A table of constants only; corrected biases are new float constants of its graph.
    """
    graph = separate_roles(graph)
    choices = {layer.weight: weigh(graph, layer, found) for layer, found in moments}
    for layer in linear_weights(graph):
        if layer.weight not in choices:
            choices[layer.weight] = weigh(graph, layer, None)
    for name, axis in _tables(graph).items():
        choices[name] = weigh_table(graph.constants[name], axis=axis)
    wide = _widened(choices, spare=spare)
    kept = {
        name: choice.wide if choice.small is None or name in wide else choice.small for name, choice in choices.items()
    }
    graph = _with_biases(graph, kept)
    return QuantizedGraph(
        graph,
        {name: option.weight.params for name, option in kept.items()},
        {name: option.weight.integers for name, option in kept.items()},
        {node.name: reason for node in graph.nodes if touches_float(graph, node)},
    )


def _tables(graph: Graph) -> dict[str, int]:
    """Float tables that are looked up in -> the axis."""
    return {
        node.inputs[0]: node.attributes["axis"]
        for node in graph.nodes
        if node.op == "Gather" and node.inputs[0] in graph.constants and graph.dtype(node.inputs[0]) == "float32"
    }


def _widened(choices: Mapping[str, Choice], *, spare: float) -> set[str]:
    """Weights that become int8: most noise removed per byte first, as long as the bytes last.

    Noise is relative to each layer's own output, and adds up over layers to that of the network's output to first
    order (measured on EfficientNet-Lite0: 34 layers of 0.004 each, 0.14 at the output).
    """
    both = {name: (choice.wide, choice.small) for name, choice in choices.items() if choice.small is not None}
    left = spare * sum(option.bytes for option in _smallest(choices))
    gains = {name: (small.noise - wide.noise) / (wide.bytes - small.bytes) for name, (wide, small) in both.items()}
    chosen = set()
    for name in sorted(gains, key=lambda name: -gains[name]):
        wide, small = both[name]
        if gains[name] > 0 and wide.bytes - small.bytes <= left:
            left -= wide.bytes - small.bytes
            chosen.add(name)
    return chosen


def _smallest(choices: Mapping[str, Choice]) -> list[Option]:
    return [choice.small or choice.wide for choice in choices.values()]


def _with_biases(graph: Graph, kept: Mapping[str, Option]) -> Graph:
    """The graph with each known mean error taken out by its layer's bias; the float biases nobody reads go."""
    constants, nodes = dict(graph.constants), []
    for node in graph.nodes:
        option = kept.get(node.inputs[1]) if len(node.inputs) > 1 else None
        if option is None or option.shift is None:
            nodes.append(node)
            continue
        nodes.append(shift_bias(node, option.shift, constants))
    read = {name for node in nodes for name in node.inputs} | set(graph.outputs)
    return dataclasses.replace(
        graph, nodes=tuple(nodes), constants={name: array for name, array in constants.items() if name in read}
    )
