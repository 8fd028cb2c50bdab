"""Operators that the families do not use, in small nets that train-time code could have written."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.testing.nets.blocks import ConvNorm


class ActivationZoo(nn.Module):
    """PReLU, LeakyReLU, tanh, sigmoid, both GELUs, clamp; each after its own convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.activations = nn.ModuleList(
            [nn.PReLU(12), nn.LeakyReLU(0.2), nn.Tanh(), nn.Sigmoid(), nn.GELU(), nn.GELU("tanh"), nn.Hardtanh(-1, 2)]
        )
        self.enter = ConvNorm(3, 12)
        self.convs = nn.ModuleList([ConvNorm(12, 12, activation=nn.Identity) for _ in self.activations])
        self.head = nn.Conv2d(12, 5, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, 16, 16) to (N, 5)."""
        x = self.enter(image)
        for conv, activation in zip(self.convs, self.activations, strict=True):
            x = activation(conv(x))
        result: Tensor = nn.functional.adaptive_avg_pool2d(self.head(x), 1).flatten(1)
        return result


class ConvolutionZoo(nn.Module):
    """Grouped, dilated, asymmetrically padded, rectangular, transposed with output padding, PixelShuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = ConvNorm(3, 16, stride=2)
        self.grouped = nn.Conv2d(16, 24, 3, padding=1, groups=4)
        self.dilated = nn.Conv2d(24, 16, 3, padding=(4, 2), dilation=(4, 2))
        self.asymmetric = nn.Sequential(nn.ZeroPad2d((0, 1, 2, 0)), nn.Conv2d(16, 16, 3))
        self.same = nn.Conv2d(16, 16, (5, 3), padding="same")
        self.reflected = nn.Conv2d(16, 16, (1, 5), padding=(0, 2), padding_mode="reflect")
        self.norm = nn.BatchNorm2d(16)
        self.transposed = nn.ConvTranspose2d(16, 16, 3, 2, 1, output_padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, 20, 24) to (N, 4, 40, 44)."""
        x = torch.relu(self.grouped(self.enter(image)))
        x = torch.relu(self.asymmetric(self.dilated(x)))
        x = self.norm(self.reflected(torch.relu(self.same(x))))
        result: Tensor = self.shuffle(torch.relu(self.transposed(x)))
        return result


class ShapeZoo(nn.Module):
    """Flatten of a map that is not 1x1, adaptive pool to 2x3, slices, pads, strided slice, split, stack, reduce."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = ConvNorm(3, 12, stride=2)
        self.pool = nn.AdaptiveAvgPool2d((2, 3))
        self.flat = nn.Linear(12 * 2 * 3, 16)
        self.side = nn.Linear(12, 16)
        self.head = nn.Linear(32, 7)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, 16, 24) to (N, 7)."""
        x = self.enter(image)
        a, b, c = torch.split(x, [2, 4, 6], dim=1)
        x = torch.cat((c, a, b), dim=1)
        x = nn.functional.pad(x[:, :, ::2, 1:-1], (1, 1, 0, 0)) * 0.5 + x[:, :, 1::2]
        x = x.unsqueeze(1).squeeze(1)
        flat = torch.relu(self.flat(torch.flatten(self.pool(x), 1)))
        side = torch.relu(self.side(x.amax((2, 3)) - x.mean(dim=(2, 3)) / 4.0))
        result: Tensor = self.head(torch.cat((flat, side), dim=-1))
        return result


class Segmenter(nn.Module):
    """An ArgMax head: a class number per pixel, the scores beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(ConvNorm(3, 16, stride=2), ConvNorm(16, 16), nn.Conv2d(16, 6, 1))
        self.resize = nn.Upsample(size=(24, 24), mode="bilinear", align_corners=True)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, 24, 24) to int64 classes (N, 24, 24) and scores (N, 6, 12, 12)."""
        scores = self.features(image)
        return self.resize(scores).argmax(1), scores


class MultiInput(nn.Module):
    """An image, a vector and a token: three branches that meet in one head."""

    def __init__(self) -> None:
        super().__init__()
        self.vision = nn.Sequential(ConvNorm(3, 16, stride=2), ConvNorm(16, 24, stride=2), nn.AdaptiveAvgPool2d(1))
        self.numbers = nn.Sequential(nn.Linear(6, 24), nn.ReLU())
        self.kinds = nn.Embedding(11, 24)
        self.head = nn.Sequential(nn.Linear(72, 32), nn.ReLU(), nn.Linear(32, 3))

    def forward(self, image: Tensor, numbers: Tensor, kind: Tensor) -> Tensor:
        """(N, 3, 24, 24), (N, 6), int64 (N,) to logits (N, 3)."""
        parts = (self.vision(image).flatten(1), self.numbers(numbers), self.kinds(kind))
        logits: Tensor = self.head(torch.cat(parts, dim=1))
        return logits
