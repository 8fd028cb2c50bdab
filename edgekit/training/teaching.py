"""Teaching: the objective of a distillation, the teacher's part of the loss with or without the labels' part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from edgekit.errors import InputError
from edgekit.shrink.distillation.taps import Taps, last_feature_map, tapped
from edgekit.training.batches import Batch, Outputs
from edgekit.training.checkpoints import state_digest
from edgekit.training.lesson import Lesson
from edgekit.training.modes import modes_kept
from edgekit.training.objective import TaskLoss, as_float, choose_task_loss, full_precision, has_weights, look, spoken
from edgekit.types.finding import Finding, Severity


class Teaching:
    """(1 - weight) * task loss + weight * (loss on outputs + layer_weight * loss on layers)."""

    def __init__(self, teacher: nn.Module, lesson: Lesson) -> None:
        """Prepare to learn from `teacher`; it is not changed."""
        self._teacher = teacher
        self._lesson = lesson
        self._output_loss: nn.Module | None = None
        self._layer_loss: nn.Module | None = None
        self._task: TaskLoss | None = None
        self._taps: tuple[Taps, Taps] | None = None
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
            pairs = self._pairs(model, first) if self._lesson.on_layers else ()
            names = tuple(zip(*pairs, strict=True)) or ((), ())
            ours = stack.enter_context(tapped(model, names[0], owner="student"))
            theirs = stack.enter_context(tapped(self._teacher, names[1], owner="teacher"))
            student, teacher = full_precision(look(model, first)), full_precision(look(self._teacher, first))
            self._task = choose_task_loss(self._lesson.task_loss, student, first.labels, self._lesson.label_smoothing)
            self._taps = ours, theirs
            self._layer_loss = self._lesson.layer_loss(ours.take(), theirs.take())
            self._output_loss = self._lesson.output_loss()
            self._note_task(first)
            if self._output_loss is not None:
                self._output_loss.to(device)
                with torch.no_grad():
                    self._output_loss(student, teacher, first.labels)
            yield

    def learned(self) -> Sequence[nn.Module]:
        """The losses that have weights of their own."""
        return [loss for loss in (self._output_loss, self._layer_loss) if loss is not None and has_weights(loss)]

    def use(self, learned: Sequence[nn.Module]) -> None:
        """Use the wrapped losses."""
        wrapped = dict(zip(map(id, self.learned()), learned, strict=True))
        self._output_loss = wrapped.get(id(self._output_loss), self._output_loss)
        self._layer_loss = wrapped.get(id(self._layer_loss), self._layer_loss)

    def before_epoch(self, model: nn.Module, epoch: int) -> None:
        """Let the cache see whether it is of use."""
        if self._lesson.cache is not None:
            self._lesson.cache.review(epoch)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of a batch."""
        outputs = full_precision(batch.run(model))
        taught = self._taught(outputs, batch)
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

    def _taught(self, outputs: Outputs, batch: Batch) -> Tensor:
        """The teacher's part of the loss: on outputs, on layers, or both."""
        said = self._said(batch)
        parts: list[Tensor] = []
        if self._output_loss is not None:
            parts.append(self._output_loss(outputs, said, batch.labels))
        if self._layer_loss is not None:
            assert self._taps is not None
            ours, theirs = ([as_float(value) for value in side.take()] for side in self._taps)
            weight = 1.0 if self._output_loss is None else self._lesson.settings.layer_weight
            parts.append(weight * self._layer_loss(ours, theirs))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

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
        if self._output_loss is None:
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
