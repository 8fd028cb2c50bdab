"""Layers: which slices of which tensors belong to one channel of a layer.

Everything that cuts, scores, counts or masks channels asks this table, so a kind of layer is described once. A layer
has at most two axes, "out" and "in"; layers that hand each channel through (normalization, depthwise convolution,
embedding, `nn.MultiheadAttention`) have only "out".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

Axis = tuple[str, str]
"""(dotted path of a module, "out" or "in"); for a parameter of no known layer, (its name, "dim<axis>")."""

ATTRIBUTE = "attr:"
"""Side of an axis that is no tensor but a size the module's own code reads, such as "attr:num_heads"."""
GATES = 4
"""An LSTM stacks the weights of its four gates."""


@dataclass(frozen=True)
class Slab:
    """Where a layer's channels lie in one of its tensors.

    Channel i of n covers, along `axis`, the entries `(b * n + i) * inner + k` for b < blocks and k < inner.

    Attributes:
        tensor: Name of the parameter or buffer, below the module.
        axis: Of that tensor.
        blocks: How often the channels repeat along the axis (gates of an LSTM, q, k and v of attention).
        inner: Neighbouring entries of one channel (channel multiplier of a depthwise convolution).
    """

    tensor: str
    axis: int
    blocks: int = 1
    inner: int = 1

    def expand(self, channels: Tensor, size: int) -> Tensor:
        """Entries along the axis for int64 `channels` of `size`."""
        starts = (torch.arange(self.blocks)[:, None] * size + channels[None, :]).flatten()
        return (starts[:, None] * self.inner + torch.arange(self.inner)[None, :]).flatten()


def is_channelwise(module: nn.Module) -> bool:
    """A convolution in which every input channel has filters of its own: depthwise, with or without a multiplier."""
    return isinstance(module, _ConvNd) and module.groups == module.in_channels and module.groups > 1


def is_grouped(module: nn.Module) -> bool:
    """A convolution with several groups of several channels."""
    return isinstance(module, _ConvNd) and 1 < module.groups < module.in_channels


def axis_attributes(module: nn.Module, side: str) -> tuple[str, ...]:
    """Integer attributes that say how many channels that side has; the first is the size itself.

    Empty where the kind of layer, or that side of it, is not known here.
    """
    if is_channelwise(module):
        return ("groups", "in_channels") if side == "out" else ()
    if isinstance(module, _ConvNd):
        return ("out_channels",) if side == "out" else ("in_channels",)
    if isinstance(module, nn.Linear):
        return ("out_features",) if side == "out" else ("in_features",)
    if isinstance(module, nn.LSTM) and module.proj_size == 0:
        return ("hidden_size",) if side == "out" else ("input_size",)
    single: tuple[tuple[type[nn.Module], tuple[str, ...]], ...] = (
        (_BatchNorm, ("num_features",)),
        (_InstanceNorm, ("num_features",)),
        (nn.GroupNorm, ("num_channels",)),
        (nn.Embedding, ("embedding_dim",)),
        (nn.PReLU, ("num_parameters",)),
    )
    for kind, names in single:
        if isinstance(module, kind) and side == "out":
            return names
    if isinstance(module, nn.MultiheadAttention) and side == "out" and module._qkv_same_embed_dim:
        return ("embed_dim", "kdim", "vdim")
    return ()


def axis_size(module: nn.Module, side: str) -> int:
    """Channels of that side; 0 where it has none that could be cut."""
    if isinstance(module, nn.LayerNorm) and side == "out":
        return int(module.normalized_shape[-1])
    names = axis_attributes(module, side)
    return int(getattr(module, names[0])) if names else 0


def is_tensorless(axis: Axis) -> bool:
    """An attribute."""
    return axis[1].startswith(ATTRIBUTE)


def size_of(module: nn.Module, axis: Axis) -> int:
    """Channels of an axis of the whole module."""
    path, side = axis
    if side.startswith("dim"):
        tensor = tensor_of(module, path)
        assert tensor is not None  # the walk found it there
        return int(tensor.shape[int(side.removeprefix("dim"))])
    layer = module.get_submodule(path)
    return int(getattr(layer, side.removeprefix(ATTRIBUTE))) if is_tensorless(axis) else axis_size(layer, side)


