"""What a module returns: the tensors in it, and what they are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from edgekit.errors import ModelLoadError
from edgekit.load.call import Argument, Call
from edgekit.load.quiet import first_line, silence

INNER = "edgekit_inner"
"""Attribute that `OnlyTensors` keeps the module under; to be taken off module paths."""


@dataclass(frozen=True, eq=False)
class Results:
    """What one call gave.

    Attributes:
        tensors: Output name -> tensor, in returning order.
        is_mixed: Whether it also gave something that is no tensor: a number, None.
    """

    tensors: Mapping[str, Tensor]
    is_mixed: bool


def run(module: nn.Module, call: Call, *, seed: int = 0) -> Results:
    """Call the module once and name the tensors in what it gives; its buffers and torch's random state stay.

    Names are `output`, `output_1`, dict keys and attribute names, nested ones joined by `_`; one that an input has
    already gets `_output` behind it.

    Args:
        module: What to call.
        call: Its arguments.
        seed: Of the random numbers that the module itself may draw.

    Raises:
        ModelLoadError: The call fails, or gives no tensor.
    """
    try:
        with silence(), torch.no_grad(), torch.random.fork_rng(devices=[]), unchanged_buffers(module):
            torch.default_generator.manual_seed(seed)
            result = module(*call.args, **call.kwargs)
            leaves = [(path, _kept(leaf)) for path, leaf in pytree.tree_flatten_with_path(result)[0]]
    except Exception as error:  # the user's code may raise anything
        shapes = ", ".join(str(spec) for spec in call.specs)
        raise ModelLoadError(
            f"{type(module).__name__} fails on {shapes}: {first_line(error)}",
            hint="check names, shapes and dtypes of the inputs",
        ) from error
    taken = {spec.name for spec in call.specs}
    tensors: dict[str, Tensor] = {}
    for path, leaf in leaves:
        if isinstance(leaf, Tensor):
            name = _name(path)
            while name in taken or name in tensors:
                name += "_output"
            tensors[name] = leaf
    if not tensors:
        raise ModelLoadError(f"{type(module).__name__} gives no tensor, but {type(result).__name__}")
    return Results(tensors, len(tensors) < len(leaves))


@contextmanager
def unchanged_buffers(module: nn.Module) -> Iterator[None]:
    """Afterwards the buffers are the same tensors with the same values: caches and counters change theirs in a call."""
    kept = [
        (child, name, tensor, tensor.clone())
        for child in module.modules()
        for name, tensor in child.named_buffers(recurse=False)
        if tensor.layout == torch.strided
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for child, name, tensor, value in kept:
                if getattr(child, name) is not tensor:
                    setattr(child, name, tensor)
                if not torch.equal(tensor, value):
                    tensor.copy_(value)


class OnlyTensors(nn.Module):
    """Calls a module and returns the tensors in what it gives, flat: all that torch.onnx can export."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        setattr(self, INNER, module)

    def forward(self, *args: Argument, **kwargs: Argument) -> tuple[Tensor, ...]:
        """Same arguments as the module's."""
        leaves = pytree.tree_leaves(getattr(self, INNER)(*args, **kwargs))
        return tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))


def _kept(leaf: object) -> object:
    """A tensor without its history, in memory of its own: what a module gives may be a buffer, which is put back."""
    return leaf.detach().clone() if isinstance(leaf, Tensor) else leaf


def _name(path: tuple[object, ...]) -> str:
    """Name of the leaf at a path of keys.

    >>> _name(()), _name((pytree.SequenceKey(1),)), _name((pytree.MappingKey("boxes"), pytree.SequenceKey(0)))
    ('output', 'output_1', 'boxes_0')
    """
    parts: list[str] = []
    for key in path:
        if isinstance(key, pytree.SequenceKey):
            parts.append(str(key.idx) if parts else ("output" if key.idx == 0 else f"output_{key.idx}"))
        elif isinstance(key, pytree.MappingKey):
            parts.append(str(key.key))
        else:
            parts.append(str(getattr(key, "name", key)))
    return "_".join(parts) or "output"
