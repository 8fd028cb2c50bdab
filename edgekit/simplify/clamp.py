"""Absorbs ReLU, ReLU6 and other clips into the node before them, where they cost nothing in int8."""

from __future__ import annotations

from edgekit.simplify.editor import Editor
from edgekit.types.graph import Graph, Node

ABSORBING = frozenset(
    {"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "GlobalAveragePool", "ReduceMean"}
)
PASSING = frozenset({"MaxPool", "Reshape", "Transpose", "Slice", "Expand"})
"""Operators that a clip commutes with: each result element is one input element."""


def absorb_clamps(graph: Graph) -> Graph:
    """Move Clip nodes into `Node.clamp`.

    Rules:
        1. Clip of a value that an absorbing node makes for it alone becomes the clamp of that node.
        2. The same through MaxPool, Reshape, Transpose, Slice and Expand that nobody else reads.
        3. Two clips in a row are one: the intersection (the second one applied to the bounds of the first).
        4. A Clip that a bounded input makes redundant goes.
    """
    editor = Editor(graph)
    for node in editor.each("Clip"):
        bounds = (float(node.attributes["low"]), float(node.attributes["high"]))
        producer = editor.producer(node.inputs[0])
        if _redundant(producer, bounds):
            editor.substitute(node, node.inputs[0])
            continue
        target = editor.sole_producer(node.inputs[0])
        while target is not None and target.op in PASSING:
            target = editor.sole_producer(target.inputs[0])
        if target is None or target.op not in ABSORBING | {"Clip"}:
            continue
        if target.op == "Clip":
            low, high = merged((float(target.attributes["low"]), float(target.attributes["high"])), bounds)
            editor.replace(target, attributes={"low": low, "high": high})
        else:
            editor.replace(target, clamp=merged(target.clamp, bounds) if target.clamp else bounds)
        editor.substitute(node, node.inputs[0])
    return editor.graph()


def merged(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """Bounds of clip(clip(x, first), second).

    >>> merged((0.0, 6.0), (-1.0, 3.0))
    (0.0, 3.0)
    """
    low, high = second
    return min(max(first[0], low), high), min(max(first[1], low), high)


def _redundant(producer: Node | None, bounds: tuple[float, float]) -> bool:
    if producer is None:
        return False
    if producer.clamp is not None:
        low, high = producer.clamp
    elif producer.op in ("Sigmoid", "Softmax"):
        low, high = 0.0, 1.0
    elif producer.op == "Clip":
        low, high = float(producer.attributes["low"]), float(producer.attributes["high"])
    else:
        return False
    return bounds[0] <= low and high <= bounds[1]
