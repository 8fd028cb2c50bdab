"""Batches and outputs, in whatever shape a data set or a model has them, read into one shape each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from edgekit.errors import InputError

LABELS = ("labels", "label")
"""Keys under which a batch that is a dict may have its labels, as in Hugging Face data sets."""

_SHAPES = "a batch is inputs, (inputs, labels), ((input, input, ...), labels), or a dict with 'labels'"

Outputs = Tensor | tuple[Tensor, ...]
"""One output, or several in their order."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs of one forward pass.

    Attributes:
        args: Inputs by position.
        named: Inputs by name.
        labels: What belongs to them; None when the data has none.
    """

    args: tuple[Tensor, ...]
    named: Mapping[str, Tensor]
    labels: Tensor | None

    def run(self, model: nn.Module) -> Outputs:
        """What the model says to these inputs.

        Raises:
            InputError: Its output holds no tensor.
        """
        return read_outputs(model(*self.args, **self.named))

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(
            tuple(value.to(device, non_blocking=True) for value in self.args),
            {name: value.to(device, non_blocking=True) for name, value in self.named.items()},
            None if self.labels is None else self.labels.to(device, non_blocking=True),
        )

    def with_first(self, inputs: Tensor) -> Batch:
        """The same batch with another first input: what an augmentation makes."""
        if self.args:
            return replace(self, args=(inputs, *self.args[1:]))
        return replace(self, named={**self.named, self._first_name: inputs})

    @property
    def first(self) -> Tensor:
        """The first input; of named ones the first with floating point, if any."""
        return self.args[0] if self.args else self.named[self._first_name]

    @property
    def size(self) -> int:
        """Samples in it."""
        return len(self.first)

    @property
    def _first_name(self) -> str:
        return next((name for name, value in self.named.items() if value.is_floating_point()), next(iter(self.named)))


def read_batch(found: object) -> Batch:
    """A batch as the data gives it.

    Raises:
        InputError: It has another structure.
    """
    if isinstance(found, Tensor):
        return _checked((found,), {}, None)
    if isinstance(found, Mapping):
        named = {str(name): value for name, value in found.items()}
        label = next((named.pop(name) for name in LABELS if name in named), None)
        return _checked((), named, label)
    if isinstance(found, (tuple, list)) and len(found) in (1, 2):
        inputs, labels = found[0], found[1] if len(found) == 2 else None
        if isinstance(inputs, Mapping):
            return _checked((), {str(name): value for name, value in inputs.items()}, labels)
        return _checked(tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,), {}, labels)
    size = f" of {len(found)}" if isinstance(found, (tuple, list)) else ""
    raise InputError(
        f"a batch is a {type(found).__name__}{size}, which says not what is input and what label", hint=_SHAPES
    )


def read_outputs(found: object) -> Outputs:
    """A model's output: a tensor, `.logits` or "logits" of a Hugging Face output, or several tensors.

    Raises:
        InputError: There is no tensor in it.
    """
    if isinstance(found, Tensor):
        return found
    logits = found.get("logits") if isinstance(found, Mapping) else getattr(found, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    values = found.values() if isinstance(found, Mapping) else found if isinstance(found, (tuple, list)) else ()
    tensors = tuple(value for value in values if isinstance(value, Tensor))
    if not tensors:
        raise InputError(
            f"the model's output is a {type(found).__name__} without a tensor",
            hint="its forward must give a tensor, several of them, or an object with .logits",
        )
    return tensors[0] if len(tensors) == 1 else tensors


def _checked(args: tuple[object, ...], named: Mapping[str, object], labels: object) -> Batch:
    values = {**{f"input {place}": value for place, value in enumerate(args)}, **named}
    if labels is not None:
        values["the labels"] = labels
    for name, value in values.items():
        if not isinstance(value, Tensor):
            raise InputError(f"in a batch, {name} is a {type(value).__name__}, not a tensor", hint=_SHAPES)
        if value.dim() == 0:
            raise InputError(f"in a batch, {name} has no batch axis", hint=_SHAPES)
    if not args and not named:
        raise InputError("a batch has no input", hint=_SHAPES)
    sizes = {name: len(value) for name, value in values.items() if isinstance(value, Tensor)}
    if len(set(sizes.values())) > 1:
        raise InputError(f"the parts of a batch have different sizes: {sizes}", hint=_SHAPES)
    return Batch(
        tuple(value for value in args if isinstance(value, Tensor)),
        {name: value for name, value in named.items() if isinstance(value, Tensor)},
        labels if isinstance(labels, Tensor) else None,
    )
