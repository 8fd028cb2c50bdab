"""What the examples share: handwritten digits that scikit-learn ships, a small net, and a table of the files."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from edgekit import CompressResult

TRAINING = 1400
"""Images to train on; the other 397 are for the accuracy."""


def images() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """((images, labels) to train on, (images, labels) to test on); images are (N, 1, 8, 8) in 0..1."""
    found = load_digits()
    pixels = torch.tensor(found.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(found.target, dtype=torch.int64)
    return (pixels[:TRAINING], labels[:TRAINING]), (pixels[TRAINING:], labels[TRAINING:])


def build(width: int = 32) -> nn.Sequential:
    """A small convolutional classifier."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, 10),
    )


def show(result: CompressResult) -> None:
    """Print a row for each file: bytes, and the accuracy on the test images (that of the float file is the net's)."""
    entries = result.report.check.artifacts
    baseline = next(entry.accuracy.baseline for entry in entries if entry.accuracy is not None)
    for entry in entries:
        score = baseline if entry.accuracy is None else entry.accuracy.accuracy
        print(f"{entry.artifact.format:12} {entry.artifact.size_bytes:7} bytes  accuracy {score:.3f}")
