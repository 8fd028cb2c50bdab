"""The dialect: every operator a Graph may hold, its arguments, and how int8 treats it.

One row per operator, read by simplification (what to aim for), quantization (which scales are free, tied or
fixed), every emitter, the reference interpreter, and the generated list of supported operators. Names and
semantics are those of ONNX opset 20 unless a row says otherwise; differences exist only where both file formats
gain from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Rule(Enum):
    """How an operator's output QParams come about in int8."""

    FREE = "own scale, from calibration"
    TIED = "same scale as its input(s)"
    UNIT = "fixed: scale 1/256, zero point -128"
    SYMMETRIC_UNIT = "fixed: scale 1/128, zero point 0"
    INDEX = "integer result, reads int8"
    FLOAT = "computed in float in every file"


class Role(Enum):
    """What one input is to the operator."""

    ACTIVATION = "activation"
    WEIGHT = "weight"
    BIAS = "bias"
    PARAMETER = "parameter"
    INDEX = "index"


@dataclass(frozen=True)
class Operator:
    """One row of the dialect.

    Attributes:
        name: ONNX operator name.
        inputs: Role per input slot; the last repeats for variadic operators. WEIGHT, BIAS and PARAMETER are constants.
        attributes: Every attribute a node must carry, with its meaning.
        rule: How its output is quantized.
        float_inside: int8 at its borders, float arithmetic inside (dequantize, compute, quantize) on all runtimes.
        weight_axis: Output-channel axis of the WEIGHT input (per-channel scales); None is per tensor.
        variadic: The last input slot may repeat.
    """

    name: str
    inputs: tuple[Role, ...]
    attributes: dict[str, str]
    rule: Rule
    float_inside: bool = False
    weight_axis: int | None = None
    variadic: bool = False


_A, _W, _B, _P, _I = Role.ACTIVATION, Role.WEIGHT, Role.BIAS, Role.PARAMETER, Role.INDEX

_WINDOW = {"strides": "ints, one per spatial axis", "pads": "ints, all begins then all ends"}

