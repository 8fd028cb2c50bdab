"""Decides which nodes compute in float, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from edgekit.errors import RecipeError
from edgekit.types.graph import Graph, Node
from edgekit.types.operators import OPERATORS, Role, Rule, role

BY_RECIPE = "kept in float by the recipe"
FOLLOWERS = ("Add", "Sub", "Mul", "Clip", "Requantize")
"""Free-scale operators that gain nothing from int8 on their own; tied operators follow too."""


def float_islands(
    graph: Graph, *, float_modules: Sequence[str] = (), float_nodes: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Nodes that stay float.

    1. An operator with no int8 form in the dialect.
    2. A node that the plan keeps in float, or whose torch module the recipe does (shell patterns: "head.*").
    3. A weight that is not a constant.
    4. A movement or elementwise node all of whose neighbours are float: int8 there would only add two conversions.

    Returns:
        node name -> reason, for every node that touches float32 data and is not int8.
    """
    islands: dict[str, str] = {}
    for node in graph.nodes:
        reason = _own_reason(graph, node, float_modules) or (float_nodes or {}).get(node.name, "")
        if reason:
            islands[node.name] = reason
    changed = True
    while changed:
        followers = [node for node in graph.nodes if node.name not in islands and _follows(graph, node, islands)]
        islands.update({node.name: "between float operators" for node in followers})
        changed = bool(followers)
    return islands


def refuse_unmatched(graph: Graph, float_modules: Sequence[str]) -> None:
    """Stop before the work when a pattern keeps nothing in float: most likely it is mistyped.

    Raises:
        RecipeError: Naming the pattern and what there is.
    """
    for pattern in float_modules:
        if not any(_matches(node, pattern) for node in graph.nodes):
            modules = sorted({node.module for node in graph.nodes if node.module}) or [n.name for n in graph.nodes]
            near = get_close_matches(pattern, modules, n=3, cutoff=0.0)
            raise RecipeError(
                f"quantize.float_modules: no node of the graph is in a module '{pattern}'",
                hint=f"there is {', '.join(near)}; a module that was folded into its neighbour has no node",
            )


def chosen_floats(graph: Graph, float_modules: Sequence[str]) -> dict[str, str]:
    """node name -> reason, for the nodes that the recipe keeps in float."""
    return {node.name: BY_RECIPE for node in graph.nodes if any(_matches(node, pattern) for pattern in float_modules)}


def _matches(node: Node, pattern: str) -> bool:
    return fnmatchcase(node.module, pattern) or fnmatchcase(node.name, pattern)


def touches_float(graph: Graph, node: Node) -> bool:
    """Whether any activation the node reads or writes is float32."""
    names = [name for slot, name in enumerate(node.inputs) if name and role(node.op, slot) is Role.ACTIVATION]
    return any(graph.dtype(name) == "float32" for name in (*names, *node.outputs))


def _own_reason(graph: Graph, node: Node, float_modules: Sequence[str]) -> str:
    if not touches_float(graph, node):
        return ""
    if OPERATORS[node.op].rule is Rule.FLOAT:
        return f"{node.op} has no int8 kernel in either runtime"
    if any(_matches(node, pattern) for pattern in float_modules):
        return BY_RECIPE
    for slot, name in enumerate(node.inputs):
        if name and role(node.op, slot) is Role.WEIGHT and name not in graph.constants:
            return "its weight is computed at run time"
    return ""


def _follows(graph: Graph, node: Node, islands: dict[str, str]) -> bool:
    if not touches_float(graph, node):
        return False
    if node.op not in FOLLOWERS and OPERATORS[node.op].rule is not Rule.TIED:
        return False
    before = [graph.producers[name] for name in node.inputs if name in graph.producers]
    after = [reader for name in node.outputs for reader in graph.consumers.get(name, ())]
    neighbours = [other for other in (*before, *after) if touches_float(graph, other)]
    return bool(neighbours) and all(other.name in islands for other in neighbours)
