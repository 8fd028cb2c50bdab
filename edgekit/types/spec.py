"""TensorSpec: the name, shape and element type of one model input or output."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorSpec:
    """One tensor at the border of a model or of a file.

    Attributes:
        name: Name the caller feeds or reads it by.
        shape: Static shape in the model's own axis order, batch first when there is one.
        dtype: numpy name of the element type ("float32", "int64", "int8", ...).
        batch_axis: Axis that may take any size at run time, or None when all are fixed.
        permutation: How a file stores it: `stored = transpose(value, permutation)`.
            None means as the model has it. TFLite files keep images channels-last.
        scale: Quantization scale when `dtype` is an integer type that stands for reals.
        zero_point: The integer that stands for 0.0.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    batch_axis: int | None = None
    permutation: tuple[int, ...] | None = None
    scale: float | None = None
    zero_point: int | None = None

    def __str__(self) -> str:
        sizes = ["N" if axis == self.batch_axis else str(size) for axis, size in enumerate(self.shape)]
        return f"{self.name}:{'x'.join(sizes) or 'scalar'}:{self.dtype}"
