"""Image classifiers: ResNet-8, MobileNetV3, a SiLU net like EfficientNet-B0, ShuffleNetV2. All take (N, 3, H, W)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.testing.nets.blocks import ConvNorm, InvertedResidual


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, 1x1 where the shape changes (He et al. 2016)."""

    def __init__(self, channels: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        self.first = ConvNorm(channels, width, stride=stride)
        self.second = ConvNorm(width, width, activation=nn.Identity)
        same = stride == 1 and channels == width
        self.shortcut = (
            nn.Identity() if same else ConvNorm(channels, width, kernel=1, stride=stride, activation=nn.Identity)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, width, H / stride, W / stride)."""
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


class ResNet8(nn.Module):
    """The image classifier of MLPerf Tiny: a stem, three residual blocks, average pool, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 16)
        self.stages = nn.Sequential(
            ResidualBlock(16, 16), ResidualBlock(16, 32, stride=2), ResidualBlock(32, 64, stride=2)
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(64, 10)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, 32, 32) to logits (N, 10)."""
        logits: Tensor = self.head(self.pool(self.stages(self.stem(image))).flatten(1))
        return logits


class MobileNetV3(nn.Module):
    """Hard-swish, ReLU and hard-sigmoid gates, 5x5 depthwise kernels, dropout in the head (arXiv:1905.02244)."""

    def __init__(self) -> None:
        super().__init__()
        swish = nn.Hardswish
        self.features = nn.Sequential(
            ConvNorm(3, 16, stride=2, activation=swish),
            InvertedResidual(16, 16, expanded=16, stride=2, activation=nn.ReLU, gate=nn.Hardsigmoid),
            InvertedResidual(16, 24, expanded=56, stride=2, activation=nn.ReLU),
            InvertedResidual(24, 24, expanded=64, kernel=5, activation=swish, gate=nn.Hardsigmoid),
            InvertedResidual(24, 24, expanded=64, kernel=5, activation=swish, gate=nn.Hardsigmoid),
            ConvNorm(24, 96, kernel=1, activation=swish),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Linear(96, 64), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(64, 10))

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, 64, 64) to logits (N, 10)."""
        logits: Tensor = self.classifier(torch.flatten(self.pool(self.features(image)), 1))
        return logits


class SiluNet(nn.Module):
    """The shape of EfficientNet-B0 made small: SiLU everywhere, sigmoid gates (arXiv:1905.11946)."""

    def __init__(self) -> None:
        super().__init__()
        silu = nn.SiLU
        self.stem = ConvNorm(3, 16, stride=2, activation=silu)
        self.blocks = nn.Sequential(
            InvertedResidual(16, 16, expanded=16, activation=silu, gate=nn.Sigmoid),
            InvertedResidual(16, 24, expanded=64, stride=2, activation=silu, gate=nn.Sigmoid),
            InvertedResidual(24, 24, expanded=96, kernel=5, activation=silu, gate=nn.Sigmoid),
            InvertedResidual(24, 40, expanded=96, kernel=5, stride=2, activation=silu, gate=nn.Sigmoid),
        )
        self.top = ConvNorm(40, 96, kernel=1, activation=silu)
        self.head = nn.Linear(96, 10)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, 48, 48) to logits (N, 10)."""
        logits: Tensor = self.head(self.top(self.blocks(self.stem(image))).mean((2, 3)))
        return logits


class ShuffleUnit(nn.Module):
    """Split the channels, transform one half, concatenate, shuffle in two groups (arXiv:1807.11164)."""

    def __init__(self, channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.down = stride == 2
        half = channels if self.down else channels // 2
        self.right = nn.Sequential(
            ConvNorm(half, half, kernel=1),
            ConvNorm(half, half, stride=stride, groups=half, activation=nn.Identity),
            ConvNorm(half, half, kernel=1),
        )
        self.left = (
            nn.Sequential(
                ConvNorm(half, half, stride=2, groups=half, activation=nn.Identity), ConvNorm(half, half, kernel=1)
            )
            if self.down
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape, or (N, 2 C, H / 2, W / 2) with stride 2."""
        left, right = (x, x) if self.down else x.chunk(2, dim=1)
        joined = torch.cat((self.left(left), self.right(right)), dim=1)
        count, channels, height, width = joined.shape
        grouped = joined.view(count, 2, channels // 2, height, width).transpose(1, 2)
        return grouped.reshape(count, channels, height, width)


class ShuffleNet(nn.Module):
    """Stem with max pooling, four units, 1x1 top, average pool, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 24, stride=2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.units = nn.Sequential(
            ShuffleUnit(24, stride=2), ShuffleUnit(48), ShuffleUnit(48), ShuffleUnit(48, stride=2), ShuffleUnit(96)
        )
        self.top = ConvNorm(96, 128, kernel=1)
        self.head = nn.Linear(128, 10)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, 64, 64) to logits (N, 10)."""
        logits: Tensor = self.head(self.top(self.units(self.pool(self.stem(image)))).mean([2, 3]))
        return logits
