"""First and last layers: where floats cost least and save most.

A rounding error at the input passes through every layer, and first layers hold few of a net's multiplications; the
rounding of an output itself is noise that no later layer averages away. So quantized nets have long kept their borders
in higher precision (Rastegari et al. 2016, XNOR-Net, section 4; Zhou et al. 2016, DoReFa-Net, section 2.7).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgekit.shrink.quantization.float_choice import count_products
from edgekit.types.graph import Graph, Node, QuantizedGraph

KEPT_RESULT = "it multiplies int8, and its result, an output of the model, is not rounded to int8"
FIRST = "a first layer: its rounding errors would pass through every other layer"


@dataclass(frozen=True)
class Prefix:
    """The beginning of a graph, up to a single value that all the rest reads.

    Attributes:
        nodes: Names of its nodes.
        value: That value.
        share: Of all multiplications of the graph that it holds, 0..1.
    """

    nodes: tuple[str, ...]
    value: str
    share: float


def keeps_result(graph: Graph, node: Node) -> bool:
    """Whether a node can multiply int8 and hand on floats: a Gemm whose result is an output that nobody else reads.

    ONNX Runtime has such a kernel for Gemm (QGemm without a scale of its result) and none for Conv.
    """
    result = node.outputs[0]
    return node.op == "Gemm" and result in graph.outputs and result not in graph.consumers


def last_layers(quantized: QuantizedGraph) -> tuple[str, ...]:
    """Names of the int8 nodes that can keep their results in float."""
    graph = quantized.graph
    return tuple(
        node.name
        for node in graph.nodes
        if quantized.is_int8(node) and quantized.multiplies_integers(node) and keeps_result(graph, node)
    )


def first_layers(quantized: QuantizedGraph, *, most_share: float) -> tuple[Prefix, ...]:
    """Prefixes that are worth trying, the shortest first.

    Only those that end in a value no larger than all such before: what is rounded there is rounded once more.

    Args:
        quantized: The graph as it is; nodes that are float already are part of a prefix like any other.
        most_share: Largest share of the multiplications in a prefix, 0..1.
    """
    graph = quantized.graph
    products = [count_products(graph, node) for node in graph.nodes]
    total = max(sum(products), 1)
    found: list[Prefix] = []
    narrowest, done, names, new = math.inf, 0, list[str](), False
    for node, count, value in zip(graph.nodes, products, _single_values(graph), strict=True):
        done += count
        if done > most_share * total:
            break
        new = new or (count > 0 and quantized.is_int8(node))
        if node.op != "Requantize":
            names.append(node.name)
        if not value or value in graph.outputs or not new:
            continue
        size = int(np.prod(graph.shape(value)))
        if size <= narrowest:
            found.append(Prefix(tuple(names), value, done / total))
            narrowest, new = size, False
    return tuple(found)


def _single_values(graph: Graph) -> Iterator[str]:
    """After each node, the only value that it and those before it hand on; "" where they hand on several."""
    last = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs if name}
    last.update(dict.fromkeys(graph.outputs, len(graph.nodes)))
    alive: set[str] = set()
    for index, node in enumerate(graph.nodes):
        alive |= {name for name in (*node.inputs, *node.outputs) if name in graph.values}
        alive = {name for name in alive if last.get(name, -1) > index}
        (single,) = alive if len(alive) == 1 else ("",)
        yield single if single and graph.dtype(single) == "float32" else ""
