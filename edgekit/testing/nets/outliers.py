"""A network with outlier channels: plain int8 collapses on it, equalization repairs it.

One channel in each of its inner maps is far larger than the others, as BatchNorm scales leave it after training with
too little weight decay. The layers that read the channel have small weights for it, so in float nothing is amiss. In
int8 the one channel takes the whole range of the map, and the others are left with a handful of levels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.types.qparams import Array

OUTLIER = 64.0
"""How much larger the channel is than without."""
CLASSES = 10


class OutlierNet(nn.Module):
    """Three convolutions with a residual around the middle one, pooling, and a classifier."""

    def __init__(self, *, width: int = 16) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, width, 3, 2, 1)
        self.middle = nn.Conv2d(width, width, 3, 1, 1)
        self.leave = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.head = nn.Linear(2 * width, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, 16, 16) to (N, 10)."""
        x = torch.relu(self.enter(image))
        x = x + torch.relu(self.middle(x))
        x = torch.relu(self.leave(x))
        result: Tensor = self.head(x.mean(dim=(2, 3)))
        return result


def outlier_net(*, factor: float = OUTLIER, seed: int = 0) -> OutlierNet:
    """The network in eval mode; the same function at every `factor`, 1 being the healthy one.

    Args:
        factor: How much larger the outlier channels are.
        seed: Of the weights.
    """
    generator = torch.Generator().manual_seed(seed)
    net = OutlierNet().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 100
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (2 / fan_in) ** 0.5)
        images = torch.from_numpy(np.concatenate([sample["image"] for sample in outlier_samples(64, seed=seed + 2)]))
        _bias(net.head).sub_(net(images).mean(dim=0))  # no class wins everywhere
        for writer, channel in ((net.enter, 5), (net.middle, 5), (net.leave, 11)):
            writer.weight[channel].mul_(factor)
            _bias(writer)[channel].mul_(factor)
        for reader, channel in ((net.middle, 5), (net.leave, 5), (net.head, 11)):
            reader.weight[:, channel].div_(factor)
    return net


def _bias(layer: nn.Conv2d | nn.Linear) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def outlier_samples(count: int, *, seed: int = 0) -> list[dict[str, Array]]:
    """Smooth random images, {"image": float32 (1, 3, 16, 16)} each; other seeds give other images."""
    rng = np.random.default_rng((seed, 7))
    colors, coarse = rng.normal(size=(count, 1, 3, 1, 1)), rng.normal(size=(count, 1, 3, 4, 4))
    images = np.kron(1.5 * (coarse + colors), np.ones((4, 4))) + rng.normal(size=(count, 1, 3, 16, 16)) * 0.5
    return [{"image": image} for image in images.astype(np.float32)]
