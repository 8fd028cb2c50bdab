"""edgekit in a training loop of your own: three lines of it are edgekit's. Run: python examples/plain_torch.py."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from digits import build, images, show
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import edgekit


def train(model: nn.Module, loader: DataLoader[tuple[Tensor, ...]], *, epochs: int, rate: float) -> None:
    """An ordinary loop; it does not know whether the model rounds."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    for _ in range(epochs):
        model.train()
        for inputs, labels in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()


def main() -> None:
    """Train, prune, train for int8, write the files."""
    torch.manual_seed(0)
    training, test = images()
    loader = DataLoader(TensorDataset(*training), batch_size=64, shuffle=True)
    model: nn.Module = build()
    train(model, loader, epochs=8, rate=3e-3)

    model = edgekit.prune(model, training[0][:1], speedup=2.0, data=loader).model
    train(model, loader, epochs=5, rate=1e-3)
    model = edgekit.prepare_qat(model.eval(), loader)
    train(model, loader, epochs=2, rate=1e-4)
    with tempfile.TemporaryDirectory() as folder:
        show(edgekit.compress(model, calibration=loader, evaluation=test, out=Path(folder) / "files"))


if __name__ == "__main__":
    main()
