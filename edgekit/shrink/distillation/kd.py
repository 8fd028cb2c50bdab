"""The first distillation loss: the student says what the teacher says, softened (Hinton et al. 2015, arXiv 1503.02531).

Every loss on outputs in this package is called as `loss(student, teacher, labels)` and gives one scalar, so that one
training loop serves them all; a loss that needs no labels does not look at them.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from edgekit.errors import InputError


class SoftTargets(nn.Module):
    """Hinton's loss: KL divergence of softened answers.

        T^2 * mean over the batch of sum_c p_teacher(c) * (log p_teacher(c) - log p_student(c)),  p = softmax(z / T)

    The factor T^2 keeps the size of the gradients when T changes (section 2 of the paper).

    Law: it is zero exactly when both give the same probabilities, and never below.

    >>> import torch
    >>> float(SoftTargets(temperature=4.0)(torch.ones(2, 3), torch.zeros(2, 3)))
    0.0
    """

    def __init__(self, temperature: float = 4.0) -> None:
        """Soften by `temperature` (no unit, above 0)."""
        super().__init__()
        self.temperature = positive("temperature", temperature)

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor:
        """The loss, a scalar.

        Args:
            student: Logits (batch, classes, ...); further axes are positions, each an answer of its own.
            teacher: Logits of the same shape.
            labels: Not used.

        Raises:
            InputError: The shapes differ.
        """
        require_same_shape(student, teacher)
        log_student = functional.log_softmax(by_class(student) / self.temperature, dim=1)
        log_teacher = functional.log_softmax(by_class(teacher) / self.temperature, dim=1)
        return functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True) * self.temperature**2


def by_class(logits: Tensor) -> Tensor:
    """(batch, classes, ...) as (answers, classes)."""
    if logits.dim() < 2:
        raise InputError(
            f"logits need a batch axis and a class axis; these have the shape {tuple(logits.shape)}",
            hint="for outputs that are no classes use the loss 'output'",
        )
    return logits.movedim(1, -1).flatten(0, -2)


def require_same_shape(student: Tensor, teacher: Tensor) -> None:
    """Nothing when the shapes are equal.

    Raises:
        InputError: They differ; broadcasting would train on nonsense.
    """
    if student.shape != teacher.shape:
        raise InputError(
            f"the student's output has the shape {tuple(student.shape)}, the teacher's {tuple(teacher.shape)}",
            hint="both need the same outputs; to learn from inner layers only, use the loss 'feature' or 'attention'",
        )


def positive(name: str, value: float) -> float:
    """The value, when it is finite and above 0.

    Raises:
        InputError: It is not.
    """
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} must be a finite number above 0; it is {value}")
    return value
