"""Activation ranges that live in a module: they follow the data, or are learned, and become QParams by one rule.

The rule is `choose_activations` of the quantizer itself, so a table made here is the table of the files: tie groups,
fixed scales and bounded multipliers included.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.errors import ShrinkError
from edgekit.shrink.quantization.activations import choose_activations
from edgekit.shrink.quantization.histogram import Histogram
from edgekit.shrink.quantization.masks import mask_ranges
from edgekit.shrink.quantization.quantize import Layout
from edgekit.shrink.quantization.ranges import choose_range
from edgekit.shrink.quantization.ties import float_activations
from edgekit.shrink.reconstruction.simulation import MOVES
from edgekit.types.graph import Node
from edgekit.types.plan import Plan
from edgekit.types.qparams import RANGES, QParams

LOW, HIGH = RANGES["int8"]
SPEED = 10.0
"""A learned scale is its first one times exp(SPEED * parameter): so Adam moves scales by about the share of themselves
that it moves weights by, which are around a tenth in size."""
DIVERGED = "training diverged: take an earlier checkpoint, or a smaller learning rate"


@dataclass(frozen=True, eq=False)
class Table:
    """QParams of this moment.

    Attributes:
        qparams: value or constant name -> int8 QParams, as the files would have them.
        scales: The same as tensors on the device of the values: name -> float32 ().
        zeros: name -> int32 ().
    """

    qparams: Mapping[str, QParams]
    scales: Mapping[str, Tensor]
    zeros: Mapping[str, Tensor]


class ActivationRanges(nn.Module):
    """The ranges of every value that int8 nodes read or write.

    Attributes:
        names: Whose ranges there are: values, and masks, which are constants. What only moves integers has its
            source's range.
        followed: Those of them that an observer updates.
        low: float32 (N,), smallest real of each.
        high: float32 (N,), largest real of each.
        finite: bool (N,), whether the values seen last were finite numbers.
        log_scales: Where scales are learned: (G,) logarithms of each learned group's scale over its first one. In
            logarithms one learning rate suits every layer (Jain et al. 2020, arXiv 1903.08066, section 3.2).
    """

    low: Tensor
    high: Tensor
    finite: Tensor
    first_scales: Tensor

    def __init__(self, layout: Layout, histograms: Mapping[str, Histogram], plan: Plan, *, learned: bool) -> None:
        super().__init__()
        self._layout, self._plan = layout, plan
        graph, ties = layout.graph, layout.ties
        int8 = [node for node in graph.nodes if node.name not in layout.islands]
        used = list(dict.fromkeys(name for node in int8 for name in float_activations(graph, node)))
        moved = {name for node in int8 if node.op in MOVES for name in node.outputs}
        masks = mask_ranges(graph, histograms)
        found: dict[str, tuple[float, float]] = {}
        for name in used:
            source = ties.copies.get(name, name)
            if name in masks:
                found[source] = masks[name]
            elif name not in graph.constants and source not in moved:
                found[source] = choose_range(histograms[source], plan.method)
        self.names = tuple(found)
        fixed = {name for name in found if ties.groups[name] in ties.fixed}
        self.followed = frozenset(set(found) - set(masks) - set(graph.constants) - fixed)
        self._sources = {name: self._source_of(name, used) for name in used if name in moved and name not in found}
        self._places = {name: index for index, name in enumerate(self.names)}
        self.register_buffer("low", torch.tensor([ends[0] for ends in found.values()], dtype=torch.float32))
        self.register_buffer("high", torch.tensor([ends[1] for ends in found.values()], dtype=torch.float32))
        self.register_buffer("finite", torch.ones(len(found), dtype=torch.bool))
        self._learned: dict[str, int] = {}
        if learned:
            self._learn(self._learned_groups(used, masks))

    def _source_of(self, moved: str, used: Sequence[str]) -> str:
        """A value with a range of its own in the tie group of one that only moves integers; "" beside constants."""
        groups, copies = self._layout.ties.groups, self._layout.ties.copies
        members = (copies.get(name, name) for name in used if groups[name] == groups[moved])
        return next((name for name in members if name in self.names), "")

    def _learned_groups(self, used: Sequence[str], masks: Collection[str]) -> dict[str, int]:
        """Group of a followed value -> place of its scale; groups with a constant or a mask keep to their ranges."""
        ties, constants = self._layout.ties, self._layout.graph.constants
        held = {ties.groups[name] for name in used if name in constants or name in masks}
        groups = dict.fromkeys(ties.groups[name] for name in self.names if name in self.followed)
        return {group: index for index, group in enumerate(group for group in groups if group not in held)}

    def _learn(self, groups: Mapping[str, int]) -> None:
        """A parameter for each group, and where it starts: at the scale and zero point of its range."""
        names = self._layout.ties.groups
        first = {names[name]: params for name, params in self.choose({}).items()}
        self._zeros = {group: int(first[group].zero_point) for group in groups}
        start = torch.tensor([float(first[group].scale) for group in groups], dtype=torch.float32)
        self.register_buffer("first_scales", start)
        self.log_scales = nn.Parameter(torch.zeros(len(groups)))
        self._learned = dict(groups)

    @property
    def learns(self) -> bool:
        """Whether scales are parameters."""
        return bool(self._learned)

    def learned_scales(self) -> Tensor:
        """float32 (G,) scales of the learned groups, with a gradient."""
        return self.first_scales * torch.exp(SPEED * self.log_scales)

    def ranges(self) -> dict[str, tuple[float, float]]:
        """name -> (low, high) as the quantizer is to take them."""
        pairs = zip(self.low.tolist(), self.high.tolist(), strict=True)
        found = dict(zip(self.names, pairs, strict=True))
        if self._learned:
            scales, groups = self.learned_scales().tolist(), self._layout.ties.groups
            for name in self.names:
                group = groups[name]
                if group in self._learned:
                    scale, zero = scales[self._learned[group]], self._zeros[group]
                    lowest = -127 if self._plan.symmetric else LOW
                    found[name] = ((lowest - zero) * scale, (HIGH - zero) * scale)
        found.update({name: found.get(source, (0.0, 0.0)) for name, source in self._sources.items()})
        return found

    def choose(self, peaks: Mapping[str, float]) -> dict[str, QParams]:
        """QParams of this moment, by the quantizer's own rule.

        Args:
            peaks: weight name -> largest magnitude now; those missing are as they were at first.

        Raises:
            ShrinkError: A learned scale is no number any more.
        """
        ranges = self.ranges()
        lost = [name for name, ends in ranges.items() if not np.isfinite(ends).all()]
        if lost:
            raise ShrinkError(f"the range of {', '.join(lost[:5])} is no number any more", hint=DIVERGED)
        weights = {name: np.asarray([peak], np.float32) for name, peak in peaks.items()}
        ties = self._layout.with_constants(weights).ties if weights else self._layout.ties
        return choose_activations(ties, {}, self._layout.islands, _with_ranges(self._plan, ranges))

    def table(self, peaks: Mapping[str, float]) -> Table:
        """The table of this moment; learned scales carry their gradient."""
        chosen, device = self.choose(peaks), self.low.device
        scales = torch.tensor([float(params.scale) for params in chosen.values()], device=device)
        zeros = torch.tensor([int(params.zero_point) for params in chosen.values()], dtype=torch.int32, device=device)
        by_name = dict(zip(chosen, scales.unbind(), strict=True))
        if self._learned and torch.is_grad_enabled():
            learned, groups = self.learned_scales().unbind(), self._layout.ties.groups
            for name, scale in by_name.items():
                if groups[name] in self._learned:
                    parameter = learned[self._learned[groups[name]]]
                    by_name[name] = parameter + (scale - parameter).detach()
        return Table(chosen, by_name, dict(zip(chosen, zeros.unbind(), strict=True)))

    @torch.no_grad()
    def follow(self, seen: Mapping[str, Tensor], momentum: float) -> None:
        """Move ranges towards what one batch had.

        Args:
            seen: followed value -> (2,) its minimum and maximum.
            momentum: Share of the batch.
        """
        if not seen:
            return
        places = torch.tensor([self._places[name] for name in seen], device=self.low.device)
        ends = torch.stack(list(seen.values()), 1).float()
        finite = torch.isfinite(ends).all(0)
        self.finite[places] = finite
        for buffer, end in ((self.low, ends[0]), (self.high, ends[1])):
            before = buffer[places]
            buffer[places] = torch.where(finite, before + momentum * (end - before), before)


def moves_integers(node: Node, layout: Layout, qparams: Mapping[str, QParams]) -> bool:
    """Whether a node's results are multiples of the scale already, since it moves stored integers."""
    if node.op not in MOVES or node.name in layout.islands:
        return False
    return all(name in qparams for name in (node.inputs[0], *node.outputs))


def _with_ranges(plan: Plan, ranges: Mapping[str, tuple[float, float]]) -> Plan:
    return replace(plan, ranges=ranges)
