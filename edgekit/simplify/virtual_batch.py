"""Runs passes on a graph whose batch is a large prime instead of 1.

At batch 1 the batch looks like any axis of size 1: a pass could merge it away, or take a Transpose that moves it for a
Reshape. At a prime batch it cannot be mistaken, and afterwards every size divides back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from edgekit.simplify.batch import find_batch_axes
from edgekit.types.graph import Graph, Node, Value

PRIMES = (7919, 15485863, 179424673)


def with_virtual_batch(graph: Graph, passes: Sequence[Callable[[Graph], Graph]]) -> Graph:
    """Run passes at a prime batch; at batch 1 when the batch cannot be followed.

    Args:
        graph: Static at batch 1.
        passes: Must not look at the content of activations, and may change shapes only by their rules.

    Returns:
        The graph after the passes, at batch 1 again, `batch_axes` empty.
    """
    traced, _ = find_batch_axes(graph)
    sizes = {size for value in graph.values.values() for size in value.shape}
    prime = next((prime for prime in PRIMES if all(size % prime for size in sizes if size)), None)
    if not traced.batch_axes or prime is None:
        for step in passes:
            graph = step(graph)
        return graph
    grown = _resized(
        dataclasses.replace(traced, batch_axes={}),
        lambda name, shape: tuple(
            size * prime if axis == traced.batch_axes.get(name) else size for axis, size in enumerate(shape)
        ),
    )
    for step in passes:
        grown = step(grown)
    return _resized(grown, lambda _, shape: tuple(size // prime if size % prime == 0 else size for size in shape))


def _resized(graph: Graph, resize: Callable[[str, tuple[int, ...]], tuple[int, ...]]) -> Graph:
    def changed(node: Node) -> Node:
        if node.op not in ("Reshape", "Expand"):
            return node
        shape = resize(node.outputs[0], node.attributes["shape"])
        return dataclasses.replace(node, attributes={**node.attributes, "shape": shape})

    return dataclasses.replace(
        graph,
        nodes=tuple(changed(node) for node in graph.nodes),
        values={name: Value(name, resize(name, value.shape), value.dtype) for name, value in graph.values.items()},
    )
