"""edgekit in Lightning: one callback does it all. Run: python examples/lightning_digits.py."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch
from digits import build, images, show
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


class Digits(pl.LightningModule):
    """A LightningModule with its net in an attribute, `model`; there is nothing of edgekit in it."""

    def __init__(self, model: nn.Module) -> None:
        """Train `model`."""
        super().__init__()
        self.model = model

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Cross-entropy."""
        inputs, labels = batch
        return nn.functional.cross_entropy(self.model(inputs), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Ask for `self.parameters()`, and it works for a rounded net too."""
        return torch.optim.AdamW(self.parameters(), lr=2e-3)


def trainer(epochs: int, folder: str, *callbacks: pl.Callback) -> pl.Trainer:
    """A quiet one."""
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )


def main() -> None:
    """Train a net; then make it half as large, with what it was as its teacher, and end with int8 files."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    pl.seed_everything(0, verbose=False)
    training, test = images()
    loader = DataLoader(TensorDataset(*training), batch_size=64, shuffle=True)
    with tempfile.TemporaryDirectory() as folder:
        module = Digits(build())
        trainer(8, folder).fit(module, loader)
        schedule = CompressionSchedule(
            calibration=loader,
            prune=PrunePhase(speedup=2.0),
            sparsity=SparsityPhase(amount=0.3),
            distill=DistillPhase("self", weight=0.5),
            qat=QatPhase(epoch=6),
            export=ExportPhase(Path(folder) / "files", evaluation=test),
        )
        callback = EdgekitCallback(schedule)
        trainer(8, folder, callback).fit(module, loader)
        assert callback.result is not None
        show(callback.result)


if __name__ == "__main__":
    main()
