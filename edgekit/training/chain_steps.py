"""The steps of the chain, each from a torch module to the next one, resumed from the step folder."""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from edgekit.errors import InputError
from edgekit.load.factory import build_module
from edgekit.load.named_object import load_object
from edgekit.load.trainable import Trainable
from edgekit.shrink.pruning.counting import count_macs, count_parameters
from edgekit.training.batches import read_batch
from edgekit.training.distilling import distill
from edgekit.training.evaluation import Examination
from edgekit.training.fit import finetune
from edgekit.training.objective import choose_task_loss
from edgekit.training.pruning import load_pruned, prune
from edgekit.training.quantization_aware import prepare_qat
from edgekit.training.settings import Distillation, TrainingSettings
from edgekit.training.speed_claim import judge_speed, measure_speed
from edgekit.training.step_folder import StepFolder
from edgekit.types.finding import Finding, Severity
from edgekit.types.progress import Progress
from edgekit.types.recipe import Recipe
from edgekit.types.spec import TensorSpec
from edgekit.types.training import AUTO, SELF
from edgekit.types.training_summary import TrainedStep


@dataclass
class Chain:
    """The module on its way through the steps."""

    recipe: Recipe
    source: Trainable
    data: Iterable[Any] | None
    inputs: tuple[TensorSpec, ...]
    folder: StepFolder
    examination: Examination | None
    progress: Progress
    steps: list[TrainedStep] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def run(self) -> nn.Module:
        """All steps in order; returns the last module."""
        module = self.source.module
        self._note("as given", "", module, time.monotonic())
        if self.recipe.prune.target:
            module = self._prune(module)
        if self.data is not None and self.recipe.train.epochs and (self._prunes or self.recipe.distill.teacher):
            module = self._fit(module)
        if self.recipe.qat.length:
            module = self._train_for_int8(module)
        return module

    @property
    def _prunes(self) -> bool:
        return bool(self.recipe.prune.target)

    def _prune(self, module: nn.Module) -> nn.Module:
        settings, begun, file = self.recipe.prune, time.monotonic(), self.folder.file("pruned.safetensors")
        if file.exists():
            pruned_module = load_pruned(lambda: copy.deepcopy(module), file)
            self.resumed.append("pruned")
        else:
            target = settings.parsed()
            with self.progress.stage("prune"):
                pruned = prune(
                    module,
                    self._example(),
                    speedup=target.amount if target.kind == "speedup" else None,
                    macs=target.amount if target.kind == "macs" else None,
                    size=round(target.amount) if target.kind == "size" else None,
                    latency=target.amount if target.kind == "latency" else None,
                    importance=None if settings.importance == AUTO else settings.importance,
                    loss=self._ranking_loss(),
                    round_to=settings.round_to,
                    ignore=settings.ignore,
                    schedule=settings.schedule,
                    data=self.data,
                    train=self._one_epoch if settings.schedule == "iterative" else None,
                    seed=self.recipe.train.seed,
                    progress=self.progress,
                )
                pruned.save(file)
            self.findings.extend(pruned.findings)
            pruned_module = pruned.model
        if self.data is None or not self.recipe.train.epochs:
            self.findings.append(
                Finding(
                    "pruned-untrained",
                    "channels were removed and nothing was trained after it: the accuracy is not what it could be",
                    Severity.WARNING,
                    hint="name training data with --train, and --distill self",
                )
            )
        ratio = self._measure(module, pruned_module)
        self._note("pruned", f"{settings.target}, {settings.importance}", pruned_module, begun, time_ratio=ratio)
        return pruned_module

    def _measure(self, module: nn.Module, pruned: nn.Module) -> float:
        """Time share of the pruned module's int8 file; the finding where it does not follow the MACs."""
        example, folder = self._example(), self.folder.file("timing")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with self.progress.stage("measure the speed"):
            ratio = measure_speed(module, pruned, example, None, workdir=folder, seed=self.recipe.train.seed)
        shutil.rmtree(folder, ignore_errors=True)
        finding = judge_speed(ratio, count_macs(pruned, example) / count_macs(module, example))
        if finding is not None:
            self.findings.append(finding)
        return ratio

    def _fit(self, module: nn.Module) -> nn.Module:
        begun, teacher, train = time.monotonic(), self._teacher(), self.recipe.train
        fitted = self._loop(module, teacher, "fit", lr=train.lr, epochs=train.epochs, steps=None)
        how = f"{train.epochs} epochs" + (f" from {self.recipe.distill.teacher}" if teacher is not None else "")
        self._note("fine-tuned" if teacher is None else "distilled", how, fitted, begun)
        return fitted

    def _train_for_int8(self, module: nn.Module) -> nn.Module:
        begun, settings = time.monotonic(), self.recipe.qat
        epochs, steps = settings.parsed()
        with self.progress.stage("prepare for int8"):
            qat = prepare_qat(
                module,
                self.data,
                inputs=self.inputs,
                learn_scales=settings.learn_scales,
                batchnorm="live" if settings.batchnorm == "live" else "frozen",
                seed=self.recipe.train.seed,
            )
        rate = settings.lr or (self.recipe.train.lr or TrainingSettings().lr) / 10
        teacher = self._teacher()
        trained = self._loop(qat, teacher, "qat", lr=rate, epochs=epochs, steps=steps)
        self._note("trained for int8", settings.length, trained, begun, like=module)
        return trained

    def _loop(
        self,
        module: nn.Module,
        teacher: nn.Module | None,
        name: str,
        *,
        lr: float,
        epochs: int | None,
        steps: int | None,
    ) -> nn.Module:
        """One training with its checkpoints; the same call goes on where a killed one was."""
        assert self.data is not None  # see `refuse_without_data`
        train, wanted = self.recipe.train, self.recipe.distill
        checkpoint = self.folder.file(name)
        if checkpoint.exists():
            self.resumed.append(
                {"fit": "distilled" if teacher is not None else "fine-tuned"}.get(name, "trained for int8")
            )
        settings = TrainingSettings(seed=train.seed, lr=lr or TrainingSettings().lr)
        loss = self._loss()
        if teacher is None:
            found = finetune(
                module,
                self.data,
                epochs=epochs,
                steps=steps,
                loss=loss or "auto",
                settings=settings,
                checkpoint=checkpoint,
                progress=self.progress,
            )
        else:
            found = distill(
                module,
                teacher,
                self.data,
                epochs=epochs,
                steps=steps,
                loss=wanted.loss,
                task_loss=loss or "auto",
                distillation=Distillation(weight=wanted.weight, temperature=wanted.temperature),
                settings=settings,
                checkpoint=checkpoint,
                progress=self.progress,
            )
        self.findings.extend(found.findings)
        return found.model

    def _teacher(self) -> nn.Module | None:
        name = self.recipe.distill.teacher
        if not name:
            return None
        return self.source.module if name == SELF else build_module(name).eval()

    def _loss(self) -> Any:
        """The user's loss on labels, or None for the loop's own choice."""
        place = self.recipe.train.loss
        if not place:
            return None
        found = load_object(place, "loss")
        if not callable(found):
            raise InputError(f"{place} is a {type(found).__name__}, not a function (asked for as the loss)")
        return found() if isinstance(found, type) else found

    def _ranking_loss(self) -> Callable[[nn.Module, object], torch.Tensor] | None:
        """The loss on labels as a function of (module, batch), for "taylor"; None without labelled batches."""
        if self.data is None:
            return None
        first = next(iter(self.data), None)
        if first is None or read_batch(first).labels is None:
            return None
        own = self._loss()

        def loss(module: nn.Module, found: object) -> torch.Tensor:
            batch = read_batch(found)
            outputs = batch.run(module)
            assert batch.labels is not None
            chosen = own or choose_task_loss("auto", outputs, batch.labels, 0.0)
            if chosen is None:
                raise InputError("the channels cannot be ranked by their loss: the labels do not fit the outputs")
            return torch.as_tensor(chosen(outputs, batch.labels))

        return loss

    def _one_epoch(self, module: nn.Module) -> None:
        assert self.data is not None
        teacher = self._teacher()
        settings = TrainingSettings(seed=self.recipe.train.seed)
        if teacher is None:
            finetune(module, self.data, epochs=1, settings=settings)
        else:
            distill(module, teacher, self.data, epochs=1, loss=self.recipe.distill.loss, settings=settings)

    def _example(self) -> tuple[torch.Tensor, ...]:
        """Zeros of the inputs' shapes: what the structure is found with."""
        return tuple(torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in self.inputs)

    def _note(
        self,
        name: str,
        detail: str,
        module: nn.Module,
        begun: float,
        *,
        like: nn.Module | None = None,
        time_ratio: float | None = None,
    ) -> None:
        accuracy = None if self.examination is None else self.examination(module)
        counted, example = like or module, self._example()
        self.steps.append(
            TrainedStep(
                name,
                detail,
                count_macs(counted, example),
                count_parameters(counted),
                accuracy,
                time.monotonic() - begun,
                time_ratio,
            )
        )
