"""What the tests of callbacks train: small nets on the handwritten digits of scikit-learn, 8 x 8 pixels."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

SHAPE = (1, 8, 8)


def digits(count: int = 512) -> tuple[Tensor, Tensor]:
    """(images (N, 1, 8, 8) in 0..1, labels (N,))."""
    found = load_digits()
    images = torch.tensor(found.images[:count], dtype=torch.float32).unsqueeze(1) / 16
    return images, torch.tensor(found.target[:count], dtype=torch.int64)


def calibration(count: int = 64, size: int = 16) -> list[Tensor]:
    """Batches of images."""
    return list(digits(count)[0].split(size))


def net(width: int = 16, *, seed: int = 0) -> nn.Sequential:
    """A small convolutional classifier."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(2 * width, 10),
        )


def trained_net(width: int = 16, *, steps: int = 60) -> nn.Sequential:
    """The same after a short training: a teacher, in evaluation mode."""
    module = net(width, seed=1)
    images, labels = digits()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(steps):
            rows = torch.randint(0, len(images), (64,))
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(images[rows]), labels[rows]).backward()
            optimizer.step()
    return module.eval()
