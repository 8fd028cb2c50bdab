"""Decoupled distillation: how sure the teacher is, and how it ranks the rest, weighed apart (Zhao et al. 2022).

Hinton's loss is TCKD + (1 - p_target) * NCKD: the more certain the teacher, the less it tells about the other classes.
Decoupled Knowledge Distillation (arXiv 2203.08679, equations 6 and 7) gives both parts weights of their own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.errors import InputError
from edgekit.shrink.distillation.kd import by_class, positive, require_same_shape


class DecoupledTargets(nn.Module):
    """T^2 * (alpha * TCKD + beta * NCKD), mean over the batch.

    TCKD is the KL divergence of (target, not target); NCKD that of the other classes among themselves.

    Law: with a teacher that gives the target the probability p, alpha 1 and beta 1 - p this is `SoftTargets`.
    """

    def __init__(self, temperature: float = 4.0, alpha: float = 1.0, beta: float = 8.0) -> None:
        """Soften by `temperature`; weigh the target's part with `alpha`, the others' with `beta` (no units)."""
        super().__init__()
        self.temperature = positive("temperature", temperature)
        self.alpha = alpha
        self.beta = beta

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor | None) -> Tensor:
        """The loss, a scalar.

        Args:
            student: Logits (batch, classes, ...).
            teacher: Logits of the same shape.
            labels: The target class of each answer, int64 (batch, ...).

        Raises:
            InputError: The shapes differ, or there are no integer labels.
        """
        require_same_shape(student, teacher)
        target, others = decoupled_parts(student, teacher, labels, self.temperature)
        return (self.alpha * target + self.beta * others).mean() * self.temperature**2


def decoupled_parts(
    student: Tensor, teacher: Tensor, labels: Tensor | None, temperature: float
) -> tuple[Tensor, Tensor]:
    """TCKD and NCKD of each answer, without the factor T^2: two tensors (answers,).

    Raises:
        InputError: There are no integer labels, or they do not fit the logits.
    """
    log_student = functional.log_softmax(by_class(student) / temperature, dim=1)
    log_teacher = functional.log_softmax(by_class(teacher) / temperature, dim=1)
    is_target = _target_mask(labels, log_student)
    pairs = [_split(logs, is_target) for logs in (log_student, log_teacher)]
    (student_binary, student_others), (teacher_binary, teacher_others) = pairs
    return _divergence(teacher_binary, student_binary), _divergence(teacher_others, student_others)


def _target_mask(labels: Tensor | None, logs: Tensor) -> Tensor:
    if labels is None or labels.is_floating_point() or labels.numel() != len(logs):
        found = "none" if labels is None else f"{labels.dtype} of shape {tuple(labels.shape)}"
        raise InputError(
            f"the loss 'dkd' needs one integer label for each of {len(logs)} answers; found: {found}",
            hint="use the loss 'kd', which needs no labels",
        )
    return functional.one_hot(labels.flatten(), logs.shape[1]).bool()


def _split(logs: Tensor, is_target: Tensor) -> tuple[Tensor, Tensor]:
    """Log probabilities of (target, not target), and of the others given that it is none of the target."""
    others = logs[~is_target].view(len(logs), -1)
    rest = others.logsumexp(1, keepdim=True)
    return torch.cat([logs[is_target][:, None], rest], dim=1), others - rest


def _divergence(log_teacher: Tensor, log_student: Tensor) -> Tensor:
    return functional.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(1)
