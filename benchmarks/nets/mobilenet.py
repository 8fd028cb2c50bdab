"""A MobileNetV3-like net (Howard et al. 2019): inverted residuals, hard-swish, squeeze-excite, for 32x32 images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Stage:
    """One inverted residual: depthwise kernel, inner and outer width, stride, what it contains."""

    kernel: int
    inner: int
    width: int
    stride: int
    excite: bool
    hard_swish: bool


STAGES = (
    Stage(3, 16, 16, 1, excite=True, hard_swish=False),
    Stage(3, 64, 24, 2, excite=False, hard_swish=False),
    Stage(3, 72, 24, 1, excite=False, hard_swish=False),
    Stage(5, 96, 40, 2, excite=True, hard_swish=True),
    Stage(5, 160, 40, 1, excite=True, hard_swish=True),
    Stage(5, 160, 48, 1, excite=True, hard_swish=True),
    Stage(5, 240, 80, 2, excite=True, hard_swish=True),
    Stage(5, 320, 80, 1, excite=True, hard_swish=True),
)
"""After MobileNetV3-Small, with its first stride taken out for the small image."""


class Excitation(nn.Module):
    """Squeeze-and-excite (Hu et al. 2018) with the hard sigmoid of MobileNetV3."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(width, max(8, width // 4), 1)
        self.relu = nn.ReLU()
        self.expand = nn.Conv2d(max(8, width // 4), width, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, features: Tensor) -> Tensor:
        """Each channel times its gate in [0, 1]."""
        gate: Tensor = self.gate(self.expand(self.relu(self.reduce(self.pool(features)))))
        return features * gate


def _unit(width_in: int, width: int, kernel: int, stride: int, groups: int) -> list[nn.Module]:
    convolution = nn.Conv2d(width_in, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(width)]


class InvertedResidual(nn.Module):
    """Expand, filter each channel, excite, project; plus the input where shapes allow."""

    def __init__(self, width_in: int, stage: Stage) -> None:
        super().__init__()
        activation = nn.Hardswish if stage.hard_swish else nn.ReLU
        layers = [*_unit(width_in, stage.inner, 1, 1, 1), activation()]
        layers += [*_unit(stage.inner, stage.inner, stage.kernel, stage.stride, stage.inner), activation()]
        if stage.excite:
            layers.append(Excitation(stage.inner))
        layers += _unit(stage.inner, stage.width, 1, 1, 1)
        self.layers = nn.Sequential(*layers)
        self.is_residual = stage.stride == 1 and width_in == stage.width

    def forward(self, features: Tensor) -> Tensor:
        """One block."""
        result: Tensor = self.layers(features)
        return result + features if self.is_residual else result


class MobileNetV3Like(nn.Module):
    """0.34 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        widths = [16, *(stage.width for stage in STAGES)]
        self.stem = nn.Sequential(*_unit(3, 16, 3, 1, 1), nn.Hardswish())
        self.blocks = nn.Sequential(
            *(InvertedResidual(width, stage) for width, stage in zip(widths[:-1], STAGES, strict=True))
        )
        self.top = nn.Sequential(*_unit(80, 320, 1, 1, 1), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Sequential(nn.Linear(320, 256), nn.Hardswish(), nn.Linear(256, 10))

    def forward(self, image: Tensor) -> Tensor:
        """Logits (batch, 10) of images (batch, 3, 32, 32)."""
        logits: Tensor = self.classifier(self.top(self.blocks(self.stem(image))))
        return logits
