"""Ranges of attention masks: "minus infinity" must not take the whole int8 range for itself.

A mask arrives as a constant like -1e4 added before a Softmax. Scaled to reach it, int8 would put every score into one
step. Softmax turns a score 16 below another into e^-16, which is 0 at its fixed resolution of 1/256, so the mask may
saturate there: the scores keep their own range, extended by 16.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.shrink.quantization.histogram import Histogram
from edgekit.types.graph import Graph, Node

BELOW = 16.0
"""How far under the smallest score a masked one ends; exp(-16) is 1e-7."""

Range = tuple[float, float]


def mask_ranges(graph: Graph, histograms: Mapping[str, Histogram]) -> dict[str, Range]:
    """Narrowed ranges of masks and masked scores.

    Args:
        graph: With Requantize nodes in place or not; only Add nodes that feed nothing but Softmax are looked at.
        histograms: Observed values.

    Returns:
        name -> (low, high), for each mask constant that reaches lower than needed and the scores it is added to.
    """
    ranges: dict[str, Range] = {}
    for node in graph.nodes:
        if node.op != "Add" or not _feeds_softmax(graph, node):
            continue
        masks = [name for name in node.inputs if name in graph.constants]
        scores = [name for name in node.inputs if name in histograms]
        if len(masks) != 1 or len(scores) != 1:
            continue
        mask, before = graph.constants[masks[0]], histograms[scores[0]]
        enough = -(before.high - before.low) - BELOW
        if float(mask.min()) >= enough:
            continue
        kept = ranges.get(masks[0], (0.0, 0.0))[0]
        ranges[masks[0]] = (min(kept, enough), float(mask.max()))
        result = histograms[node.outputs[0]]
        ranges[node.outputs[0]] = (before.low - BELOW, max(result.high, before.low))
    return ranges


def _feeds_softmax(graph: Graph, node: Node) -> bool:
    readers = graph.consumers.get(node.outputs[0], ())
    return bool(readers) and all(reader.op == "Softmax" for reader in readers)
