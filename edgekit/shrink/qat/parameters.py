"""Where the constants of a graph live in a module: under the paths of the torch modules they came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.types.graph import Graph, Node
from edgekit.types.operators import Role, role


class Branch(nn.Module):
    """A place for parameters, called like the torch module that had them."""


@dataclass(frozen=True)
class Place:
    """Where one constant is kept.

    Attributes:
        path: Of the branch, below the tree's root.
        attribute: Name there, for example "weight".
    """

    path: str
    attribute: str

    def __str__(self) -> str:
        return f"{self.path}.{self.attribute}" if self.path else self.attribute


class ParameterTree(nn.Module):
    """The float constants of a graph as parameters and buffers of nested branches."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.places: dict[str, Place] = {}
        self._branches: dict[str, nn.Module] = {"": self}
        for node, slot, name in _constants(graph):
            if name in self.places:
                continue
            kind, array = role(node.op, slot), torch.from_numpy(np.array(graph.constants[name]))
            trained = kind in (Role.WEIGHT, Role.BIAS, Role.PARAMETER) and array.is_floating_point()
            place = self._free(node, _attribute(kind, slot))
            self.places[name] = place
            branch = self._branches[place.path]
            if trained:
                branch.register_parameter(place.attribute, nn.Parameter(array))
            else:
                branch.register_buffer(place.attribute, array)

    def tensor(self, name: str) -> Tensor:
        """The constant of that name now."""
        place = self.places[name]
        tensor: Tensor = getattr(self._branches[place.path], place.attribute)
        return tensor

    def tensors(self) -> dict[str, Tensor]:
        """constant name -> tensor, all of them."""
        return {name: self.tensor(name) for name in self.places}

    def branch(self, name: str) -> nn.Module:
        """The module that holds a constant."""
        return self._branches[self.places[name].path]

    def is_trained(self, name: str) -> bool:
        """Whether the constant is a parameter."""
        return isinstance(self.tensor(name), nn.Parameter)

    def _free(self, node: Node, attribute: str) -> Place:
        """A place that nothing has taken: a module that is called often has `weight`, `weight_1`, ..."""
        path = self._grow(node.module)
        branch, free, count = self._branches[path], attribute, 0
        while hasattr(branch, free):
            count += 1
            free = f"{attribute}_{count}"
        return Place(path, free)

    def _grow(self, module: str) -> str:
        """Make the branches on the way to a module's path; returns the path they have."""
        path = ""
        for part in module.split(".") if module else ():
            parent = self._branches[path]
            path = f"{path}.{part}" if path else part
            if path not in self._branches:
                branch = Branch()
                parent.add_module(f"{part}_" if hasattr(parent, part) else part, branch)
                self._branches[path] = branch
        return path


def _constants(graph: Graph) -> Iterator[tuple[Node, int, str]]:
    for node in graph.nodes:
        for slot, name in enumerate(node.inputs):
            if name in graph.constants:
                yield node, slot, name


def _attribute(kind: Role, slot: int) -> str:
    if kind is Role.WEIGHT:
        return "weight"
    if kind is Role.BIAS:
        return "bias"
    if kind is Role.PARAMETER:
        return "weight" if slot == 1 else "bias"
    return "index" if kind is Role.INDEX else "constant"
