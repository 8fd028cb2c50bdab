"""Coupling: which channels of which layers can only be cut together.

torch-pruning traces the module and knows which layer feeds which (DepGraph, Fang et al. 2023, arXiv 2301.12900). From
that graph each single channel is followed here through every layer it reaches, so that a unit is exactly what falls
with one channel: the filter that makes it, its normalization, and the columns that read it. Channels that meet in one
place (residual additions, shared weights, fused q, k and v) become one unit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch_pruning import _helpers, ops
from torch_pruning.dependency import DependencyGraph

from edgekit.errors import ShrinkError
from edgekit.shrink.pruning.layers import Axis, axis_size, is_channelwise, partition, slabs, tensor_of
from edgekit.shrink.pruning.splits import map_splits
from edgekit.shrink.pruning.tracing import Example, call, flat_tensors, quiet

ROOTS = (_ConvNd, nn.Linear, nn.LSTM, nn.Embedding, nn.MultiheadAttention)
"""Layers whose output channels a group is looked up from."""


@dataclass(frozen=True)
class Unit:
    """What is cut together with one channel.

    Attributes:
        entries: axis -> its channels, ascending.
    """

    entries: Mapping[Axis, tuple[int, ...]]


@dataclass(frozen=True)
class Group:
    """Channels that compete with each other for being kept.

    Attributes:
        name: Dotted path of the layer that makes the channels; of the first one where there are several.
        units: All of them, in the order of that layer's channels.
        blocks: For each unit the run of channels it lies in; every run has to lose equally many.
        is_linear: Nothing in it mixes its channels (LayerNorm, GroupNorm, attention): cutting a channel is the same as
            not reading it.
    """

    name: str
    units: tuple[Unit, ...]
    blocks: tuple[int, ...]
    is_linear: bool = True

    @property
    def width(self) -> int:
        """Channels of the layer that makes them."""
        return sum(len(unit.entries.get((self.name, "out"), ())) for unit in self.units)

    @property
    def axes(self) -> frozenset[Axis]:
        """Every axis it touches."""
        return frozenset(axis for unit in self.units for axis in unit.entries)


@dataclass(frozen=True)
class Coupling:
    """All groups of a module, and why others may not be cut.

    Attributes:
        groups: Cuttable as far as the graph tells; in the order of the trace.
        fixed: name of a group -> why it stays as it is.
    """

    groups: tuple[Group, ...]
    fixed: Mapping[str, str] = field(default_factory=dict)


def couple(module: nn.Module, example: Example, *, ignore: Sequence[str] = ()) -> Coupling:
    """Find the groups of a module.

    Args:
        module: In eval mode; its parameters need gradients. Not changed.
        example: Arguments of one call.
        ignore: Shell patterns of module paths whose outputs keep their channels.

    Raises:
        ShrinkError: The graph cannot be traced.
    """
    graph, borders = _trace(module, example)
    paths = _paths(module, graph)
    walk = _Walk(graph, paths)
    groups: list[Group] = []
    fixed: dict[str, str] = {}
    covered: set[Axis] = set()
    for layer in list(graph.module2node):
        path = paths.get(id(layer))
        if path is None or not isinstance(layer, ROOTS) or (path, "out") in covered:
            continue
        reached = walk.follow(layer, borders)
        covered |= {axis for axes in reached.entries.values() for axis, _ in axes}
        reason = reached.reason or _ignored(reached.entries, ignore)
        if reason:
            fixed[path] = reason
            continue
        made = _group(path, reached.entries, walk.modules)
        if isinstance(made, str):
            fixed[path] = made
        else:
            groups.append(made)
    return Coupling(tuple(groups), fixed)


def _trace(module: nn.Module, example: Example) -> tuple[DependencyGraph, set[Any]]:
    """torch-pruning's graph, and the autograd nodes of the outputs."""
    borders: set[Any] = set()

    def forward(source: nn.Module, arguments: Example) -> list[Tensor]:
        tensors = flat_tensors(call(source, arguments))
        borders.update(tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None)
        return [tensor for tensor in tensors if tensor.grad_fn is not None]

    try:
        with quiet(), torch.enable_grad():
            graph = DependencyGraph().build_dependency(module, example, forward_fn=forward, verbose=False)
    except Exception as error:  # whatever the user's forward or torch-pruning raises
        raise ShrinkError(
            f"{type(module).__name__} cannot be traced for pruning: {type(error).__name__}: {error}",
            hint="check that the module runs on the example; the example is a tensor, or a tuple or dict of tensors",
        ) from error
    map_splits(graph)
    return graph, borders


