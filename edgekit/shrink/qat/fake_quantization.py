"""Rounding with a gradient: to the same integers as `QParams.quantize`, passed through backwards.

Straight-through estimator: the gradient passes where the integer did not saturate (Bengio, Leonard and Courville 2013,
arXiv 1308.3432). Where the scale is a parameter, its gradient is that of LSQ (Esser et al. 2020, arXiv 1902.08153,
equation 3): the rounding error inside, the saturated integer outside.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def fake_quantize(value: Tensor, scale: Tensor, zero: Tensor, low: int, high: int, factor: float = 1.0) -> Tensor:
    """Reals of the nearest integers: `(clip(round(value / scale) + zero, low, high) - zero) * scale`.

    Divides as numpy does, so that a weight gets exactly the integers the files get.

    Args:
        value: float32, any shape.
        scale: float32 that broadcasts over `value`; may need a gradient.
        zero: Zero point, of a float dtype.
        low: Smallest integer.
        high: Largest integer.
        factor: What the gradient of the scale is multiplied by (LSQ section 2.2).
    """
    result: Tensor = _FakeQuantize.apply(value, scale, zero, low, high, factor)  # type: ignore[no-untyped-call]
    return result


class _FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, scale: Tensor, zero: Tensor, low: int, high: int, factor: float) -> Tensor:
        integers = (torch.round(value / scale) + zero).clamp_(low, high)
        ctx.save_for_backward(value, scale, zero)
        ctx.ends, ctx.factor = (low, high), factor
        return integers.sub_(zero).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (low, high) = gradients, ctx.ends
        value, scale, zero = ctx.saved_tensors
        steps = value / scale
        rounded = torch.round(steps) + zero
        inside = (rounded >= low) & (rounded <= high)
        passed = gradient * inside if ctx.needs_input_grad[0] else None
        learned = None
        if ctx.needs_input_grad[1]:
            slope = rounded.clamp(low, high) - zero - torch.where(inside, steps, 0.0)
            learned = (gradient * slope).sum_to_size(scale.shape) * ctx.factor
        return passed, learned, None, None, None, None


def round_bias(bias: Tensor, scale: Tensor) -> Tensor:
    """Reals of the nearest int32 steps of `scale`, float32; the gradient passes.

    Args:
        bias: float32 (C,).
        scale: float32 (C,) or (), input scale times weight scale.
    """
    with torch.no_grad():
        wide = scale.double()
        rounded = (torch.round(bias.double() / wide) * wide).float()
    return bias + (rounded - bias).detach() if bias.requires_grad else rounded
