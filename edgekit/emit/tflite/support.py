"""What cannot be written, found before anything is; and the table of operators as text."""

from __future__ import annotations

from edgekit.emit.tflite import limits
from edgekit.emit.tflite.rows import ROWS
from edgekit.types.graph import Graph


def unsupported(graph: Graph) -> tuple[tuple[str, str, str], ...]:
    """Every node that has no exact translation, as (operator, torch module, reason)."""
    found = []
    for node in graph.nodes:
        row = ROWS.get(node.op)
        if row is None:
            reason = "the dialect has no such operator"
        else:
            reason = limits.tensors(graph, node) or row.limit(graph, node)
        if reason:
            found.append((node.op, node.module or node.name, reason))
    return tuple(found)


def expressions() -> dict[str, str]:
    """Operator -> how TFLite expresses it, for the generated documentation."""
    return {op: row.text for op, row in ROWS.items()}
