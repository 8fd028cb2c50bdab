"""node_cases: every node of a quantized network as a case of its own, with the data it really sees.

Why: whole networks of two runtimes drift apart by the sum of their roundings, which says nothing about any of them.
Node by node, each fed what the reference computes before it, a difference beyond one step is a bug with an address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgekit.runtime.reference import ReferenceSession
from edgekit.testing.case import Case
from edgekit.types.graph import Graph, Node, QuantizedGraph
from edgekit.types.qparams import Array


def node_cases(quantized: QuantizedGraph, feeds: Mapping[str, Array]) -> Iterator[Case]:
    """A case per node, in order; nodes that read constants only are left out.

    Args:
        quantized: The network.
        feeds: One sample at batch 1, by input name.

    Yields:
        Cases labelled with the torch module, the operator and the name of the node.
    """
    graph = quantized.graph
    computed = [name for node in graph.nodes for name in node.outputs]
    values = {**feeds, **ReferenceSession(quantized, taps=computed).run(feeds)}
    for node in graph.nodes:
        case = _node_case(quantized, node, values)
        if case.feeds:
            yield case


def _node_case(quantized: QuantizedGraph, node: Node, values: Mapping[str, Array]) -> Case:
    graph = quantized.graph
    read = [name for name in dict.fromkeys(node.inputs) if name]
    inputs = tuple(name for name in read if name not in graph.constants)
    touched = {*read, *node.outputs}
    alone = Graph(
        node.name,
        inputs,
        node.outputs,
        (node,),
        {name: graph.values[name] for name in (*inputs, *node.outputs)},
        {name: graph.constants[name] for name in read if name in graph.constants},
    )
    table = {name: params for name, params in quantized.qparams.items() if name in touched}
    integers = {name: array for name, array in quantized.integers.items() if name in touched}
    islands = {name: why for name, why in quantized.islands.items() if name == node.name}
    feeds = {
        name: table[name].dequantize(table[name].quantize(values[name])) if name in table else values[name]
        for name in inputs
    }
    return Case(f"{node.label} {node.name}", QuantizedGraph(alone, table, integers, islands), feeds)
