"""Importance: how much a unit of channels matters, one number per unit, larger is more.

- "group-norm": the squared L2 norm of everything that falls with the unit, averaged over the tensors (DepGraph, Fang et
  al. 2023, arXiv 2301.12900). Needs nothing but weights. Divided by the group's mean, to be comparable across layers.
- "taylor": how much the loss would change to first order, (sum of weight * gradient)^2 over the layers that make the
  channel, averaged over batches (Molchanov et al. 2019, arXiv 1906.10771). Comparable across layers as it is.
- "bn-scale": the size of the BatchNorm scales (network slimming, Liu et al. 2017, arXiv 1708.06519).
- "lamp": squared norm divided by the sum of all norms in the group that are not smaller (Lee et al. 2021, arXiv
  2010.07611).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgekit.errors import ShrinkError
from edgekit.shrink.pruning.coupling import Group
from edgekit.shrink.pruning.layers import Axis, Slab, axis_size, is_grouped, is_statistic, slabs, tensor_of
from edgekit.shrink.pruning.tracing import evaluating

Importance = Literal["group-norm", "taylor", "bn-scale", "lamp"]
IMPORTANCES: tuple[str, ...] = get_args(Importance)

Scores = Mapping[str, Tensor]
"""name of a group -> float64 (units,)."""
Loss = Callable[[nn.Module, object], Tensor]
"""(module, batch) -> scalar."""


def score(
    module: nn.Module,
    groups: Sequence[Group],
    importance: str,
    *,
    batches: Iterable[object] = (),
    loss: Loss | None = None,
) -> dict[str, Tensor]:
    """Score every unit of every group.

    Args:
        module: The one the groups were found in; gradients are left as they were.
        groups: What to score.
        importance: One of `IMPORTANCES`.
        batches: What `loss` takes, for "taylor".
        loss: (module, batch) -> scalar, for "taylor".

    Raises:
        ShrinkError: "taylor" without batches or loss, or "bn-scale" without any BatchNorm.
    """
    if importance == "taylor":
        return _taylor(module, groups, batches, loss)
    if importance == "bn-scale":
        return _bn_scale(module, groups)
    squares = _Squares(module, lambda tensor: tensor.detach().double() ** 2)
    scores = {group.name: squares.mean(group) for group in groups}
    if importance == "lamp":
        return {name: _lamp(values) for name, values in scores.items()}
    return {name: values / values.mean().clamp_min(1e-30) for name, values in scores.items()}


class _Squares:
    """Per axis and channel the sum of some function of its weights; each axis is summed once."""

    def __init__(self, module: nn.Module, function: Callable[[Tensor], Tensor]) -> None:
        self._module = module
        self._function = function
        self._sums: dict[Axis, Tensor] = {}

    def mean(self, group: Group) -> Tensor:
        """float64 (units,): mean over the axes that have weights."""
        weighted = [axis for axis in sorted(group.axes) if self.of(axis).numel()]
        rows = []
        for unit in group.units:
            parts = [self.of(axis)[list(unit.entries[axis])].sum() for axis in weighted if axis in unit.entries]
            rows.append(torch.stack(parts).mean() if parts else torch.zeros((), dtype=torch.float64))
        return torch.stack(rows)

    def of(self, axis: Axis) -> Tensor:
        """float64 (channels,); empty where the axis has no matrix, since a norm of biases says little."""
        if axis not in self._sums:
            self._sums[axis] = self._sum(axis)
        return self._sums[axis]

    def _sum(self, axis: Axis) -> Tensor:
        path, side = axis
        if side not in ("out", "in"):
            return torch.zeros(0, dtype=torch.float64)
        layer = self._module.get_submodule(path)
        size = axis_size(layer, side)
        total = torch.zeros(0, dtype=torch.float64)
        for slab in slabs(layer, side):
            tensor = tensor_of(layer, slab.tensor)
            if tensor is None or tensor.dim() < 2:
                continue
            values = self._function(tensor)
            if side == "in" and is_grouped(layer):
                groups = int(layer.groups)  # type: ignore[arg-type]
                part = values.reshape(groups, -1, values.shape[1], values[0, 0].numel()).sum((1, 3)).flatten()
                part = part if part.numel() == size else values.flatten(1).sum(1)
            else:
                part = channel_sums(values, slab, size)
            total = part if not total.numel() else total + part
        return total.cpu()


def channel_sums(values: Tensor, slab: Slab, size: int) -> Tensor:
    """Sum of everything that belongs to each channel, (size,)."""
    axis = slab.axis % values.dim()
    rows = values.movedim(axis, 0).reshape(values.shape[axis], -1).sum(1)
    return rows.reshape(slab.blocks, size, slab.inner).sum((0, 2))


def _lamp(values: Tensor) -> Tensor:
    order = values.argsort()
    ranked = values[order]
    not_smaller = ranked.flip(0).cumsum(0).flip(0)
    scores = torch.empty_like(values)
    scores[order] = ranked / not_smaller.clamp_min(1e-30)
    return scores


def _bn_scale(module: nn.Module, groups: Sequence[Group]) -> dict[str, Tensor]:
    plain = _Squares(module, lambda tensor: tensor.detach().double() ** 2)
    scores, found = {}, False
    for group in groups:
        norms = [axis for axis in sorted(group.axes) if _scale(module, axis) is not None]
        if not norms:
            values = plain.mean(group)
            scores[group.name] = values / values.mean().clamp_min(1e-30)
            continue
        found = True
        rows = []
        for unit in group.units:
            parts = []
            for axis in norms:
                scale = _scale(module, axis)
                if axis in unit.entries and scale is not None:
                    parts.append(scale.detach().double().abs()[list(unit.entries[axis])].mean())
            rows.append(torch.stack(parts).mean() if parts else torch.zeros((), dtype=torch.float64))
        scores[group.name] = torch.stack(rows).cpu()
    if not found:
        raise ShrinkError(
            'importance="bn-scale" needs BatchNorm with scales after the layers to prune, and there is none',
            hint='use importance="group-norm"',
        )
    return scores


def _scale(module: nn.Module, axis: Axis) -> Tensor | None:
    if axis[1] != "out":
        return None
    layer = module.get_submodule(axis[0])
    return layer.weight if isinstance(layer, _BatchNorm) and layer.affine else None


def _taylor(
    module: nn.Module, groups: Sequence[Group], batches: Iterable[object], loss: Loss | None
) -> dict[str, Tensor]:
    if loss is None:
        raise ShrinkError(
            'importance="taylor" needs data and a loss', hint="pass data=batches and loss=function(module, batch)"
        )
    kept = {name: parameter.grad for name, parameter in module.named_parameters()}
    totals = {group.name: torch.zeros(len(group.units), dtype=torch.float64) for group in groups}
    count = 0
    try:
        with evaluating(module), torch.enable_grad():
            for batch in batches:
                module.zero_grad(set_to_none=True)
                loss(module, batch).backward()  # type: ignore[no-untyped-call]
                for group in groups:
                    totals[group.name] += _first_order(module, group)
                count += 1
    finally:
        for name, parameter in module.named_parameters():
            parameter.grad = kept[name]
    if not count:
        raise ShrinkError('importance="taylor" needs data, and there is no batch', hint="pass data=batches")
    return {name: total / count for name, total in totals.items()}


def _first_order(module: nn.Module, group: Group) -> Tensor:
    """Squared first-order change of the loss without each unit: through BatchNorm where there is one, else filters."""
    gates = [axis for axis in sorted(group.axes) if _scale(module, axis) is not None]
    makers = gates or [axis for axis in sorted(group.axes) if axis[1] == "out"]
    sums: dict[Axis, Tensor] = {}
    for axis in makers:
        layer = module.get_submodule(axis[0])
        size = axis_size(layer, axis[1])
        total = torch.zeros(size, dtype=torch.float64)
        for slab in slabs(layer, axis[1]):
            tensor = tensor_of(layer, slab.tensor)
            if tensor is None or tensor.grad is None or is_statistic(slab):
                continue
            total += channel_sums((tensor.detach() * tensor.grad).double(), slab, size).cpu()
        sums[axis] = total
    rows = []
    for unit in group.units:
        parts = [sums[axis][list(unit.entries[axis])].sum() for axis in makers if axis in unit.entries]
        rows.append(torch.stack(parts).sum() ** 2 if parts else torch.zeros((), dtype=torch.float64))
    return torch.stack(rows)
