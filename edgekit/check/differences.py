"""The address of a disagreement: the first node that a runtime computes differently from the integer reference.

Comparing inner values of two whole runs would blame the wrong node, because one step of rounding in an early layer
can be amplified to many in a later one. So each node is judged alone: the reference computes it from the integers
that the runtime itself fed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from edgekit.check.taps import Tap
from edgekit.runtime.reference import ReferenceSession
from edgekit.types.graph import Graph, Node, QuantizedGraph
from edgekit.types.qparams import Array

OpenTap = Callable[[Sequence[str]], Tap]
"""value names -> Tap that reads those of them that the file has."""

NODE_LSB = 2
"""What the rounding of one kernel may differ by (LiteRT rounds requantization twice); more is another result."""
GROUP_BYTES = 32_000_000
"""Float bytes of the values that are read in one run."""


def first_wrong_node(
    open_tap: OpenTap, quantized: QuantizedGraph, sample: Mapping[str, Array], *, limit_lsb: int = NODE_LSB
) -> str:
    """The first node, in the order of computation, whose result is further than `limit_lsb` from the reference.

    Args:
        open_tap: Opens taps of the file under test.
        quantized: The graph it was made from.
        sample: One input.
        limit_lsb: What is still rounding.

    Returns:
        Node label with the difference, or "" when every node that can be tapped computes what the reference does.
    """
    for nodes, names in _groups(quantized.graph):
        values = open_tap(names)(sample)
        for node in nodes:
            gap = measure_node(node, quantized, values)
            if gap is not None and gap.max(initial=0) > limit_lsb:
                share = np.count_nonzero(gap > limit_lsb) / gap.size
                return f"{node.label}: up to {int(gap.max())} LSB, {share * 100:.2g} % of its values off"
    return ""


def measure_node(node: Node, quantized: QuantizedGraph, values: Mapping[str, Array]) -> Array | None:
    """Distance in LSB of each quantized element of a node's result from the reference on the same inputs.

    Args:
        node: A node of the graph.
        quantized: The graph.
        values: value name -> reals of the runtime, for the inputs and results of the node.

    Returns:
        int64, one per element of the quantized results; None when a value is missing or no result is quantized.
    """
    graph, qparams = quantized.graph, quantized.qparams
    inputs = tuple(dict.fromkeys(name for name in node.inputs if name and name not in graph.constants))
    results = [name for name in node.outputs if name in qparams]
    if not results or not inputs or any(name not in values for name in (*inputs, *results)):
        return None
    feeds = {name: qparams[name].quantize(values[name]) if name in qparams else values[name] for name in inputs}
    expected = ReferenceSession(_alone(node, inputs, quantized), io="int8").run_integers(feeds)
    gaps = [np.abs(expected[name].astype(np.int64) - qparams[name].quantize(values[name])).ravel() for name in results]
    return np.concatenate(gaps)


def _alone(node: Node, inputs: tuple[str, ...], quantized: QuantizedGraph) -> QuantizedGraph:
    """The quantized graph of one node."""
    graph = quantized.graph
    names = {*inputs, *node.outputs}
    constants = {name: graph.constants[name] for name in node.inputs if name in graph.constants}
    values = {name: graph.values[name] for name in names}
    return QuantizedGraph(
        Graph(graph.name, inputs, node.outputs, (node,), values, constants),
        {name: params for name, params in quantized.qparams.items() if name in names or name in constants},
        {name: array for name, array in quantized.integers.items() if name in constants},
        {name: reason for name, reason in quantized.islands.items() if name == node.name},
    )


def _groups(graph: Graph) -> Iterator[tuple[list[Node], tuple[str, ...]]]:
    """Consecutive nodes with all run-time values they touch, at most `GROUP_BYTES` a group."""
    nodes: list[Node] = []
    names: dict[str, int] = {}
    for node in graph.nodes:
        touched = {name: _float_bytes(graph, name) for name in (*node.inputs, *node.outputs) if name in graph.values}
        if nodes and sum((names | touched).values()) > GROUP_BYTES:
            yield nodes, tuple(names)
            nodes, names = [], {}
        nodes.append(node)
        names |= touched
    if nodes:
        yield nodes, tuple(names)


def _float_bytes(graph: Graph, name: str) -> int:
    return 4 * int(np.prod(graph.shape(name), dtype=np.int64))
