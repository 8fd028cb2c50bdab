"""Permutations: how a value's axes are stored, and what reshapes and transposes do to that order.

A permutation `p` says `stored = transpose(value, p)`: stored axis `j` is the value's axis `p[j]`. Axes of size 1 may
be stored anywhere without moving data, so orders are compared without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import Array

Permutation = tuple[int, ...]

SPATIAL = (
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Resize",
    "DepthToSpace",
    "SpaceToDepth",
)
_FOLLOWERS = (
    "Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "Clip", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "Gelu",
    "HardSwish", "Concat", "Split", "Slice", "Pad", "Requantize", "Exp", "Log", "Sqrt", "Abs", "Neg", "Reciprocal",
)  # fmt: skip


def identity(rank: int) -> Permutation:
    """The model's own order."""
    return tuple(range(rank))


def channels_last(rank: int) -> Permutation:
    """N, C, spatial... stored as N, spatial..., C."""
    return (0, *range(2, rank), 1)


def stored_shape(shape: Sequence[int], permutation: Permutation) -> tuple[int, ...]:
    """Shape of a value as it is stored."""
    return tuple(shape[axis] for axis in permutation)


def order(shape: Sequence[int], permutation: Permutation) -> Permutation:
    """The axes in stored order, those of size 1 left out: equal orders mean equal bytes."""
    return tuple(axis for axis in permutation if shape[axis] != 1)


def complete(sequence: Sequence[int], shape: Sequence[int]) -> Permutation:
    """A full permutation whose `order` is `sequence`: the model's own or channels-last where either fits."""
    rank = len(shape)
    for candidate in (identity(rank), channels_last(rank) if rank > 2 else identity(rank)):
        if order(shape, candidate) == tuple(sequence):
            return candidate
    return (*(axis for axis in range(rank) if shape[axis] == 1), *sequence)


def through_transpose(permutation: Permutation, perm: Sequence[int]) -> Permutation:
    """Permutation of `transpose(value, perm)` when the stored bytes stay as they are."""
    return tuple(list(perm).index(axis) for axis in permutation)


def without_axes(permutation: Permutation, axes: Sequence[int]) -> Permutation:
    """Permutation after `axes` are dropped from the value."""
    kept = [axis for axis in range(len(permutation)) if axis not in axes]
    return tuple(kept.index(axis) for axis in permutation if axis in kept)


def widened(permutation: Permutation, rank: int) -> Permutation:
    """Permutation after axes of size 1 are put before the value's axes, as broadcasting does."""
    added = rank - len(permutation)
    return (*range(added), *(axis + added for axis in permutation))


def merge_transpose(shape: Sequence[int], axes: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The same transposition over fewer axes: (sizes to reshape to first, axes to transpose then).

    Axes of size 1 go, and source axes that stay next to each other in the result are one.
    """
    runs: list[list[int]] = []
    for axis in axes:
        if shape[axis] == 1:
            continue
        previous = runs[-1][-1] if runs else None
        if (
            previous is not None
            and all(shape[between] == 1 for between in range(previous + 1, axis))
            and previous < axis
        ):
            runs[-1].append(axis)
        else:
            runs.append([axis])
    in_order = sorted(runs)
    sizes = tuple(int(np.prod([shape[axis] for axis in run])) for run in in_order)
    return sizes, tuple(in_order.index(run) for run in runs)


@dataclass(frozen=True, eq=False)
class ReshapePlan:
    """How a reshape runs on stored bytes.

    Attributes:
        source: Permutation the input must be stored in first; its `order` is the present one when nothing moves.
        result: Permutation of the output then.
        features: Set when the input may stay as it is provided that readers accept the last output axis shuffled:
            stored feature k is the model's feature `features[k]`.
    """

    source: Permutation
    result: Permutation
    features: Array | None = None


def plan_reshape(shape: Sequence[int], target: Sequence[int], permutation: Permutation) -> ReshapePlan:
    """Find the stored order closest to `permutation` in which a reshape is free.

    Input axes and output axes are cut into groups of equal product. A group whose axes are contiguous and in order in
    the stored layout can be merged or split in place; the groups themselves may be stored in any order.
    """
    groups = _groups(shape, target)
    stored = order(shape, permutation)
    group_of = {axis: number for number, (axes, _) in enumerate(groups) for axis in axes}
    sequence = tuple(dict.fromkeys(group_of[axis] for axis in stored))
    wanted = tuple(axis for number in sequence for axis in groups[number][0])
    result = complete([axis for number in sequence for axis in groups[number][1]], target)
    if wanted == stored:
        return ReshapePlan(permutation, result)
    return ReshapePlan(complete(wanted, shape), result, _features(shape, target, stored, groups))


def _groups(shape: Sequence[int], target: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Pairs (input axes, output axes) of equal product, axes of size 1 left out."""
    left = [axis for axis, size in enumerate(shape) if size != 1]
    right = [axis for axis, size in enumerate(target) if size != 1]
    groups: list[tuple[list[int], list[int]]] = []
    while left and right:
        ins, outs = [left.pop(0)], [right.pop(0)]
        product_in, product_out = shape[ins[0]], target[outs[0]]
        while product_in != product_out:
            if product_in < product_out:
                ins.append(left.pop(0))
                product_in *= shape[ins[-1]]
            else:
                outs.append(right.pop(0))
                product_out *= target[outs[-1]]
        groups.append((ins, outs))
    return groups


def _features(
    shape: Sequence[int], target: Sequence[int], stored: Permutation, groups: list[tuple[list[int], list[int]]]
) -> Array | None:
    """The shuffle of the last axis when only the group that becomes it is out of order."""
    axes, outs = groups[-1]
    start = len(stored) - len(axes)
    before = tuple(axis for group, _ in groups[:-1] for axis in group)
    if outs != [len(target) - 1] or stored[:start] != before or set(stored[start:]) != set(axes):
        return None
    numbers = np.arange(target[-1]).reshape([shape[axis] for axis in axes])
    return numbers.transpose([axes.index(axis) for axis in stored[start:]]).reshape(-1)


def natural_layouts(graph: Graph) -> Mapping[str, Permutation]:
    """Permutation in which each graph input is best stored: what its readers want, followed through the graph."""
    known: dict[str, Permutation | None] = {}
    for node in reversed(graph.nodes):
        for name in node.inputs:
            if name in graph.values and known.get(name) is None:
                known[name] = _wanted(graph, node, name, known)
    return {name: known.get(name) or identity(len(graph.shape(name))) for name in graph.inputs}


def _wanted(graph: Graph, node: Node, name: str, known: Mapping[str, Permutation | None]) -> Permutation | None:
    rank = len(graph.shape(name))
    if node.op in SPATIAL and node.inputs[0] == name and rank in (3, 4):
        return channels_last(rank)
    result = known.get(node.outputs[0])
    if result is None:
        return None
    if node.op == "Transpose":
        return tuple(node.attributes["perm"][axis] for axis in result)
    if node.op in _FOLLOWERS and len(graph.shape(node.outputs[0])) == rank:
        return result
    return None
