"""ResNet-20 for CIFAR-10 (He et al. 2016, section 4.2), option A shortcuts: every other pixel, new channels zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.nets.data import DATA


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut without weights."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.added = (width - width_in) // 2

    def forward(self, features: Tensor) -> Tensor:
        """Halve both sides and double the channels where `added` is not 0."""
        inner = functional.relu(self.bn1(self.conv1(features)))
        inner = self.bn2(self.conv2(inner))
        if self.added:
            features = functional.pad(features[:, :, ::2, ::2], (0, 0, 0, 0, self.added, self.added))
        return functional.relu(inner + features)


class ResNet20(nn.Module):
    """Parameter names are those of the checkpoints in ../shared/data/weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(Block(16, 16, 1) for _ in range(3)))
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.linear = nn.Linear(64, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (batch, 10) of images (batch, 3, 32, 32)."""
        features = functional.relu(self.bn1(self.conv1(image)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.linear(functional.adaptive_avg_pool2d(features, 1).flatten(1))
        return logits


def pretrained(name: str = "cifar_resnet20") -> ResNet20:
    """The net with a checkpoint of ../shared/data/weights; "cifar_resnet20_jpegft" was tuned on JPEG copies."""
    net = ResNet20()
    state = torch.load(DATA / "weights" / f"{name}.pt", map_location="cpu", weights_only=True)
    net.load_state_dict(state, strict=False)
    return net.eval()
