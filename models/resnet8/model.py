"""ResNet-8, the image classifier of MLPerf Tiny (Banbury et al. 2021, arXiv:2106.07597), for one input channel.

A stem and three stacks of one residual block each, with 16, 32 and 64 channels. Where a stack halves the picture its
shortcut is a 1x1 convolution without BatchNorm, as in the benchmark's own code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Stack(nn.Module):
    """One residual block: two 3x3 convolutions and a shortcut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, channels: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(channels, width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, width, H / stride, W / stride)."""
        inner = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(x))


class ResNet8(nn.Module):
    """Stem, three stacks, average pool, linear."""

    def __init__(self, *, channels: int = 1, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.stacks = nn.Sequential(Stack(16, 16), Stack(16, 32, stride=2), Stack(32, 64, stride=2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(64, classes)

    def forward(self, image: Tensor) -> Tensor:
        """(N, channels, H, W), 0..1, to logits (N, classes)."""
        features = self.stacks(torch.relu(self.norm(self.stem(image))))
        logits: Tensor = self.head(self.pool(features).flatten(1))
        return logits


def build() -> nn.Module:
    """The net without weights, in eval mode; input (N, 1, 28, 28), output (N, 10) logits."""
    return ResNet8().eval()
