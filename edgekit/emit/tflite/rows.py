"""The table of operators: how TFLite says each one, in one line, and the function that writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as schema

from edgekit.emit.tflite import (
    elementwise,
    indexing,
    limits,
    linear,
    movement,
    pooling,
    reductions,
    reshaping,
    resizing,
)
from edgekit.emit.tflite.lowering import Lowering
from edgekit.emit.tflite.normalization import SYMMETRIC_UNIT, UNIT, layer_normalization, softmax
from edgekit.emit.tflite.transposed import conv_transpose
from edgekit.types.graph import Graph, Node


@dataclass(frozen=True)
class Row:
    """One operator of the dialect in TFLite.

    Attributes:
        emit: Writes a node.
        text: How TFLite expresses it, for the generated documentation.
        limit: Why a node cannot be written, or "".
    """

    emit: Callable[[Lowering, Node], None]
    text: str
    limit: Callable[[Graph, Node], str] = limits.none


ROWS: dict[str, Row] = {
    "Conv": Row(linear.conv, "CONV_2D or DEPTHWISE_CONV_2D, PAD where SAME/VALID do not fit", limits.spatial),
    "ConvTranspose": Row(conv_transpose, "TRANSPOSE_CONV, STRIDED_SLICE for other pads", limits.spatial),
    "Gemm": Row(linear.gemm, "CONV_2D 1x1, FULLY_CONNECTED in float", limits.gemm),
    "MatMul": Row(linear.matmul, "BATCH_MATMUL", limits.matmul),
    "Add": Row(elementwise.binary("ADD", schema.AddOptionsT, fuses=True), "ADD", limits.broadcast),
    "Sub": Row(elementwise.binary("SUB", schema.SubOptionsT, fuses=True), "SUB", limits.broadcast),
    "Mul": Row(elementwise.binary("MUL", schema.MulOptionsT, fuses=True), "MUL", limits.broadcast),
    "Div": Row(elementwise.binary("DIV", schema.DivOptionsT, fuses=True), "DIV", limits.broadcast),
    "Pow": Row(elementwise.binary("POW", schema.PowOptionsT), "POW", limits.broadcast),
    "Max": Row(elementwise.binary("MAXIMUM", schema.MaximumMinimumOptionsT), "MAXIMUM", limits.broadcast),
    "Min": Row(elementwise.binary("MINIMUM", schema.MaximumMinimumOptionsT), "MINIMUM", limits.broadcast),
    "Clip": Row(elementwise.clip, "saturation, a fused activation, or MAXIMUM and MINIMUM"),
    "LeakyRelu": Row(elementwise.unary("LEAKY_RELU", schema.LeakyReluOptionsT), "LEAKY_RELU"),
    "PRelu": Row(elementwise.prelu, "PRELU", limits.prelu),
    "Sigmoid": Row(elementwise.unary("LOGISTIC", fixed=UNIT), "LOGISTIC"),
    "Tanh": Row(elementwise.unary("TANH", fixed=SYMMETRIC_UNIT), "TANH"),
    "Gelu": Row(elementwise.unary("GELU", schema.GeluOptionsT), "GELU"),
    "HardSwish": Row(elementwise.unary("HARD_SWISH", schema.HardSwishOptionsT), "HARD_SWISH"),
    "Softmax": Row(softmax, "SOFTMAX"),
    "LayerNormalization": Row(layer_normalization, "DEQUANTIZE, MEAN, SUB, MUL, RSQRT, ADD in float, QUANTIZE"),
    "MaxPool": Row(pooling.max_pool, "MAX_POOL_2D, PADV2 where SAME/VALID do not fit", limits.pool),
    "AveragePool": Row(pooling.average_pool, "AVERAGE_POOL_2D with PAD or STRIDED_SLICE", limits.pool),
    "GlobalAveragePool": Row(reductions.reduction("MEAN"), "MEAN"),
    "ReduceMean": Row(reductions.reduction("MEAN"), "MEAN"),
    "ReduceMax": Row(reductions.reduction("REDUCE_MAX", keeps_scale=True), "REDUCE_MAX"),
    "ReduceSum": Row(reductions.reduction("SUM"), "SUM"),
    "Concat": Row(movement.concat, "CONCATENATION"),
    "Split": Row(movement.split, "SPLIT, or STRIDED_SLICE for unequal parts"),
    "Slice": Row(movement.slice_, "STRIDED_SLICE", limits.window_rank),
    "Pad": Row(movement.pad, "PAD, PADV2, MIRROR_PAD, or GATHER of edge rows", limits.pad),
    "Reshape": Row(reshaping.reshape, "RESHAPE, with a TRANSPOSE before it where the stored order needs one"),
    "Transpose": Row(reshaping.transpose, "nothing: another permutation of the same tensor"),
    "Expand": Row(movement.expand, "BROADCAST_TO"),
    "Resize": Row(resizing.resize, "RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR, or GATHER of rows", limits.resize),
    "DepthToSpace": Row(resizing.depth_to_space, "DEPTH_TO_SPACE", limits.blocks),
    "SpaceToDepth": Row(resizing.space_to_depth, "SPACE_TO_DEPTH", limits.blocks),
    "Gather": Row(indexing.gather, "GATHER", limits.gather),
    "ArgMax": Row(reductions.arg_max, "ARG_MAX", limits.arg_max),
    "Requantize": Row(elementwise.requantize, "QUANTIZE"),
    "Reciprocal": Row(elementwise.reciprocal, "DIV of 1.0"),
    "Cast": Row(elementwise.cast, "CAST", limits.cast),
    **{
        op: Row(elementwise.unary(code, options), code)
        for op, code, options in (
            ("Exp", "EXP", schema.ExpOptionsT),
            ("Log", "LOG", None),
            ("Sqrt", "SQRT", None),
            ("Abs", "ABS", schema.AbsOptionsT),
            ("Neg", "NEG", schema.NegOptionsT),
            ("Sin", "SIN", None),
            ("Cos", "COS", schema.CosOptionsT),
            ("Floor", "FLOOR", None),
            ("Ceil", "CEIL", None),
            ("Round", "ROUND", None),
        )
    },
}
"""operator name -> its row."""
