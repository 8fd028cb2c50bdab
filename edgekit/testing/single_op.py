"""One-operator graphs of every kind: the builders, in one place to import from.

Each returns a `Case`: a QuantizedGraph of one node with realistic scales, and feeds on its input grid.
`catalogue()` lists some of every operator and attribute family; `strategies.cases(op)` draws random ones.
"""

from __future__ import annotations

from edgekit.testing.case import Case, Setup, activation, build_case
from edgekit.testing.elementwise_cases import (
    binary_case,
    cast_case,
    island_case,
    layer_norm_case,
    prelu_case,
    requantize_case,
    softmax_case,
    unary_case,
)
from edgekit.testing.linear_cases import conv_case, conv_transpose_case, gemm_case, matmul_case
from edgekit.testing.movement_cases import (
    concat_case,
    depth_case,
    gather_case,
    pad_case,
    pool_case,
    reduce_case,
    reshape_case,
    resize_case,
    slice_case,
    split_case,
)

__all__ = [
    "Case",
    "Setup",
    "activation",
    "binary_case",
    "build_case",
    "cast_case",
    "catalogue",
    "concat_case",
    "conv_case",
    "conv_transpose_case",
    "depth_case",
    "gather_case",
    "gemm_case",
    "island_case",
    "layer_norm_case",
    "matmul_case",
    "pad_case",
    "pool_case",
    "prelu_case",
    "reduce_case",
    "requantize_case",
    "reshape_case",
    "resize_case",
    "slice_case",
    "softmax_case",
    "split_case",
    "unary_case",
]

RELU = (0.0, float("inf"))
RELU6 = (0.0, 6.0)


def catalogue() -> tuple[Case, ...]:
    """A fixed case for every operator and attribute family of the dialect, about a hundred in all."""
    return (*_linear(), *_elementwise(), *_islands(), *_windows(), *_movement())


def _linear() -> tuple[Case, ...]:
    return (
        conv_case(),
        conv_case(1, strides=(2, 2), pads=(0, 0, 1, 1), clamp=RELU6),
        conv_case(2, kernel=(5, 3), strides=(2, 1), pads=(2, 1, 0, 2), clamp=RELU),
        conv_case(3, channels=(4, 4), group=4, pads=(1, 1, 1, 1)),
        conv_case(4, channels=(4, 8), group=4, pads=(1, 1, 1, 1), clamp=RELU6),
        conv_case(5, channels=(6, 4), group=2, bias=False),
        conv_case(6, dilations=(2, 2), pads=(2, 2, 2, 2)),
        conv_case(7, channels=(4, 4), group=4, dilations=(2, 1), pads=(2, 1, 2, 1)),
        conv_case(8, kernel=(1, 1), channels=(16, 24), clamp=RELU),
        conv_case(9, size=(20,), kernel=(5,), strides=(2,), pads=(1, 2)),
        conv_case(10, size=(20,), kernel=(3,), channels=(4, 4), group=4, pads=(1, 1), clamp=RELU),
        conv_case(11, island=True),
        conv_case(12, clamp=RELU6, wide=True),
        conv_transpose_case(),
        conv_transpose_case(1, kernel=(2, 2), strides=(2, 2), bias=False),
        conv_transpose_case(2, kernel=(4, 4), strides=(2, 2), pads=(1, 1, 1, 1), clamp=RELU),
        conv_transpose_case(3, strides=(2, 2), pads=(1, 1, 1, 1), output_padding=(1, 1)),
        conv_transpose_case(4, channels=(4, 6), group=2, strides=(2, 2)),
        conv_transpose_case(5, size=(9,), kernel=(4,), strides=(2,), pads=(1, 1)),
        gemm_case(),
        gemm_case(1, shape=(1, 100), width=10, clamp=RELU),
        gemm_case(2, shape=(1, 6, 16), width=32),
        gemm_case(3, bias=False),
        gemm_case(4, shape=(1, 6, 16), island=True),
        gemm_case(5, clamp=RELU, wide=True),
        matmul_case(),
        matmul_case(1, left=(1, 6, 8), right=(1, 8, 6)),
        matmul_case(2, left=(1, 5, 4), right=(4, 3), constant=True),
    )


def _elementwise() -> tuple[Case, ...]:
    binary = [
        case
        for seed, op in enumerate(("Add", "Sub", "Mul"))
        for case in (
            binary_case(op, seed, clamp=RELU if op == "Add" else None),
            binary_case(op, seed + 3, right=(1, 3, 1, 1)),
            binary_case(op, seed + 4, clamp=RELU, wide=True),
            binary_case(op, seed + 6, left=(1, 8), right=(8,), constant=1),
            binary_case(op, seed + 9, left=(1, 1, 1), right=(1, 6, 8), constant=0),
        )
    ]
    functions: dict[str, tuple[dict[str, float | str], ...]] = {
        "Clip": ({"low": 0.0, "high": float("inf")}, {"low": 0.0, "high": 6.0}, {"low": -1.0, "high": 0.5}),
        "LeakyRelu": ({"alpha": 0.1}, {"alpha": 0.01}),
        "Gelu": ({"approximate": "none"}, {"approximate": "tanh"}),
        "Sigmoid": ({},),
        "Tanh": ({},),
        "HardSwish": ({},),
    }
    unary = [
        unary_case(op, seed, shape=shape, attributes=attributes)
        for op, choices in functions.items()
        for attributes in choices
        for seed, shape in enumerate(((1, 3, 4, 5), (1, 40)))
    ]
    others = (
        prelu_case(),
        prelu_case(1, shape=(1, 4, 9)),
        prelu_case(2, shared=True),
        softmax_case(),
        softmax_case(1, shape=(1, 3, 4, 5), axis=3),
        softmax_case(2, shape=(1, 3, 4, 5), axis=1),
        layer_norm_case(),
        layer_norm_case(1, shape=(1, 32), epsilon=1e-6),
        requantize_case(),
        requantize_case(1, widen=0.5),
    )
    return (*binary, *unary, *others)


