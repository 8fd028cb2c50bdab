"""Variants: other ways to cut a group, for modules whose code reads sizes that the trace cannot see.

Attention reshapes its channels into heads, `chunk` into equal parts. Where free channels break the module, whole heads
may go (with the attributes that count them), or the same number of channels from every part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import nn

from edgekit.shrink.pruning.coupling import Group, Unit
from edgekit.shrink.pruning.layers import ATTRIBUTE, Axis

HEADS = ("num_heads", "n_heads", "heads", "num_attention_heads", "n_head", "nhead", "num_key_value_heads")
"""Attributes by which attention modules say how many heads they have."""
INNER = ("all_head_size", "inner_dim", "inner_size", "attention_dim", "attn_dim", "embed_dim", "hidden_size", "dim")
"""Attributes that may hold the width of all heads together."""
PARTS = (2, 3, 4, 8)


def variants(module: nn.Module, group: Group) -> Iterator[Group]:
    """Other forms of a group, the most useful first; each has to be tried."""
    for path, count in _owners(module, group):
        whole = _whole_heads(module, group, path, count)
        if whole is not None:
            yield from whole
    for parts in PARTS:
        if len(set(group.blocks)) == 1 and len(group.units) % parts == 0:
            yield replace(group, blocks=_runs(len(group.units), parts))


def _owners(module: nn.Module, group: Group) -> Iterator[tuple[str, int]]:
    """Modules above the group's layer that have heads, the nearest first, and how many."""
    parts = group.name.split(".")
    for depth in range(len(parts) - 1, -1, -1):
        path = ".".join(parts[:depth])
        owner = module.get_submodule(path)
        for name in HEADS:
            count = getattr(owner, name, None)
            if type(count) is int and count > 1 and len(group.units) % count == 0:
                yield path, count
                break


def _whole_heads(module: nn.Module, group: Group, path: str, count: int) -> Iterator[Group]:
    """Heads as units, with the attributes that have to follow: without and with the inner width."""
    owner = module.get_submodule(path)
    size = len(group.units) // count
    heads = [(path, f"{ATTRIBUTE}{name}") for name in HEADS if getattr(owner, name, None) == count]
    widths = [(path, f"{ATTRIBUTE}{name}") for name in INNER if getattr(owner, name, None) == count * size]
    for counted in (heads, [*heads, *widths]) if widths else (heads,):
        units = []
        for head in range(count):
            members = group.units[head * size : (head + 1) * size]
            places: dict[Axis, tuple[int, ...]] = {axis: (head,) for axis in counted if axis in heads}
            run = tuple(range(head * size, (head + 1) * size))
            places |= {axis: run for axis in counted if axis in widths}
            units.append(_joined(members, places))
        yield replace(group, units=tuple(units), blocks=(0,) * count)


def _joined(units: Sequence[Unit], more: dict[Axis, tuple[int, ...]]) -> Unit:
    entries: dict[Axis, set[int]] = {axis: set(channels) for axis, channels in more.items()}
    for unit in units:
        for axis, channels in unit.entries.items():
            entries.setdefault(axis, set()).update(channels)
    return Unit({axis: tuple(sorted(channels)) for axis, channels in entries.items()})


def _runs(count: int, parts: int) -> tuple[int, ...]:
    return tuple(index // (count // parts) for index in range(count))
