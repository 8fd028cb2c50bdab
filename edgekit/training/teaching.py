"""Teaching: the objective of a distillation, the teacher's part of the loss with or without the labels' part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from edgekit.errors import InputError
from edgekit.shrink.distillation.attention_transfer import AttentionTransfer
from edgekit.shrink.distillation.dkd import DecoupledTargets
from edgekit.shrink.distillation.feature import FeatureHints
from edgekit.shrink.distillation.kd import SoftTargets
from edgekit.shrink.distillation.output import OutputLoss
from edgekit.shrink.distillation.taps import Taps, last_feature_map, tapped
from edgekit.training.batches import Batch, Outputs
from edgekit.training.checkpoints import state_digest
from edgekit.training.modes import modes_kept
from edgekit.training.objective import TaskLoss, as_float, choose_task_loss, full_precision, has_weights, look, spoken
from edgekit.training.settings import Distillation, one_of
from edgekit.training.teacher_cache import TeacherCache
from edgekit.types.finding import Finding, Severity

ON_OUTPUTS = ("kd", "dkd", "output")
ON_LAYERS = ("feature", "attention")


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is asked of the teacher.

    Attributes:
        loss: A name, or a module called as (student outputs, teacher outputs, labels).
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


class Teaching:
    """(1 - weight) * task loss + weight * the teacher's loss."""

    def __init__(self, teacher: nn.Module, lesson: Lesson) -> None:
        """Prepare to learn from `teacher`; it is not changed.

        Raises:
            InputError: There is no such loss, or the cache cannot serve it.
        """
        if isinstance(lesson.loss, str):
            one_of("loss", lesson.loss, (*ON_OUTPUTS, *ON_LAYERS))
        if isinstance(lesson.task_loss, str):
            one_of("task_loss", lesson.task_loss, ("auto",))
        self._on_layers = lesson.loss in ON_LAYERS
        if self._on_layers and lesson.cache is not None:
            raise InputError(
                f"the loss '{lesson.loss}' learns from inner layers, which are not cached", hint="leave cache out"
            )
        self._teacher = teacher
        self._lesson = lesson
        self._loss: nn.Module | None = None
        self._wrapped: nn.Module | None = None
        self._task: TaskLoss | None = None
        self._student_taps: Taps | None = None
        self._teacher_taps: Taps | None = None
        self._findings: list[Finding] = []

    def identity(self) -> Mapping[str, Any]:
        """Names of the losses, their settings, and the teacher's digest."""
        return {
            "loss": spoken(self._lesson.loss),
            "task loss": spoken(self._lesson.task_loss),
            "distillation": asdict(self._lesson.settings),
            "teacher": state_digest(self._teacher.state_dict()),
        }

    @contextmanager
    def prepared(self, model: nn.Module, first: Batch, device: torch.device) -> Iterator[None]:
        """Choose losses and taps by the first batch; the teacher is in evaluation mode as long as the block runs.

        Raises:
            InputError: Shapes of outputs, or taps, or labels do not fit.
        """
        if model is self._teacher:
            raise InputError(
                "student and teacher are the same module", hint="to learn from itself, pass copy.deepcopy(model)"
            )
        with ExitStack() as stack:
            stack.enter_context(_lent(self._teacher, device))
            pairs = self._pairs(model, first) if self._on_layers else ()
            names = tuple(zip(*pairs, strict=True)) or ((), ())
            ours = stack.enter_context(tapped(model, names[0], owner="student"))
            theirs = stack.enter_context(tapped(self._teacher, names[1], owner="teacher"))
            student, teacher = full_precision(look(model, first)), full_precision(look(self._teacher, first))
            self._task = choose_task_loss(self._lesson.task_loss, student, first.labels, self._lesson.label_smoothing)
            self._note_task(first)
            if self._on_layers:
                self._student_taps, self._teacher_taps = ours, theirs
                self._loss = self._layer_loss(ours.take(), theirs.take())
            else:
                self._loss = self._output_loss().to(device)
                with torch.no_grad():
                    self._loss(student, teacher, first.labels)
            self._wrapped = self._loss
            yield

    def learned(self) -> Sequence[nn.Module]:
        """The loss, where it has weights of its own."""
        return [self._loss] if self._loss is not None and has_weights(self._loss) else []

    def use(self, learned: Sequence[nn.Module]) -> None:
        """Use the wrapped loss."""
        if learned:
            self._wrapped = learned[0]

    def before_epoch(self, model: nn.Module, epoch: int) -> None:
        """Let the cache see whether it is of use."""
        if self._lesson.cache is not None:
            self._lesson.cache.review(epoch)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of a batch."""
        assert self._wrapped is not None
        outputs = full_precision(batch.run(model))
        taught = self._on_taps(batch) if self._on_layers else self._wrapped(outputs, self._said(batch), batch.labels)
        if self._task is None:
            return taught + 0 * _total(outputs) if isinstance(model, DistributedDataParallel) else taught
        weight = self._lesson.settings.weight
        return (1 - weight) * self._task(outputs, batch.labels) + weight * taught  # type: ignore[arg-type]

    def findings(self) -> tuple[Finding, ...]:
        """What was noticed, also by the cache."""
        cached = self._lesson.cache.findings() if self._lesson.cache is not None else ()
        return (*self._findings, *cached)

    def _said(self, batch: Batch) -> Outputs:
        if self._lesson.cache is None:
            return self._ask(batch)
        return self._lesson.cache.said(batch, lambda: self._ask(batch))

    def _ask(self, batch: Batch) -> Outputs:
        """The teacher's outputs in float32, computed in the precision of the run."""
        device, precision = batch.first.device.type, self._lesson.mixed_precision
        dtype = torch.float16 if precision == "fp16" else torch.bfloat16
        with torch.no_grad(), torch.autocast(device, dtype=dtype, enabled=precision != "no"):
            return full_precision(batch.run(self._teacher))

    def _on_taps(self, batch: Batch) -> Tensor:
        assert self._wrapped is not None
        assert self._student_taps is not None
        assert self._teacher_taps is not None
        self._ask(batch)
        ours = [as_float(value) for value in self._student_taps.take()]
        theirs = [as_float(value) for value in self._teacher_taps.take()]
        return self._wrapped(ours, theirs)  # type: ignore[no-any-return]

    def _output_loss(self) -> nn.Module:
        asked, settings = self._lesson.loss, self._lesson.settings
        if isinstance(asked, nn.Module):
            return asked
        if asked == "kd":
            return SoftTargets(settings.temperature)
        if asked == "dkd":
            return DecoupledTargets(settings.temperature, settings.target_weight, settings.other_weight)
        return OutputLoss()

    def _layer_loss(self, ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> nn.Module:
        if self._lesson.loss == "attention":
            loss: nn.Module = AttentionTransfer()
        else:
            shapes = [[value.shape for value in side] for side in (ours, theirs)]
            loss = FeatureHints(shapes[0], shapes[1], self._lesson.seed)
        loss = loss.to(ours[0].device)
        with torch.no_grad():
            loss([as_float(value) for value in ours], [as_float(value) for value in theirs])
        return loss

    def _pairs(self, model: nn.Module, first: Batch) -> tuple[tuple[str, str], ...]:
        if self._lesson.settings.taps:
            return self._lesson.settings.taps
        chosen = [_last_map(one, first) for one in (model, self._teacher)]
        if not all(chosen):
            raise InputError(
                f"the loss '{self._lesson.loss}' found no feature map in the {'teacher' if chosen[0] else 'student'}",
                hint='name layers: distillation=Distillation(taps=(("student.layer", "teacher.layer"),))',
            )
        message = f"taps were chosen: '{chosen[0]}' of the student learns from '{chosen[1]}' of the teacher"
        self._findings.append(
            Finding("taps-chosen", message, Severity.NOTE, hint="name others with Distillation(taps=)")
        )
        return ((chosen[0], chosen[1]),)

    def _note_task(self, first: Batch) -> None:
        if self._task is not None:
            return
        if self._on_layers:
            message = "there is no task loss: layers after the last tap learn nothing"
            self._findings.append(Finding("no-task-loss", message, hint="give labels, or task_loss"))
        elif self._lesson.task_loss is not None:
            why = "the batches have no labels" if first.labels is None else "no built-in loss fits labels and outputs"
            message = f"{why}: the student learns from the teacher alone"
            self._findings.append(
                Finding("no-task-loss", message, Severity.NOTE, hint="give task_loss, or task_loss=None")
            )


@contextmanager
def _lent(teacher: nn.Module, device: torch.device) -> Iterator[None]:
    """The teacher on the device and in evaluation mode; afterwards where and as it was."""
    homes = {value.device for value in (*teacher.parameters(), *teacher.buffers())}
    with modes_kept(teacher):
        try:
            teacher.to(device).eval()
            yield
        finally:
            if len(homes) == 1:
                teacher.to(homes.pop())


def _total(outputs: Outputs) -> Tensor:
    """A sum to which every output belongs: several processes wait for gradients of all weights, also of unused ones."""
    return torch.stack([one.sum() for one in (outputs if isinstance(outputs, tuple) else (outputs,))]).sum()


def _last_map(model: nn.Module, first: Batch) -> str:
    """The last layer that gives images, else sequences, else volumes; "" for none."""
    found = (last_feature_map(model, partial(look, model, first), axes=axes) for axes in (4, 3, 5))
    return next((name for name in found if name), "")
