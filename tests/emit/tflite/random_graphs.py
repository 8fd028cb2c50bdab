"""Random graphs whose every step is legal: the layouts that meet in them are those nobody thinks of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.emit.tflite.sketch import Sketch

Step = Callable[[Sketch, str], str]


def draw(seed: int, steps: int, *, moves_only: bool = False) -> tuple[Sketch, str]:
    """A chain of `steps` operators with some side branches; every one keeps the tensor below 4000 numbers."""
    sketch = Sketch(seed)
    shape = [(1, 6, 4, 6), (1, 4, 12), (1, 12), (1, 2, 6, 3, 4)][sketch.rng.integers(4)]
    name = sketch.input(*shape)
    choices = MOVES if moves_only else (*MOVES, *SUMS)
    for _ in range(steps):
        step = choices[sketch.rng.integers(len(choices))]
        name = step(sketch, name)
    if not sketch.nodes:
        name = transpose(sketch, name)
    return sketch, name


def axis_of(sketch: Sketch, name: str) -> int:
    return int(sketch.rng.integers(sketch.arrays[name].ndim))


def transpose(sketch: Sketch, name: str) -> str:
    return sketch.node("Transpose", name, perm=tuple(int(a) for a in sketch.rng.permutation(sketch.arrays[name].ndim)))


def reshape(sketch: Sketch, name: str) -> str:
    """Splits and merges of neighbours, ones put in and taken out, at most 5 axes."""
    shape = list(sketch.arrays[name].shape)
    for _ in range(sketch.rng.integers(1, 4)):
        place = int(sketch.rng.integers(len(shape)))
        kind = sketch.rng.integers(3)
        if kind == 0 and len(shape) > 1:
            place = min(place, len(shape) - 2)
            shape[place : place + 2] = [shape[place] * shape[place + 1]]
        elif kind == 1 and len(shape) < 5:
            shape.insert(place, 1)
        elif len(shape) < 5:
            divisors = [n for n in range(2, shape[place]) if shape[place] % n == 0]
            if divisors:
                first = int(sketch.rng.choice(divisors))
                shape[place : place + 1] = [first, shape[place] // first]
    return sketch.node("Reshape", name, shape=tuple(shape))


def concat(sketch: Sketch, name: str) -> str:
    if sketch.arrays[name].size > 1000:
        return name
    return sketch.node("Concat", name, other_layout(sketch, name), axis=axis_of(sketch, name))


def other_layout(sketch: Sketch, name: str) -> str:
    """The same numbers by way of two transposes, which the layout tracker may store differently."""
    perm = sketch.rng.permutation(sketch.arrays[name].ndim)
    there = sketch.node("Transpose", name, perm=tuple(int(axis) for axis in perm))
    moved = sketch.node("Pad", there, pads=(0,) * 2 * len(perm), mode="constant", value=0.0)
    return sketch.node("Transpose", moved, perm=tuple(int(axis) for axis in np.argsort(perm)))


def slice_(sketch: Sketch, name: str) -> str:
    axis = axis_of(sketch, name)
    size = sketch.arrays[name].shape[axis]
    if size < 3:
        return name
    if sketch.rng.integers(2):
        return sketch.node("Slice", name, axes=(axis,), starts=(size - 1,), ends=(-1,), steps=(-2,))
    return sketch.node("Slice", name, axes=(axis,), starts=(1,), ends=(size,), steps=(1,))


def split(sketch: Sketch, name: str) -> str:
    axis = axis_of(sketch, name)
    size = sketch.arrays[name].shape[axis]
    if size < 2:
        return name
    sizes = (size // 2, size - size // 2)
    first, second = sketch.split("Split", name, outputs=2, axis=axis, split=sizes)
    return sketch.node("Concat", second, first, axis=axis)


def pad(sketch: Sketch, name: str) -> str:
    shape = sketch.arrays[name].shape
    if np.prod(np.array(shape) + 1) > 3000:
        return name
    pads = [int(sketch.rng.integers(2)) if size > 1 else 0 for size in (*shape, *shape)]
    mode = ["constant", "reflect", "edge"][sketch.rng.integers(3)]
    return sketch.node("Pad", name, pads=tuple(pads), mode=mode, value=0.0)


def gather(sketch: Sketch, name: str) -> str:
    axis = axis_of(sketch, name)
    rank = sketch.arrays[name].ndim
    shape = [(), (2,), (2, 1)][sketch.rng.integers(3 if rank < 5 else 2)] if rank > 1 else (2,)
    size = sketch.arrays[name].shape[axis]
    rows = sketch.rng.integers(-size, size, size=shape).astype(np.int64)
    return sketch.node("Gather", name, sketch.constant(np.asarray(rows)), axis=axis)


def expand(sketch: Sketch, name: str) -> str:
    shape = list(sketch.arrays[name].shape)
    ones = [axis for axis, size in enumerate(shape) if size == 1]
    if not ones or sketch.arrays[name].size > 1000:
        return name
    shape[ones[sketch.rng.integers(len(ones))]] = 2
    return sketch.node("Expand", name, shape=tuple(shape))


def largest(sketch: Sketch, name: str) -> str:
    if sketch.arrays[name].ndim < 3:
        return name
    return sketch.node("ReduceMax", name, axes=(axis_of(sketch, name),), keepdims=int(sketch.rng.integers(2)))


def pool(sketch: Sketch, name: str) -> str:
    shape = sketch.arrays[name].shape
    if len(shape) != 4 or min(shape[2:]) < 2 or shape[0] != 1:
        return name
    return sketch.node("MaxPool", name, kernel_shape=(2, 2), strides=(1, 1), pads=(0, 1, 1, 0))


def blocks(sketch: Sketch, name: str) -> str:
    shape = sketch.arrays[name].shape
    if len(shape) != 4 or shape[1] % 4 or shape[0] != 1:
        return name
    return sketch.node("DepthToSpace", name, blocksize=2, mode=["DCR", "CRD"][sketch.rng.integers(2)])


def conv(sketch: Sketch, name: str) -> str:
    shape = sketch.arrays[name].shape
    if len(shape) not in (3, 4) or shape[0] != 1:
        return name
    axes = len(shape) - 2
    return sketch.conv(name, int(sketch.rng.integers(1, 7)), kernel=(3,) * axes, pads=(1,) * 2 * axes)


def gemm(sketch: Sketch, name: str) -> str:
    return sketch.gemm(name, int(sketch.rng.integers(1, 9))) if sketch.arrays[name].ndim > 1 else name


def gate(sketch: Sketch, name: str) -> str:
    """Squeeze and excite along some axes."""
    axes = tuple(sorted({axis_of(sketch, name), axis_of(sketch, name)}))
    mean = sketch.node("ReduceMean", name, axes=axes, keepdims=1)
    return sketch.node("Mul", sketch.node("Sigmoid", mean), name)


def biased(sketch: Sketch, name: str) -> str:
    shape = sketch.arrays[name].shape[int(sketch.rng.integers(sketch.arrays[name].ndim)) :]
    shape = tuple(size if sketch.rng.integers(2) else 1 for size in shape)
    return sketch.node("Sub", sketch.weight(*shape), name)


def residual(sketch: Sketch, name: str) -> str:
    return sketch.node("Add", name, other_layout(sketch, name), clamp=(0.0, 6.0))


def outer(sketch: Sketch, name: str) -> str:
    """A lower-rank value broadcast against a higher-rank one."""
    if sketch.arrays[name].ndim < 2:
        return name
    mean = sketch.node("ReduceMean", name, axes=(0,), keepdims=0)
    return sketch.node("Add", mean, name)


def softmax(sketch: Sketch, name: str) -> str:
    return sketch.node("Softmax", name, axis=axis_of(sketch, name))


def attend(sketch: Sketch, name: str) -> str:
    rank = sketch.arrays[name].ndim
    if rank not in (2, 3, 4) or sketch.arrays[name].shape[-2] > 20:
        return name
    swapped = sketch.node("Transpose", name, perm=(*range(rank - 2), rank - 1, rank - 2))
    return sketch.node("MatMul", sketch.node("Softmax", sketch.node("MatMul", name, swapped), axis=rank - 1), name)


def normalize(sketch: Sketch, name: str) -> str:
    size = sketch.arrays[name].shape[-1]
    if size < 2:
        return name
    return sketch.node("LayerNormalization", name, sketch.weight(size), sketch.weight(size), epsilon=1e-3)


MOVES: tuple[Step, ...] = (
    transpose, transpose, reshape, reshape, reshape, concat, slice_, split, pad, gather, expand, largest, pool, blocks,
)  # fmt: skip
SUMS: tuple[Step, ...] = (
    conv, conv, conv, gemm, gemm, gate, biased, residual, residual, outer, softmax, attend, normalize
)  # fmt: skip
