"""Scales of trained weights, in torch: the numbers that `choose_weight` gives, on the device of the weight.

They are taken anew in every step, since the weights move; a law in the tests holds them to `choose_weight`, which is
what decides the files.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edgekit.shrink.quantization.observe import LINEAR
from edgekit.shrink.quantization.quantize import SMALLEST_MULTIPLIER, Layout
from edgekit.shrink.quantization.weights import BIAS_LIMIT, PAIR_LIMIT, SMALLEST_SCALE, channel_axis, packs_pairs
from edgekit.types.graph import Node
from edgekit.types.operators import Role, role
from edgekit.types.plan import Plan

SMALLEST_SHARE = 0.3
"""Least share of the largest magnitude that a first 4-bit scale reaches."""


@dataclass(frozen=True, eq=False)
class WeightSpec:
    """One weight that becomes integers.

    Attributes:
        name: Of the constant.
        readers: The nodes that multiply by it.
        axis: Of its scales; None is one scale for the tensor.
        channels_last: Whether a kernel packs input channels innermost (Conv).
        pairs: Whether neighbours along K have to be pair-safe.
        limit: Largest integer.
    """

    name: str
    readers: tuple[Node, ...]
    axis: int | None
    channels_last: bool
    pairs: bool
    limit: int

    @property
    def is_linear(self) -> bool:
        """Whether it belongs to linear layers, which have biases; a PRelu's slope does not."""
        return self.readers[0].op in LINEAR

    def spread(self, scale: Tensor, ndim: int) -> Tensor:
        """Scales shaped to broadcast over the weight."""
        if self.axis is None:
            return scale
        shape = [1] * ndim
        shape[self.axis] = -1
        return scale.reshape(shape)


def weight_specs(layout: Layout, plan: Plan) -> tuple[WeightSpec, ...]:
    """Every constant weight of an int8 node, in the order they are first used."""
    graph = layout.graph
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.name in layout.islands:
            continue
        for slot, name in enumerate(node.inputs):
            if role(node.op, slot) is Role.WEIGHT and name in graph.constants:
                readers.setdefault(name, []).append(node)
    return tuple(
        WeightSpec(
            name,
            tuple(nodes),
            axis=channel_axis(nodes[0]) if plan.per_channel else None,
            channels_last=nodes[0].op == "Conv",
            pairs=plan.scheme == "pair-safe" and packs_pairs(graph, nodes[0]),
            limit=plan.weight_limit,
        )
        for name, nodes in readers.items()
    )


def peak_scale(spec: WeightSpec, weight: Tensor) -> Tensor:
    """Scale that puts the largest magnitude on the largest integer; (C,) or (1,), float32."""
    rows = weight.reshape(1, -1) if spec.axis is None else weight.movedim(spec.axis, 0).flatten(1)
    return rows.abs().amax(1) / spec.limit


def least_scale(spec: WeightSpec, weight: Tensor, floor: Tensor | None) -> Tensor:
    """Smallest scale allowed: for 16-bit pair sums, int32 biases and kernels' multipliers; float64, at least 1-D."""
    least = torch.full((1,), SMALLEST_SCALE, dtype=torch.float64, device=weight.device)
    if spec.pairs:
        least = torch.maximum(least, largest_pair(spec, weight).double())
    if floor is not None:
        least = torch.maximum(least, floor if spec.axis is not None else floor.max())
    return least


def settled(spec: WeightSpec, wanted: Tensor, least: Tensor) -> Tensor:
    """The scale in use: `wanted` where it is allowed; float32 (C,), or () where one serves the whole tensor."""
    scale = torch.maximum(wanted.double(), least).float()
    return scale.max() if spec.axis is None else scale


def least_error(spec: WeightSpec, weight: Tensor) -> Tensor:
    """Logarithm of the share of `peak_scale` at which rounding and clipping make the least squared error; its shape."""
    rows = weight.reshape(1, -1) if spec.axis is None else weight.movedim(spec.axis, 0).flatten(1)
    peak = peak_scale(spec, weight).clamp_min(SMALLEST_SCALE)
    shares = torch.linspace(1.0, SMALLEST_SHARE, 36, device=weight.device)
    errors = []
    for share in shares:
        scale = (peak * share).unsqueeze(1)
        steps = (rows / scale).round().clamp(-spec.limit, spec.limit)
        errors.append((steps * scale - rows).square().sum(1))
    return torch.log(shares[torch.stack(errors).argmin(0)])


def largest_pair(spec: WeightSpec, weight: Tensor) -> Tensor:
    """Scale at which |q1| + |q2| of two neighbours of one sign cannot pass 128; (O,), see `choose_weight`."""
    rows = (weight.movedim(1, -1) if spec.channels_last else weight).flatten(1)
    even, odd = rows[:, 0 : rows.shape[1] // 2 * 2 : 2], rows[:, 1::2]
    if even.shape[1] == 0:
        return rows.new_zeros(rows.shape[0])
    return torch.where(even * odd > 0, (even + odd).abs(), 0.0).amax(1) / PAIR_LIMIT


def bias_and_multiplier_floor(bias: Tensor | None, scale_in: Tensor, scale_out: Tensor | None) -> Tensor:
    """Smallest weight scale that one reader can live with, float64; see `quantize`, step 4."""
    wide = scale_in.double()
    least = wide.new_zeros(1) if bias is None else bias.abs().double() / (BIAS_LIMIT * wide)
    return least if scale_out is None else torch.maximum(least, SMALLEST_MULTIPLIER * scale_out.double() / wide)
