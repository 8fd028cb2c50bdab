"""Rounding: how exact integers and reals become the integers of an output.

Every int8 operator ends the same way: an exact value is multiplied by one real multiplier, rounded once, moved by
the zero point and saturated. The kernels approximate this. XNNPACK's `fp32` requantization (src/qs8-requantization/)
multiplies in float32 and rounds half to even; gemmlowp's (fixedpoint/fixedpoint.h) uses a 31-bit fixed-point
multiplier and rounds half away from zero; ONNX QLinearConv rounds half to even. Here the multiplier is a float64
quotient of the float32 scales, so that the result is the rounding of the exact value, which each of them is within
one step of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.types.graph import Node
from edgekit.types.qparams import RANGES, Array, QParams, same

Arrays = Sequence[Array]
Result = Array | tuple[Array, ...]


@dataclass(frozen=True)
class IntegerCall:
    """One int8 node about to be computed.

    Attributes:
        node: What to compute.
        arrays: Its inputs as stored: integers where `sources` has QParams. Absent trailing inputs are left out.
        sources: QParams per input, None for index tensors and float parameters.
        targets: QParams per output.
    """

    node: Node
    arrays: tuple[Array, ...]
    sources: tuple[QParams | None, ...]
    targets: tuple[QParams | None, ...]

    def source(self, slot: int = 0) -> QParams:
        """QParams of an input that must have them."""
        found = self.sources[slot]
        assert found is not None, f"{self.node.name}: input {slot} of an int8 {self.node.op} has no QParams"
        return found

    def target(self, slot: int = 0) -> QParams:
        """QParams of an output that must have them."""
        found = self.targets[slot]
        assert found is not None, f"{self.node.name}: output {slot} of an int8 {self.node.op} has no QParams"
        return found

    def centred(self, slot: int = 0) -> Array:
        """int32 `q - zero_point` of an input: the exact integer that stands for its real value."""
        qparams, integers = self.source(slot), self.arrays[slot]
        centred: Array = integers.astype(np.int32) - qparams.spread(qparams.zero_point, integers.ndim)
        return centred


def reals(integers: Array, qparams: QParams) -> Array:
    """float64 `(q - zero_point) * scale`: exact for 8- and 16-bit integers (24-bit scale times 16 bits)."""
    zero = qparams.spread(qparams.zero_point, integers.ndim)
    scale = qparams.spread(qparams.scale, integers.ndim)
    result: Array = (integers.astype(np.float64) - zero) * scale.astype(np.float64)
    return result


def integer_bounds(qparams: QParams, clamp: tuple[float, float] | None) -> tuple[int, int]:
    """Smallest and largest integer a result may take: the type's range cut by the quantized clamp.

    Source: `CalculateActivationRangeQuantized` in tensorflow/lite/kernels/kernel_util.cc.

    >>> integer_bounds(QParams(np.array(0.1), np.array(0)), (0.0, 6.0))
    (0, 60)
    """
    bottom, top = RANGES[qparams.dtype]
    if clamp is None:
        return bottom, top
    low, high = (
        float(np.clip(np.rint(edge / np.float64(qparams.scale)) + int(qparams.zero_point), bottom, top))
        for edge in clamp
    )
    return int(low), int(high)


def saturate(steps: Array, qparams: QParams, *, clamp: tuple[float, float] | None = None) -> Array:
    """Round float64 multiples of the scale half to even, add the zero point, saturate to type and clamp."""
    low, high = integer_bounds(qparams, clamp)
    integers: Array = np.clip(np.rint(steps) + qparams.zero_point, low, high).astype(qparams.dtype)
    return integers


def round_reals(values: Array, qparams: QParams, *, clamp: tuple[float, float] | None = None) -> Array:
    """Quantize float64 reals with one rounding."""
    return saturate(values / np.float64(qparams.scale), qparams, clamp=clamp)


def requantize(integers: Array, source: QParams, target: QParams, *, clamp: tuple[float, float] | None = None) -> Array:
    """Integers of `source` as integers of `target`; unchanged when both are the same and nothing is clamped.

    Law: requantize(q, a, a) == q.
    """
    if clamp is None and same(source, target):
        return integers
    return round_reals(reals(integers, source), target, clamp=clamp)