def _paths(module: nn.Module, graph: DependencyGraph) -> dict[int, str]:
    paths = {id(child): path for path, child in module.named_modules()}
    paths |= {id(parameter): name for parameter, name in graph._param_to_name.items()}
    return paths


@dataclass
class _Reached:
    """root channel -> everything that falls with it, or why it may not."""

    entries: dict[int, set[tuple[Axis, int]]]
    reason: str = ""


class _Walk:
    """Follows channels along torch-pruning's dependencies."""

    def __init__(self, graph: DependencyGraph, paths: Mapping[int, str]) -> None:
        self._graph = graph
        self._paths = paths
        self.modules: dict[str, Any] = {paths[id(m)]: m for m in graph.module2node if id(m) in paths}

    def follow(self, layer: nn.Module, borders: set[Any]) -> _Reached:
        """Everything that each output channel of `layer` reaches."""
        node = self._graph.module2node[layer]
        outputs = self._outputs(layer)
        reached = _Reached({root: set() for root in range(outputs)})
        handler = self._graph.get_pruner_of_module(layer).prune_out_channels
        stack = [(node, handler, (index, index)) for index in range(outputs)]
        seen = set(stack)
        while stack:
            node, handler, (index, root) = stack.pop()
            reason, onward = self._visit(node, handler, index, root, reached)
            makes = handler == self._graph.get_pruner_of_module(node.module).prune_out_channels
            if makes and (node.grad_fn in borders or node.type == ops.OPTYPE.OUTPUT):
                reason = "it is an output of the model"
            if reason:
                reached.reason = reached.reason or reason
                continue
            for side, position in onward:
                for state in self._next(node, side, position, root):
                    if state not in seen:
                        seen.add(state)
                        stack.append(state)
        return reached

    def _outputs(self, layer: nn.Module) -> int:
        if is_channelwise(layer):
            return int(layer.out_channels)  # type: ignore[arg-type]
        size = axis_size(layer, "out")
        return 2 * size if isinstance(layer, nn.LSTM) and layer.bidirectional else size

    def _visit(
        self, node: Any, handler: Any, index: int, root: int, reached: _Reached
    ) -> tuple[str, list[tuple[Any, int]]]:
        """Record one channel of one layer; returns why it may not be cut, and (handler, channel) to go on with."""
        layer = node.module
        path = self._paths.get(id(layer))
        if path is None:
            return "", [(handler, index)]
        if isinstance(layer, nn.Parameter):
            size = layer.shape[node.pruning_dim]
            if not 0 <= index < size:
                return f"channel {index} of parameter {path} is outside of its {size}", []
            reached.entries[root].add(((path, f"dim{node.pruning_dim % layer.dim()}"), index))
            return "", [(handler, index)]
        pruner = self._graph.get_pruner_of_module(layer)
        is_out = handler == pruner.prune_out_channels
        if is_channelwise(layer):
            return self._through_channelwise(layer, path, is_out, index, root, reached)
        if isinstance(layer, nn.PReLU) and layer.num_parameters == 1:
            return "", [(handler, index)]
        side = "out" if is_out else "in"
        size = axis_size(layer, side)
        if isinstance(layer, nn.LSTM) and is_out:
            index %= max(size, 1)
            onward = [(handler, index + way * size) for way in range(2 if layer.bidirectional else 1)]
        else:
            onward = [(handler, index)]
        if not 0 <= index < size:
            what = f"channel {index} of {path} is outside of its {size}" if size else f"{path} cannot be cut"
            return what, []
        reached.entries[root].add(((path, side), index))
        return "", onward

    def _through_channelwise(
        self, layer: nn.Module, path: str, is_out: bool, index: int, root: int, reached: _Reached
    ) -> tuple[str, list[tuple[Any, int]]]:
        """One filter set goes: its input channel and all output channels it makes."""
        pruner = self._graph.get_pruner_of_module(layer)
        multiplier = int(layer.out_channels) // int(layer.in_channels)  # type: ignore[arg-type]
        channel = index // multiplier if is_out else index
        if not 0 <= channel < axis_size(layer, "out"):
            return f"channel {channel} of {path} is outside of its {axis_size(layer, 'out')}", []
        reached.entries[root].add(((path, "out"), channel))
        onward = [(pruner.prune_out_channels, channel * multiplier + k) for k in range(multiplier)]
        if pruner.prune_in_channels != pruner.prune_out_channels:
            onward.append((pruner.prune_in_channels, channel))
        return "", onward

    def _next(self, node: Any, handler: Any, index: int, root: int) -> list[tuple[Any, Any, tuple[int, int]]]:
        found = []
        for dependency in node.dependencies:
            if not dependency.is_triggered_by(handler):
                continue
            places = [_helpers._HybridIndex(idx=index, root_idx=root)]
            for mapping in dependency.index_mapping:
                if mapping is not None:
                    places = mapping(places)
            found += [(dependency.target, dependency.handler, (place.idx, root)) for place in places]
        return found


