"""Weight scales: per channel, symmetric, safe for kernels that add two products in 16 bits, safe for int32 biases.

Pair-safe scales. CPUs with AVX2 but no VNNI multiply u8 by s8 with `vpmaddubsw`, which adds the products of two
neighbouring elements along K in 16 bits and saturates. With u8 up to 255 that cannot happen when two weights of the
same sign satisfy |q1| + |q2| <= 128. Each channel's scale is widened just enough for that, which costs far less
than 7-bit weights (measured on EfficientNet-Lite0: mean widening 1.24 against 2.02).
K runs in the order ONNX Runtime packs it (mlas, NHWC im2col): kernel position outermost, input channel innermost.
Depthwise convolutions do not use that kernel.
"""

from __future__ import annotations

import numpy as np

from edgekit.errors import ModelLoadError
from edgekit.types.graph import Graph, Node
from edgekit.types.operators import Role, role
from edgekit.types.plan import WeightScheme
from edgekit.types.qparams import WEIGHT_LIMIT, Array, QParams

PAIR_LIMIT = 127.9
"""Largest real |w1| + |w2| in steps: two roundings add at most 1, so the integers sum to 128 at most."""
PAIR_SUM = 128
"""Largest |q1| + |q2| of two neighbours of the same sign: 255 * 128 stays below 2^15."""
SEVEN_BIT_LIMIT = 63
"""Largest integer of the "7-bit" scheme: two of them times 255 stay below 2^15."""
BIAS_LIMIT = 2.0**30
"""Largest |bias| in int32 steps; half the range stays for the accumulated products."""
SMALLEST_SCALE = 1e-10
"""Floor for the scale of a channel whose weights are all (nearly) zero."""


def channel_axis(node: Node) -> int | None:
    """Axis of the weight's output channels, None where one scale must serve all (grouped ConvTranspose)."""
    if node.op in ("Conv", "Gemm"):
        return 0
    if node.op == "ConvTranspose" and node.attributes["group"] == 1:
        return 1
    return None


def refuse_not_finite(graph: Graph) -> None:
    """Stop before the work when a weight, bias or embedding table holds NaN or infinity.

    Raises:
        ModelLoadError: Naming the layers.
    """
    bad = [
        f"{name} of {node.label}"
        for node in graph.nodes
        for slot, name in enumerate(node.inputs)
        if name in graph.constants
        and (role(node.op, slot) in (Role.WEIGHT, Role.BIAS) or (node.op == "Gather" and slot == 0))
        and not _is_finite(graph.constants[name])
    ]
    if bad:
        raise ModelLoadError(
            f"{len(bad)} weight tensor(s) hold NaN or infinity: {', '.join(bad[:5])}",
            hint="the training diverged or the file is damaged; use an earlier checkpoint",
        )


def _is_finite(array: Array) -> bool:
    """Whether all numbers are; NaN passes through both ends, and no copy is made of a large weight."""
    return array.size == 0 or bool(np.isfinite([array.min(), array.max()]).all())


def choose_weight(
    graph: Graph,
    node: Node,
    weight: Array,
    *,
    scheme: WeightScheme = "pair-safe",
    floor: Array | None = None,
    limit: int = WEIGHT_LIMIT,
    per_channel: bool = True,
) -> QParams:
    """Scale of one weight tensor.

    Args:
        graph: Gives the geometry.
        node: The node that reads it.
        weight: float32, in the dialect's layout for the operator.
        scheme: "pair-safe" widens scales so that 16-bit pair sums cannot saturate; "7-bit" leaves half the range
            unused, which has the same effect everywhere.
        floor: Smallest scale each channel may have (so that its bias fits int32, say), shape (C,), or None.
        limit: Largest integer the weight uses: 127, or 7 for 4-bit weights in int8.
        per_channel: False takes one scale for the whole tensor.

    Returns:
        int8 QParams, zero point 0; per channel where the operator allows it.
    """
    axis = channel_axis(node) if per_channel else None
    rows = _rows(weight, axis)
    scale = np.abs(rows).max(axis=1) / (min(limit, SEVEN_BIT_LIMIT) if scheme == "7-bit" else limit)
    if scheme == "pair-safe" and packs_pairs(graph, node):
        scale = np.maximum(scale, _largest_pair(in_packing_order(node, weight)) / PAIR_LIMIT)
    if floor is not None:
        scale = np.maximum(scale, floor if axis is not None else floor.max())
    scale = np.maximum(scale, SMALLEST_SCALE).astype(np.float32)
    if axis is None:
        return QParams(np.asarray(scale.max()), np.asarray(0, np.int32))
    return QParams(scale, np.zeros(scale.shape, np.int32), axis=axis)


def round_weight(weight: Array, params: QParams, *, limit: int = WEIGHT_LIMIT) -> Array:
    """Nearest integers within [-limit, limit]; int8, the weight's shape."""
    return np.clip(params.quantize(weight), -limit, limit)


def bias_floor(bias: Array, input_scale: float) -> Array:
    """Smallest weight scale per channel at which the bias stays below `BIAS_LIMIT` steps of s_in * s_w."""
    return np.abs(bias).astype(np.float64) / (BIAS_LIMIT * input_scale)


def _rows(weight: Array, axis: int | None) -> Array:
    if axis is None:
        return weight.reshape(1, -1)
    return np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)


def packs_pairs(graph: Graph, node: Node) -> bool:
    """Whether the kernel is a matrix product over K (Gemm, dense or grouped Conv), not a plain depthwise one."""
    if node.op == "Gemm":
        return True
    if node.op != "Conv":
        return False
    outputs, per_group = graph.shape(node.inputs[1])[:2]
    return not (per_group == 1 and outputs == node.attributes["group"])


def in_packing_order(node: Node, weight: Array) -> Array:
    """(O, K) with K in the order the kernel multiplies it."""
    if node.op == "Conv":
        return np.moveaxis(weight, 1, -1).reshape(weight.shape[0], -1)
    return weight


def _largest_pair(rows: Array) -> Array:
    """Largest |w1| + |w2| over neighbours (2i, 2i + 1) of the same sign, per row; (O,)."""
    even = rows[:, 0 : rows.shape[1] // 2 * 2 : 2]
    odd = rows[:, 1::2]
    if even.shape[1] == 0:
        return np.zeros(rows.shape[0], rows.dtype)
    sums = np.where(even * odd > 0, np.abs(even + odd), 0)
    largest: Array = sums.max(axis=1)
    return largest
