"""Finds the axis of every value that scales with the batch, so that the files take any batch although the graph says 1.

Each input's axis 0 is followed through the operators. A position is an axis and how many rows of that axis lie outside
the batch (`outer`). A Reshape keeps only the product of everything before the batch, so its result may have several
positions that mean the same bytes; what the operators after it can work with decides (arc consistency).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import NamedTuple

from edgekit.types.finding import Finding, Severity
from edgekit.types.graph import Graph, Node


class Position(NamedTuple):
    """Where the batch is: in `axis`, below `outer` rows of it that do not scale."""

    axis: int
    outer: int = 1


class _Stuck(Exception):  # noqa: N818, never leaves this module
    """The batch cannot be followed through a node."""


class _Declared(_Stuck):
    """An input does not start with a batch of 1, so there is nothing to follow."""


Positions = Mapping[str, Position]
Domains = dict[str, tuple[Position, ...]]
Rule = Callable[[Graph, Node, Positions], Sequence[Position]]

MAX_ROUNDS = 4
MAX_CHOICES = 64
"""Combinations of operand positions tried per node; more operands must agree anyway (Concat)."""


def find_batch_axes(graph: Graph) -> tuple[Graph, tuple[Finding, ...]]:
    """Fill `Graph.batch_axes`.

    Rules:
        1. Axis 0 of every input is the batch when its size is 1.
        2. Each operator hands the position on, or is stuck: a Concat, Softmax, sum or slice along the batch, a
           constant that would have to grow with it, operands that disagree.
        3. A Reshape may leave several places; those that a later operator is stuck on are ruled out, and of the rest
           the outermost axis of size 1 is taken.
        4. When an output cannot be reached, `batch_axes` stays empty and a finding says where it ended.

    Returns:
        The graph and at most one finding, code "batch-fixed".
    """
    try:
        positions = _assign(graph, _consistent(graph, _possible(graph)))
    except _Declared as declared:
        message = f"every file takes its inputs at exactly the declared sizes: {declared}"
        hint = "where axis 0 is the batch, declare it as 1: the files then take any"
        return dataclasses.replace(graph, batch_axes={}), (Finding("batch-fixed", message, Severity.NOTE, hint=hint),)
    except _Stuck as stuck:
        message = f"the batch stays at 1 in every file: {stuck}"
        hint = "run the samples one by one, or keep the batch axis apart from the others in the model"
        return dataclasses.replace(graph, batch_axes={}), (Finding("batch-fixed", message, Severity.NOTE, hint=hint),)
    return dataclasses.replace(graph, batch_axes={name: place.axis for name, place in positions.items()}), ()


def _possible(graph: Graph) -> Domains:
    """Every position each value may have, seen from the inputs."""
    domains: Domains = {}
    for name in graph.inputs:
        if graph.shape(name)[:1] != (1,):
            raise _Declared(f"input {name} has shape {graph.shape(name)}, with no batch of 1 in front")
        domains[name] = (Position(0),)
    for node in graph.nodes:
        if not any(name in domains for name in node.inputs):
            continue
        reason = ""
        found: list[dict[str, Position]] = []
        for choice in _choices(node, domains):
            try:
                found.extend(_outcomes(graph, node, choice))
            except _Stuck as stuck:
                reason = reason or str(stuck)
        if not found:
            raise _Stuck(f"{node.label} {reason or 'has operands that disagree'}")
        for name in node.outputs:
            domains[name] = tuple(dict.fromkeys(outcome[name] for outcome in found))
    for name in graph.outputs:
        own = tuple(place for place in domains.get(name, ()) if place.outer == 1 and graph.shape(name)[place.axis] == 1)
        if not own:
            raise _Stuck(f"output {name} of shape {graph.shape(name)} has no axis of its own for it")
        domains[name] = own
    return domains


def _consistent(graph: Graph, domains: Domains) -> Domains:
    """Rule out what later operators cannot work with, backwards, then what that leaves without origin, forwards."""
    open_values = {name for name, places in domains.items() if len(places) > 1}
    for _ in range(MAX_ROUNDS):
        if not open_values:
            break
        before = {name: domains[name] for name in open_values}
        for node in (*reversed(graph.nodes), *graph.nodes):
            names = {*node.inputs, *node.outputs}
            if names & open_values:
                _restrict(graph, node, domains)
        open_values = {name for name in open_values if len(domains[name]) > 1}
        if all(domains[name] == before[name] for name in open_values):
            break
    return domains


def _restrict(graph: Graph, node: Node, domains: Domains) -> None:
    supported: dict[str, list[Position]] = {name: [] for name in (*node.inputs, *node.outputs) if name in domains}
    for choice in _choices(node, domains):
        try:
            outcomes = _outcomes(graph, node, choice)
        except _Stuck:
            continue
        for outcome in outcomes:
            if all(place in domains[name] for name, place in outcome.items()):
                for name, place in {**choice, **outcome}.items():
                    supported[name].append(place)
    for name, places in supported.items():
        domains[name] = tuple(place for place in domains[name] if place in places)
        if not domains[name]:
            raise _Stuck(f"{node.label} has operands that disagree")


def _assign(graph: Graph, domains: Domains) -> dict[str, Position]:
    """One position per value: the first that its producer can give."""
    positions = {name: domains[name][0] for name in graph.inputs}
    for node in graph.nodes:
        choice = {name: positions[name] for name in node.inputs if name in positions}
        if not choice:
            continue
        try:
            outcomes = _outcomes(graph, node, choice)
        except _Stuck as stuck:
            raise _Stuck(f"{node.label} {stuck}") from None
        fitting = [item for item in outcomes if all(place in domains[name] for name, place in item.items())]
        if not fitting:
            raise _Stuck(f"{node.label} has operands that disagree")
        positions.update(fitting[0])
    return positions


def _choices(node: Node, domains: Domains) -> Iterator[dict[str, Position]]:
    """Ways to place the batch in the operands that carry it."""
    names = [name for name in dict.fromkeys(node.inputs) if name in domains]
    if len(names) > 2:
        shared = [place for place in domains[names[0]] if all(place in domains[name] for name in names)]
        yield from ({name: place for name in names} for place in shared)
        return
    for places in itertools.islice(itertools.product(*(domains[name] for name in names)), MAX_CHOICES):
        yield dict(zip(names, places, strict=True))


def _outcomes(graph: Graph, node: Node, choice: Positions) -> list[dict[str, Position]]:
    """Ways the results may carry the batch when the operands carry it as chosen."""
    if node.op == "Reshape":
        return [{node.outputs[0]: place} for place in _reshaped(graph, node, choice)]
    return [dict(zip(node.outputs, _RULES[node.op](graph, node, choice), strict=True))]


def _reshaped(graph: Graph, node: Node, choice: Positions) -> list[Position]:
    """Positions with the same product before them: axes of size 1, begins of an axis, insides and ends of one."""
    position = choice[node.inputs[0]]
    before = prod(graph.shape(node.inputs[0])[: position.axis]) * position.outer
    shape = node.attributes["shape"]
    alone: list[Position] = []
    merged: list[Position] = []
    for axis, size in enumerate(shape):
        outer, rest = divmod(before, prod(shape[:axis]))
        if rest or outer > size or size % max(outer, 1):
            continue
        (alone if size == 1 else merged).append(Position(axis, outer))
    if not alone and not merged:
        raise _Stuck(f"tears it apart: {graph.shape(node.inputs[0])} to {shape}")
    return alone + sorted(merged, key=lambda place: place.outer)


def _first(node: Node, positions: Positions) -> Position:
    position = positions.get(node.inputs[0])
    if position is None:
        raise _Stuck("mixes it with a value that has none")
    return position


def _same(graph: Graph, node: Node, positions: Positions) -> Sequence[Position]:
    return [_first(node, positions)]


def _untouched(*names: str) -> Rule:
    """The batch must not be among the axes that attributes `names` list; a last-axis operator gives no name."""

    def rule(graph: Graph, node: Node, positions: Positions) -> Sequence[Position]:
        position = _first(node, positions)
        rank = len(graph.shape(node.inputs[0]))
        listed = [node.attributes[name] for name in names] or [rank - 1]
        touched = {axis for value in listed for axis in (value if isinstance(value, tuple) else (value,))}
        if position.axis in touched:
            raise _Stuck(f"works along it (axis {position.axis})")
        if node.attributes.get("keepdims", 1):
            return [position] * len(node.outputs)
        return [Position(position.axis - sum(axis < position.axis for axis in touched), position.outer)]

    return rule


def _leading(graph: Graph, node: Node, positions: Positions) -> Sequence[Position]:
    position = _first(node, positions)
    if position.axis != 0:
        raise _Stuck(f"needs it on axis 0, it is on axis {position.axis}")
    return [position]


def _pad(graph: Graph, node: Node, positions: Positions) -> Sequence[Position]:
    position = _first(node, positions)
    pads = node.attributes["pads"]
    if pads[position.axis] or pads[position.axis + len(pads) // 2]:
        raise _Stuck("pads it")
    return [position]


def _transpose(graph: Graph, node: Node, positions: Positions) -> Sequence[Position]:
    position = _first(node, positions)
    return [Position(node.attributes["perm"].index(position.axis), position.outer)]


def _expand(graph: Graph, node: Node, positions: Positions) -> Sequence[Position]:
    position = _first(node, positions)
    if graph.shape(node.inputs[0])[position.axis] != node.attributes["shape"][position.axis]:
        raise _Stuck("repeats along it")
    return [position]


def _broadcast(graph: Graph, node: Node, positions: Positions) -> Sequence[Position]:
    return [_aligned(graph, node.inputs, positions, graph.shape(node.outputs[0]))]


def _aligned(graph: Graph, names: Sequence[str], positions: Positions, shape: Sequence[int]) -> Position:
    """Position in a broadcast result of `shape`, axes counted from the end."""
    rank = len(shape)
    found = {
        Position(positions[name].axis + rank - len(graph.shape(name)), positions[name].outer)
        for name in names
        if name in positions
    }
    if len(found) != 1:
        raise _Stuck(f"has it on different axes: {sorted(position.axis for position in found)}")
    position = found.pop()
    for name in names:
        axis = position.axis - rank + len(graph.shape(name))
        size = graph.shape(name)[axis] if axis >= 0 else 1
        if (name in positions and size != shape[position.axis]) or (name not in positions and size != 1):
            raise _Stuck(f"broadcasts over it: operands of sizes {[graph.shape(item) for item in names]}")
    return position


def _prelu(graph: Graph, node: Node, positions: Positions) -> Sequence[Position]:
    position = _first(node, positions)
    slope = graph.shape(node.inputs[1])
    axis = position.axis - len(graph.shape(node.inputs[0])) + len(slope)
    if axis >= 0 and slope[axis] != 1:
        raise _Stuck("has a slope for each sample")
    return [position]


def _matmul(graph: Graph, node: Node, positions: Positions) -> Sequence[Position]:
    left, right = node.inputs
    rank = len(graph.shape(node.outputs[0]))
    for name, contracted in ((left, 1), (right, 2)):
        if name in positions and len(graph.shape(name)) - positions[name].axis == contracted:
            raise _Stuck("sums over it")
    if right not in positions and len(graph.shape(left)) - positions[left].axis == 2:
        return [Position(rank - 2, positions[left].outer)]
    if left not in positions and len(graph.shape(right)) - positions[right].axis == 1:
        return [Position(rank - 1, positions[right].outer)]
    position = _aligned(graph, node.inputs, positions, graph.shape(node.outputs[0]))
    if position.axis >= rank - 2:
        raise _Stuck("multiplies samples with each other")
    return [position]


def _concat(graph: Graph, node: Node, positions: Positions) -> Sequence[Position]:
    found = {positions.get(name) for name in node.inputs}
    position = found.pop()
    if found or position is None:
        raise _Stuck("joins values that scale with it and values that do not")
    if position.axis == node.attributes["axis"]:
        raise _Stuck(f"works along it (axis {position.axis})")
    return [position]


def _gather(graph: Graph, node: Node, positions: Positions) -> Sequence[Position]:
    data, indices = node.inputs
    axis = int(node.attributes["axis"])
    if data in positions and indices in positions:
        raise _Stuck("picks from each sample by the sample's own positions")
    if indices in positions:
        position = positions[indices]
        return [Position(axis + position.axis, position.outer)]
    position = positions[data]
    if position.axis == axis:
        raise _Stuck(f"works along it (axis {axis})")
    shift = len(graph.shape(indices)) - 1 if position.axis > axis else 0
    return [Position(position.axis + shift, position.outer)]


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("Clip", "LeakyRelu", "Sigmoid", "Tanh", "Gelu", "HardSwish", "Requantize", "Cast"), _same),
    **dict.fromkeys(("Exp", "Log", "Sqrt", "Abs", "Neg", "Sin", "Cos", "Floor", "Ceil", "Round", "Reciprocal"), _same),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"), _broadcast),
    **dict.fromkeys(("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool"), _leading),
    **dict.fromkeys(("Resize", "DepthToSpace", "SpaceToDepth"), _leading),
    **dict.fromkeys(("Gemm", "LayerNormalization"), _untouched()),
    **dict.fromkeys(("Softmax", "Split", "ArgMax"), _untouched("axis")),
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceSum", "Slice"), _untouched("axes")),
    "PRelu": _prelu,
    "MatMul": _matmul,
    "Pad": _pad,
    "Transpose": _transpose,
    "Expand": _expand,
    "Concat": _concat,
    "Gather": _gather,
}
