"""Calling the user's module: one way to pass an example, one way to take apart what comes back."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Example = Tensor | Sequence[object] | Mapping[str, object]
"""One tensor, positional arguments, or keyword arguments of `forward`."""


def call(module: nn.Module, example: Example) -> object:
    """Run the module on an example."""
    if isinstance(example, Tensor):
        return module(example)
    if isinstance(example, Mapping):
        return module(**example)
    return module(*example)


def flat_tensors(value: object) -> list[Tensor]:
    """Every tensor in nested tuples, lists, dicts and dataclass-like outputs, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in flat_tensors(item)]
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in flat_tensors(item)]
    return []


def outputs(module: nn.Module, example: Example) -> list[Tensor]:
    """Every output tensor of one call, without gradients, in the module's own mode."""
    with quiet(), torch.no_grad():
        return flat_tensors(call(module, example))


@contextmanager
def quiet() -> Iterator[None]:
    """No Python warnings: what torch and torch-pruning warn about while tracing is not the user's business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode inside, every submodule's own training flag afterwards."""
    flags = [(child, child.training) for child in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for child, training in flags:
            child.training = training
