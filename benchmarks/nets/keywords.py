"""A keyword spotter: the depthwise-separable net DS-CNN (Zhang et al. 2017) on log-mel features."""

from __future__ import annotations

from torch import Tensor, nn

WIDTH = 64


def _separable(width: int) -> list[nn.Module]:
    depthwise = nn.Conv2d(width, width, 3, 1, 1, groups=width, bias=False)
    pointwise = nn.Conv2d(width, width, 1, bias=False)
    return [depthwise, nn.BatchNorm2d(width), nn.ReLU(), pointwise, nn.BatchNorm2d(width), nn.ReLU()]


class KeywordSpotter(nn.Module):
    """DS-CNN small, 24 k parameters at its usual width."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        stem = nn.Conv2d(1, width, (10, 4), 2, (4, 1), bias=False)
        layers = [stem, nn.BatchNorm2d(width), nn.ReLU()]
        for _ in range(4):
            layers += _separable(width)
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(width, 10)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (batch, 10) of log-mel features (batch, 1, 40, 32)."""
        logits: Tensor = self.classifier(self.features(features))
        return logits
