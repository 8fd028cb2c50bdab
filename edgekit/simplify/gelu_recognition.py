"""Recognizes GELU written out in primitives, by value rather than by shape of the graph.

Exporters and authors associate `0.5 * x * (1 + erf(x / sqrt(2)))` and its tanh approximation in many ways. Here the
expression between a candidate x and a candidate result is evaluated on a grid and compared with the function itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import Array

GRID = np.linspace(-6.0, 6.0, 97)
TOLERANCE = 1e-5
"""Largest difference on the grid; float32 constants in the expression are good to 1e-7."""
DEPTH = 12


def gelu_exact(x: Array) -> Array:
    """`x * Phi(x)` (Hendrycks & Gimpel 2016)."""
    return 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0)))


def gelu_tanh(x: Array) -> Array:
    """The tanh approximation of the same paper."""
    return np.asarray(0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))))


def find_gelu(graph: Graph) -> Graph:
    """Put Gelu in the place of its expansions.

    Rules:
        1. Around each Erf: a result that is `gelu_exact` of one value x becomes Gelu, approximate "none".
        2. Around each Tanh: a result that is `gelu_tanh` of x becomes Gelu, approximate "tanh".
    """
    editor = Editor(graph)
    for node in editor.each("Erf", "Tanh"):
        target, kind = (gelu_exact(GRID), "none") if node.op == "Erf" else (gelu_tanh(GRID), "tanh")
        found = next(
            (
                (source, result)
                for result in _results(editor, node)
                for source in _sources(editor, node)
                if _equals(editor, result, source, target)
            ),
            None,
        )
        if found is not None:
            source, result = found
            value = editor.add("Gelu", [source], like=node, attributes={"approximate": kind})
            editor.redirect(result, value)
    return editor.graph()


def _results(editor: Editor, node: Node) -> Iterator[str]:
    """Values computed from `node` by a chain of Add and Mul."""
    value = node.outputs[0]
    for _ in range(4):
        user = editor.sole_user(value)
        if user is None or user.op not in ("Add", "Mul"):
            return
        value = user.outputs[0]
        if user.op == "Mul":
            yield value


def _sources(editor: Editor, node: Node) -> Iterator[str]:
    """Values that `node` is computed from, nearest first."""
    frontier = [node.inputs[0]]
    seen: set[str] = set()
    for _ in range(DEPTH):
        following: list[str] = []
        for value in frontier:
            if value in seen or editor.constant(value) is not None:
                continue
            seen.add(value)
            yield value
            producer = editor.producer(value)
            if producer is not None and producer.op in ("Mul", "Add", "Pow"):
                following.extend(producer.inputs)
        frontier = following


def _equals(editor: Editor, result: str, source: str, target: Array) -> bool:
    values = _evaluate(editor, result, {source: GRID}, DEPTH)
    return values is not None and bool(np.max(np.abs(values - target)) < TOLERANCE)


def _evaluate(editor: Editor, value: str, known: dict[str, Array], depth: int) -> Array | None:
    """The value as a function of the known one; None when it depends on anything else."""
    if value in known:
        return known[value]
    constant, node = editor.scalar(value), editor.producer(value)
    if constant is not None:
        return np.asarray(constant)
    if node is None or depth == 0 or node.clamp is not None or node.op not in ("Mul", "Add", "Pow", "Erf", "Tanh"):
        return None
    operands = []
    for name in node.inputs:
        operand = _evaluate(editor, name, known, depth - 1)
        if operand is None:
            return None
        operands.append(operand)
    match node.op:
        case "Mul":
            result = operands[0] * operands[1]
        case "Add":
            result = operands[0] + operands[1]
        case "Pow":
            with np.errstate(invalid="ignore"):
                result = operands[0] ** operands[1]
        case "Erf":
            result = _erf(operands[0])
        case _:
            result = np.tanh(operands[0])
    known[value] = np.asarray(result)
    return known[value]


def _erf(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x))