def partition(module: nn.Module, side: str) -> int:
    """Equal runs of channels that have to lose equally many channels each; 1 where any may go."""
    if is_grouped(module):
        return int(module.groups)  # type: ignore[arg-type]
    if isinstance(module, nn.GroupNorm):
        return int(module.num_groups)
    if isinstance(module, nn.MultiheadAttention):
        return int(module.num_heads)
    return 1


def slabs(module: nn.Module, side: str) -> tuple[Slab, ...]:
    """The tensors of one side. The "in" side of a grouped convolution is cut group by group; see `cut`."""
    found: list[Slab] = []
    if axis_size(module, side) == 0:
        return ()
    if is_channelwise(module):
        multiplier = int(module.out_channels) // int(module.in_channels)  # type: ignore[arg-type]
        if isinstance(module, _ConvTransposeNd):
            found = [Slab("weight", 0), Slab("bias", 0, inner=multiplier)]
        else:
            found = [Slab("weight", 0, inner=multiplier), Slab("bias", 0, inner=multiplier)]
    elif isinstance(module, _ConvNd):
        first = isinstance(module, _ConvTransposeNd) == (side == "in")
        found = [Slab("weight", 0 if first else 1)]
        found += [Slab("bias", 0)] if side == "out" else []
    elif isinstance(module, nn.Linear):
        found = [Slab("weight", 0), Slab("bias", 0)] if side == "out" else [Slab("weight", 1)]
    elif isinstance(module, nn.LSTM):
        found = _lstm_slabs(module, side)
    elif isinstance(module, nn.MultiheadAttention):
        found = [Slab("in_proj_weight", 0, 3), Slab("in_proj_weight", 1), Slab("in_proj_bias", 0, 3)]
        found += [Slab("out_proj.weight", 0), Slab("out_proj.weight", 1), Slab("out_proj.bias", 0)]
        found += [Slab("bias_k", 2), Slab("bias_v", 2)]
    elif isinstance(module, nn.Embedding):
        found = [Slab("weight", 1)]
    elif isinstance(module, _BatchNorm | _InstanceNorm):
        found = [Slab(name, 0) for name in ("weight", "bias", "running_mean", "running_var")]
    elif isinstance(module, nn.GroupNorm | nn.PReLU):
        found = [Slab("weight", 0), Slab("bias", 0)]
    elif isinstance(module, nn.LayerNorm):
        found = [Slab("weight", -1), Slab("bias", -1)]
    return tuple(slab for slab in found if tensor_of(module, slab.tensor) is not None)


def _lstm_slabs(module: nn.LSTM, side: str) -> list[Slab]:
    directions = ("", "_reverse") if module.bidirectional else ("",)
    if side == "in":
        return [Slab(f"weight_ih_l0{way}", 1) for way in directions]
    found: list[Slab] = []
    for layer in range(module.num_layers):
        for way in directions:
            end = f"_l{layer}{way}"
            found += [Slab(f"{name}{end}", 0, GATES) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            found.append(Slab(f"weight_hh{end}", 1))
            if layer > 0:
                found.append(Slab(f"weight_ih{end}", 1, len(directions)))
    return found


def tensor_of(module: nn.Module, name: str) -> Tensor | None:
    """The parameter or buffer of that dotted name, or None."""
    owner: object = module
    for part in name.split("."):
        owner = getattr(owner, part, None)
    return owner if isinstance(owner, Tensor) else None


def is_statistic(slab: Slab) -> bool:
    """A buffer of BatchNorm: no weight."""
    return slab.tensor.startswith("running_")


def grouped_columns(kept: Sequence[int], size: int, groups: int) -> list[list[int]]:
    """For each group of a grouped convolution, the kept input channels counted from the group's first one.

    >>> grouped_columns([0, 3, 4, 5], size=8, groups=2)
    [[0, 3], [0, 1]]
    """
    width = size // groups
    columns: list[list[int]] = [[] for _ in range(groups)]
    for channel in kept:
        columns[channel // width].append(channel % width)
    return columns
