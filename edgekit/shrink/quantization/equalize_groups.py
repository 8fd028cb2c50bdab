"""Channel groups: values whose channels can be rescaled together without changing what the network computes.

A positive scale per channel passes through ReLU, pooling, padding with zeros, sums of values scaled alike, and a gate
that multiplies. A linear layer that writes such a value takes the scale into its rows, one that reads it takes the
inverse into its columns (Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction",
section 4.1, positive homogeneity). Found by union-find, so that a residual stream is one group however many blocks
add to it; looking at pairs of layers alone sees none of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from edgekit.types.graph import Graph, Node

LINEAR = ("Conv", "ConvTranspose", "Gemm")
Axes = Mapping[str, int]


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Values that share one scale per channel.

    Attributes:
        axes: value name -> its channel axis.
        producers: Nodes that write one of them with parameters of their own.
        consumers: Linear nodes that read one of them, each once.
        channels: How many.
    """

    axes: Axes
    producers: tuple[Node, ...]
    consumers: tuple[Node, ...]
    channels: int


def channel_groups(graph: Graph, frozen: Collection[str] = ()) -> tuple[ChannelGroup, ...]:
    """Groups that can be rescaled, in the order of the graph.

    1. Every value that a linear layer reads or writes has channels: axis 1 of a map, the last axis for Gemm.
    2. Operators that commute with a positive scale per channel join the values around them.
    3. A value at which the scale would show (graph borders, Sigmoid, ReLU6, Concat of channels) holds its group fast.

    Args:
        graph: A float graph.
        frozen: Names of nodes to leave alone: the float islands.

    Returns:
        Groups with at least one producer and one consumer.
    """
    search = _Search(graph)
    for name in (*graph.inputs, *graph.outputs):
        search.hold(name)
    for node in graph.nodes:
        if node.name in frozen:
            search.hold(*node.inputs, *node.outputs)
        else:
            search.visit(node)
    return search.groups()


def weight_input_axis(node: Node) -> int:
    """Axis of a linear node's weight that runs over its input channels (within their group)."""
    return 0 if node.op == "ConvTranspose" else 1


