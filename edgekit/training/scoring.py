"""Scoring: one number for a model, higher is better, from a function or from labelled data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from edgekit.errors import InputError, TrainingError
from edgekit.training.batches import read_batch
from edgekit.training.modes import evaluating
from edgekit.training.random_state import own_randomness

Evaluation = Callable[[nn.Module], float] | Iterable[object]
"""A function that scores a model, or labelled batches for top-1 accuracy."""


def score(model: nn.Module, evaluation: Evaluation, device: torch.device) -> float:
    """The score of the model in evaluation mode; neither its modes nor the random state change.

    Raises:
        InputError: The data has no labels, or nothing in it.
        TrainingError: The function gave no finite number.
    """
    with evaluating(model), own_randomness(), torch.no_grad():
        found = evaluation(model) if callable(evaluation) else top1(model, evaluation, device)
    value = float(found)
    if not math.isfinite(value):
        raise TrainingError(f"the evaluation gave {value}; a score must be a finite number")
    return value


def top1(model: nn.Module, data: Iterable[object], device: torch.device) -> float:
    """Share of samples whose largest logit is that of their label, in [0, 1].

    Raises:
        InputError: The data has no labels, or nothing in it, or the model's output is no logits.
    """
    right = total = 0
    for found in data:
        batch = read_batch(found).to(device)
        outputs = batch.run(model)
        if batch.labels is None or not isinstance(outputs, Tensor) or outputs.dim() < 2:
            raise InputError(
                "top-1 accuracy needs labels and one output of logits (batch, classes)",
                hint="give a function that scores a model: evaluation=function",
            )
        right += int((outputs.argmax(1) == batch.labels).sum())
        total += batch.labels.numel()
    if not total:
        raise InputError("the evaluation data is empty, or can be read only once", hint="give a DataLoader or a list")
    return right / total
