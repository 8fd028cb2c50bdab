"""Objective: what a training run makes smaller. The loop asks it for a loss and knows nothing of labels or teachers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.errors import InputError
from edgekit.training.batches import Batch, Outputs
from edgekit.training.modes import evaluating
from edgekit.types.finding import Finding

TaskLoss = Callable[[Any, Tensor], Tensor]
"""(outputs, labels) -> a scalar."""


class Objective(Protocol):
    """A loss for batches, with what it needs around it."""

    def identity(self) -> Mapping[str, Any]:
        """What of it decides the result, as JSON: a checkpoint of another one is refused."""
        ...

    def prepared(self, model: nn.Module, first: Batch, device: torch.device) -> AbstractContextManager[None]:
        """Look at the first batch, refuse what cannot work, and hold what is needed as long as the block runs."""
        ...

    def learned(self) -> Sequence[nn.Module]:
        """Modules that are trained beside the model; asked for after `prepared` began."""
        ...

    def use(self, learned: Sequence[nn.Module]) -> None:
        """Use these in place of `learned`: the same ones, wrapped for several processes."""
        ...

    def before_epoch(self, model: nn.Module, epoch: int) -> None:
        """Called when an epoch (from 0) begins, after the model was put into its training mode."""
        ...

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        ...

    def findings(self) -> tuple[Finding, ...]:
        """What it noticed."""
        ...


class Supervised:
    """The loss of outputs against labels."""

    def __init__(self, loss: TaskLoss | str, *, label_smoothing: float = 0.0) -> None:
        """Train on `loss`; "auto" chooses one by the first batch."""
        if isinstance(loss, str) and loss != "auto":
            raise InputError(f"loss is {loss!r}", hint="it is 'auto', or a function of (outputs, labels)")
        self._asked = loss
        self._smoothing = label_smoothing
        self._loss: TaskLoss | None = None

    def identity(self) -> Mapping[str, Any]:
        """What decides it."""
        return {"loss": spoken(self._asked)}

    def prepared(self, model: nn.Module, first: Batch, device: torch.device) -> AbstractContextManager[None]:
        """Choose the loss.

        Raises:
            InputError: There are no labels, or none of the built-in losses fits.
        """
        if first.labels is None and isinstance(self._asked, str):
            raise InputError(
                "the batches have no labels", hint="give (inputs, labels), or a loss of your own: loss=function"
            )
        outputs = look(model, first)
        self._loss = choose_task_loss(self._asked, outputs, first.labels, self._smoothing)
        if self._loss is None and first.labels is not None:
            raise InputError(
                f"no built-in loss fits {_shown(outputs)} with labels {_shown(first.labels)}",
                hint="cross-entropy takes int64 class labels, mean squares take floating-point labels of the output's "
                "shape; for others give loss=function",
            )
        return nullcontext()

    def learned(self) -> Sequence[nn.Module]:
        """A loss that is a module may have weights."""
        return [self._loss] if isinstance(self._loss, nn.Module) and has_weights(self._loss) else []

    def use(self, learned: Sequence[nn.Module]) -> None:
        """Use the wrapped loss."""
        if learned:
            self._loss = learned[0]

    def before_epoch(self, model: nn.Module, epoch: int) -> None:
        """Nothing."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of a batch."""
        assert self._loss is not None
        return self._loss(full_precision(batch.run(model)), batch.labels)  # type: ignore[arg-type]

    def findings(self) -> tuple[Finding, ...]:
        """None."""
        return ()


def choose_task_loss(
    asked: TaskLoss | str | None, outputs: Outputs, labels: Tensor | None, smoothing: float
) -> TaskLoss | None:
    """The loss against labels: cross-entropy for classes, mean squares for numbers; None when neither fits.

    Raises:
        InputError: A label is not one of the classes.
    """
    if not isinstance(asked, str):
        return asked
    if labels is None or not isinstance(outputs, Tensor):
        return None
    if labels.is_floating_point():
        return _mean_squares if labels.shape == outputs.shape else None
    if outputs.dim() < 2 or labels.shape != outputs.shape[:1] + outputs.shape[2:] or labels.dtype == torch.bool:
        return None
    low, high, classes = int(labels.min()), int(labels.max()), outputs.shape[1]
    if (low < 0 and low != _IGNORED) or high >= classes:
        raise InputError(
            f"labels run from {low} to {high}; the model has {classes} classes, 0 to {classes - 1}",
            hint="check the labels, or the size of the last layer",
        )
    return nn.CrossEntropyLoss(label_smoothing=smoothing, ignore_index=_IGNORED) if smoothing else _cross_entropy


_IGNORED = -100
"""A label that counts for nothing, as everywhere in torch."""


def _cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, labels.long(), ignore_index=_IGNORED)


def _mean_squares(outputs: Tensor, labels: Tensor) -> Tensor:
    return functional.mse_loss(outputs, labels)


def look(model: nn.Module, batch: Batch) -> Outputs:
    """What a model says without training on it; its modes are kept."""
    with evaluating(model), torch.no_grad():
        return batch.run(model)


def full_precision(outputs: Outputs) -> Outputs:
    """Outputs of half precision as float32, in which losses are computed."""
    if isinstance(outputs, tuple):
        return tuple(as_float(value) for value in outputs)
    return as_float(outputs)


def as_float(value: Tensor) -> Tensor:
    """float32 for float16 and bfloat16, everything else as it is."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def has_weights(module: nn.Module) -> bool:
    """Whether there is anything in it to train."""
    return any(parameter.requires_grad for parameter in module.parameters())


def spoken(loss: object) -> str:
    """A name for a loss that stays the same from run to run."""
    if isinstance(loss, str) or loss is None:
        return str(loss)
    return getattr(loss, "__qualname__", type(loss).__qualname__)


def _shown(value: Outputs) -> str:
    tensors = value if isinstance(value, tuple) else (value,)
    return ", ".join(f"{str(one.dtype).removeprefix('torch.')}{tuple(one.shape)}" for one in tensors)
