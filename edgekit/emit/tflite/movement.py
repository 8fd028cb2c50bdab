"""Concat, Split, Slice and Pad: data moves along stored axes, its integers stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.emit.tflite.elementwise import agreed
from edgekit.emit.tflite.layout import stored_shape
from edgekit.emit.tflite.lowering import Lowering
from edgekit.emit.tflite.padding import padded_axes
from edgekit.types.graph import Node


def concat(lowering: Lowering, node: Node) -> None:
    """CONCATENATION along the stored axis; inputs of another scale are requantized, the kernel wants one."""
    int8 = lowering.is_int8(node)
    permutation, tensors = agreed(lowering, node, int8=int8)
    tensors = [
        _full_rank(lowering, t, lowering.graph.shape(n), permutation) for n, t in zip(node.inputs, tensors, strict=True)
    ]
    if int8:
        qparams = lowering.qparams(node.outputs[0])
        tensors = [lowering.quantized_as(tensor, qparams) for tensor in tensors]
    result = concatenated(lowering, tensors, axis=permutation.index(node.attributes["axis"]))
    lowering.publish(node.outputs[0], result, permutation, clamp=node.clamp)


def _full_rank(lowering: Lowering, tensor: int, shape: Sequence[int], permutation: Sequence[int]) -> int:
    return lowering.reshape(tensor, stored_shape(shape, tuple(permutation)))


def split(lowering: Lowering, node: Node) -> None:
    """SPLIT into equal parts; others are STRIDED_SLICEs, which XNNPACK takes and SPLIT_V it does not."""
    stored = lowering.read(node.inputs[0], int8=lowering.is_int8(node))
    axis, sizes = stored.permutation.index(node.attributes["axis"]), node.attributes["split"]
    if len(set(sizes)) == 1:
        parts = split_evenly(lowering, stored.tensor, axis=axis, parts=len(sizes))
    else:
        parts = _pieces(lowering, stored.tensor, axis=axis, sizes=sizes)
    for name, part in zip(node.outputs, parts, strict=True):
        if name:
            lowering.publish(name, part, stored.permutation, clamp=node.clamp)


def _pieces(lowering: Lowering, tensor: int, *, axis: int, sizes: Sequence[int]) -> list[int]:
    shape = lowering.shape_of(tensor)
    found, place = [], 0
    for size in sizes:
        starts, ends = [0] * len(shape), list(shape)
        starts[axis], ends[axis] = place, place + size
        found.append(sliced(lowering, tensor, starts, ends))
        place += size
    return found


def slice_(lowering: Lowering, node: Node) -> None:
    """STRIDED_SLICE over the stored axes."""
    stored = lowering.read(node.inputs[0], int8=lowering.is_int8(node))
    shape = lowering.shape_of(stored.tensor)
    starts, ends, steps, open_axes = [0] * len(shape), list(shape), [1] * len(shape), 0
    names = ("axes", "starts", "ends", "steps")
    for axis, start, end, step in zip(*(node.attributes[name] for name in names), strict=True):
        place = stored.permutation.index(axis)
        starts[place], ends[place], steps[place] = start, end, step
        if step < 0 and end < 0:
            open_axes |= 1 << place
    result = sliced(lowering, stored.tensor, starts, ends, steps=steps, end_mask=open_axes)
    lowering.publish(node.outputs[0], result, stored.permutation, clamp=node.clamp)


def pad(lowering: Lowering, node: Node) -> None:
    """PAD with 0.0 (the zero point), PADV2 with another value, MIRROR_PAD, or GATHER of the edge rows."""
    stored = lowering.read(node.inputs[0], int8=lowering.is_int8(node))
    flat, rank = node.attributes["pads"], len(stored.permutation)
    pads = [(int(flat[axis]), int(flat[axis + rank])) for axis in stored.permutation]
    mode, tensor = node.attributes["mode"], stored.tensor
    if mode == "constant":
        tensor = padded_axes(lowering, tensor, pads, value=float(node.attributes["value"]))
    elif mode == "reflect":
        options = schema.MirrorPadOptionsT()
        options.mode = schema.MirrorPadMode.REFLECT
        shape = [n + before + after for n, (before, after) in zip(lowering.shape_of(tensor), pads, strict=True)]
        operands = [tensor, lowering.array(np.array(pads, np.int32))]
        tensor = lowering.apply("MIRROR_PAD", operands, shape=shape, options=options)
    else:
        for axis, (before, after) in enumerate(pads):
            size = lowering.shape_of(tensor)[axis]
            if before or after:
                rows = np.clip(np.arange(-before, size + after), 0, size - 1)
                tensor = gathered(lowering, tensor, rows, axis=axis)
    lowering.publish(node.outputs[0], tensor, stored.permutation, clamp=node.clamp)


def expand(lowering: Lowering, node: Node) -> None:
    """BROADCAST_TO."""
    int8 = lowering.is_int8(node)
    shape = lowering.graph.shape(node.outputs[0])
    permutation, (tensor,) = agreed(lowering, node, int8=int8)
    target = stored_shape(shape, permutation)
    result = lowering.apply(
        "BROADCAST_TO", [tensor, lowering.integers(target)], shape=target, options=schema.BroadcastToOptionsT()
    )
    lowering.publish(node.outputs[0], result, permutation, clamp=node.clamp)


def concatenated(lowering: Lowering, tensors: Sequence[int], *, axis: int) -> int:
    """CONCATENATION of tensors of one dtype and scale along a stored axis."""
    options = schema.ConcatenationOptionsT()
    options.axis = axis
    shape = list(lowering.shape_of(tensors[0]))
    shape[axis] = sum(lowering.shape_of(tensor)[axis] for tensor in tensors)
    return lowering.apply("CONCATENATION", tensors, shape=shape, options=options)


def split_evenly(lowering: Lowering, tensor: int, *, axis: int, parts: int) -> list[int]:
    """SPLIT along a stored axis."""
    options = schema.SplitOptionsT()
    options.numSplits = parts
    size = lowering.shape_of(tensor)[axis] // parts
    results = _parts(lowering, tensor, axis=axis, sizes=[size] * parts)
    lowering.program.operation(
        "SPLIT", [lowering.array(np.array(axis, np.int32)), tensor], outputs=results, options=options
    )
    return results


def _parts(lowering: Lowering, tensor: int, *, axis: int, sizes: Sequence[int]) -> list[int]:
    model = lowering.program.tensors[tensor]
    shapes = [(*model.shape[:axis], size, *model.shape[axis + 1 :]) for size in sizes]
    return [lowering.temporary(shape, dtype=model.dtype, qparams=model.qparams) for shape in shapes]


def sliced(
    lowering: Lowering,
    tensor: int,
    starts: Sequence[int],
    ends: Sequence[int],
    *,
    steps: Sequence[int] | None = None,
    end_mask: int = 0,
) -> int:
    """STRIDED_SLICE over every stored axis; a bit of `end_mask` lets its axis run past the border."""
    steps = steps or [1] * len(starts)
    shape = []
    for axis, (start, end, step) in enumerate(zip(starts, ends, steps, strict=True)):
        stop = -1 if end_mask >> axis & 1 else end
        shape.append(len(range(start, stop, step)))
    options = schema.StridedSliceOptionsT()
    options.endMask = end_mask
    operands = [tensor, *(lowering.integers(values) for values in (starts, ends, steps))]
    return lowering.apply("STRIDED_SLICE", operands, shape=shape, options=options)


def gathered(lowering: Lowering, tensor: int, rows: Sequence[int] | np.ndarray, *, axis: int) -> int:
    """GATHER of constant rows along a stored axis."""
    options = schema.GatherOptionsT()
    options.axis = axis
    shape = list(lowering.shape_of(tensor))
    shape[axis] = len(rows)
    return lowering.apply("GATHER", [tensor, lowering.integers(list(rows))], shape=shape, options=options)
