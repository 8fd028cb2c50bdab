"""A keyword spotter: the depthwise-separable net DS-CNN (Zhang et al. 2017) on log-mel features."""

from __future__ import annotations

from torch import Tensor, nn

WIDTH = 64


def _separable() -> list[nn.Module]:
    depthwise = nn.Conv2d(WIDTH, WIDTH, 3, 1, 1, groups=WIDTH, bias=False)
    pointwise = nn.Conv2d(WIDTH, WIDTH, 1, bias=False)
    return [depthwise, nn.BatchNorm2d(WIDTH), nn.ReLU(), pointwise, nn.BatchNorm2d(WIDTH), nn.ReLU()]


class KeywordSpotter(nn.Module):
    """DS-CNN small, 24 k parameters."""

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Conv2d(1, WIDTH, (10, 4), 2, (4, 1), bias=False)
        layers = [stem, nn.BatchNorm2d(WIDTH), nn.ReLU()]
        for _ in range(4):
            layers += _separable()
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(WIDTH, 10)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (batch, 10) of log-mel features (batch, 1, 40, 32)."""
        logits: Tensor = self.classifier(self.features(features))
        return logits
