"""Movement: operators that copy elements without looking at them, and the two that pick by index.

They work on any dtype, so int8 runs the same functions on the stored integers; scales are tied (LiteRT quantization
spec: CONCATENATION, RESHAPE, PAD, TRANSPOSE, SLICE, GATHER keep the scale of their input), and where a caller gives
an output another scale the integers are requantized. Semantics: ONNX opset 20 with static arguments as attributes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgekit.runtime.reference.rounding import Arrays, IntegerCall, Result, requantize
from edgekit.types.graph import Node
from edgekit.types.qparams import Array


def concat(node: Node, arrays: Arrays) -> Array:
    """Join along `axis`."""
    return np.concatenate(arrays, axis=node.attributes["axis"])


def split(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """Cut along `axis` into pieces of the given sizes."""
    edges = np.cumsum(node.attributes["split"])[:-1]
    return tuple(np.split(arrays[0], edges, axis=node.attributes["axis"]))


def slice_(node: Node, arrays: Arrays) -> Array:
    """Start:end:step per axis; a negative step with end -1 runs through the first element."""
    cuts = [slice(None)] * arrays[0].ndim
    marks = (node.attributes[key] for key in ("axes", "starts", "ends", "steps"))
    for axis, start, end, step in zip(*marks, strict=True):
        cuts[axis] = slice(start, None if step < 0 and end < 0 else end, step)
    return arrays[0][tuple(cuts)]


def pad(node: Node, arrays: Arrays) -> Array:
    """Borders of a constant, of the mirrored inside, or of the edge."""
    return _pad(node, arrays[0], node.attributes["value"])


def _pad(node: Node, x: Array, value: float) -> Array:
    pads, mode = node.attributes["pads"], node.attributes["mode"]
    borders = list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))
    if mode == "constant":
        return np.pad(x, borders, constant_values=value)
    return np.pad(x, borders, mode="reflect" if mode == "reflect" else "edge")


def reshape(node: Node, arrays: Arrays) -> Array:
    """Same elements in row-major order, other shape."""
    return arrays[0].reshape(node.attributes["shape"])


def transpose(node: Node, arrays: Arrays) -> Array:
    """Permute the axes."""
    return arrays[0].transpose(node.attributes["perm"])


def expand(node: Node, arrays: Arrays) -> Array:
    """Repeat axes of size 1 up to the full shape."""
    return np.broadcast_to(arrays[0], node.attributes["shape"]).copy()


def depth_to_space(node: Node, arrays: Arrays) -> Array:
    """Blocks of channels become blocks of pixels: DCR takes block-major channels, CRD channel-major."""
    n, c, h, w = arrays[0].shape
    b = node.attributes["blocksize"]
    if node.attributes["mode"] == "DCR":
        order = arrays[0].reshape(n, b, b, c // b**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        order = arrays[0].reshape(n, c // b**2, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    return order.reshape(n, c // b**2, h * b, w * b)


def space_to_depth(node: Node, arrays: Arrays) -> Array:
    """Blocks of pixels become block-major channels."""
    n, c, h, w = arrays[0].shape
    b = node.attributes["blocksize"]
    order = arrays[0].reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4)
    return order.reshape(n, c * b**2, h // b, w // b)


def gather(node: Node, arrays: Arrays) -> Array:
    """Pick entries along `axis`; a negative index counts from the end."""
    return np.asarray(np.take(arrays[0], arrays[1], axis=node.attributes["axis"]))


def argmax(node: Node, arrays: Arrays) -> Array:
    """int64 index of the largest element, the first among equals."""
    return np.asarray(np.argmax(arrays[0], axis=node.attributes["axis"], keepdims=bool(node.attributes["keepdims"])))


MOVEMENTS: dict[str, Callable[[Node, Arrays], Result]] = {
    "Split": split,
    "Slice": slice_,
    "Reshape": reshape,
    "Transpose": transpose,
    "Expand": expand,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "Gather": gather,
}
"""operator -> function that needs nothing but the stored elements of its inputs."""


def integer_movement(call: IntegerCall) -> tuple[Array, ...]:
    """Any of MOVEMENTS on integers."""
    moved = MOVEMENTS[call.node.op](call.node, call.arrays)
    pieces = moved if isinstance(moved, tuple) else (moved,)
    return tuple(
        requantize(piece, call.source(), call.target(slot), clamp=call.node.clamp) for slot, piece in enumerate(pieces)
    )


def integer_concat(call: IntegerCall) -> Array:
    """Concat: each part is brought to the scale of the result first."""
    parts = [
        requantize(part, call.source(slot), call.target(), clamp=call.node.clamp)
        for slot, part in enumerate(call.arrays)
    ]
    return concat(call.node, parts)


def integer_pad(call: IntegerCall) -> Array:
    """Pad with the integer that stands for `value`."""
    value = call.source().quantize(np.asarray(call.node.attributes["value"]))
    moved = _pad(call.node, call.arrays[0], value.item())
    return requantize(moved, call.source(), call.target(), clamp=call.node.clamp)


def integer_argmax(call: IntegerCall) -> Array:
    """ArgMax compares the integers: quantization is monotone."""
    return argmax(call.node, call.arrays)
