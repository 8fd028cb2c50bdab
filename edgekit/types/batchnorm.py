"""BatchNormStatistics: what training left in a BatchNorm about the values that pass through it.

They are the only trace of the training data inside a model: they tell whether calibration data is normalised as the
training data was, and they are what synthesized inputs are made to match when there is no data at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.types.qparams import Array


@dataclass(frozen=True, eq=False)
class BatchNormStatistics:
    """Expected per-channel statistics of one value of a graph whose BatchNorms are folded.

    A BatchNorm with running mean m and variance v, scale g, offset b and epsilon e makes of its input the folded
    output with mean b and variance g^2 v / (v + e). That output is what `value` names; an absorbed ReLU (the `clamp`
    of the node that writes it) comes after these statistics.

    Attributes:
        value: Name of the graph value, channels on axis 1.
        mean: float32 (C,), before the clamp.
        variance: float32 (C,), before the clamp, >= 0.
    """

    value: str
    mean: Array
    variance: Array
