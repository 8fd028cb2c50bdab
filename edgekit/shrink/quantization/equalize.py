"""Equalization: channels of one value brought to like size, so that one int8 scale serves them all.

The scale of a value is spent on its largest channel; a channel 50 times smaller keeps five levels. Multiplying the
channel in the layers that write it and dividing in those that read it changes nothing in float. Per-channel weight
scales take the factor of the writing layer for free, and so does a depthwise layer that reads it; the columns of
other readers grow uneven instead, which is what `balance` weighs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from edgekit.shrink.quantization.equalize_groups import ChannelGroup, weight_input_axis
from edgekit.shrink.quantization.histogram import Histogram
from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import Array

LARGEST_FACTOR = 256.0
"""Bound on the factor of a channel against the mean of its group, either way."""
SMALLEST_SHARE = 1e-3
"""Channels below this share of the largest count as that large: dead ones would be blown up without bound."""


def equalize(graph: Graph, factors: Iterable[tuple[ChannelGroup, Array]]) -> Graph:
    """Rescale the channels of groups; the outputs stay equal up to float rounding.

    Args:
        graph: The float graph that `channel_groups` looked at.
        factors: Each group with what its channels are multiplied by, positive, shape (C,).

    Returns:
        A graph with other constants. Values inside the groups are scaled, all others are as they were.
    """
    constants = dict(graph.constants)
    for group, factor in factors:
        for node in group.producers:
            _scale_rows(constants, node, factor)
        for node in group.consumers:
            _scale_columns(constants, node, 1.0 / factor)
    return dataclasses.replace(graph, constants=constants)


def balance(graph: Graph, histograms: Mapping[str, Histogram], group: ChannelGroup, *, strength: float) -> Array:
    """Factors of one group: float64 (C,), geometric mean 1 before bounding.

    factor[c] = w[c] ** (1 - strength) / x[c] ** strength, with x[c] the largest magnitude seen in the channel and w[c]
    the largest weight that reads it (SmoothQuant, Xiao et al. 2023, equation 4, which divides by the inverse). At 1
    every channel fills the range; at 0.5 weights and activations share the burden.

    Args:
        graph: The float graph.
        histograms: With the spread of every value of the group.
        group: One of `channel_groups(graph)`.
        strength: 0..1.
    """
    weights = column_peaks(graph, group)
    factor = weights ** (1.0 - strength) / channel_peaks(histograms, group) ** strength
    factor = factor / np.exp(np.log(factor).mean())
    bounded: Array = np.clip(factor, 1.0 / LARGEST_FACTOR, LARGEST_FACTOR)
    return bounded


def channel_peaks(histograms: Mapping[str, Histogram], group: ChannelGroup) -> Array:
    """Largest magnitude per channel, float64 (C,), each value of the group counted against its own largest channel."""
    peaks = []
    for name in group.axes:
        spread = histograms[name].spread
        assert spread is not None, f"{name} was observed without its channels"
        peaks.append(_bounded(spread.peak))
    largest: Array = np.max(peaks, axis=0)
    return largest


def column_peaks(graph: Graph, group: ChannelGroup) -> Array:
    """Largest weight that reads each channel, float64 (C,), each reader counted against its own largest column.

    Depthwise readers do not count: their scales follow the channel.
    """
    dense = [node for node in group.consumers if not is_depthwise(graph, node)]
    if not dense:
        return np.ones(group.channels)
    columns = [_bounded(np.abs(input_columns(graph, node)).max(axis=1)) for node in dense]
    largest: Array = np.max(columns, axis=0)
    return largest


def unevenness(histograms: Mapping[str, Histogram], group: ChannelGroup) -> float:
    """Largest channel peak over the median one; 1 where all are alike."""
    peaks = channel_peaks(histograms, group)
    return float(peaks.max() / np.median(peaks))


def input_columns(graph: Graph, node: Node) -> Array:
    """(C_in, everything else): the weights of a linear node by the input channel they read."""
    weight = graph.constants[node.inputs[1]]
    groups = node.attributes.get("group", 1)
    if node.op == "Conv" and groups > 1:
        split = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
        return np.moveaxis(split, 2, 1).reshape(groups * weight.shape[1], -1)
    axis = weight_input_axis(node)
    return np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)


def is_depthwise(graph: Graph, node: Node) -> bool:
    """Whether every output channel reads one input channel alone."""
    return node.op == "Conv" and graph.shape(node.inputs[1])[1] == 1


def _bounded(sizes: Array) -> Array:
    """Sizes relative to the largest, none below `SMALLEST_SHARE`; ones where all are zero."""
    largest = float(sizes.max())
    if largest <= 0.0:
        return np.ones(sizes.shape)
    return np.maximum(sizes.astype(np.float64) / largest, SMALLEST_SHARE)


def _scale_rows(constants: dict[str, Array], node: Node, factor: Array) -> None:
    """Multiply the output channels of a node: its weight's rows and its bias, or the parameters of a normalization."""
    weight, *bias = (name for name in node.inputs[1:] if name)
    shape = [1] * constants[weight].ndim
    shape[1 if node.op == "ConvTranspose" else 0] = -1
    constants[weight] = (constants[weight] * factor.reshape(shape)).astype(np.float32)
    for name in bias:
        constants[name] = (constants[name] * factor).astype(np.float32)


def _scale_columns(constants: dict[str, Array], node: Node, factor: Array) -> None:
    """Multiply the input channels of a linear node's weight."""
    weight = constants[node.inputs[1]]
    groups = node.attributes.get("group", 1)
    shape = [1] * weight.ndim
    if node.op == "Conv" and groups > 1:
        per_row = np.repeat(factor.reshape(groups, -1), weight.shape[0] // groups, axis=0)
        shape[:2] = per_row.shape
        factor = per_row
    else:
        shape[weight_input_axis(node)] = -1
    constants[node.inputs[1]] = (weight * factor.reshape(shape)).astype(np.float32)
