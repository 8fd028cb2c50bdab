"""The lowest operator version that means what we write, so that old runtimes load the file.

Source: tensorflow/lite/tools/versioning/op_version.cc. A runtime refuses a version above what it registered, so
writing the newest version everywhere would shut out tflite-runtime 2.14 for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgekit.emit.tflite.program import Operation, Tensor

_INT8 = {
    **dict.fromkeys(
        (
            "ADD", "SUB", "MAXIMUM", "MINIMUM", "MAX_POOL_2D", "AVERAGE_POOL_2D", "CONCATENATION", "SPLIT_V",
            "STRIDED_SLICE", "PAD", "PADV2", "MIRROR_PAD", "MEAN", "REDUCE_MAX", "SOFTMAX", "LOGISTIC", "TANH",
            "BATCH_MATMUL", "TRANSPOSE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "DEPTH_TO_SPACE",
            "SPACE_TO_DEPTH", "GATHER", "ARG_MAX", "GELU", "MUL", "DEQUANTIZE",
        ),
        2,
    ),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "BROADCAST_TO", "CAST"), 3),
    "FULLY_CONNECTED": 4,
}  # fmt: skip


def minimal_version(operation: Operation, tensors: Sequence[Tensor]) -> int:
    """Lowest version of a builtin operator for these tensors and options."""
    inputs = [tensors[index] for index in operation.inputs if index >= 0]
    base = _INT8.get(operation.code, 1) if any(tensor.dtype == "int8" for tensor in inputs[:2]) else 1
    rule = _RULES.get(operation.code)
    return max(base, rule(operation, tensors, inputs)) if rule else base


def _conv(operation: Operation, tensors: Sequence[Tensor], inputs: Sequence[Tensor]) -> int:
    return 6 if inputs[0].shape[3] != inputs[1].shape[3] else 1


def _depthwise(operation: Operation, tensors: Sequence[Tensor], inputs: Sequence[Tensor]) -> int:
    return 2 if operation.options.dilationHFactor * operation.options.dilationWFactor > 1 else 1


def _dense(operation: Operation, tensors: Sequence[Tensor], inputs: Sequence[Tensor]) -> int:
    return 5 if operation.options.keepNumDims else 1


def _transpose_conv(operation: Operation, tensors: Sequence[Tensor], inputs: Sequence[Tensor]) -> int:
    return 3 if len(operation.inputs) == 4 else 2 if inputs[1].dtype == "int8" else 1


def _mul(operation: Operation, tensors: Sequence[Tensor], inputs: Sequence[Tensor]) -> int:
    if inputs[0].dtype == "int64":
        return 5
    scales = [tensor.qparams for tensor in (*inputs, tensors[operation.outputs[0]])]
    if any(qparams is None for qparams in scales):
        return 1
    first, second, result = (float(qparams.scale) for qparams in scales if qparams is not None)
    return 3 if first * second / result >= 1.0 else 1


def _by_rank(limits: dict[int, int]) -> Callable[[Operation, Sequence[Tensor], Sequence[Tensor]], int]:
    def rule(operation: Operation, tensors: Sequence[Tensor], inputs: Sequence[Tensor]) -> int:
        rank = max(len(tensor.shape) for tensor in inputs)
        return max([version for over, version in limits.items() if rank > over], default=1)

    return rule


def _wide_integers(operation: Operation, tensors: Sequence[Tensor], inputs: Sequence[Tensor]) -> int:
    return 4 if inputs[0].dtype == "int64" else 1


def _resize(operation: Operation, tensors: Sequence[Tensor], inputs: Sequence[Tensor]) -> int:
    nearest_aligned = operation.code == "RESIZE_NEAREST_NEIGHBOR" and operation.options.alignCorners
    return 3 if operation.options.halfPixelCenters or nearest_aligned else 1


def _broadcast(operation: Operation, tensors: Sequence[Tensor], inputs: Sequence[Tensor]) -> int:
    return 2  # version 1 was withdrawn


def _dequantize(operation: Operation, tensors: Sequence[Tensor], inputs: Sequence[Tensor]) -> int:
    qparams = inputs[0].qparams
    if inputs[0].dtype == "int4":
        return 6
    return 5 if qparams is not None and np.ndim(qparams.scale) else 1


def _split(operation: Operation, tensors: Sequence[Tensor], inputs: Sequence[Tensor]) -> int:
    return {"int8": 2, "int32": 3}.get(inputs[1].dtype, 1)


def _gather(operation: Operation, tensors: Sequence[Tensor], inputs: Sequence[Tensor]) -> int:
    return 3 if inputs[0].dtype == "bool" else 1


_RULES: dict[str, Callable[[Operation, Sequence[Tensor], Sequence[Tensor]], int]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "TRANSPOSE_CONV": _transpose_conv,
    "MUL": _mul,
    "TRANSPOSE": _by_rank({4: 4, 5: 6}),
    "STRIDED_SLICE": _by_rank({4: 4}),
    "PAD": _by_rank({4: 4}),
    "PADV2": _by_rank({4: 4}),
    "ADD": _wide_integers,
    "SUB": _wide_integers,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "BROADCAST_TO": _broadcast,
    "DEQUANTIZE": _dequantize,
    "SPLIT": _split,
    "GATHER": _gather,
}
