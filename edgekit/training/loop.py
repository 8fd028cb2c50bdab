"""The one training loop: fine-tuning, distillation and quantization-aware training differ only in their objective.

It runs on Hugging Face Accelerate, so that the same call trains on a CPU, on a GPU, or in each process that
`accelerate launch` or `torchrun` started. For one seed a run has one result: data order and random choices depend on
the seed and on the step alone, and a run that was killed goes on from its checkpoint to the same weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from edgekit.errors import InputError, NumericalError, TrainingError
from edgekit.training import acceleration, random_state
from edgekit.training.acceleration import Accelerator
from edgekit.training.batches import Batch
from edgekit.training.checkpoints import CheckpointFolder
from edgekit.training.feed import Data, Feed, Share
from edgekit.training.interruption import Interruption, deferred
from edgekit.training.modes import modes_kept
from edgekit.training.objective import Objective, spoken
from edgekit.training.optimizing import AveragedWeights, copied_state, make_optimizer, rate_at
from edgekit.training.outcome import EpochRecord, TrainingResult
from edgekit.training.plan import RunPlan
from edgekit.training.run_state import RunState
from edgekit.training.scoring import score
from edgekit.types.finding import Finding, Severity
from edgekit.types.progress import Stage

_DIVERGED = "use a lower lr or a longer warmup, clip_norm=1.0, or mixed_precision='no'; and look for NaN in the data"


def train(model: nn.Module, data: Data, objective: Objective, plan: RunPlan) -> TrainingResult:
    """Train a model in place.

    Its device, its modes and the caller's random state are afterwards what they were.

    Args:
        model: Changed in place.
        data: Batches, as `Feed` takes them.
        objective: What to make smaller.
        plan: How long and how.

    Raises:
        InputError: Data, model, objective or checkpoint do not fit one another.
        NumericalError: Loss, gradients or weights are NaN or infinite; the model then has its last good weights.
        TrainingError: The run cannot go on for another reason.
    """
    with (
        random_state.own_randomness(),
        modes_kept(model),
        _device_kept(model),
        acceleration.opened(plan.settings.mixed_precision) as accelerator,
    ):
        share = Share(accelerator.process_index, accelerator.num_processes)
        feed = Feed(data, share=share, seed=plan.settings.seed)
        random_state.seed_everything(plan.settings.seed)
        model.to(accelerator.device)
        first = feed.first().to(accelerator.device)
        with objective.prepared(model, first, accelerator.device):
            return _Run(model, feed, objective, plan, accelerator).go()


class _Run:
    """A run in progress."""

    def __init__(
        self, model: nn.Module, feed: Feed, objective: Objective, plan: RunPlan, accelerator: Accelerator
    ) -> None:
        self._feed = feed
        self._objective = objective
        self._plan = plan
        self._accelerator = accelerator
        self._findings: list[Finding] = []
        self._random: Mapping[str, Tensor] | None = None
        settings = plan.settings
        learned = [module.to(accelerator.device) for module in objective.learned()]
        optimizer = make_optimizer([model, *learned], settings)
        self._parameters = [one for group in optimizer.param_groups for one in group["params"]]
        self._own_forward = vars(model).get("forward")
        self._wrapped, prepared = accelerator.prepare(model, optimizer)
        objective.use([acceleration.synchronised(module, accelerator) for module in learned])
        average = None if settings.ema is None else AveragedWeights(model, settings.ema)
        self._state = RunState(model, learned, prepared, average, accelerator.scaler)
        self._epoch_steps = math.ceil(feed.length / settings.gradient_accumulation)
        self._total = plan.steps if plan.steps is not None else self._epoch_steps * (plan.epochs or 0)
        self._folder = None if plan.checkpoint is None else CheckpointFolder(plan.checkpoint, self._identity(model))
        self._good = copied_state(model)

    def go(self) -> TrainingResult:
        """Resume, train to the end, and give the model its best weights."""
        self._resume()
        model, standing = self._state.model, self._state.standing
        alone = self._accelerator.num_processes == 1
        try:
            with (
                deferred(self._folder is not None and alone) as interruption,
                self._plan.progress.stage("train", self._total) as stage,
            ):
                stage.advance(standing.step)
                while standing.stopped is None:
                    self._epoch(stage, interruption)
        except NumericalError:
            model.load_state_dict(self._state.best or self._good)
            raise
        finally:
            self._unwrap(model)
        if self._state.best:
            model.load_state_dict(self._state.best)
        elif self._state.average is not None:
            model.load_state_dict(self._state.average.tensors)
        findings = (*self._findings, *self._objective.findings())
        stopped = self._state.standing.stopped or "finished"
        return TrainingResult(model, tuple(standing.history), standing.step, stopped, standing.best, findings)

    def _unwrap(self, model: nn.Module) -> None:
        """Take off what mixed precision put around the model's forward."""
        self._accelerator.unwrap_model(self._wrapped, keep_fp32_wrapper=False)
        if self._own_forward is None:
            vars(model).pop("forward", None)

    def _epoch(self, stage: Stage, interruption: Interruption) -> None:
        """One pass over the data, or what is left of it."""
        state, settings = self._state, self._plan.settings
        standing = state.standing
        state.model.train()
        self._objective.before_epoch(state.model, standing.epoch)
        self._good = copied_state(state.model)
        random_state.seed_everything(settings.seed, standing.epoch, self._accelerator.process_index)
        batches = self._feed.epoch(standing.epoch, skip=standing.batch)
        if self._random is not None:
            random_state.restore(self._random)
            self._random = None
        while standing.step < self._total:
            group = list(itertools.islice(batches, settings.gradient_accumulation))
            if not group:
                break
            standing.loss_sum += self._step(group)
            standing.loss_count += 1
            standing.batch += len(group)
            standing.step += 1
            if state.average is not None:
                state.average.update(state.model, standing.step)
            stage.advance()
            if settings.checkpoint_steps and standing.step % settings.checkpoint_steps == 0:
                self._save()
            if interruption.asked:
                self._save()
                raise KeyboardInterrupt
        self._end_epoch()

    def _step(self, group: Sequence[Batch]) -> float:
        """One optimizer step over the batches of a group; its loss."""
        accelerator, settings, optimizer = self._accelerator, self._plan.settings, self._state.optimizer
        for parameters in optimizer.param_groups:
            parameters["lr"] = self._rate()
        total = 0.0
        for place, batch in enumerate(group):
            last = place == len(group) - 1
            with nullcontext() if last else accelerator.no_sync(self._wrapped):
                loss = self._objective.loss(self._wrapped, self._augmented(batch.to(accelerator.device))) / len(group)
                total += self._finite(loss)
                accelerator.backward(loss)
        if settings.clip_norm is not None:
            norm = float(accelerator.clip_grad_norm_(self._parameters, settings.clip_norm))
            if accelerator.scaler is None and not math.isfinite(norm):
                raise self._numerical("the norm of the gradients", norm)
        optimizer.step()
        optimizer.zero_grad()
        return total

    def _augmented(self, batch: Batch) -> Batch:
        if self._plan.augment is None:
            return batch
        inputs = self._plan.augment(batch.first)
        if not isinstance(inputs, Tensor) or len(inputs) != batch.size:
            found = tuple(inputs.shape) if isinstance(inputs, Tensor) else type(inputs).__name__
            raise InputError(f"augment made {found} of a batch of the shape {tuple(batch.first.shape)}")
        return batch.with_first(inputs)

    def _finite(self, loss: object) -> float:
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            found = f"the shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
            raise InputError(f"the loss must be one number in a tensor; it is {found}", hint="take its mean")
        if not loss.requires_grad:
            raise InputError("the loss does not depend on the model's weights", hint="it must use the student's output")
        value = float(loss.detach())
        if not math.isfinite(value):
            raise self._numerical("the loss", value)
        return value

    def _numerical(self, what: str, value: float) -> NumericalError:
        standing = self._state.standing
        kept = f"the end of epoch {standing.epoch}" if standing.epoch else "the start"
        kept = "the best epoch" if self._state.best else kept
        file = next(iter(self._folder.files()), None) if self._folder is not None else None
        also = f"; the last checkpoint is {file}" if file is not None else ""
        return NumericalError(
            f"{what} is {value} in step {standing.step + 1} of {self._total}, at a learning rate of "
            f"{self._rate():.3g}; training stopped, and the model has the weights of {kept} again{also}",
            step=standing.step,
            hint=_DIVERGED,
        )

    def _end_epoch(self) -> None:
        """Score, record, decide whether to go on, save."""
        state, plan, standing = self._state, self._plan, self._state.standing
        if standing.loss_count == 0:
            raise TrainingError(
                f"the data gave no batch in epoch {standing.epoch + 1}, after {standing.step} steps",
                hint="it must be readable again in each epoch: a DataLoader, a list, or a function",
            )
        if standing.batch < self._feed.length and standing.step < self._total:
            self._note_short(standing.batch)
        acceleration.share_state(state.model, self._accelerator)
        rate = rate_at(standing.step - 1, self._total, plan.settings)
        loss = acceleration.mean_over_processes(standing.loss_sum / standing.loss_count, self._accelerator)
        metric = self._metric()
        standing.epoch += 1
        standing.history.append(EpochRecord(standing.epoch, standing.step, loss, rate, metric))
        standing.batch, standing.loss_sum, standing.loss_count = 0, 0.0, 0
        if standing.step >= self._total or (plan.epochs is not None and standing.epoch >= plan.epochs):
            standing.stopped = "finished"
        elif plan.patience is not None and standing.stale >= plan.patience:
            standing.stopped = "early"
        if standing.stopped or plan.settings.checkpoint_steps is None:
            self._save()

    def _metric(self) -> float | None:
        state, evaluation = self._state, self._plan.evaluation
        if evaluation is None:
            return None
        with nullcontext() if state.average is None else state.average.in_place(state.model):
            own = score(state.model, evaluation, self._accelerator.device)
            metric = acceleration.from_main(own, self._accelerator)
            if state.standing.best is None or metric > state.standing.best:
                state.best = copied_state(state.model)
                state.standing.best, state.standing.stale = metric, 0
            else:
                state.standing.stale += 1
        return metric

    def _note_short(self, found: int) -> None:
        if not any(finding.code == "data-ended-early" for finding in self._findings):
            message = (
                f"an epoch had {found} batches where {self._feed.length} were announced; training went on with them"
            )
            self._findings.append(Finding("data-ended-early", message, hint="check the data set's __len__"))

    def _rate(self) -> float:
        return rate_at(self._state.standing.step, self._total, self._plan.settings)

    def _identity(self, model: nn.Module) -> dict[str, Any]:
        plan = self._plan
        settings = {name: value for name, value in asdict(plan.settings).items() if name != "checkpoint_steps"}
        return {
            "settings": settings,
            "epochs": plan.epochs,
            "steps": plan.steps,
            "patience": plan.patience,
            "evaluation": plan.evaluation is not None,
            "augment": spoken(plan.augment),
            "batches": self._feed.length,
            "processes": self._accelerator.num_processes,
            "objective": self._objective.identity(),
            "model": {name: list(value.shape) for name, value in model.state_dict().items()},
        }

    def _save(self) -> None:
        if self._folder is None:
            return
        acceleration.share_state(self._state.model, self._accelerator)
        random = acceleration.gathered(random_state.capture(), self._accelerator)
        tensors = self._state.tensors(random)
        if self._accelerator.is_main_process:
            self._folder.save(self._state.standing.step, tensors, self._state.facts())
        self._accelerator.wait_for_everyone()

    def _resume(self) -> None:
        if self._folder is None:
            return
        checkpoint, findings = self._folder.latest()
        self._findings += findings
        if checkpoint is None:
            return
        self._state.load(checkpoint)
        standing, rank = self._state.standing, self._accelerator.process_index
        message = f"went on from step {standing.step} of {self._total} in {self._folder.path}"
        self._findings.append(Finding("training-resumed", message, Severity.NOTE))
        if standing.batch:
            self._random = {name: value[rank] for name, value in checkpoint.part("random").items()}


@contextmanager
def _device_kept(model: nn.Module) -> Iterator[None]:
    """A model whose weights all lie on one device is there again afterwards."""
    devices = {value.device for value in itertools.chain(model.parameters(), model.buffers())}
    try:
        yield
    finally:
        if len(devices) == 1:
            model.to(devices.pop())
