"""Weights: where in a model file an int8 tensor lies, with what belongs to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Floats:
    """Some float32, little-endian.

    Attributes:
        place: Offset in the file, bytes.
        count: How many.
    """

    place: int
    count: int


@dataclass(frozen=True)
class Weights:
    """An int8 tensor of output channels.

    Attributes:
        place: Offset in the file, bytes.
        shape: (outer, rows, inner), row-major; a row is an output channel.
        scales: Of the weights, one or one a row; None where they are not to be found.
        input_scale: Place of the scale of what the weights are applied to.
        bias: Place of the int32 biases, one a row.
        bias_scales: Of the biases, where the file has them.
    """

    place: int
    shape: tuple[int, int, int]
    scales: Floats | None = None
    input_scale: int | None = None
    bias: int | None = None
    bias_scales: Floats | None = None

    @property
    def rows(self) -> int:
        """How many output channels."""
        return self.shape[1]

    @property
    def count(self) -> int:
        """How many there are: as many bytes."""
        outer, rows, inner = self.shape
        return outer * rows * inner
