"""`edgekit.distill`: a small student learns what a large teacher says, or how it sees."""

from __future__ import annotations

import os
from pathlib import Path

from torch import nn

from edgekit.errors import InputError
from edgekit.training.acceleration import process_index
from edgekit.training.feed import Data, Feed, Share
from edgekit.training.lesson import Lesson
from edgekit.training.loop import train
from edgekit.training.objective import TaskLoss
from edgekit.training.outcome import TrainingResult
from edgekit.training.plan import Augment, RunPlan
from edgekit.training.scoring import Evaluation
from edgekit.training.settings import Distillation, TrainingSettings
from edgekit.training.teacher_cache import TeacherCache, sample_digests
from edgekit.training.teaching import Teaching
from edgekit.types.progress import Progress, Silent

CACHE_FOLDER = ".edgekit-teacher"
"""Where `cache=True` writes, in the working folder."""


def distill(
    student: nn.Module,
    teacher: nn.Module,
    data: Data,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    loss: nn.Module | str = "kd",
    task_loss: TaskLoss | str | None = "auto",
    distillation: Distillation | None = None,
    settings: TrainingSettings | None = None,
    evaluation: Evaluation | None = None,
    patience: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | bool | None = None,
    augment: Augment | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a student, in place, to do as its teacher does.

    The same call works alone and in each process that `accelerate launch` or `torchrun` starts. Afterwards the
    caller's random state, and modes and devices of both models, are what they were.

    Args:
        student: Trained.
        teacher: Asked in evaluation mode, without gradients; not changed.
        data: A DataLoader, a list of batches, any iterable that can be read again, or a function that begins a new
            reading. A batch is inputs, (inputs, labels), ((input, ...), labels), or a dict with "labels".
        epochs: Passes over the data; either these or steps.
        steps: Optimizer steps.
        loss: "kd" (Hinton 2015), "dkd" (Zhao 2022, needs labels), "output" (mean squares, for outputs that are no
            classes), "feature" (FitNets 2015), "attention" (Zagoruyko 2017), one of each joined by a plus sign, as in
            "kd+feature", or a module called as (student outputs, teacher outputs, labels) that gives a scalar.
        task_loss: What the labels add: "auto" is cross-entropy for integer labels, mean squares for floating-point
            ones, and nothing without labels; a function of (outputs, labels); or None for the teacher alone.
        distillation: Weight of the teacher's part, temperature, taps.
        settings: How to train.
        evaluation: A function that scores the student, higher is better, or labelled batches for top-1 accuracy. It
            is asked after each epoch, and the best weights are kept.
        patience: Epochs without a better score after which training stops.
        checkpoint: A folder of its own for this run. The same call again goes on where it ended.
        cache: A folder for what the teacher said, True for `.edgekit-teacher`. Only for data that is the same in each
            epoch, and for losses on outputs.
        augment: Changes the inputs of each batch; student and teacher see the same.
        progress: Who watches.

    Returns:
        The student with its history.

    Raises:
        InputError: Something handed over does not fit; the message says what.
        NumericalError: The loss is NaN or infinite; the student has its last good weights.
        MissingExtraError: Accelerate is not installed.
    """
    chosen = settings or TrainingSettings()
    plan = RunPlan(epochs, steps, chosen, evaluation, patience, checkpoint, augment, progress or Silent())
    kept = None
    if cache is not None and cache is not False:
        _require_repeatable(data, augment, chosen.seed)
        folder = Path(CACHE_FOLDER if cache is True else cache)
        kept = TeacherCache(folder, teacher, precision=chosen.mixed_precision, rank=process_index())
    lesson = Lesson(
        loss,
        task_loss,
        distillation or Distillation(),
        chosen.label_smoothing,
        seed=chosen.seed,
        cache=kept,
        mixed_precision=chosen.mixed_precision,
    )
    return train(student, data, Teaching(teacher, lesson), plan)


def _require_repeatable(data: Data, augment: Augment | None, seed: int) -> None:
    """Nothing when the data can be the same in each epoch.

    Raises:
        InputError: Samples are changed at random, so that what the teacher said would fit none of them.
    """
    if augment is not None:
        raise InputError(
            "cache and augment exclude each other: what the teacher said of one picture does not fit its variants",
            hint="leave one of them out",
        )
    twice = Feed(data, share=Share(), seed=seed).first_twice()
    if twice is not None and sample_digests(twice[0]) != sample_digests(twice[1]):
        raise InputError(
            "the data set gives other values for the same sample when it is read again; a cache would be of no use",
            hint="take random augmentation out of the data set, or leave cache out",
        )
