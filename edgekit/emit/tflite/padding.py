"""Pads: which of them a kernel makes itself, and an explicit PAD for the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.emit.tflite.lowering import Lowering

Pads = list[tuple[int, int]]


def conv_padding(
    size: Sequence[int], result: Sequence[int], *, window: Sequence[int], strides: Sequence[int], pads: Sequence[int]
) -> tuple[int, Pads]:
    """Choose SAME or VALID for a window that slides over a map.

    TensorFlow's SAME puts `max((out - 1) * stride + window - in, 0)` zeros around an axis, the smaller half first, and
    gives `ceil(in / stride)` results; torch puts the same number on both sides. Pads at the end that no window reaches
    do not count.

    Args:
        size: Input height and width.
        result: Output height and width.
        window: Extent of the window, dilation included.
        strides: Steps.
        pads: Begins then ends.

    Returns:
        (padding scheme, pads to add explicitly per axis: all zero unless neither scheme fits).
    """
    axes = len(size)
    needed = [
        (pads[axis], max((result[axis] - 1) * strides[axis] + window[axis] - size[axis] - pads[axis], 0))
        for axis in range(axes)
    ]
    if all(pad == (0, 0) for pad in needed):
        return schema.Padding.VALID, needed
    if all(_is_same(size[a], result[a], window=window[a], stride=strides[a], pads=needed[a]) for a in range(axes)):
        return schema.Padding.SAME, [(0, 0)] * axes
    return schema.Padding.VALID, needed


def _is_same(size: int, result: int, *, window: int, stride: int, pads: tuple[int, int]) -> bool:
    total = max((result - 1) * stride + window - size, 0)
    return result == -(-size // stride) and pads == (total // 2, total - total // 2)


def padded(lowering: Lowering, tensor: int, pads: Pads, *, value: float = 0.0) -> int:
    """A channels-last map with `pads` rows and columns of `value` around it; the tensor itself when there are none."""
    if not any(before or after for before, after in pads):
        return tensor
    return padded_axes(lowering, tensor, [(0, 0), *pads, (0, 0)], value=value)


def padded_axes(lowering: Lowering, tensor: int, pads: Pads, *, value: float = 0.0) -> int:
    """PAD over every stored axis, whose filler in int8 is the zero point; PADV2 where `value` is another integer."""
    shape = [size + before + after for size, (before, after) in zip(lowering.shape_of(tensor), pads, strict=True)]
    paddings = lowering.array(np.array(pads, np.int32))
    if value == 0.0:
        return lowering.apply("PAD", [tensor, paddings], shape=shape, options=schema.PadOptionsT())
    stored = lowering.program.tensors[tensor]
    qparams = stored.qparams
    filler = np.array([value], np.float32)
    if qparams is not None:
        filler = qparams.quantize(np.clip(filler, qparams.low, qparams.high))
        if filler[0] == qparams.zero_point:
            return padded_axes(lowering, tensor, pads)
    elif stored.dtype != "float32":
        filler = filler.astype(stored.dtype)
    operand = lowering.array(filler, qparams=qparams)
    return lowering.apply("PADV2", [tensor, paddings, operand], shape=shape, options=schema.PadV2OptionsT())
