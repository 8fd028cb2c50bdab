"""What TFLite kernels cannot say, asked before anything is written: each function gives the reason, or ""."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.types.graph import Graph, Node

DTYPES = ("float32", "int8", "uint8", "int16", "int32", "int64", "bool")
MAX_RANK = 6
_KERNEL_RANK = 4
_WINDOW_RANK = 5


def none(graph: Graph, node: Node) -> str:
    """No limit beyond those of every tensor."""
    return ""


def tensors(graph: Graph, node: Node) -> str:
    """Limits of every tensor: element type and number of axes."""
    for name in (*node.inputs, *node.outputs):
        if not name:
            continue
        if graph.dtype(name) not in DTYPES:
            return f"'{name}' is {graph.dtype(name)}; kernels take {', '.join(DTYPES)}"
        if len(graph.shape(name)) > MAX_RANK:
            return f"'{name}' has {len(graph.shape(name))} axes; kernels take at most {MAX_RANK}"
        if 0 in graph.shape(name):
            return f"'{name}' is empty, shape {graph.shape(name)}"
    return ""


def spatial(graph: Graph, node: Node) -> str:
    """Windows slide over one or two axes, with constant weights."""
    rank = len(graph.shape(node.inputs[0]))
    if rank not in (3, 4):
        return f"works on {rank - 2} spatial axes; kernels have 1 or 2"
    return _constant_weight(graph, node) if node.op.startswith("Conv") else ""


def pool(graph: Graph, node: Node) -> str:
    """As other windows; one that saw nothing but pads would have no maximum and no mean."""
    window, pads = node.attributes["kernel_shape"], node.attributes["pads"]
    if any(pad >= size for pad, size in zip(pads, (*window, *window), strict=True)):
        return f"pads {tuple(pads)} hold whole windows of {tuple(window)}"
    return spatial(graph, node)


def gemm(graph: Graph, node: Node) -> str:
    """Rank 2 and more, constant weight."""
    rank = len(graph.shape(node.inputs[0]))
    return _constant_weight(graph, node) if rank >= 2 else f"input has {rank} axis; 2 are needed"


def matmul(graph: Graph, node: Node) -> str:
    """Matrices in batches of at most three axes."""
    ranks = [len(graph.shape(name)) for name in node.inputs]
    if min(ranks) < 2 or max(ranks) > _WINDOW_RANK:
        return f"operands have {ranks[0]} and {ranks[1]} axes; BATCH_MATMUL takes 2 to {_WINDOW_RANK}"
    return ""


def broadcast(graph: Graph, node: Node) -> str:
    """Broadcasting kernels take four axes once neighbours that broadcast alike are merged."""
    shapes = [graph.shape(name) for name in node.inputs]
    axes = _patterns(shapes, graph.shape(node.outputs[0]))
    return "" if axes <= _KERNEL_RANK else f"broadcasts over {axes} separate axes; kernels take {_KERNEL_RANK}"


def prelu(graph: Graph, node: Node) -> str:
    """Constant slope, four axes."""
    rank = len(graph.shape(node.inputs[0]))
    if rank > _KERNEL_RANK:
        return f"input has {rank} axes; PRELU takes {_KERNEL_RANK}"
    return "" if node.inputs[1] in graph.constants else "the slope is not a constant"


def window_rank(graph: Graph, node: Node) -> str:
    """STRIDED_SLICE takes five axes."""
    rank = len(graph.shape(node.inputs[0]))
    return "" if rank <= _WINDOW_RANK else f"input has {rank} axes; {node.op} takes {_WINDOW_RANK}"


def pad(graph: Graph, node: Node) -> str:
    """Known modes; a reflection stays within the tensor."""
    shape, pads, mode = graph.shape(node.inputs[0]), node.attributes["pads"], node.attributes["mode"]
    if mode not in ("constant", "reflect", "edge"):
        return f"mode '{mode}'; known are constant, reflect, edge"
    if min(pads) < 0:
        return f"pads {tuple(pads)} crop; use Slice"
    if mode == "reflect" and any(
        max(pads[a], pads[a + len(shape)]) >= size for a, size in enumerate(shape) if size > 1
    ):
        return f"reflects {tuple(pads)} beyond shape {shape}"
    return window_rank(graph, node)


def resize(graph: Graph, node: Node) -> str:
    """One or two spatial axes, modes and coordinates of the dialect."""
    mode, coordinates = node.attributes["mode"], node.attributes["coordinates"]
    if mode not in ("nearest", "linear"):
        return f"mode '{mode}'; kernels have nearest and linear"
    if coordinates not in ("half_pixel", "align_corners", "asymmetric"):
        return f"coordinates '{coordinates}'; kernels have half_pixel, align_corners, asymmetric"
    return spatial(graph, node)


def blocks(graph: Graph, node: Node) -> str:
    """Two spatial axes."""
    rank = len(graph.shape(node.inputs[0]))
    return "" if rank == 4 else f"input has {rank} axes; {node.op} takes 4"


def gather(graph: Graph, node: Node) -> str:
    """int32 or int64 indices."""
    dtype = graph.dtype(node.inputs[1])
    return "" if dtype in ("int32", "int64") else f"indices are {dtype}; GATHER takes int32 and int64"


def arg_max(graph: Graph, node: Node) -> str:
    """int32 or int64 result."""
    dtype = graph.dtype(node.outputs[0])
    return "" if dtype in ("int32", "int64") else f"result is {dtype}; ARG_MAX gives int32 and int64"


def cast(graph: Graph, node: Node) -> str:
    """Between the element types that files have."""
    dtype = graph.dtype(node.outputs[0])
    return "" if dtype in DTYPES else f"to {dtype}; kernels have {', '.join(DTYPES)}"


def _constant_weight(graph: Graph, node: Node) -> str:
    return "" if node.inputs[1] in graph.constants else "the weight is not a constant"


def _patterns(shapes: Sequence[tuple[int, ...]], result: tuple[int, ...]) -> int:
    """Axes left after neighbours over which every operand is full, or every operand is 1, are merged."""
    if len(result) <= _KERNEL_RANK:
        return len(result)
    wide = [(*(1,) * (len(result) - len(shape)), *shape) for shape in shapes]
    rows = [tuple(shape[axis] == 1 for shape in wide) for axis, size in enumerate(result) if size != 1]
    return sum(1 for place, row in enumerate(rows) if place == 0 or row != rows[place - 1])
