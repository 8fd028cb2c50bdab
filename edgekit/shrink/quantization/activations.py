"""QParams of activations: one choice per tie group, from the observed ranges."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from edgekit.shrink.quantization.histogram import Histogram
from edgekit.shrink.quantization.masks import mask_ranges
from edgekit.shrink.quantization.ranges import choose_range
from edgekit.shrink.quantization.ties import Ties, float_activations
from edgekit.types.operators import Rule
from edgekit.types.plan import Plan
from edgekit.types.qparams import QParams, choose_activation, choose_symmetric

UNIT = QParams(np.float32(1 / 256), np.int32(-128))  # type: ignore[arg-type]
SYMMETRIC_UNIT = QParams(np.float32(1 / 128), np.int32(0))  # type: ignore[arg-type]
LARGEST_MULTIPLIER = 128.0
"""XNNPACK refuses layers whose s_in * s_w / s_out reaches 256 (qs8 convolution setup); half of it leaves room."""


def choose_activations(
    ties: Ties, histograms: Mapping[str, Histogram], islands: Collection[str], plan: Plan
) -> dict[str, QParams]:
    """QParams for every value and constant operand that an int8 node reads or writes.

    Args:
        ties: The graph and its groups.
        histograms: Observed values of the float model.
        islands: Names of the float nodes.
        plan: Its method, ranges and whether they are symmetric.

    Returns:
        name -> per-tensor int8 QParams.
    """
    graph = ties.graph
    names = [name for node in graph.nodes if node.name not in islands for name in float_activations(graph, node)]
    masks = mask_ranges(graph, histograms)
    ranges: dict[str, tuple[float, float]] = {}
    for name in dict.fromkeys(names):
        group = ties.groups[name]
        low, high = masks[name] if name in masks else _range(ties, histograms, name, plan)
        before = ranges.get(group, (low, high))
        ranges[group] = (min(low, before[0]), max(high, before[1]))
    params = {group: _params(ties, group, *ends, symmetric=plan.symmetric) for group, ends in ranges.items()}
    chosen = {name: params[ties.groups[name]] for name in names}
    return _bounded_multipliers(ties, islands, chosen)


def _range(ties: Ties, histograms: Mapping[str, Histogram], name: str, plan: Plan) -> tuple[float, float]:
    source = ties.copies.get(name, name)
    if source in plan.ranges:
        return plan.ranges[source]
    if name in ties.graph.constants:
        return _constant_range(ties, name)
    return choose_range(histograms[source], plan.method)


def _constant_range(ties: Ties, name: str) -> tuple[float, float]:
    """Its own ends; a constant matrix gets symmetric 7-bit integers, since kernels pack it and add pairs in 16 bits."""
    constant = ties.graph.constants[name]
    if any(node.op == "MatMul" for node in ties.graph.consumers[name]):
        peak = 2 * float(np.abs(constant).max())
        return -peak, peak
    return float(constant.min()), float(constant.max())


def _params(ties: Ties, group: str, low: float, high: float, *, symmetric: bool) -> QParams:
    if symmetric:
        return choose_symmetric(max(abs(low), abs(high)))
    rule = ties.fixed.get(group)
    if rule is Rule.UNIT:
        return UNIT
    if rule is Rule.SYMMETRIC_UNIT:
        return SYMMETRIC_UNIT
    return choose_activation(low, high)


def _bounded_multipliers(ties: Ties, islands: Collection[str], chosen: dict[str, QParams]) -> dict[str, QParams]:
    """Widen outputs that are (nearly) always zero until s_in * s_w / s_out is one that kernels accept."""
    graph = ties.graph
    for node in graph.nodes:
        if node.op not in ("Conv", "ConvTranspose", "Gemm") or node.name in islands:
            continue
        weight = graph.constants[node.inputs[1]]
        before, after = chosen[node.inputs[0]], chosen[node.outputs[0]]
        least = float(before.scale) * float(np.abs(weight).max()) / 127 / LARGEST_MULTIPLIER
        if float(after.scale) < least and ties.groups[node.outputs[0]] not in ties.fixed:
            wider = QParams(np.asarray(least, np.float32), after.zero_point, after.dtype)
            group = ties.groups[node.outputs[0]]
            chosen = {name: wider if ties.groups[name] == group else params for name, params in chosen.items()}
    return chosen
