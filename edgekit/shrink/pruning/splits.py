"""Splits: which part of a `split` or `chunk` goes where.

torch-pruning takes the readers of a split in the order in which its walk back from the outputs meets them, which need
not be the order of the parts, and passes over splits along the last axis of token tensors. Autograd knows both: each
edge carries the number of the part that it reads.
"""

from __future__ import annotations

from typing import Any

from torch_pruning import ops
from torch_pruning.dependency import DependencyGraph
from torch_pruning.dependency.index_mapping import _SplitIndexMapping

_NO_AXIS = 100
"""Autograd stores negative axes as huge unsigned numbers."""


def map_splits(graph: DependencyGraph) -> None:
    """Give every dependency on a split along channels the run of channels that its reader reads; in place."""
    for node in list(graph.module2node.values()):
        if node.type == ops.OPTYPE.SPLIT:
            offsets = _offsets(node.grad_fn)
            if offsets:
                _map(node, offsets)


def _offsets(grad_fn: Any) -> list[int]:
    """Where the parts begin and end along the channels; empty when the split is along another axis."""
    shape = getattr(grad_fn, "_saved_self_sym_sizes", None)
    axis = getattr(grad_fn, "_saved_dim", None)
    if shape is None or axis is None or len(shape) < 2:
        return []
    axis = axis if axis < _NO_AXIS else axis - 2**64
    axis %= len(shape)
    if axis != 1 and not (axis == len(shape) - 1 and len(shape) == 3):
        return []
    total = int(shape[axis])
    sizes = getattr(grad_fn, "_saved_split_sizes", None)
    if sizes is None:
        size = int(grad_fn._saved_split_size)
        sizes = [min(size, total - start) for start in range(0, total, size)]
    offsets = [0]
    for size in sizes:
        offsets.append(offsets[-1] + int(size))
    return offsets


def _map(node: Any, offsets: list[int]) -> None:
    for reader in {id(reader): reader for reader in node.outputs}.values():
        edges = [number for function, number in reader.grad_fn.next_functions if function is node.grad_fn]
        down = [dependency for dependency in node.dependencies if dependency.target is reader]
        up = [dependency for dependency in reader.dependencies if dependency.target is node]
        for dependencies, is_reverse in ((down, False), (up, True)):
            for dependency, number in zip(dependencies, edges, strict=False):
                dependency.index_mapping[0] = _SplitIndexMapping(
                    offset=offsets[number : number + 2], reverse=is_reverse
                )
