"""How far each integer of a weight may move while every choice within the bounds stays safe for the kernels."""

from __future__ import annotations

import numpy as np

from edgekit.shrink.quantization.weights import PAIR_SUM, SEVEN_BIT_LIMIT, in_packing_order, packs_pairs
from edgekit.types.graph import Graph, Node
from edgekit.types.plan import WeightScheme
from edgekit.types.qparams import WEIGHT_LIMIT, Array, QParams


def rounding_bounds(
    graph: Graph, node: Node, weight: Array, *, params: QParams, integers: Array, scheme: WeightScheme
) -> tuple[Array, Array]:
    """The two integers around each weight, widened to reach where it is now.

    Args:
        graph: Gives the geometry.
        node: A node that reads the weight.
        weight: float32, in the dialect's layout.
        params: Its scales.
        integers: Where it is now, within the limits of `scheme`.
        scheme: What the kernels can take.

    Returns:
        (low, high), float32 of the weight's shape, low <= integers <= high. Law: whatever is chosen between them keeps
        the scheme; under "pair-safe" neighbours that could exceed the sum together may only move towards zero.
    """
    steps = weight / params.spread(params.scale, weight.ndim)
    limit = SEVEN_BIT_LIMIT if scheme == "7-bit" else WEIGHT_LIMIT
    now = integers.astype(np.float32)
    low = np.minimum(np.clip(np.floor(steps), -limit, limit), now)
    high = np.maximum(np.clip(np.ceil(steps), -limit, limit), now)
    if scheme == "pair-safe" and packs_pairs(graph, node):
        first, second = _neighbours(node, weight.shape)
        _hold_pairs(high.reshape(-1), now.reshape(-1), first, second)
        lowest = -low
        _hold_pairs(lowest.reshape(-1), -now.reshape(-1), first, second)
        low = -lowest
    return low, high


def _neighbours(node: Node, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Flat positions of the first and second element of every pair the kernel adds in 16 bits."""
    places = in_packing_order(node, np.arange(int(np.prod(shape))).reshape(shape))
    paired = places.shape[1] // 2 * 2
    return places[:, 0:paired:2].reshape(-1), places[:, 1:paired:2].reshape(-1)


def _hold_pairs(high: Array, now: Array, first: Array, second: Array) -> None:
    """Lower `high` (flat, in place) to `now` where two positive neighbours could sum to more than `PAIR_SUM`."""
    unsafe = (high[first] > 0) & (high[second] > 0) & (high[first] + high[second] > PAIR_SUM)
    for places in (first[unsafe], second[unsafe]):
        high[places] = now[places]
