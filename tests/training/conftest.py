"""Small nets and data that every test of training shares."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

CLASSES = 4


def build(width: int, seed: int = 0) -> nn.Sequential:
    """A small convolutional net with dropout, so that random states matter."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, width, 3, 2, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(4 * width, CLASSES),
    )


def samples(count: int = 48, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Noise around a bright quarter; which quarter is the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    inputs = torch.randn(count, 1, 8, 8, generator=generator)
    for place, label in enumerate(labels.tolist()):
        top, left = 4 * (label // 2), 4 * (label % 2)
        inputs[place, :, top : top + 4, left : left + 4] += 0.8
    return inputs, labels


@pytest.fixture
def net() -> Callable[..., nn.Sequential]:
    return build


@pytest.fixture
def loader() -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(TensorDataset(*samples()), batch_size=16, shuffle=True)


@pytest.fixture
def batches() -> list[tuple[Tensor, Tensor]]:
    inputs, labels = samples()
    return list(zip(inputs.split(16), labels.split(16), strict=True))
