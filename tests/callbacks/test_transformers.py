"""EdgekitTrainerCallback in a real Trainer of Transformers: digits, one CPU, a few steps, nothing from a hub."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainingArguments, ViTConfig, ViTForImageClassification

from edgekit.callbacks.schedule import (
    CompressionSchedule,
    DistillPhase,
    ExportPhase,
    PrunePhase,
    QatPhase,
    SparsityPhase,
)
from edgekit.callbacks.takeover import CHILD
from edgekit.callbacks.transformers import EdgekitTrainer, EdgekitTrainerCallback
from edgekit.errors import InputError, RecipeError
from edgekit.shrink.qat.module import QatModule
from tests.callbacks.digits import digits, net, trained_net

pytestmark = [
    pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*before.*optimizer.step.*:UserWarning"),
]


class Classifier(nn.Module):
    """A model as Trainer wants one: it takes labels and returns its loss."""

    def __init__(self, inner: nn.Module | None = None) -> None:
        super().__init__()
        self.net = inner or net()
        self.fails = False

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.net(pixel_values)
        if self.fails:
            raise ValueError("the user's own mistake")
        if labels is None:
            return {"logits": logits}
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Rolled(nn.Module):
    """A teacher that calls every digit by the name of the next: nobody learns that from labels."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = trained_net()

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.inner(pixel_values).roll(1, dims=1)


def vit() -> ViTForImageClassification:
    torch.manual_seed(0)
    return ViTForImageClassification(
        ViTConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            image_size=8,
            patch_size=2,
            num_channels=1,
            num_labels=10,
        )
    )


def rows(count: int = 256) -> list[dict[str, Tensor]]:
    images, labels = digits(count)
    return [{"pixel_values": image, "labels": label} for image, label in zip(images, labels, strict=True)]


def batches(count: int = 64) -> list[dict[str, Tensor]]:
    images, labels = digits(count)
    return [{"pixel_values": one, "labels": two} for one, two in zip(images.split(16), labels.split(16), strict=True)]


def arguments(folder: Path, *, epochs: float = 2, **settings: Any) -> TrainingArguments:
    defaults: dict[str, Any] = {
        "per_device_train_batch_size": 32,
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 0,
    }
    return TrainingArguments(str(folder / "run"), num_train_epochs=epochs, **(defaults | settings))


def train(
    folder: Path, model: nn.Module, *callbacks: TrainerCallback, kind: type[Trainer] = Trainer, **settings: Any
) -> Trainer:
    count = settings.pop("count", 256)
    trainer = kind(model, arguments(folder, **settings), train_dataset=rows(count), callbacks=list(callbacks))
    trainer.train()
    return trainer


def logged(trainer: Trainer, name: str) -> list[float]:
    return [row[name] for row in trainer.state.log_history if name in row]


@pytest.mark.parametrize("module", ["", "net"])
def test_everything_at_once(tmp_path: Path, module: str) -> None:
    schedule = CompressionSchedule(
        calibration=batches() if not module else list(digits(64)[0].split(16)),
        sparsity=SparsityPhase(amount=0.5),
        prune=PrunePhase(speedup=1.3, round_to=4),
        distill=DistillPhase(trained_net() if module else Classifier(trained_net()), weight=0.5),
        qat=QatPhase(epoch=3),
        export=ExportPhase(tmp_path / "files", evaluation=digits(128)),
    )
    callback, model = EdgekitTrainerCallback(schedule, module=module), Classifier()
    trainer = train(tmp_path, model, callback, epochs=5)
    assert callback.session is not None
    assert callback.session.pruned is not None
    assert callback.session.pruned.speedup >= 1.3
    losses = logged(trainer, "loss")
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])
    assert isinstance(model.net if module else getattr(model, CHILD), QatModule)
    assert logged(trainer, "edgekit/qat")[:40] == [0.0] * 24 + [1.0] * 16
    zeros = logged(trainer, "edgekit/sparsity")
    assert zeros[0] < 0.2
    assert zeros[17] == pytest.approx(0.5, abs=0.01)
    assert min(zeros[24:40]) > 0.48, "zeros stay zero while the net is rounded"
    assert len(logged(trainer, "edgekit/kd_loss")) >= 40
    assert callback.result is not None
    assert callback.result.files["tflite-int8"].exists()
    assert logged(trainer, "edgekit/onnx-int8/accuracy")[0] > 0.5
    assert logged(trainer, "edgekit/tflite-int8/sqnr_db")[0] > 15
    assert not model._forward_hooks
    decayed, others = trainer.optimizer.param_groups
    assert {len(group["params"]) for group in (decayed, others)} == {3}
    assert {value.dim() for value in decayed["params"]} == {2, 4}, "weights keep their weight decay"
    inside = {id(one) for group in trainer.optimizer.param_groups for one in group["params"]}
    assert inside == {id(one) for one in model.parameters() if one.requires_grad}


def test_a_transformers_model(tmp_path: Path) -> None:
    model = vit()
    schedule = CompressionSchedule(
        calibration=batches(),
        sparsity=SparsityPhase(amount=0.3),
        distill=DistillPhase("self", weight=0.1),
        qat=QatPhase(epoch=1),
        export=ExportPhase(tmp_path / "files", evaluation=digits(64)),
    )
    callback = EdgekitTrainerCallback(schedule)
    trainer = train(tmp_path, model, callback, epochs=2, learning_rate=0.003)
    losses = logged(trainer, "loss")
    assert sum(losses[-3:]) < sum(losses[:3])
    assert callback.result is not None
    assert {"onnx-int8", "tflite-int8"} <= set(callback.result.files)
    assert trainer.evaluate(rows(64))["eval_loss"] > 0
    assert logged(trainer, "edgekit/onnx-int8/agreement")[0] > 0.8


