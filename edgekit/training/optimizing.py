"""Optimizer, learning rate and averaged weights of a training run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.training.settings import TrainingSettings

MOMENTUM = 0.9


def make_optimizer(modules: Iterable[nn.Module], settings: TrainingSettings) -> torch.optim.Optimizer:
    """An optimizer of all parameters that ask for gradients.

    Raises:
        InputError: None does.
    """
    parameters = list({id(one): one for module in modules for one in module.parameters() if one.requires_grad}.values())
    if not parameters:
        raise InputError("the model has no parameter with requires_grad; there is nothing to train")
    groups = [
        {"params": [one for one in parameters if one.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [one for one in parameters if one.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=MOMENTUM, nesterov=True)
    return torch.optim.AdamW(groups, lr=settings.lr)


def rate_at(step: int, total: int, settings: TrainingSettings) -> float:
    """Learning rate of the optimizer step number `step` (from 0) of `total`.

    Linear warm-up over the first `warmup * total` steps, then half a cosine (Loshchilov and Hutter 2017, SGDR without
    restarts) or a constant.
    """
    rising = math.ceil(settings.warmup * total)
    if step < rising:
        return settings.lr * (step + 1) / (rising + 1)
    if settings.schedule == "constant":
        return settings.lr
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(total - rising, 1)))


class AveragedWeights:
    """Exponential moving average of a model's floating-point state.

    Attributes:
        tensors: State name -> average, on the model's device.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.tensors = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._decay = decay

    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after optimizer step `step` (from 1); early averages forget faster."""
        share = 1 - min(self._decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            mine = self.tensors[name]
            if value.is_floating_point():
                mine.lerp_(value.detach(), share)
            else:
                mine.copy_(value)

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """The model has the averaged weights as long as the block runs."""
        own = copied_state(model)
        model.load_state_dict(self.tensors)
        try:
            yield
        finally:
            model.load_state_dict(own)


def copied_state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the model's state."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
