"""`edgekit.finetune`: the training loop without a teacher."""

from __future__ import annotations

import os

from torch import nn

from edgekit.training.feed import Data
from edgekit.training.loop import train
from edgekit.training.objective import Supervised, TaskLoss
from edgekit.training.outcome import TrainingResult
from edgekit.training.plan import Augment, RunPlan
from edgekit.training.scoring import Evaluation
from edgekit.training.settings import TrainingSettings
from edgekit.types.progress import Progress, Silent


def finetune(
    model: nn.Module,
    data: Data,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    loss: TaskLoss | str = "auto",
    settings: TrainingSettings | None = None,
    evaluation: Evaluation | None = None,
    patience: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    augment: Augment | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a model on labelled data, in place.

    Args:
        model: Its parameters with `requires_grad` are trained.
        data: A DataLoader, a list of batches, any iterable that can be read again, or a function that begins a new
            reading. A batch is (inputs, labels), ((input, ...), labels), or a dict with "labels".
        epochs: Passes over the data; either these or steps.
        steps: Optimizer steps.
        loss: "auto" is cross-entropy for integer labels and mean squares for floating-point ones; or a function of
            (outputs, labels).
        settings: How to train.
        evaluation: A function that scores the model, higher is better, or labelled batches for top-1 accuracy. It is
            asked after each epoch, and the best weights are kept.
        patience: Epochs without a better score after which training stops.
        checkpoint: A folder of its own for this run. The same call again goes on where it ended.
        augment: Changes the inputs of each batch.
        progress: Who watches.

    Returns:
        The model with its history.

    Raises:
        InputError: Something handed over does not fit; the message says what.
        NumericalError: The loss is NaN or infinite; the model has its last good weights.
        MissingExtraError: Accelerate is not installed.
    """
    chosen = settings or TrainingSettings()
    plan = RunPlan(epochs, steps, chosen, evaluation, patience, checkpoint, augment, progress or Silent())
    return train(model, data, Supervised(loss, label_smoothing=chosen.label_smoothing), plan)