def _ignored(entries: Mapping[int, set[tuple[Axis, int]]], ignore: Sequence[str]) -> str:
    outs = {path for reached in entries.values() for (path, side), _ in reached if side != "in"}
    for pattern in ignore:
        for path in sorted(outs):
            if fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}.*"):
                return f"{path} is ignored"
    return ""


def _group(path: str, entries: Mapping[int, set[tuple[Axis, int]]], modules: Mapping[str, Any]) -> Group | str:
    """Merge channels that share an entry into units; a text says why that gives nothing to cut."""
    units = tuple(_unit(merged) for merged in _merged(entries))
    if len(units) < 2:
        return "all of its channels depend on each other"
    axes = {axis for unit in units for axis in unit.entries}
    layers = {axis: modules[axis[0]] for axis in axes if not isinstance(modules[axis[0]], nn.Parameter)}
    runs = {axis: partition(layer, axis[1]) for axis, layer in layers.items()}
    finest = max(runs, key=lambda axis: (runs[axis], axis), default=None)
    if finest is None or runs[finest] == 1:
        blocks = (0,) * len(units)
    else:
        width = axis_size(layers[finest], finest[1]) // runs[finest]
        blocks = tuple(unit.entries[finest][0] // width if finest in unit.entries else -1 for unit in units)
        if -1 in blocks or any(len({i // width for i in unit.entries[finest]}) > 1 for unit in units):
            return f"its channels do not fit the {runs[finest]} runs of {finest[0]}"
    if shared := _torn(layers, units):
        return f"it shares a weight with {shared}, which keeps its channels"
    mixing = (nn.LayerNorm, nn.GroupNorm, nn.MultiheadAttention)
    return Group(path, units, blocks, not any(isinstance(layer, mixing) for layer in layers.values()))


def _torn(layers: Mapping[Axis, nn.Module], units: Sequence[Unit]) -> str:
    """A layer that shares a tensor with another one of which other channels would be cut; "" if none."""
    owners: dict[tuple[int, int], list[Axis]] = defaultdict(list)
    for axis, layer in layers.items():
        for slab in slabs(layer, axis[1]):
            tensor = tensor_of(layer, slab.tensor)
            if isinstance(tensor, nn.Parameter):
                owners[id(tensor), slab.axis % tensor.dim()].append(axis)
    for axes in owners.values():
        if len(axes) > 1 and any(len({unit.entries.get(axis, ()) for axis in axes}) > 1 for unit in units):
            return axes[0][0]
    return ""


def _merged(entries: Mapping[int, set[tuple[Axis, int]]]) -> list[set[tuple[Axis, int]]]:
    """Union of the sets that share an element, in the order of their first root."""
    parent = {root: root for root in entries}

    def find(root: int) -> int:
        while parent[root] != root:
            parent[root] = parent[parent[root]]
            root = parent[root]
        return root

    owner: dict[tuple[Axis, int], int] = {}
    for root, places in entries.items():
        for place in places:
            first, second = find(owner.setdefault(place, root)), find(root)
            parent[max(first, second)] = min(first, second)
    merged: dict[int, set[tuple[Axis, int]]] = defaultdict(set)
    for root, places in entries.items():
        merged[find(root)] |= places
    return [merged[root] for root in sorted(merged)]


def _unit(places: set[tuple[Axis, int]]) -> Unit:
    entries: dict[Axis, list[int]] = defaultdict(list)
    for axis, index in sorted(places):
        entries[axis].append(index)
    return Unit({axis: tuple(indices) for axis, indices in entries.items()})
