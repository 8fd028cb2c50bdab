"""Cut: take channels out of a module's tensors and say so in its attributes.

The same few lines serve every kind of layer, because `layers` says where a channel lies. What was cut is returned as
kept indices, counted in the module that was cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from edgekit.shrink.pruning.coupling import Unit
from edgekit.shrink.pruning.layers import (
    ATTRIBUTE,
    Axis,
    Slab,
    axis_attributes,
    axis_size,
    grouped_columns,
    is_channelwise,
    is_grouped,
    is_tensorless,
    size_of,
    slabs,
    tensor_of,
)

Cuts = Mapping[Axis, Sequence[int]]
"""axis -> channels that go."""
Made = dict[tuple[int, int, bytes], tuple[Tensor, Tensor]]
"""(id of a tensor, axis, what stays) -> that tensor and its cut form, so that shared ones stay shared."""


def cuts_of(units: Iterable[Unit]) -> dict[Axis, list[int]]:
    """What goes with these units, ascending."""
    found: dict[Axis, set[int]] = defaultdict(set)
    for unit in units:
        for axis, channels in unit.entries.items():
            found[axis].update(channels)
    return {axis: sorted(channels) for axis, channels in sorted(found.items())}


def cut(module: nn.Module, cuts: Cuts) -> dict[Axis, list[int]]:
    """Cut channels, in place.

    Args:
        module: Its layers get new parameters; optimizers made before hold the old ones.
        cuts: Which channels go, of which layer; consistent, as units are.

    Returns:
        For each axis the channels that were kept.
    """
    kept: dict[Axis, list[int]] = {}
    made: Made = {}
    ordered = sorted(cuts, key=lambda axis: (axis[0], axis[1] != "in"))
    for axis in ordered:  # columns of a grouped convolution are found by its uncut rows
        path, side = axis
        gone = set(cuts[axis])
        if is_tensorless(axis):
            name = side.removeprefix(ATTRIBUTE)
            setattr(module.get_submodule(path), name, size_of(module, axis) - len(gone))
            continue
        if side.startswith("dim"):
            dimension = int(side.removeprefix("dim"))
            size = _parameter(module, path).shape[dimension]
            kept[axis] = [index for index in range(size) if index not in gone]
            _replace(module, path, dimension, torch.tensor(kept[axis]), made)
            continue
        layer = module.get_submodule(path)
        size = axis_size(layer, side)
        kept[axis] = [index for index in range(size) if index not in gone]
        if side == "in" and is_grouped(layer):
            _cut_grouped(layer, kept[axis])
        else:
            for slab in slabs(layer, side):
                _cut_slab(layer, slab, torch.tensor(kept[axis]), size, made)
        _resize(layer, side, len(kept[axis]))
    return kept


def _cut_slab(layer: nn.Module, slab: Slab, kept: Tensor, size: int, made: Made) -> None:
    tensor = tensor_of(layer, slab.tensor)
    assert tensor is not None  # `slabs` lists only those that are there
    _replace(layer, slab.tensor, slab.axis, slab.expand(kept, size), made)


def _replace(module: nn.Module, name: str, axis: int, entries: Tensor, made: Made) -> None:
    """Give `module.name` only these entries along the axis; a parameter shared with other layers stays shared."""
    place, _, last = name.rpartition(".")
    owner = module.get_submodule(place)
    old = getattr(owner, last)
    if old.shape[axis] == len(entries):
        return
    key = (id(old), axis % old.dim(), entries.numpy().tobytes())
    if key not in made:
        new = old.detach().index_select(axis, entries.to(old.device)).clone()
        is_weight = isinstance(old, nn.Parameter)
        made[key] = old, nn.Parameter(new, requires_grad=old.requires_grad) if is_weight else new
    setattr(owner, last, made[key][1])


def _cut_grouped(layer: nn.Module, kept: list[int]) -> None:
    """Columns of a grouped convolution: each group keeps its own."""
    weight = layer.weight
    assert isinstance(weight, nn.Parameter)
    groups = int(layer.groups)  # type: ignore[arg-type]
    columns = grouped_columns(kept, axis_size(layer, "in"), groups)
    if isinstance(layer, _ConvTransposeNd):
        new = weight.detach()[torch.tensor(kept)].clone()
    else:
        rows = weight.detach().chunk(groups, dim=0)
        new = torch.cat([row[:, torch.tensor(column)] for row, column in zip(rows, columns, strict=True)])
    layer.weight = nn.Parameter(new, requires_grad=weight.requires_grad)


def _resize(layer: nn.Module, side: str, size: int) -> None:
    """Write the new number of channels into the layer's attributes."""
    if isinstance(layer, nn.LayerNorm):
        layer.normalized_shape = (*layer.normalized_shape[:-1], size)
        return
    if is_channelwise(layer):
        multiplier = int(layer.out_channels) // int(layer.in_channels)  # type: ignore[arg-type]
        setattr(layer, "out_channels", size * multiplier)  # noqa: B010  # a Tensor or Module to the type checker
    for name in axis_attributes(layer, side):
        setattr(layer, name, size)
    if isinstance(layer, nn.MultiheadAttention):
        layer.head_dim = size // layer.num_heads
        layer.out_proj.in_features = layer.out_proj.out_features = size


def _parameter(module: nn.Module, name: str) -> Tensor:
    found = tensor_of(module, name)
    assert found is not None  # named_parameters listed it
    return found
