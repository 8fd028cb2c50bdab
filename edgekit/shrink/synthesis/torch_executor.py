"""A float Graph as a torch module, so that gradients flow from any of its values back to its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.errors import ShrinkError
from edgekit.shrink.synthesis.torch_operators import FUNCTIONS
from edgekit.types.graph import Graph, Node


class TorchExecutor(nn.Module):
    """Runs a float Graph with torch functions, at any batch size where the graph allows it.

    Attributes:
        graph: The graph, cut after the last value that is asked for.
        wanted: The values `forward` returns.
    """

    def __init__(self, graph: Graph, wanted: Sequence[str] = (), *, before_clamp: bool = False) -> None:
        """Prepare a run.

        Args:
            graph: A float graph in the dialect.
            wanted: Values to return; without any, the graph's outputs.
            before_clamp: Return them as they are before the clamp of their node: what a BatchNorm's statistics mean.

        Raises:
            ShrinkError: A value that the graph does not have, or an operator outside the dialect.
        """
        super().__init__()
        self.wanted = tuple(wanted or graph.outputs)
        unknown = [name for name in self.wanted if name not in graph.values]
        if unknown:
            raise ShrinkError(f"graph '{graph.name}' has no value {', '.join(unknown)}")
        self.graph = _needed_part(graph, self.wanted)
        foreign = sorted({node.op for node in self.graph.nodes} - set(FUNCTIONS))
        if foreign:
            raise ShrinkError(f"graph '{graph.name}' has operators outside the dialect: {', '.join(foreign)}")
        self._before_clamp = before_clamp
        self._slots: dict[str, str] = {}
        for index, name in enumerate(dict.fromkeys(key for node in self.graph.nodes for key in node.inputs)):
            if name in graph.constants:
                self._slots[name] = f"constant_{index}"
                self.register_buffer(f"constant_{index}", torch.from_numpy(np.array(graph.constants[name])))
        self._last_use = last_uses(self.graph.nodes)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run once.

        Args:
            inputs: input name -> tensor of the input's shape and dtype; the batch axes of `graph.batch_axes` may have
                any one size.

        Returns:
            value name -> tensor, for every wanted value.
        """
        held = {name: self.stored(name, value) for name, value in inputs.items()}
        held.update(self.constants())
        found = {name: held[name] for name in self.wanted if name in held}
        batch = self._batch(inputs)
        for index, node in enumerate(self.graph.nodes):
            for name, result in zip(node.outputs, self.compute(node, held, batch), strict=True):
                held[name] = self.finished(node, name, result)
                if name in self.wanted:
                    found[name] = result if self._before_clamp else held[name]
            for name in self._last_use.get(index, ()):
                held.pop(name, None)
        return found

    def compute(self, node: Node, held: Mapping[str, Tensor], batch: int) -> tuple[Tensor, ...]:
        """Results of one node before its clamp, at `batch` samples, from the values and constants in `held`."""
        results = FUNCTIONS[node.op](at_batch(node, self.graph, batch), [held[name] for name in node.inputs if name])
        return results if isinstance(results, tuple) else (results,)

    def finished(self, node: Node, name: str, result: Tensor) -> Tensor:
        """A result of `node` as other nodes read it: clamped, and as it is stored."""
        return self.stored(name, result if node.clamp is None else result.clamp(*node.clamp))

    def constants(self) -> dict[str, Tensor]:
        """constant name -> tensor, for every constant that the nodes read; a subclass may train some of them."""
        return {name: self.get_buffer(slot) for name, slot in self._slots.items()}

    def stored(self, name: str, value: Tensor) -> Tensor:
        """What a value is once it is stored under `name`: itself here, rounded where a subclass stores integers."""
        return value

    def _batch(self, inputs: Mapping[str, Tensor]) -> int:
        for name, axis in self.graph.batch_axes.items():
            if name in inputs:
                return inputs[name].shape[axis] // self.graph.values[name].shape[axis]
        return 1


def _needed_part(graph: Graph, wanted: Sequence[str]) -> Graph:
    """The graph without the nodes that none of `wanted` depends on."""
    needed, kept = set(wanted), []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    return replace(graph, nodes=tuple(reversed(kept)), outputs=tuple(wanted))


def last_uses(nodes: Sequence[Node]) -> dict[int, list[str]]:
    """node index -> values that no later node reads."""
    last: dict[str, int] = {}
    for index, node in enumerate(nodes):
        last.update((name, index) for name in (*node.inputs, *node.outputs) if name)
    found: dict[int, list[str]] = {}
    for name, index in last.items():
        found.setdefault(index, []).append(name)
    return found


def at_batch(node: Node, graph: Graph, batch: int) -> Node:
    """The node with a static target shape scaled to the batch."""
    axis = graph.batch_axes.get(node.outputs[0])
    if batch == 1 or axis is None or node.op not in ("Reshape", "Expand"):
        return node
    shape = list(node.attributes["shape"])
    shape[axis] *= batch
    return replace(node, attributes={**node.attributes, "shape": tuple(shape)})
