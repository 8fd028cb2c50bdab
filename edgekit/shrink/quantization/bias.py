"""Biases, int32 or float, corrected for the mean error that rounding the weights makes.

Bias correction in closed form (Nagel et al. 2019, "Data-free quantization through weight equalization and bias
correction", section 4.2, with measured means): the expected output error of a linear layer is (W - s Q) E[x], so
adding it to the bias removes the shift. E[x] is the calibrated per-channel mean of the layer's input, weighted at
each kernel position by the share of outputs for which that position is not padding.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import Array, QParams


def bias_params(input_params: QParams, weight_params: QParams, channels: int) -> QParams:
    """int32 at scale s_in * s_w per output channel, zero point 0 (LiteRT quantization specification)."""
    scale = np.broadcast_to(input_params.scale * weight_params.scale, (channels,)).astype(np.float32)
    return QParams(scale, np.zeros(channels, np.int32), "int32", axis=0)


def mean_shift(graph: Graph, node: Node, error: Array, input_mean: Array) -> Array:
    """Expected output error per channel of a linear layer.

    Args:
        graph: Gives the geometry.
        node: Conv, ConvTranspose or Gemm.
        error: float weight minus dequantized weight, the weight's shape.
        input_mean: (C_in,) mean of the node's input.

    Returns:
        float64 (C_out,): what to add to the bias.
    """
    shift: Array
    if node.op == "Gemm":
        shift = error.astype(np.float64) @ input_mean
        return shift
    groups = node.attributes["group"]
    means = input_mean.reshape(groups, -1)
    if node.op == "Conv":
        summed = (error * _coverage(graph, node)).reshape(groups, -1, means.shape[1], _taps(error)).sum(axis=3)
        shift = np.einsum("goi,gi->go", summed, means).reshape(-1)
        return shift
    before, after = graph.shape(node.inputs[0])[2:], graph.shape(node.outputs[0])[2:]
    summed = error.reshape(groups, means.shape[1], -1, _taps(error)).sum(axis=3)
    shift = np.einsum("gio,gi->go", summed, means).reshape(-1) * (np.prod(before) / np.prod(after))
    return shift


def shift_bias(node: Node, shift: Array, constants: dict[str, Array]) -> Node:
    """The node with a float bias that takes the mean error out; the bias is added to `constants`, the old one stays.

    Args:
        node: Linear layer, with a constant float bias or none.
        shift: (C_out,) what to add to it.
        constants: Of the graph.
    """
    old = node.inputs[2] if len(node.inputs) > 2 else ""
    bias = constants[old] if old else np.zeros(shift.size, np.float32)
    name = f"{old or node.inputs[1] + '.bias'}.corrected"
    constants[name] = (bias.astype(np.float64) + shift).astype(np.float32)
    return dataclasses.replace(node, inputs=(*node.inputs[:2], name))


def _taps(weight: Array) -> int:
    return int(np.prod(weight.shape[2:]))


def _coverage(graph: Graph, node: Node) -> Array:
    """Share of output positions for which each kernel position reads data rather than padding; kernel shape."""
    sizes, kernel = graph.shape(node.inputs[0])[2:], graph.shape(node.inputs[1])[2:]
    results = graph.shape(node.outputs[0])[2:]
    shares = []
    for axis, (size, taps, outputs) in enumerate(zip(sizes, kernel, results, strict=True)):
        stride, dilation = node.attributes["strides"][axis], node.attributes["dilations"][axis]
        starts = np.arange(outputs) * stride - node.attributes["pads"][axis]
        positions = starts[None, :] + np.arange(taps)[:, None] * dilation
        shares.append(((positions >= 0) & (positions < size)).mean(axis=1))
    total: Array = shares[0]
    for share in shares[1:]:
        total = np.multiply.outer(total, share)
    return total
