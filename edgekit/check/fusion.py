"""What a runtime made of the nodes: planned integers that became floats cost time, and nobody tells.

Each runtime has a reader of its own (`fusion_ort`, `fusion_litert`) that lists what it executes as `Executed`; here
that is set against the plan of the quantized graph.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgekit.types.graph import Node, QuantizedGraph
from edgekit.types.operators import OPERATORS
from edgekit.types.report import Fusion

Kind = Literal["int8", "float", "conversion", "index"]


@dataclass(frozen=True)
class Executed:
    """One node as a runtime executes it.

    Attributes:
        op: The runtime's own operator name.
        kind: Computes on 8-bit integers, on floats, converts between the two, or moves indices and shapes.
        names: Node and tensor names it carries, by which the node of the quantized graph is found.
    """

    op: str
    kind: Kind
    names: tuple[str, ...] = ()


def summarize_fusion(
    quantized: QuantizedGraph, executed: Sequence[Executed], *, delegated: int | None = None
) -> Fusion:
    """Set what was executed against the plan.

    Args:
        quantized: The plan.
        executed: Every node the runtime executes.
        delegated: Partitions given to XNNPACK, where the runtime tells.
    """
    planned = [node for node in quantized.graph.nodes if quantized.is_int8(node)]
    counts = Counter(step.kind for step in executed)
    floats = {found.name for step in executed if step.kind == "float" and (found := find_node(quantized, step.names))}
    return Fusion(
        planned_int8=len(planned),
        planned_float=sum(node.name in quantized.islands for node in quantized.graph.nodes),
        int8=counts["int8"],
        float=counts["float"],
        conversions=counts["conversion"],
        operators=dict(sorted(Counter(step.op for step in executed).items())),
        left_float=tuple(node.label for node in planned if node.name in floats and not OPERATORS[node.op].float_inside),
        delegated=delegated,
    )


def find_node(quantized: QuantizedGraph, names: Sequence[str]) -> Node | None:
    """The node of the graph behind names of a file: emitters and runtimes add suffixes (`.raw`, `__7`, `_token_3`)."""
    graph = quantized.graph
    by_name = {node.name: node for node in graph.nodes}
    for name in names:
        for candidate in _without_suffixes(name):
            found = graph.producers.get(candidate) or by_name.get(candidate)
            if found is not None:
                return found
    return None


def _without_suffixes(name: str) -> list[str]:
    """The name itself, then shorter and shorter forms of it."""
    found = [name]
    while True:
        shorter = re.sub(r"(_token_\d+|__\d+|_nchwc|\.raw|\.rows|\.q|\.dq|_quantized|/duplicated)$", "", found[-1])
        if shorter == found[-1]:
            break
        found.append(shorter)
    stem = re.sub(r"_[A-Z][A-Za-z]*$", "", found[-1])
    return found if stem == found[-1] else [*found, stem]
