"""ReLU and ReLU6 that a quantizer left out because saturation does the same: found, to be put back."""

from __future__ import annotations

from edgekit.types.qparams import QParams

_CLAMPED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "BatchNormalization"})
"""Operators that networks put an activation function behind."""


def saturating_clamp(op: str, params: QParams) -> tuple[float, float] | None:
    """The clamp that saturation at `params`, of a result of `op`, stands for; None where it stands for none.

    A result whose smallest integer means 0 never was negative on the calibration data: a ReLU stood there, or one
    changes nothing. When the largest integer means 6 to within half a step, it was a ReLU6.

    >>> import numpy as np
    >>> saturating_clamp("Conv", QParams(np.array(6 / 255), np.array(-128)))
    (0.0, 6.0)
    """
    if op not in _CLAMPED or int(params.zero_point) != -128:
        return None
    is_relu6 = abs(params.high - 6.0) <= float(params.scale) / 2
    return (0.0, 6.0 if is_relu6 else float("inf"))