class _Search:
    """Union-find over value names, each with the channel axis it was met with."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._parents: dict[str, str] = {}
        self._axes: dict[str, int] = {}
        self._held: set[str] = set()
        self._producers: dict[str, Node] = {}
        self._consumers: dict[str, list[Node]] = {}
        self._through: dict[str, Callable[[Node], None]] = {
            **dict.fromkeys(("Clip", "LeakyRelu", "PRelu"), self._pass),
            **dict.fromkeys(("MaxPool", "AveragePool", "GlobalAveragePool"), self._pass),
            **dict.fromkeys(("ReduceMean", "ReduceMax", "Resize", "Pad", "Slice"), self._pass),
            **dict.fromkeys(("Reshape", "Transpose"), self._move),
            **dict.fromkeys(("Add", "Sub"), self._sum),
            "Mul": self._gate,
            "LayerNormalization": self._normalize,
        }

    def hold(self, *names: str) -> None:
        """The scale would show here."""
        self._held.update(names)

    def visit(self, node: Node) -> None:
        """Add what one node says of the values around it."""
        if node.op in LINEAR:
            self._linear(node)
        elif node.op in self._through and self._graph.dtype(node.outputs[0]) == "float32":
            self._through[node.op](node)
        else:
            self.hold(*node.inputs, *node.outputs)
        if node.clamp is not None and not _is_relu(*node.clamp):
            self.hold(*node.outputs)

    def groups(self) -> tuple[ChannelGroup, ...]:
        """Components that nothing holds."""
        members: dict[str, list[str]] = {}
        for name in self._axes:
            members.setdefault(self._root(name), []).append(name)
        found = []
        for names in members.values():
            producers = [self._producers[name] for name in names if name in self._producers]
            consumers = [node for name in names for node in self._consumers.get(name, ())]
            sizes = {self._graph.shape(name)[self._axes[name]] for name in names}
            if self._held.isdisjoint(names) and producers and consumers and len(sizes) == 1:
                axes = {name: self._axes[name] for name in names}
                found.append(ChannelGroup(axes, tuple(producers), tuple(consumers), sizes.pop()))
        return tuple(found)

    def _root(self, name: str) -> str:
        while (parent := self._parents.get(name, name)) != name:
            name = parent
        return name

    def _meet(self, name: str, axis: int) -> None:
        """A value has its channels on `axis`; met with two different ones, or on the batch axis, it is held."""
        axis %= len(self._graph.shape(name))
        if self._axes.setdefault(name, axis) != axis or self._graph.batch_axes.get(name) == axis:
            self.hold(name)

    def _join(self, first: str, second: str) -> None:
        self._parents[self._root(second)] = self._root(first)

    def _linear(self, node: Node) -> None:
        """Input and output are free of each other: the weight stands between them."""
        graph, source, result = self._graph, node.inputs[0], node.outputs[0]
        axis = -1 if node.op == "Gemm" else 1
        parameters = [name for name in node.inputs[1:] if name]
        own = all(name in graph.constants and len(graph.consumers[name]) == 1 for name in parameters)
        grouped = node.op == "ConvTranspose" and node.attributes["group"] != 1
        if not own or grouped:
            self.hold(source, result)
            return
        self._meet(source, axis)
        self._meet(result, axis)
        self._consumers.setdefault(source, []).append(node)
        self._producers[result] = node

    def _pass(self, node: Node) -> None:
        """One value in, one out, channel by channel."""
        source, result = node.inputs[0], node.outputs[0]
        axis = self._axes.get(source)
        attributes = node.attributes
        if axis is None or not self._keeps_axis(node, axis) or not self._is_homogeneous(node):
            self.hold(source, result)
            return
        dropped = 0 if attributes.get("keepdims", 1) else sum(other < axis for other in attributes["axes"])
        self._meet(result, axis - dropped)
        self._join(source, result)

    def _keeps_axis(self, node: Node, axis: int) -> bool:
        """Whether the channels are neither reduced, cut, padded nor resized."""
        if axis in node.attributes.get("axes", ()):
            return False
        if node.op in ("MaxPool", "AveragePool", "GlobalAveragePool", "Resize"):
            return axis == 1  # the axes behind it are spatial
        if node.op == "Pad":
            rank = len(self._graph.shape(node.inputs[0]))
            pads = node.attributes["pads"]
            return bool(pads[axis] == 0 and pads[axis + rank] == 0)
        return True

    def _is_homogeneous(self, node: Node) -> bool:
        """Whether f(s x) = s f(x) for positive s."""
        if node.op == "Clip":
            return _is_relu(node.attributes["low"], node.attributes["high"])
        if node.op == "Pad":
            return bool(node.attributes["mode"] != "constant" or node.attributes["value"] == 0)
        return True

    def _move(self, node: Node) -> None:
        """Reshape and Transpose: the channels must stay one whole axis, with as many elements before it."""
        source, result = node.inputs[0], node.outputs[0]
        axis = self._axes.get(source)
        if axis is None or source in self._graph.constants:
            self.hold(source, result)
            return
        if node.op == "Transpose":
            after: int | None = tuple(node.attributes["perm"]).index(axis)
        else:
            after = _same_axis(self._graph.shape(source), self._graph.shape(result), axis)
        if after is None:
            self.hold(source, result)
            return
        self._meet(result, after)
        self._join(source, result)

    def _sum(self, node: Node) -> None:
        """Both sides are scaled alike, so both must have all the channels."""
        result, rank = node.outputs[0], len(self._graph.shape(node.outputs[0]))
        known = [self._axes[name] - len(self._graph.shape(name)) for name in node.inputs if name in self._axes]
        size = self._graph.shape(result)[known[0]] if known else 0
        for name in node.inputs:
            shape = self._graph.shape(name)
            if not known or name in self._graph.constants or len(shape) < -known[0] or shape[known[0]] != size:
                self.hold(*node.inputs, result)
                return
        self._meet(result, known[0] % rank)
        for name in node.inputs:
            self._meet(name, known[0])
            self._join(result, name)

    def _gate(self, node: Node) -> None:
        """The product is scaled as the map is; the gate is not. Two maps: which is the gate is anyone's guess."""
        result = node.outputs[0]
        constants = [name for name in node.inputs if name in self._graph.constants]
        scaled = [name for name in node.inputs if name not in constants]
        if not constants:
            sizes = [math.prod(self._graph.shape(name)) for name in scaled]
            scaled = [name for name, size in zip(scaled, sizes, strict=True) if size == max(sizes)]
        axis = self._axes.get(scaled[0])
        same_shape = self._graph.shape(scaled[0]) == self._graph.shape(result)
        if len(scaled) != 1 or axis is None or not same_shape:
            self.hold(*node.inputs, result)
            return
        self.hold(*(name for name in node.inputs if name != scaled[0]))
        self._meet(result, axis)
        self._join(scaled[0], result)

    def _normalize(self, node: Node) -> None:
        """LayerNormalization writes what it likes through its own scale and bias."""
        parameters = [name for name in node.inputs[1:] if name]
        own = all(name in self._graph.constants and len(self._graph.consumers[name]) == 1 for name in parameters)
        self.hold(node.inputs[0])
        if not own or not parameters:
            self.hold(node.outputs[0])
            return
        self._meet(node.outputs[0], -1)
        self._producers[node.outputs[0]] = node


def _is_relu(low: float, high: float) -> bool:
    """Clamps at 0 and infinity alone let a positive scale through."""
    return low in (0.0, -math.inf) and high in (0.0, math.inf)


def _same_axis(before: tuple[int, ...], after: tuple[int, ...], axis: int) -> int | None:
    """Axis of `after` that is axis `axis` of `before`: same size, same number of elements in front of it."""
    leading = math.prod(before[:axis])
    for index, size in enumerate(after):
        if size == before[axis] and math.prod(after[:index]) == leading and (size > 1 or before[axis] == 1):
            return index
    return None