_ROWS = (
    # Linear: y = x * w + b. Spatial operators take 1-D (N,C,L) and 2-D (N,C,H,W) maps.
    Operator("Conv", (_A, _W, _B), {**_WINDOW, "dilations": "ints", "group": "int"}, Rule.FREE, weight_axis=0),
    # Weight (C_in, C_out / group, *kernel), as ONNX; per-channel scales run over C_out only when group is 1.
    Operator(
        "ConvTranspose",
        (_A, _W, _B),
        {**_WINDOW, "dilations": "ints", "group": "int", "output_padding": "ints"},
        Rule.FREE,
        weight_axis=1,
    ),
    # y[..., o] = sum_k x[..., k] w[o, k] + b[o]: the torch Linear, any rank >= 2 (ONNX Gemm is rank 2 only).
    Operator("Gemm", (_A, _W, _B), {}, Rule.FREE, weight_axis=0),
    # Both operands are activations (or one is a constant treated as one); numpy matmul batching.
    Operator("MatMul", (_A, _A), {}, Rule.FREE),
    # Elementwise, numpy broadcasting; one operand may be a constant, which is quantized like an activation.
    Operator("Add", (_A, _A), {}, Rule.FREE),
    Operator("Sub", (_A, _A), {}, Rule.FREE),
    Operator("Mul", (_A, _A), {}, Rule.FREE),
    Operator("Div", (_A, _A), {}, Rule.FLOAT),
    # Relu is Clip(0, inf), ReLU6 is Clip(0, 6); usually absorbed into the `clamp` of the node before it.
    Operator("Clip", (_A,), {"low": "float, may be -inf", "high": "float, may be inf"}, Rule.FREE),
    Operator("LeakyRelu", (_A,), {"alpha": "float"}, Rule.FREE),
    # slope (C,1,..,1) or broadcastable to x without the batch axis; int8 per tensor.
    Operator("PRelu", (_A, _W), {}, Rule.FREE),
    Operator("Sigmoid", (_A,), {}, Rule.UNIT),
    Operator("Tanh", (_A,), {}, Rule.SYMMETRIC_UNIT),
    Operator("Gelu", (_A,), {"approximate": '"none" or "tanh"'}, Rule.FREE),
    Operator("HardSwish", (_A,), {}, Rule.FREE),
    Operator("Softmax", (_A,), {"axis": "int >= 0"}, Rule.UNIT),
    # Normalizes over the last axis only; scale and bias (C,).
    Operator("LayerNormalization", (_A, _P, _P), {"epsilon": "float"}, Rule.FREE, float_inside=True),
    # Pools. pads are explicit (ceil_mode already resolved); Max pads with -inf.
    Operator("MaxPool", (_A,), {"kernel_shape": "ints", **_WINDOW}, Rule.TIED),
    Operator("AveragePool", (_A,), {"kernel_shape": "ints", **_WINDOW, "count_include_pad": "0 or 1"}, Rule.TIED),
    Operator("GlobalAveragePool", (_A,), {}, Rule.FREE),
    Operator("ReduceMean", (_A,), {"axes": "ints >= 0, sorted", "keepdims": "0 or 1"}, Rule.FREE),
    Operator("ReduceMax", (_A,), {"axes": "ints >= 0, sorted", "keepdims": "0 or 1"}, Rule.TIED),
    Operator("ReduceSum", (_A,), {"axes": "ints >= 0, sorted", "keepdims": "0 or 1"}, Rule.FLOAT),
    # Movement of data.
    Operator("Concat", (_A,), {"axis": "int >= 0"}, Rule.TIED, variadic=True),
    Operator("Split", (_A,), {"axis": "int >= 0", "split": "ints, sizes of the outputs"}, Rule.TIED),
    Operator(
        "Slice",
        (_A,),
        {
            "starts": "ints",
            "ends": "ints",
            "axes": "ints >= 0",
            "steps": "ints; starts and ends "
            "are already clamped to the shape; a negative step may have end -1, meaning before the first",
        },
        Rule.TIED,
    ),
    Operator(
        "Pad",
        (_A,),
        {
            "pads": "ints, all begins then all ends, every axis, >= 0",
            "mode": '"constant", "reflect" or "edge"',
            "value": "float",
        },
        Rule.TIED,
    ),
    # Flatten, Squeeze and Unsqueeze are Reshape too. Static target at batch 1.
    Operator("Reshape", (_A,), {"shape": "ints, no -1 and no 0"}, Rule.TIED),
    Operator("Transpose", (_A,), {"perm": "ints"}, Rule.TIED),
    Operator("Expand", (_A,), {"shape": "ints, the full result shape"}, Rule.TIED),
    # Spatial axes only. coordinates: "half_pixel", "align_corners" or "asymmetric".
    Operator(
        "Resize",
        (_A,),
        {
            "sizes": "ints, spatial result sizes",
            "mode": '"nearest" or "linear"',
            "coordinates": "str",
            "nearest_mode": '"floor", "round_prefer_floor", "round_prefer_ceil" or "ceil"',
        },
        Rule.TIED,
    ),
    Operator("DepthToSpace", (_A,), {"blocksize": "int", "mode": '"DCR" or "CRD"'}, Rule.TIED),
    Operator("SpaceToDepth", (_A,), {"blocksize": "int"}, Rule.TIED),
    # data may be a constant table (an embedding, int8 per tensor); indices any integer tensor or constant.
    Operator("Gather", (_A, _I), {"axis": "int >= 0"}, Rule.TIED),
    Operator("ArgMax", (_A,), {"axis": "int >= 0", "keepdims": "0 or 1"}, Rule.INDEX),
    # int8 to int8 with other QParams; identity in float.
    Operator("Requantize", (_A,), {}, Rule.FREE),
    # Float islands both runtimes can run.
    *(
        Operator(name, (_A,), {}, Rule.FLOAT)
        for name in ("Exp", "Log", "Sqrt", "Abs", "Neg", "Sin", "Cos", "Floor", "Ceil", "Round", "Reciprocal")
    ),
    Operator("Pow", (_A, _A), {}, Rule.FLOAT),
    Operator("Max", (_A, _A), {}, Rule.FLOAT),
    Operator("Min", (_A, _A), {}, Rule.FLOAT),
    Operator("Cast", (_A,), {"to": "numpy dtype name"}, Rule.FLOAT),
)

OPERATORS: dict[str, Operator] = {row.name: row for row in _ROWS}
"""operator name -> its row."""


def role(op: str, slot: int) -> Role:
    """What input `slot` of `op` is."""
    roles = OPERATORS[op].inputs
    return roles[min(slot, len(roles) - 1)]
