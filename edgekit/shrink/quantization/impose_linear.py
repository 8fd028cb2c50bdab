"""One linear layer of an imported file: its weight and bias as kernels take them, and whether kernels can run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.shrink.quantization.bias import bias_params
from edgekit.shrink.quantization.impose_constants import Constants, SymmetricWeight
from edgekit.types.finding import Finding, Severity
from edgekit.types.graph import Graph, Node
from edgekit.types.imported import StoredConstant
from edgekit.types.qparams import Array, QParams

LARGEST_MULTIPLIER = 2.0**8
SMALLEST_MULTIPLIER = 2.0**-32
"""Bounds of s_in * s_w / s_out that XNNPACK accepts (src/operators/convolution-nhwc.c, qs8 setup)."""
SAME_SCALE = 1e-5
"""Relative difference up to which a bias scale of the file is s_in * s_w."""


@dataclass(frozen=True, eq=False)
class Linear:
    """Decided numbers of a linear node.

    Attributes:
        params: Of the weight.
        integers: Of the weight.
        bias_params: int32 at s_in * s_w; None without a bias.
        bias: int32 (C_out,).
        findings: What is not as in the file.
    """

    params: QParams
    integers: Array
    bias_params: QParams | None = None
    bias: Array | None = None
    findings: tuple[Finding, ...] = ()


def impose_linear(graph: Graph, node: Node, qparams: Mapping[str, QParams], constants: Constants) -> Linear | str:
    """Weight and bias of a node whose activations are quantized, or why no kernel can run it.

    Args:
        graph: Holds the node.
        node: Conv, ConvTranspose or Gemm.
        qparams: Of its input and output.
        constants: What the file stores.
    """
    weight = constants.weight(graph, node)
    if weight is None:
        return "its weight is not int8 in the file"
    source, target = qparams[node.inputs[0]], qparams[node.outputs[0]]
    weight = _living(weight, float(target.scale) / float(source.scale))
    multiplier = source.scale.astype(np.float64) * weight.params.scale / target.scale
    for value in (float(np.max(multiplier)), float(np.min(multiplier))):
        if not SMALLEST_MULTIPLIER <= value < LARGEST_MULTIPLIER:
            return (
                f"its scales in the file ask for a multiplier of {value:.3g} (input {float(source.scale):.3g}, result "
                f"{float(target.scale):.3g}); integer kernels take {SMALLEST_MULTIPLIER:.2g} to {LARGEST_MULTIPLIER:g}"
            )
    if len(node.inputs) < 3 or not node.inputs[2]:
        return Linear(weight.params, weight.integers, findings=_findings(node, weight))
    channels = graph.shape(node.outputs[0])[-1 if node.op == "Gemm" else 1]
    params = bias_params(source, weight.params, channels)
    bias = _bias(graph.constants[node.inputs[2]], params, constants.find(node.inputs[2]))
    if bias is None:
        return "its bias does not fit 32 bits at the scales of the file"
    return Linear(weight.params, weight.integers, params, bias, _findings(node, weight))


def _living(weight: SymmetricWeight, ratio: float) -> SymmetricWeight:
    """Channels of zeros get a scale that kernels take; any scale means the same for them."""
    params = weight.params
    if params.axis is None:
        return weight
    rows = np.moveaxis(weight.integers, params.axis, 0).reshape(params.scale.size, -1)
    dead = ~rows.any(axis=1) & (params.scale < SMALLEST_MULTIPLIER * ratio)
    if not dead.any():
        return weight
    scale = np.where(dead, 2 * SMALLEST_MULTIPLIER * ratio, params.scale)
    return SymmetricWeight(
        QParams(scale, params.zero_point, params.dtype, params.axis), weight.integers, weight.rounded
    )


def _bias(reals: Array, params: QParams, stored: StoredConstant | None) -> Array | None:
    """The file's own integers where they have this scale, else the nearest ones; None when they do not fit."""
    if stored is not None and stored.params.dtype == "int32" and not np.any(stored.params.zero_point):
        own = np.broadcast_to(stored.params.scale, params.scale.shape)
        if np.all(np.abs(own - params.scale) <= SAME_SCALE * params.scale):
            return stored.integers.reshape(params.scale.shape)
    if np.any(np.abs(reals.astype(np.float64)) / params.scale > 2.0**31 - 1):
        return None
    return params.quantize(reals.reshape(params.scale.shape))


def _findings(node: Node, weight: SymmetricWeight) -> tuple[Finding, ...]:
    if weight.is_exact:
        return ()
    message = (
        f"the weight of {node.label} has zero points or scales that integer kernels do not take; {weight.rounded} of "
        f"{weight.params.scale.size} channels were rounded again"
    )
    hint = "quantize weights symmetrically (zero point 0, or 128 for uint8), per channel"
    return (Finding("imported-weight-rounded", message, Severity.NOTE, node.label, hint),)
