"""EdgekitCallback in a real Lightning training: digits, one CPU, a few steps."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.loggers.logger import Logger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from edgekit.callbacks.lightning import EdgekitCallback
from edgekit.callbacks.schedule import (
    CompressionSchedule,
    DistillPhase,
    ExportPhase,
    PrunePhase,
    QatPhase,
    SparsityPhase,
)
from edgekit.errors import InputError, RecipeError
from edgekit.shrink.qat.module import QatModule
from tests.callbacks.digits import calibration, digits, net, trained_net

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:The `srun` command is available.*"),
    pytest.mark.filterwarnings("ignore:.*`isinstance.treespec, LeafSpec.` is deprecated.*"),
]


class Memory(Logger):
    """A logger that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []

    @property
    def name(self) -> str:
        return "memory"

    @property
    def version(self) -> int:
        return 0

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append(dict(metrics))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass

    def values(self, name: str) -> list[float]:
        return [row[name] for row in self.rows if name in row]


class Digits(pl.LightningModule):
    """A classifier as users write one."""

    def __init__(self, model: nn.Module | None = None, *, as_dict: bool = False, fails_at: int = -1) -> None:
        super().__init__()
        self.model = model or net()
        self.as_dict, self.fails_at = as_dict, fails_at

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor | dict[str, Tensor]:
        images, labels = batch
        loss = nn.functional.cross_entropy(self.model(images), labels)
        self.log("loss", loss)
        if self.global_step == self.fails_at:
            raise ValueError("the user's own mistake")
        return {"loss": loss, "count": torch.tensor(len(labels))} if self.as_dict else loss

    def configure_optimizers(self) -> Any:
        decayed = [value for value in self.parameters() if value.dim() > 1]
        others = [value for value in self.parameters() if value.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=0.01)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9), "interval": "epoch"},
        }


def loader(count: int = 256, batch: int = 32) -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(
        TensorDataset(*digits(count)), batch_size=batch, shuffle=True, generator=torch.Generator().manual_seed(0)
    )


def trainer(folder: Path, *callbacks: pl.Callback, epochs: int = 2, **settings: Any) -> pl.Trainer:
    pl.seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {
        "logger": Memory(),
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "log_every_n_steps": 1,
        "accelerator": "cpu",
        "devices": 1,
    }
    return pl.Trainer(default_root_dir=folder, max_epochs=epochs, callbacks=list(callbacks), **(defaults | settings))


def untouched(module: pl.LightningModule) -> bool:
    return "training_step" not in vars(module) and "on_load_checkpoint" not in vars(module)


def test_everything_at_once(tmp_path: Path) -> None:
    schedule = CompressionSchedule(
        calibration=calibration(),
        sparsity=SparsityPhase(amount=0.5),
        prune=PrunePhase(speedup=1.3, round_to=4),
        distill=DistillPhase(trained_net(), weight=0.5),
        qat=QatPhase(epoch=3),
        export=ExportPhase(tmp_path / "files", evaluation=digits(128)),
    )
    callback, module = EdgekitCallback(schedule), Digits()
    fit = trainer(tmp_path, callback, epochs=5)
    fit.fit(module, loader())
    memory = fit.logger
    assert isinstance(memory, Memory)
    assert callback.session is not None
    assert callback.session.pruned is not None
    assert callback.session.pruned.speedup >= 1.3
    losses = memory.values("loss")
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])
    assert isinstance(module.model, QatModule)
    assert memory.values("edgekit/qat") == [0.0] * 24 + [1.0] * 16
    zeros = memory.values("edgekit/sparsity")
    assert zeros[0] < 0.2
    assert zeros[17] == pytest.approx(0.5, abs=0.01)
    assert min(zeros[24:]) > 0.48, "zeros stay zero while the net is rounded"
    assert len(memory.values("edgekit/kd_loss")) == 40
    assert callback.result is not None
    assert callback.result.files["onnx-int8"].stat().st_size == memory.values("edgekit/onnx-int8/bytes")[0]
    assert callback.result.files["tflite-int8"].exists()
    assert memory.values("edgekit/onnx-int8/accuracy")[0] > 0.5
    assert memory.values("edgekit/tflite-int8/sqnr_db")[0] > 15
    assert untouched(module)