def test_a_teacher_draws_the_student_nearer_and_evaluation_is_left_alone(tmp_path: Path) -> None:
    teacher, images, gaps = Rolled(), digits()[0], []
    for weight in (0.0, 1.0):
        model = Classifier()
        callback = EdgekitTrainerCallback(CompressionSchedule(distill=DistillPhase(teacher, weight=weight)))
        train(tmp_path, model, callback, epochs=8)
        with torch.no_grad():
            said = [one.log_softmax(1) for one in (copy.deepcopy(model).train()(images)["logits"], teacher(images))]
        gaps.append(float(nn.functional.kl_div(*said, reduction="batchmean", log_target=True)))
    assert gaps[1] < 0.5 * gaps[0]


def test_the_teachers_part_is_scaled_as_trainer_scales_losses(tmp_path: Path) -> None:
    """Two batches to a step of a model that takes `num_items_in_batch` train as one batch of twice the size."""
    weights = []
    for size, steps in ((32, 1), (16, 2)):
        model = vit()
        model.train()
        for layer in model.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
        callback = EdgekitTrainerCallback(CompressionSchedule(distill=DistillPhase(Rolled(), weight=0.5)))
        settings = {"per_device_train_batch_size": size, "gradient_accumulation_steps": steps, "optim": "sgd"}
        trainer = train(tmp_path, model, callback, epochs=1, count=64, **settings)
        assert trainer.state.global_step == 2
        weights.append(torch.cat([value.detach().flatten() for value in model.parameters()]))
    assert torch.allclose(weights[0], weights[1], atol=2e-5)


@pytest.mark.parametrize("stop", [8, 24])
def test_a_resumed_training_is_the_same(tmp_path: Path, stop: int) -> None:
    """Resumed with masks on (step 8), or while rounding (step 24)."""

    def schedule() -> CompressionSchedule:
        return CompressionSchedule(
            calibration=batches(), sparsity=SparsityPhase(amount=0.5, end=12), qat=QatPhase(epoch=2)
        )

    settings: dict[str, Any] = {"epochs": 5, "save_strategy": "epoch"}
    whole = Classifier()
    train(tmp_path, whole, EdgekitTrainerCallback(schedule()), **settings)
    saved = tmp_path / "run" / f"checkpoint-{stop}"
    resumed = Classifier(net(seed=5))
    ready = EdgekitTrainerCallback(schedule(), resume_from=saved)
    trainer = Trainer(resumed, arguments(tmp_path, **settings), train_dataset=rows(), callbacks=[ready])
    trainer.train(resume_from_checkpoint=str(saved))
    expected = whole.state_dict()
    for name, value in resumed.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(value, expected[name], atol=1e-4), name


def test_a_checkpoint_of_a_rounded_model_is_not_loaded_into_a_plain_one(tmp_path: Path) -> None:
    schedule = CompressionSchedule(calibration=batches(), qat=QatPhase(epoch=1))
    settings: dict[str, Any] = {"epochs": 3, "save_strategy": "epoch", "save_only_model": True}
    train(tmp_path, vit(), EdgekitTrainerCallback(schedule), count=64, **settings)
    model, callback = vit(), EdgekitTrainerCallback(schedule)
    trainer = Trainer(model, arguments(tmp_path, **settings), train_dataset=rows(64), callbacks=[callback])
    with pytest.raises(InputError, match="its weights do not fit") as caught:
        trainer.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-4"))
    assert "resume_from" in caught.value.hint


def test_after_an_exception_the_model_is_clean(tmp_path: Path) -> None:
    model, teacher = Classifier(), trained_net().train()
    model.fails = True
    callback = EdgekitTrainerCallback(CompressionSchedule(distill=DistillPhase(teacher)))
    with pytest.raises(ValueError, match="own mistake"):
        train(tmp_path, model, callback, kind=EdgekitTrainer, count=64)
    assert not model._forward_hooks
    assert teacher.training


def test_the_trainers_own_loggers_see_the_numbers(tmp_path: Path) -> None:
    """What the integrations of Transformers do: they look at `logs`, and they come before a user's callback."""
    seen: list[dict[str, float]] = []

    class Integration(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            seen.append(dict(kwargs["logs"]))

    schedule = CompressionSchedule(sparsity=SparsityPhase(end=2), distill=DistillPhase(trained_net()))
    train(
        tmp_path,
        Classifier(),
        Integration(),
        EdgekitTrainerCallback(schedule, module="net"),
        kind=EdgekitTrainer,
        epochs=1,
        count=64,
    )
    assert {"loss", "edgekit/sparsity", "edgekit/kd_loss"} <= set(seen[0])


def test_what_cannot_work_fails_before_the_first_step(tmp_path: Path) -> None:
    late = EdgekitTrainerCallback(CompressionSchedule(calibration=batches(), qat=QatPhase(epoch=7)))
    with pytest.raises(RecipeError, match=r"ends after 2 epoch"):
        train(tmp_path, Classifier(), late, count=64)
    with pytest.raises(InputError, match="no module 'head'; it has: net"):
        train(tmp_path, Classifier(), EdgekitTrainerCallback(CompressionSchedule(), module="head"), count=64)
    taught = EdgekitTrainerCallback(CompressionSchedule(distill=DistillPhase(Rolled())))
    with pytest.raises(InputError, match="no 'loss'"):
        train(tmp_path, vit(), taught, count=64, label_smoothing_factor=0.1)


def test_without_transformers_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["transformers"] = None
from edgekit.errors import MissingExtraError
try:
    import edgekit.callbacks.transformers
except MissingExtraError as error:
    assert "edgekit-ml[transformers]" in error.hint
else:
    raise SystemExit("it was imported")
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
