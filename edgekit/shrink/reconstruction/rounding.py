"""Adaptive rounding of one layer of a graph: where to begin, how far its integers may move, and the descent."""

from __future__ import annotations

import numpy as np

from edgekit.shrink.quantization.hessian import round_weight_by
from edgekit.shrink.quantization.moments import as_rows, from_rows
from edgekit.shrink.reconstruction.bounds import rounding_bounds
from edgekit.shrink.reconstruction.coordinate_descent import round_adaptively
from edgekit.types.graph import Graph, Node
from edgekit.types.plan import WeightScheme
from edgekit.types.qparams import Array, QParams


def round_layer(
    graph: Graph,
    node: Node,
    weight: Array,
    *,
    params: QParams,
    second: Array,
    scheme: WeightScheme,
    target: Array | None = None,
) -> Array:
    """Integers of one weight by coordinate descent from its Hessian rounding.

    Args:
        graph: Gives the geometry.
        node: A node that reads the weight.
        weight: float32, in the dialect's layout.
        params: Its scales, as `choose_weight` chose them for `scheme`.
        second: (groups, K, K) second moments of the node's columns, or their covariance where the bias takes out the
            mean error.
        scheme: What the kernels can take.
        target: What the integers should stand for, where that is not `weight` itself; the weight's shape.

    Returns:
        int8 of the weight's shape, within the limits of `scheme`.
    """
    target = weight if target is None else target
    begin = round_weight_by(graph, node, weight, params=params, second=second, scheme=scheme)
    low, high = rounding_bounds(graph, node, target, params=params, integers=begin, scheme=scheme)
    found = round_adaptively(
        as_rows(graph, node, target / params.spread(params.scale, weight.ndim)),
        np.ones(()),
        as_rows(graph, node, begin),
        second=second,
        low=as_rows(graph, node, low),
        high=as_rows(graph, node, high),
    )
    return from_rows(graph, node, found)
