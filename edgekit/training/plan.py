"""Plan of a training run: how long, what decides the best weights, where checkpoints go."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from edgekit.errors import InputError
from edgekit.training.scoring import Evaluation
from edgekit.training.settings import TrainingSettings
from edgekit.types.progress import Progress, Silent

Augment = Callable[[Tensor], Tensor]
"""Inputs of a batch -> other inputs of the same shape; drawn from the global generators, it is the same in each run."""


@dataclass(frozen=True, eq=False)
class RunPlan:
    """How a run goes.

    Attributes:
        epochs: Passes over the data, 1 or more; None when steps are given.
        steps: Optimizer steps, 1 or more; None when epochs are given.
        settings: How to train.
        evaluation: Scores the model after each epoch; the best weights are kept.
        patience: Epochs without a better score after which it stops; None goes on.
        checkpoint: Folder; None keeps none.
        augment: Changes the inputs of each batch.
        progress: Who watches.
    """

    epochs: int | None = None
    steps: int | None = None
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    evaluation: Evaluation | None = None
    patience: int | None = None
    checkpoint: str | os.PathLike[str] | None = None
    augment: Augment | None = None
    progress: Progress = field(default_factory=Silent)

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            InputError: Both or neither of epochs and steps, a number below 1, patience without an evaluation.
        """
        if (self.epochs is None) == (self.steps is None):
            found = "neither is given" if self.epochs is None else f"epochs={self.epochs} and steps={self.steps}"
            raise InputError(f"training needs either epochs or steps; {found}", hint="for example epochs=10")
        for name, value in (("epochs", self.epochs), ("steps", self.steps), ("patience", self.patience)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InputError(f"{name} must be a whole number, 1 or more; it is {value!r}")
        if self.patience is not None and self.evaluation is None:
            raise InputError(
                "patience is given and evaluation is not", hint="to stop early, something must score: evaluation=loader"
            )