class Rolled(nn.Module):
    """A teacher that calls every digit by the name of the next: nobody learns that from labels."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = trained_net()

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images).roll(1, dims=1)


def test_a_teacher_draws_the_student_nearer(tmp_path: Path) -> None:
    teacher, images = Rolled(), digits()[0]
    gaps, states = [], {}
    for weight in (0.0, 1.0):
        module = Digits()
        callback = EdgekitCallback(CompressionSchedule(distill=DistillPhase(teacher, weight=weight)))
        fit = trainer(tmp_path, callback, epochs=4)
        fit.fit(module, loader())
        states[weight] = copy.deepcopy(module.model.state_dict())
        with torch.no_grad():
            said = [one(images).log_softmax(1) for one in (module.model.train(), teacher.eval())]
        gaps.append(float(nn.functional.kl_div(*said, reduction="batchmean", log_target=True)))
    assert gaps[1] < 0.5 * gaps[0]
    plain = Digits()
    trainer(tmp_path, epochs=4).fit(plain, loader())
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, states[0.0][name]), "a teacher of weight 0 changes nothing"


def test_the_loss_is_mixed_in_a_dict_too_and_dkd_finds_the_labels(tmp_path: Path) -> None:
    module = Digits(as_dict=True)
    callback = EdgekitCallback(CompressionSchedule(distill=DistillPhase(trained_net(), loss="dkd")))
    fit = trainer(tmp_path, callback, epochs=1)
    fit.fit(module, loader(64))
    assert isinstance(fit.logger, Memory)
    assert len(fit.logger.values("edgekit/kd_loss")) == 2


def test_qat_keeps_rates_and_groups(tmp_path: Path) -> None:
    seen: list[tuple[int, list[float], list[int]]] = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            groups = trainer.optimizers[0].param_groups
            seen.append((trainer.current_epoch, [g["lr"] for g in groups], [len(g["params"]) for g in groups]))
            inside = {id(value) for group in groups for value in group["params"]}
            assert inside == {id(value) for value in pl_module.parameters()}

    callback = EdgekitCallback(CompressionSchedule(calibration=calibration(), qat=QatPhase(epoch=2, learn_scales=True)))
    trainer(tmp_path, callback, Watch(), epochs=4).fit(Digits(), loader(64))
    assert [rates[0] for epoch, rates, _ in seen[::2]] == pytest.approx([0.01, 0.009, 0.0081, 0.00729])
    assert all(rates[0] == rates[1] for _, rates, _ in seen)


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_training_is_the_same(tmp_path: Path, stop: int) -> None:
    """Stopped with masks on (epoch 1), or while rounding (epoch 3), it goes on as if nothing had happened."""

    def schedule() -> CompressionSchedule:
        return CompressionSchedule(
            calibration=calibration(),
            prune=PrunePhase(speedup=1.3, round_to=4),
            sparsity=SparsityPhase(amount=0.5, end=12),
            qat=QatPhase(epoch=2),
        )

    def data() -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(TensorDataset(*digits(256)), batch_size=32)

    whole = Digits()
    trainer(tmp_path, EdgekitCallback(schedule()), epochs=5).fit(whole, data())

    class Stop(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch == stop - 1:
                trainer.should_stop = True

    first = trainer(tmp_path, EdgekitCallback(schedule()), Stop(), epochs=5, enable_checkpointing=False)
    half = Digits()
    saved = tmp_path / "half.ckpt"

    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch == stop - 1:
                trainer.save_checkpoint(saved)

    first.callbacks.insert(0, Save())
    first.fit(half, data())
    other = net(seed=5)  # another start: what is loaded decides
    resumed = Digits(other)
    trainer(tmp_path, EdgekitCallback(schedule()), epochs=5).fit(resumed, data(), ckpt_path=str(saved))
    assert isinstance(resumed.model, QatModule)
    expected = whole.model.state_dict()
    for name, value in resumed.model.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(value, expected[name], atol=1e-4), name


def test_after_an_exception_the_module_is_the_users_again(tmp_path: Path) -> None:
    teacher = trained_net()
    teacher.train()
    schedule = CompressionSchedule(distill=DistillPhase(teacher), sparsity=SparsityPhase(end=2))
    callback, module = EdgekitCallback(schedule), Digits(fails_at=1)
    with pytest.raises(ValueError, match="own mistake"):
        trainer(tmp_path, callback).fit(module, loader(64))
    assert untouched(module)
    assert teacher.training
    assert not module.model[0]._forward_hooks
    module.fails_at = -1
    trainer(tmp_path, callback).fit(module, loader(64))


def test_self_is_the_net_before_it_was_pruned(tmp_path: Path) -> None:
    module = Digits(trained_net().train())
    schedule = CompressionSchedule(
        calibration=calibration(), prune=PrunePhase(speedup=1.5, round_to=4), distill=DistillPhase("self", weight=1.0)
    )
    fit = trainer(tmp_path, EdgekitCallback(schedule), epochs=3)
    fit.fit(module, loader())
    assert isinstance(fit.logger, Memory)
    terms = fit.logger.values("edgekit/kd_loss")
    assert 0 < sum(terms[-4:]) < sum(terms[:4])


def test_qat_from_the_first_epoch(tmp_path: Path) -> None:
    module = Digits()
    callback = EdgekitCallback(CompressionSchedule(calibration=calibration(), qat=QatPhase(epoch=0)))
    trainer(tmp_path, callback, epochs=1).fit(module, loader(64))
    assert isinstance(module.model, QatModule)
    assert int(module.model.steps) == 2


def test_what_cannot_work_fails_before_the_first_step(tmp_path: Path) -> None:
    data = calibration()
    with pytest.raises(InputError, match="no module 'net'; it has: model"):
        trainer(tmp_path, EdgekitCallback(CompressionSchedule(), module="net")).fit(Digits(), loader(64))
    with pytest.raises(RecipeError, match="needs calibration data"):
        CompressionSchedule(qat=QatPhase(epoch=1))
    late = EdgekitCallback(CompressionSchedule(calibration=data, qat=QatPhase(epoch=7)))
    with pytest.raises(RecipeError, match="ends after 2 epoch"):
        trainer(tmp_path, late).fit(Digits(), loader(64))
    early = CompressionSchedule(calibration=data, qat=QatPhase(epoch=1), sparsity=SparsityPhase(end=3))
    with pytest.raises(RecipeError, match="QAT begins at step 2"):
        trainer(tmp_path, EdgekitCallback(early)).fit(Digits(), loader(64))

    class OwnLayers(Digits):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.model[0].parameters(), lr=0.1)

    module = OwnLayers()
    kept = module.model
    with pytest.raises(RecipeError, match="configure_optimizers fails once the net is rounded"):
        trainer(tmp_path, EdgekitCallback(CompressionSchedule(calibration=data, qat=QatPhase(epoch=1)))).fit(
            module, loader(64)
        )
    assert module.model is kept
    assert untouched(module)


def test_manual_optimization_has_no_loss_to_mix(tmp_path: Path) -> None:
    module = Digits()
    module.automatic_optimization = False
    with pytest.raises(InputError, match="manual optimization"):
        trainer(tmp_path, EdgekitCallback(CompressionSchedule(distill=DistillPhase(trained_net())))).fit(
            module, loader(64)
        )


def test_without_lightning_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["lightning"] = sys.modules["lightning.pytorch"] = sys.modules["pytorch_lightning"] = None
from edgekit.errors import MissingExtraError
try:
    import edgekit.callbacks.lightning
except MissingExtraError as error:
    assert "edgekit-ml[lightning]" in error.hint
else:
    raise SystemExit("it was imported")
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
