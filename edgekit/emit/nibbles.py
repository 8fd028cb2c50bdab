"""Two 4-bit integers in a byte, the first in the low half: how both ONNX and TFLite store int4 tensors."""

from __future__ import annotations

import numpy as np

from edgekit.types.qparams import Array


def pack_nibbles(integers: Array) -> Array:
    """Pack integers in their order; an odd count leaves the last high half 0.

    Source: ONNX IR specification, "Tensor Element Types", 4-bit; LiteRT schema, `TensorType.INT4`.

    Args:
        integers: Of [-8, 7] (two's complement) or [0, 15], any shape.

    Returns:
        uint8, (ceil(n / 2),).

    >>> pack_nibbles(np.int8([1, -1, 7])).tolist()
    [241, 7]
    """
    halves = np.zeros(integers.size + integers.size % 2, np.uint8)
    halves[: integers.size] = integers.astype(np.uint8).reshape(-1) & 0xF
    packed: Array = halves[0::2] | (halves[1::2] << 4)
    return packed


def unpack_nibbles(packed: Array, count: int) -> Array:
    """The first `count` signed integers, int8; the inverse of `pack_nibbles` for [-8, 7]."""
    halves = np.stack([packed & 0xF, packed >> 4], axis=1).reshape(-1)[:count].astype(np.int8)
    signed: Array = np.where(halves >= 8, halves - 16, halves).astype(np.int8)
    return signed
