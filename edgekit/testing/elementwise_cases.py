"""Cases of elementwise operators, normalizations, and of everything that stays float."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.testing.case import Case, Setup, activation, build_case
from edgekit.types.qparams import Array

POSITIVE = frozenset({"Log", "Sqrt", "Reciprocal", "Div", "Pow"})
"""Operators whose operands are kept away from zero and below."""


def binary_case(
    op: str,
    seed: int = 0,
    *,
    left: tuple[int, ...] = (1, 3, 4, 5),
    right: tuple[int, ...] = (1, 3, 4, 5),
    constant: int | None = None,
    clamp: tuple[float, float] | None = None,
    wide: bool = False,
) -> Case:
    """An int8 Add, Sub or Mul with numpy broadcasting.

    Args:
        op: "Add", "Sub" or "Mul".
        seed: Of the data.
        left: Shape of the first operand.
        right: Shape of the second operand.
        constant: Slot of the operand that is a constant, if any.
        clamp: Absorbed activation.
        wide: Whether the scale of the result is too wide to do the clamp's work.
    """
    rng = np.random.default_rng(seed)
    operands = [activation(rng, left), activation(rng, right)]
    constants = frozenset(() if constant is None else (constant,))
    return build_case(op, operands, setup=Setup({}, clamp, constants, wide=wide))


def unary_case(
    op: str,
    seed: int = 0,
    *,
    shape: tuple[int, ...] = (1, 3, 4, 5),
    attributes: Mapping[str, float | str] | None = None,
) -> Case:
    """An int8 function of one tensor: Clip, LeakyRelu, Sigmoid, Tanh, Gelu, HardSwish.

    Args:
        op: The operator.
        seed: Of the data.
        shape: Of the input.
        attributes: All attributes of the operator.
    """
    rng = np.random.default_rng(seed)
    return build_case(op, [activation(rng, shape)], setup=Setup(attributes or {}))


def prelu_case(seed: int = 0, *, shape: tuple[int, ...] = (1, 3, 4, 5), shared: bool = False) -> Case:
    """A PRelu with one slope per channel, or one for all.

    Args:
        seed: Of the data.
        shape: Of the input, channels on axis 1.
        shared: One slope for all channels.
    """
    rng = np.random.default_rng(seed)
    channels = 1 if shared else shape[1]
    slope = rng.uniform(-0.1, 0.5, size=(channels, *[1] * (len(shape) - 2))).astype(np.float32)
    return build_case("PRelu", [activation(rng, shape), slope], setup=Setup())


def softmax_case(seed: int = 0, *, shape: tuple[int, ...] = (1, 10), axis: int = 1) -> Case:
    """A Softmax along any axis.

    Args:
        seed: Of the data.
        shape: Of the input.
        axis: That sums to one.
    """
    rng = np.random.default_rng(seed)
    return build_case("Softmax", [activation(rng, shape)], setup=Setup({"axis": axis}))


def layer_norm_case(seed: int = 0, *, shape: tuple[int, ...] = (1, 6, 16), epsilon: float = 1e-5) -> Case:
    """A LayerNormalization over the last axis.

    Args:
        seed: Of the data.
        shape: Of the input.
        epsilon: Added to the variance.
    """
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.5, 1.5, size=shape[-1:]).astype(np.float32)
    operands = [activation(rng, shape), scale, activation(rng, shape[-1:], spread=0.3)]
    return build_case("LayerNormalization", operands, setup=Setup({"epsilon": epsilon}))


def requantize_case(seed: int = 0, *, shape: tuple[int, ...] = (1, 3, 4, 5), widen: float = 1.5) -> Case:
    """A Requantize to a wider or narrower range.

    Args:
        seed: Of the data.
        shape: Of the input.
        widen: New range over old; below 1 the result saturates.
    """
    rng = np.random.default_rng(seed)
    return build_case("Requantize", [activation(rng, shape)], setup=Setup(widen=widen))


def island_case(
    op: str,
    seed: int = 0,
    *,
    shape: tuple[int, ...] = (1, 3, 4, 5),
    right: tuple[int, ...] | None = None,
    constant: int | None = None,
    borders: bool = True,
) -> Case:
    """An operator of one or two operands that computes in float, between int8 tensors or on its own.

    Args:
        op: Any elementwise operator without attributes.
        seed: Of the data.
        shape: Of the (first) operand.
        right: Of the second operand, for operators with two.
        constant: Slot of the operand that is a float constant, if any.
        borders: Whether the float arithmetic stands between int8 tensors.
    """
    rng = np.random.default_rng(seed)
    shapes = [shape] if right is None else [shape, right]
    operands = [_within_domain(op, activation(rng, each, spread=1.0)) for each in shapes]
    constants = frozenset(() if constant is None else (constant,))
    return build_case(op, operands, setup=Setup(constants=constants, island=True, borders=borders))


def _within_domain(op: str, data: Array) -> Array:
    """Bounded away from poles, so that one step of the input is not many of the output."""
    return np.abs(data) + np.float32(0.5) if op in POSITIVE else data


def cast_case(seed: int = 0, *, shape: tuple[int, ...] = (1, 3, 4, 5), to: str = "float32") -> Case:
    """A Cast of int64 to float32 or of float32 to an integer type.

    Args:
        seed: Of the data.
        shape: Of the input.
        to: numpy dtype name of the result.
    """
    rng = np.random.default_rng(seed)
    data = rng.integers(-50, 50, size=shape) if to == "float32" else activation(rng, shape, spread=20.0)
    return build_case("Cast", [np.asarray(data)], setup=Setup({"to": to}, island=True))
