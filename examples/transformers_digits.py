"""edgekit in the Trainer of Transformers: a tiny ViT. Run: python examples/transformers_digits.py."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from digits import images, show
from torch import Tensor
from transformers import TrainingArguments, ViTConfig, ViTForImageClassification

from edgekit.callbacks.schedule import CompressionSchedule, ExportPhase, QatPhase, SparsityPhase
from edgekit.callbacks.transformers import EdgekitTrainer, EdgekitTrainerCallback


def rows(found: tuple[Tensor, Tensor]) -> list[dict[str, Tensor]]:
    """A data set as Trainer takes it."""
    return [{"pixel_values": image, "labels": label} for image, label in zip(*found, strict=True)]


def main() -> None:
    """Train with zeros that grow, then rounded; the files are written when the training ends."""
    torch.manual_seed(0)
    training, test = images()
    config = ViTConfig(
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        image_size=8,
        patch_size=2,
        num_channels=1,
        num_labels=10,
    )
    model = ViTForImageClassification(config)
    with tempfile.TemporaryDirectory() as folder:
        schedule = CompressionSchedule(
            calibration=[{"pixel_values": batch} for batch in training[0][:256].split(64)],
            sparsity=SparsityPhase(amount=0.3),
            qat=QatPhase(epoch=12),
            export=ExportPhase(Path(folder) / "files", evaluation=test),
        )
        callback = EdgekitTrainerCallback(schedule)
        arguments = TrainingArguments(
            folder,
            num_train_epochs=15,
            per_device_train_batch_size=64,
            learning_rate=3e-3,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
            save_strategy="no",
            logging_strategy="no",
        )
        EdgekitTrainer(model, arguments, train_dataset=rows(training), callbacks=[callback]).train()
        assert callback.result is not None
        show(callback.result)


if __name__ == "__main__":
    main()
