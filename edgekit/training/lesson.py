"""Lesson: what is asked of a teacher, and the losses that ask it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.shrink.distillation.attention_transfer import AttentionTransfer
from edgekit.shrink.distillation.dkd import DecoupledTargets
from edgekit.shrink.distillation.feature import FeatureHints
from edgekit.shrink.distillation.kd import SoftTargets
from edgekit.shrink.distillation.output import OutputLoss
from edgekit.training.objective import TaskLoss, as_float
from edgekit.training.settings import Distillation, one_of
from edgekit.training.teacher_cache import TeacherCache

ON_OUTPUTS = ("kd", "dkd", "output")
ON_LAYERS = ("feature", "attention")
LOSSES = (*ON_OUTPUTS, *ON_LAYERS, *(f"{outer}+{inner}" for outer in ON_OUTPUTS for inner in ON_LAYERS))


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is asked of the teacher.

    Attributes:
        loss: One of `LOSSES`, or a module called as (student outputs, teacher outputs, labels).
        task_loss: "auto", a function of (outputs, labels), or None for the teacher alone.
        settings: Weights, temperature, taps.
        label_smoothing: Of the built-in cross-entropy.
        seed: Of the projections of "feature".
        cache: Remembers what the teacher said; None asks it each time.
        mixed_precision: In which the teacher computes: "no", "bf16" or "fp16", as the student does.
    """

    loss: nn.Module | str
    task_loss: TaskLoss | str | None
    settings: Distillation
    label_smoothing: float = 0.0
    seed: int = 0
    cache: TeacherCache | None = None
    mixed_precision: str = "no"

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            InputError: There is no such loss, or the cache cannot serve it.
        """
        if isinstance(self.loss, str):
            one_of("loss", self.loss, LOSSES)
        if isinstance(self.task_loss, str):
            one_of("task_loss", self.task_loss, ("auto",))
        if self.on_layers and self.cache is not None:
            raise InputError(
                f"the loss '{self.loss}' learns from inner layers, which are not cached", hint="leave cache out"
            )

    @property
    def on_layers(self) -> str:
        """Name of the loss on inner layers; "" for none."""
        named = self.loss.split("+")[-1] if isinstance(self.loss, str) else ""
        return named if named in ON_LAYERS else ""

    def output_loss(self) -> nn.Module | None:
        """The loss called as (student outputs, teacher outputs, labels), where there is one."""
        if isinstance(self.loss, nn.Module):
            return self.loss
        name, settings = self.loss.split("+")[0], self.settings
        if name == "kd":
            return SoftTargets(settings.temperature)
        if name == "dkd":
            return DecoupledTargets(settings.temperature, settings.target_weight, settings.other_weight)
        return OutputLoss() if name == "output" else None

    def layer_loss(self, ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> nn.Module | None:
        """The loss of tapped outputs like these of student and teacher, tried on them, where there is one.

        Raises:
            InputError: The taps do not fit each other.
        """
        if not self.on_layers:
            return None
        if self.on_layers == "attention":
            loss: nn.Module = AttentionTransfer()
        else:
            loss = FeatureHints([one.shape for one in ours], [one.shape for one in theirs], self.seed)
        loss = loss.to(ours[0].device)
        with torch.no_grad():
            loss([as_float(value) for value in ours], [as_float(value) for value in theirs])
        return loss
