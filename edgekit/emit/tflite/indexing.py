"""Gather: rows of a table or of a run-time tensor."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.emit.tflite.layout import Permutation, identity
from edgekit.emit.tflite.lowering import Lowering
from edgekit.types.graph import Node


def gather(lowering: Lowering, node: Node) -> None:
    """GATHER along the stored axis; constant indices are made non-negative, the kernel takes no others."""
    data, indices = node.inputs
    stored = lowering.read(data, int8=lowering.is_int8(node))
    axis = node.attributes["axis"]
    place = stored.permutation.index(axis)
    index_shape = lowering.graph.shape(indices)
    shape = lowering.shape_of(stored.tensor)
    options = schema.GatherOptionsT()
    options.axis = place
    sizes = index_shape or (1,)
    result = lowering.apply(
        "GATHER",
        [stored.tensor, _indices(lowering, indices, shape[place])],
        shape=(*shape[:place], *sizes, *shape[place + 1 :]),
        options=options,
    )
    result = lowering.reshape(result, (*shape[:place], *index_shape, *shape[place + 1 :]))
    permutation = _opened(stored.permutation, axis, len(index_shape))
    lowering.publish(node.outputs[0], result, permutation, clamp=node.clamp)


def _indices(lowering: Lowering, name: str, size: int) -> int:
    if name in lowering.graph.constants:
        rows = np.atleast_1d(lowering.graph.constants[name])
        return lowering.array(np.where(rows < 0, rows + size, rows).astype(np.int32), name=name)
    rank = len(lowering.graph.shape(name))
    tensor = lowering.read_as(name, identity(rank), int8=False)
    return tensor if rank else lowering.reshape(tensor, (1,))


def _opened(permutation: Permutation, axis: int, rank: int) -> Permutation:
    """Permutation after `axis` is replaced by `rank` axes in the same place."""
    result: list[int] = []
    for old in permutation:
        if old == axis:
            result.extend(range(axis, axis + rank))
        else:
            result.append(old if old < axis else old + rank - 1)
    return tuple(result)