def _islands() -> tuple[Case, ...]:
    unary = ("Exp", "Log", "Sqrt", "Abs", "Neg", "Sin", "Cos", "Floor", "Ceil", "Round", "Reciprocal")
    return (
        *(island_case(op, seed) for seed, op in enumerate(unary)),
        *(island_case(op, seed, borders=False) for seed, op in enumerate(unary)),
        *(island_case(op, seed, right=(1, 3, 1, 1)) for seed, op in enumerate(("Div", "Pow", "Max", "Min"))),
        *(island_case(op, seed, right=(1, 3, 4, 5), borders=False) for seed, op in enumerate(("Div", "Add", "Mul"))),
        cast_case(),
        cast_case(1, to="int32"),
    )


def _windows() -> tuple[Case, ...]:
    return (
        pool_case("MaxPool"),
        pool_case("MaxPool", 1, kernel=(3, 3), pads=(1, 1, 1, 1)),
        pool_case("MaxPool", 2, kernel=(3, 2), strides=(1, 2), pads=(0, 1, 1, 0)),
        pool_case("MaxPool", 3, shape=(1, 3, 16), kernel=(2,), strides=(2,)),
        pool_case("AveragePool"),
        pool_case("AveragePool", 1, kernel=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1)),
        pool_case("AveragePool", 2, kernel=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), count_include_pad=1),
        pool_case("AveragePool", 3, kernel=(2, 3), pads=(0, 1, 1, 0)),
        pool_case("AveragePool", 4, shape=(1, 3, 16), kernel=(4,), strides=(4,)),
        reduce_case("GlobalAveragePool"),
        reduce_case("GlobalAveragePool", 1, shape=(1, 3, 12)),
        reduce_case("ReduceMean"),
        reduce_case("ReduceMean", 1, keepdims=0),
        reduce_case("ReduceMean", 2, shape=(1, 6, 8), axes=(1,), keepdims=0),
        reduce_case("ReduceMean", 3, shape=(1, 6, 8), axes=(2,)),
        reduce_case("ReduceMax"),
        reduce_case("ReduceMax", 1, shape=(1, 6, 8), axes=(1,), keepdims=0),
        reduce_case("ReduceSum"),
        reduce_case("ArgMax", shape=(1, 10), axes=(1,), keepdims=0),
        reduce_case("ArgMax", 1, shape=(1, 3, 4, 5), axes=(1,)),
        resize_case(),
        resize_case(1, coordinates="align_corners", sizes=(7, 9)),
        resize_case(2, coordinates="asymmetric"),
        resize_case(3, mode="nearest", coordinates="asymmetric"),
        resize_case(4, mode="nearest", coordinates="half_pixel", nearest_mode="round_prefer_floor", sizes=(6, 9)),
        resize_case(5, mode="nearest", coordinates="asymmetric", sizes=(2, 3)),
    )


def _movement() -> tuple[Case, ...]:
    return (
        concat_case(),
        concat_case(1, shapes=((1, 6), (1, 4), (1, 3))),
        concat_case(2, shapes=((1, 2, 4, 5), (1, 2, 3, 5)), axis=2),
        split_case(),
        split_case(1, shape=(1, 5, 9), axis=2, split=(3, 3, 3)),
        slice_case(),
        slice_case(1, axes=(2,), starts=(3,), ends=(-1,), steps=(-1,)),
        slice_case(2, shape=(1, 7, 8), axes=(1,), starts=(6,), ends=(7,), steps=(1,)),
        pad_case(),
        pad_case(1, value=0.25),
        pad_case(2, mode="reflect"),
        pad_case(3, mode="edge", pads=(0, 0, 1, 1, 0, 0, 1, 1)),
        pad_case(4, shape=(1, 3, 9), pads=(0, 1, 0, 0, 2, 0)),
        reshape_case("Reshape"),
        reshape_case("Reshape", 1, target=(1, 4, 15)),
        reshape_case("Reshape", 2, shape=(1, 6, 8), target=(1, 2, 3, 8)),
        reshape_case("Transpose", target=(0, 2, 3, 1)),
        reshape_case("Transpose", 1, shape=(1, 6, 8), target=(0, 2, 1)),
        reshape_case("Transpose", 2, shape=(1, 2, 3, 4, 5), target=(0, 2, 1, 3, 4)),
        reshape_case("Expand", shape=(1, 3, 1, 5), target=(1, 3, 4, 5)),
        depth_case("DepthToSpace"),
        depth_case("DepthToSpace", 1, mode="CRD"),
        depth_case("SpaceToDepth"),
        gather_case(),
        gather_case(1, shape=(1, 6, 8), indices=(), axis=1, table=False),
        gather_case(2, shape=(1, 6, 8), indices=(3,), axis=2, table=False),
    )
