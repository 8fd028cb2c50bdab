"""DS-CNN-S of "Hello Edge" (Zhang et al. 2017, arXiv:1711.07128), for pictures of 28x28.

A strided convolution and four depthwise separable blocks of 64 channels. The paper's first kernel is 10x4, for 49
frames of 10 coefficients; a picture has no such axis, so here it is 5x5.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SeparableBlock(nn.Module):
    """3x3 per channel, then 1x1 over channels, each with BatchNorm and ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, width, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, width, H, W)."""
        x = torch.relu(self.norm1(self.depthwise(x)))
        return torch.relu(self.norm2(self.pointwise(x)))


class DSCNN(nn.Module):
    """Strided convolution, four separable blocks, average pool, dropout, linear."""

    def __init__(self, *, channels: int = 1, width: int = 64, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 5, 2, 2, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(*(SeparableBlock(width, width) for _ in range(4)))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(width, classes)

    def forward(self, image: Tensor) -> Tensor:
        """(N, channels, H, W), 0..1, to logits (N, classes)."""
        features = self.blocks(torch.relu(self.norm(self.stem(image))))
        logits: Tensor = self.head(self.dropout(self.pool(features).flatten(1)))
        return logits


def build() -> nn.Module:
    """The net without weights, in eval mode; input (N, 1, 28, 28), output (N, 10) logits."""
    return DSCNN().eval()
