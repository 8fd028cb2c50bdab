"""Fills in what a tool left in float only because its own kernels did not ask for it."""

from __future__ import annotations

import dataclasses

from edgekit.shrink.quantization.impose_ties import spread_scales
from edgekit.types.graph import Graph, QuantizedGraph
from edgekit.types.imported import Imported, StoredConstant
from edgekit.types.operators import OPERATORS, Rule


def completed(graph: Graph, imported: Imported, own: QuantizedGraph) -> Imported:
    """The tool's numbers, and edgekit's where the tool has none.

    Args:
        graph: The float graph.
        imported: What the tool decided.
        own: The same graph as edgekit would quantize it on the same samples.

    Returns:
        With a scale for every value that an int8 graph needs: those of the tool first, spread to operators that want
        the same scale on both sides, then edgekit's.
    """
    activations = spread_scales(graph, dict(imported.activations))
    for node in graph.nodes:
        tied = OPERATORS[node.op].rule is Rule.TIED and node.op != "Concat"
        if tied and node.inputs[0] in activations:
            for name in node.outputs:
                activations.setdefault(name, activations[node.inputs[0]])
    constants = dict(imported.constants)
    for name, params in own.qparams.items():
        if name in graph.values:
            activations.setdefault(name, params)
        elif name in graph.constants and params.dtype == "int8":
            constants.setdefault(name, StoredConstant(params, own.integers[name]))
    return dataclasses.replace(imported, activations=activations, constants=constants)
