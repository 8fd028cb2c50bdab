"""Cases of the linear operators: Conv, ConvTranspose, Gemm, MatMul."""

from __future__ import annotations

import numpy as np

from edgekit.testing.case import Case, Setup, activation, build_case
from edgekit.types.qparams import Array


def _weight(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Array:
    """Normal weights whose spread differs from channel to channel by up to 10x, as in trained networks."""
    spread = np.exp(rng.uniform(np.log(0.3), np.log(3), size=(shape[0], *[1] * (len(shape) - 1))))
    return np.asarray(rng.normal(size=shape) * spread / np.sqrt(fan_in), np.float32)


def conv_case(
    seed: int = 0,
    *,
    channels: tuple[int, int] = (3, 4),
    size: tuple[int, ...] = (8, 9),
    kernel: tuple[int, ...] = (3, 3),
    strides: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    bias: bool = True,
    clamp: tuple[float, float] | None = None,
    wide: bool = False,
    island: bool = False,
) -> Case:
    """A Conv over 1 or 2 spatial axes.

    Args:
        seed: Of the data.
        channels: Input and output channels, both multiples of `group`.
        size: Spatial size of the input.
        kernel: Taps per spatial axis.
        strides: Per spatial axis; 1 by default.
        pads: All begins, then all ends; 0 by default.
        dilations: Per spatial axis; 1 by default.
        group: Number of groups; equal to the input channels for a depthwise convolution.
        bias: Whether there is a third input.
        clamp: Absorbed activation.
        wide: Whether the scale of the result is too wide to do the clamp's work.
        island: Float arithmetic with int8 weights.
    """
    rng, rank = np.random.default_rng(seed), len(size)
    operands = [
        activation(rng, (1, channels[0], *size)),
        _weight(rng, (channels[1], channels[0] // group, *kernel), channels[0] // group * int(np.prod(kernel))),
    ]
    if bias:
        operands.append(activation(rng, (channels[1],), spread=0.5))
    attributes = {
        "strides": strides or (1,) * rank,
        "pads": pads or (0,) * 2 * rank,
        "dilations": dilations or (1,) * rank,
        "group": group,
    }
    return build_case("Conv", operands, setup=Setup(attributes, clamp, island=island, wide=wide))


def conv_transpose_case(
    seed: int = 0,
    *,
    channels: tuple[int, int] = (3, 4),
    size: tuple[int, ...] = (5, 6),
    kernel: tuple[int, ...] = (3, 3),
    strides: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    dilations: tuple[int, ...] | None = None,
    output_padding: tuple[int, ...] | None = None,
    group: int = 1,
    bias: bool = True,
    clamp: tuple[float, float] | None = None,
    wide: bool = False,
    island: bool = False,
) -> Case:
    """A ConvTranspose over 1 or 2 spatial axes; arguments as for `conv_case`.

    Args:
        seed: Of the data.
        channels: Input and output channels.
        size: Spatial size of the input.
        kernel: Taps per spatial axis.
        strides: Per spatial axis.
        pads: Cropped from the result: all begins, then all ends.
        dilations: Per spatial axis.
        output_padding: Positions added at the end, per spatial axis.
        group: Number of groups.
        bias: Whether there is a third input.
        clamp: Absorbed activation.
        wide: Whether the scale of the result is too wide to do the clamp's work.
        island: Float arithmetic with int8 weights.
    """
    rng, rank = np.random.default_rng(seed), len(size)
    weight = _weight(rng, (channels[1] // group, channels[0], *kernel), channels[0] // group * int(np.prod(kernel)))
    operands = [activation(rng, (1, channels[0], *size)), np.ascontiguousarray(weight.swapaxes(0, 1))]
    if bias:
        operands.append(activation(rng, (channels[1],), spread=0.5))
    attributes = {
        "strides": strides or (1,) * rank,
        "pads": pads or (0,) * 2 * rank,
        "dilations": dilations or (1,) * rank,
        "group": group,
        "output_padding": output_padding or (0,) * rank,
    }
    return build_case("ConvTranspose", operands, setup=Setup(attributes, clamp, island=island, wide=wide))


def gemm_case(
    seed: int = 0,
    *,
    shape: tuple[int, ...] = (1, 16),
    width: int = 8,
    bias: bool = True,
    clamp: tuple[float, float] | None = None,
    wide: bool = False,
    island: bool = False,
) -> Case:
    """A Gemm (torch Linear) over the last axis of `shape`.

    Args:
        seed: Of the data.
        shape: Of the input, rank 2 or more.
        width: Output features.
        bias: Whether there is a third input.
        clamp: Absorbed activation.
        wide: Whether the scale of the result is too wide to do the clamp's work.
        island: Float arithmetic with int8 weights.
    """
    rng = np.random.default_rng(seed)
    operands = [activation(rng, shape), _weight(rng, (width, shape[-1]), shape[-1])]
    if bias:
        operands.append(activation(rng, (width,), spread=0.5))
    return build_case("Gemm", operands, setup=Setup({}, clamp, island=island, wide=wide))


def matmul_case(
    seed: int = 0,
    *,
    left: tuple[int, ...] = (1, 2, 5, 4),
    right: tuple[int, ...] = (1, 2, 4, 3),
    constant: bool = False,
) -> Case:
    """A MatMul of two activations, or of one and a constant that is quantized like one.

    Args:
        seed: Of the data.
        left: Shape of the first operand.
        right: Shape of the second operand.
        constant: Whether the second is a constant.
    """
    rng = np.random.default_rng(seed)
    operands = [activation(rng, left), activation(rng, right)]
    return build_case("MatMul", operands, setup=Setup(constants=frozenset({1} if constant else ())))
