"""QParams: how integers stand for reals. The only int8 arithmetic of the package.

Source of the formulas: the LiteRT 8-bit quantization specification, `real = (q - zero_point) * scale`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]
"""What numpy.typing calls NDArray[Any]; a portable runtime comes without that module."""

RANGES = {
    "int4": (-8, 7),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "int32": (-(2**31), 2**31 - 1),
}
STORAGE = {"int4": "int8"}
"""numpy dtype of the integers where numpy has none of the name; packing two into a byte is the emitters' business."""
WEIGHT_LIMIT = 127
"""Weights use [-127, 127]: symmetric, so that negating one never overflows."""


@dataclass(frozen=True, eq=False)
class QParams:
    """Scale and zero point of one tensor.

    Attributes:
        scale: float32, shape () per tensor or (C,) per channel, strictly positive. In blocks: the tensor's own shape,
            with size / block along `axis`.
        zero_point: int32, same shape as `scale`.
        dtype: "int4", "int8", "uint8", "int16" or "int32".
        axis: Channel axis when per channel, blocked axis when in blocks, else None.
        block: Neighbours along `axis` that share a scale (ONNX DequantizeLinear, opset 21: `block_size`), a divisor of
            the axis; 0 when not in blocks.
    """

    scale: Array
    zero_point: Array
    dtype: str = "int8"
    axis: int | None = None
    block: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", np.asarray(self.scale, np.float32))
        object.__setattr__(self, "zero_point", np.asarray(self.zero_point, np.int32))
        if not (np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise ValueError(f"scales must be finite and positive, found {self.scale!r}")
        if self.scale.shape != self.zero_point.shape or (self.axis is None) != (self.scale.ndim == 0):
            raise ValueError(f"shape mismatch: scale {self.scale.shape}, axis {self.axis}")
        if self.block < 0 or (self.block == 0 and self.scale.ndim > 1) or (self.block and self.axis is None):
            raise ValueError(f"shape mismatch: scale {self.scale.shape}, blocks of {self.block}, axis {self.axis}")

    @property
    def low(self) -> float:
        """Smallest real value a per-tensor integer can stand for."""
        return float((RANGES[self.dtype][0] - self.zero_point) * self.scale)

    @property
    def high(self) -> float:
        """Largest real value a per-tensor integer can stand for."""
        return float((RANGES[self.dtype][1] - self.zero_point) * self.scale)

    def spread(self, values: Array, ndim: int) -> Array:
        """Reshape per-channel values so that they broadcast over an array of `ndim` axes; those of blocks repeat."""
        if self.axis is None:
            return values
        if self.block:
            return np.repeat(values, self.block, axis=self.axis)
        shape = [1] * ndim
        shape[self.axis] = values.size
        return values.reshape(shape)

    def quantize(self, real: Array) -> Array:
        """Round half to even and saturate; any shape, result of the integer dtype.

        Law: |x - dequantize(quantize(x))| <= scale / 2 for low <= x <= high.

        >>> QParams(np.array(0.5), np.array(1)).quantize(np.float32([0.0, 1.0, 1e9]))
        array([  1,   3, 127], dtype=int8)
        """
        low, high = RANGES[self.dtype]
        wide = np.float64 if self.dtype == "int32" else np.float32
        steps: Array = np.asarray(real, wide) / self.spread(self.scale, np.ndim(real)).astype(wide)
        steps = np.rint(steps, out=np.asarray(steps))  # in place: weights may be gigabytes
        steps += self.spread(self.zero_point, np.ndim(real)).astype(wide)
        np.clip(steps, low, high, out=steps)
        integers: Array = steps.astype(STORAGE.get(self.dtype, self.dtype))
        return integers

    def dequantize(self, integers: Array) -> Array:
        """float32 reals of the integers, same shape: the exact product, rounded once."""
        wide = np.float64 if self.dtype == "int32" else np.float32  # a byte times a float32 rounds the same in both
        reals: Array = integers.astype(wide)
        reals -= self.spread(self.zero_point, integers.ndim).astype(wide)
        reals *= self.spread(self.scale, integers.ndim).astype(wide)
        return reals.astype(np.float32, copy=False)


def same(first: QParams, second: QParams) -> bool:
    """Whether two tensors use exactly the same integers for the same reals."""
    return (
        first.dtype == second.dtype
        and first.axis == second.axis
        and first.block == second.block
        and np.array_equal(first.scale, second.scale)
        and np.array_equal(first.zero_point, second.zero_point)
    )


def choose_activation(low: float, high: float, *, dtype: str = "int8") -> QParams:
    """Asymmetric scale and zero point that map [low, high] onto `dtype`.

    Zero is always exact: the range is widened to contain it. When `low` is 0 the zero point is the smallest
    integer, so saturation is a ReLU. A range narrower than 1e-8 is widened (dead tensors).

    Args:
        low: Smallest real value seen.
        high: Largest real value seen, `high >= low`.
        dtype: Integer type of the result.

    >>> choose_activation(0.0, 6.0).zero_point
    array(-128, dtype=int32)
    """
    if not (np.isfinite(low) and np.isfinite(high)) or high < low:
        raise ValueError(f"not a range: [{low}, {high}]")
    bottom, top = RANGES[dtype]
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(max((high - low) / (top - bottom), 1e-8))
    zero = int(np.clip(np.rint(bottom - low / float(scale)), bottom, top))
    return QParams(np.asarray(scale), np.asarray(zero, np.int32), dtype)


def choose_symmetric(peak: float) -> QParams:
    """int8 with zero point 0 for values of at most `peak` either way, which becomes 127; NVIDIA's explicit form.

    >>> choose_symmetric(12.7).scale
    array(0.1, dtype=float32)
    """
    return QParams(np.asarray(max(peak / WEIGHT_LIMIT, 1e-8), np.float32), np.asarray(0, np.int32))
