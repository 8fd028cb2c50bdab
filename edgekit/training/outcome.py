"""Outcome: what a training run hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from edgekit.types.finding import Finding

Stopped = Literal["finished", "early"]
"""Why a run ended: all its steps are done, or its score did not rise for `patience` epochs."""


@dataclass(frozen=True)
class EpochRecord:
    """One pass over the data.

    Attributes:
        epoch: Its number, from 1.
        steps: Optimizer steps done at its end, since the start of training.
        loss: Mean of the training loss over its steps.
        lr: Learning rate of its last step.
        metric: What the evaluation gave at its end; None without one.
    """

    epoch: int
    steps: int
    loss: float
    lr: float
    metric: float | None = None


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A trained model and how it got there.

    Attributes:
        model: The module that was handed over, with its trained weights, on its device and in its mode of before. With
            an evaluation these are the weights of the best epoch.
        history: One record for each epoch, also those of an earlier run that this one resumed.
        steps: Optimizer steps done.
        stopped: Why it ended.
        best: The best score of the evaluation; None without one.
        findings: What the user should know.
    """

    model: nn.Module
    history: tuple[EpochRecord, ...]
    steps: int
    stopped: Stopped
    best: float | None = None
    findings: tuple[Finding, ...] = field(default=())
