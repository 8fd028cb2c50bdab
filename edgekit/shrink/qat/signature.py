"""How a module is called and what it gives: a graph has named tensors, a user's own code has arguments and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.utils import _pytree as pytree

from edgekit.errors import InputError
from edgekit.types.graph import Graph

TENSOR = "<tensor>"
"""Stands in `Signature.leaves` where the graph has an output."""


@dataclass(frozen=True, eq=False)
class Signature:
    """The border of a graph as the original module had it.

    Attributes:
        inputs: Names of the graph's inputs, in calling order.
        parameters: What `forward` calls them; the same names where it has none of its own.
        structure: Of the original results; None gives one tensor, or a tuple of them.
        leaves: Original results, flat: `TENSOR` where one stands, else what it was.
    """

    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    structure: pytree.TreeSpec | None = None
    leaves: tuple[object, ...] = ()

    @classmethod
    def of_graph(cls, graph: Graph) -> Signature:
        """A call with the graph's own names."""
        return cls(graph.inputs, graph.inputs)

    def bind(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, Tensor]:
        """Graph input -> tensor, from the arguments of one call; None stands for an argument that is left out.

        Raises:
            InputError: Too many arguments, unknown or missing ones, or one that is no tensor.
        """
        names = dict(zip(self.parameters, self.inputs, strict=True)) | {name: name for name in self.inputs}
        if len(args) > len(self.inputs):
            raise InputError(f"forward takes {len(self.inputs)} input(s) ({', '.join(self.inputs)}), got {len(args)}")
        given = dict(zip(self.inputs, args, strict=False))
        for name, value in kwargs.items():
            if value is None and name not in names:
                continue
            if name not in names or names[name] in given:
                why = "twice" if name in names else f"and takes only ({', '.join(self.parameters)})"
                raise InputError(f"forward was given '{name}' {why}")
            given[names[name]] = value
        tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
        missing = [name for name in self.inputs if name not in tensors]
        if missing:
            raise InputError(
                f"forward needs a tensor for {', '.join(missing)}", hint="give what the model was prepared with"
            )
        return tensors

    def results(self, tensors: Sequence[Tensor]) -> object:
        """The graph's outputs, in order, as the original module returned them."""
        if self.structure is None:
            return tensors[0] if len(tensors) == 1 else tuple(tensors)
        left = iter(tensors)
        leaves = [next(left) if isinstance(leaf, str) and leaf == TENSOR else leaf for leaf in self.leaves]
        return pytree.tree_unflatten(leaves, self.structure)


def refuse_unfit(graph: Graph, tensors: Mapping[str, Tensor]) -> None:
    """Stop where a tensor has another shape than the graph was made for.

    Raises:
        InputError: Naming the input; and that the batch is fixed, where that is the reason.
    """
    batches = set()
    for name, tensor in tensors.items():
        expected, axis = graph.shape(name), graph.batch_axes.get(name)
        found = tuple(tensor.shape)
        fits = len(found) == len(expected) and all(
            size == wanted or index == axis for index, (size, wanted) in enumerate(zip(found, expected, strict=True))
        )
        if not fits:
            hint = "" if graph.batch_axes else "this model has a fixed batch: something in it mixes samples or counts"
            raise InputError(
                f"input '{name}' has shape {found}, and the graph was made for {_shown(expected, axis)}", hint=hint
            )
        if axis is not None:
            batches.add(found[axis] // expected[axis])
    if len(batches) > 1:
        raise InputError(f"inputs have different batch sizes: {', '.join(map(str, sorted(batches)))}")


def _shown(shape: Sequence[int], axis: int | None) -> str:
    return "(" + ", ".join("N" if index == axis else str(size) for index, size in enumerate(shape)) + ")"
