"""Verification: does a module still compute what it computed, once channels are gone?

A trace can be wrong about code it cannot see through: a reshape with a fixed size, a pad of channels, an index. So no
group is trusted before it was tried. Where nothing mixes the channels of a group, the cut module must give just what
the uncut one gives when nobody reads those channels; elsewhere the call has to work and keep every output's shape.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from edgekit.shrink.pruning.coupling import Group, Unit
from edgekit.shrink.pruning.cut import Cuts, cut, cuts_of
from edgekit.shrink.pruning.layers import axis_size, grouped_columns, is_grouped, slabs, tensor_of
from edgekit.shrink.pruning.tracing import Example, outputs
from edgekit.shrink.pruning.variants import variants

TOLERANCE = 2e-3
"""Largest difference, as a share of the largest output: sums in another order."""


@dataclass(frozen=True)
class Trial:
    """What cutting some channels did. `reason` is "" when all is well."""

    reason: str = ""


def sound(
    module: nn.Module, example: Example, groups: Sequence[Group], *, seed: int = 0
) -> tuple[list[Group], dict[str, str]]:
    """Try every group on copies of the module.

    Args:
        module: In eval mode; not changed.
        example: Arguments of one call.
        groups: What the trace found.
        seed: Of the choice of channels that are tried.

    Returns:
        The groups that can be cut, and for the others why not.
    """
    shapes = outputs(module, example)
    if all_well(module, example, groups, shapes, seed):
        return list(groups), {}
    good, bad = [], {}
    for group in groups:
        reason = _trial(module, example, [group], shapes, seed)
        fitting = group if not reason else _fitting(module, example, group, shapes, seed)
        if fitting is None:
            bad[group.name] = reason
        else:
            good.append(fitting)
    while good and not all_well(module, example, good, shapes, seed):  # only together do they break something
        worst = good.pop()
        bad[worst.name] = "the module breaks when it is cut together with other layers"
    return good, bad


def _fitting(module: nn.Module, example: Example, group: Group, shapes: list[Tensor], seed: int) -> Group | None:
    """The group cut in another way that the module's code allows: whole heads, or the same of each part."""
    for variant in variants(module, group):
        if not _trial(module, example, [variant], shapes, seed):
            return variant
    return None


def all_well(module: nn.Module, example: Example, groups: Sequence[Group], shapes: list[Tensor], seed: int) -> bool:
    """Whether all groups can be cut at once; first those that mix nothing, since the others change the numbers."""
    linear = [group for group in groups if group.is_linear]
    stages = [linear, groups] if len(linear) < len(groups) else [groups]
    return not any(_trial(module, example, stage, shapes, seed) for stage in stages if stage)


def _trial(module: nn.Module, example: Example, groups: Sequence[Group], before: list[Tensor], seed: int) -> str:
    """Why the module breaks without half of the units or without one: a reshape into heads may bear the former."""
    for most in (None, 1):
        chosen = [unit for group in groups for unit in _some(group, seed, most)]
        reason = _broken(module, example, groups, before, chosen)
        if reason:
            return reason
    return ""


def _broken(
    module: nn.Module, example: Example, groups: Sequence[Group], before: list[Tensor], chosen: Sequence[Unit]
) -> str:
    cuts = cuts_of(chosen)
    cut_module = copy.deepcopy(module)
    try:
        cut(cut_module, cuts)
        after = outputs(cut_module, example)
    except Exception as error:  # whatever the user's forward raises on fewer channels
        text = str(error).strip().splitlines()
        return f"forward fails without some of its channels: {text[0][:200] if text else type(error).__name__}"
    if [tensor.shape for tensor in after] != [tensor.shape for tensor in before]:
        return "an output would change its shape"
    if not all(group.is_linear for group in groups):
        return ""
    masked = copy.deepcopy(module)
    unread(masked, cuts)
    for wanted, found in zip(outputs(masked, example), after, strict=True):
        if wanted.is_floating_point() and _distance(wanted, found) > TOLERANCE:
            return "its channels mean something by their position: the module computes something else without them"
    return ""


def _some(group: Group, seed: int, most: int | None) -> list[Unit]:
    """About half of the units and at most `most` of a block, equally many of every block."""
    blocks: dict[int, list[Unit]] = {}
    for unit, block in zip(group.units, group.blocks, strict=True):
        blocks.setdefault(block, []).append(unit)
    draw = random.Random(seed)
    count = max(1, min(len(units) for units in blocks.values()) // 2)
    count = count if most is None else min(count, most)
    if count >= min(len(units) for units in blocks.values()):
        return []
    return [unit for units in blocks.values() for unit in draw.sample(units, count)]


def _distance(wanted: Tensor, found: Tensor) -> float:
    scale = float(wanted.abs().max()) if wanted.numel() else 0.0
    return float((wanted - found).abs().max()) / max(scale, 1e-6) if wanted.numel() else 0.0


def unread(module: nn.Module, cuts: Cuts) -> None:
    """Set to zero, in place, what reads the cut channels."""
    with torch.no_grad():
        for (path, side), channels in cuts.items():
            if side not in ("out", "in"):
                continue
            layer = module.get_submodule(path)
            index = torch.tensor(list(channels))
            if isinstance(layer, nn.LSTM) and side == "out":
                for slab in slabs(layer, side):
                    if slab.axis == 1:
                        _zero(layer, slab.tensor, 1, slab.expand(index, layer.hidden_size))
            elif side == "in" and is_grouped(layer) and not isinstance(layer, _ConvTransposeNd):
                _zero_grouped(layer, list(channels))
            elif side == "in":
                for slab in slabs(layer, side):
                    _zero(layer, slab.tensor, slab.axis, slab.expand(index, axis_size(layer, side)))


def _zero(layer: nn.Module, name: str, axis: int, entries: Tensor) -> None:
    tensor = tensor_of(layer, name)
    assert tensor is not None
    tensor.index_fill_(axis, entries.to(tensor.device), 0.0)


def _zero_grouped(layer: nn.Module, channels: list[int]) -> None:
    groups = int(layer.groups)  # type: ignore[arg-type]
    weight = layer.weight
    assert isinstance(weight, nn.Parameter)
    columns = grouped_columns(channels, axis_size(layer, "in"), groups)
    for rows, column in zip(weight.chunk(groups, dim=0), columns, strict=True):
        if column:
            rows[:, torch.tensor(column)] = 0.0
