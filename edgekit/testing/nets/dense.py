"""Networks with maps as results: a U-Net with every kind of upsampling, and a two-output detector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.testing.nets.blocks import ConvNorm


class UNet(nn.Module):
    """Three levels; the way up uses bilinear resize, nearest resize, and ConvTranspose2d (arXiv:1505.04597)."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Sequential(ConvNorm(3, 16), ConvNorm(16, 16))
        self.down1 = nn.Sequential(nn.MaxPool2d(2), ConvNorm(16, 24))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), ConvNorm(24, 32))
        self.bottom = nn.Sequential(nn.AvgPool2d(2), ConvNorm(32, 48))
        self.bilinear = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.join2 = ConvNorm(48 + 32, 32)
        self.nearest = nn.Upsample(scale_factor=2, mode="nearest")
        self.join1 = ConvNorm(32 + 24, 24)
        self.transposed = nn.ConvTranspose2d(24, 16, 2, 2)
        self.join0 = ConvNorm(16 + 16, 16)
        self.leave = nn.Conv2d(16, 4, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, 32, 32) to class scores (N, 4, 32, 32)."""
        level0 = self.enter(image)
        level1 = self.down1(level0)
        level2 = self.down2(level1)
        x = self.bilinear(self.bottom(level2))
        x = self.nearest(self.join2(torch.cat((x, level2), dim=1)))
        x = self.transposed(self.join1(torch.cat((x, level1), dim=1)))
        scores: Tensor = self.leave(self.join0(torch.cat((x, level0), dim=1)))
        return scores


class Detector(nn.Module):
    """An SSD-like head on two feature maps: boxes and class scores of every anchor (arXiv:1512.02325)."""

    anchors = 3
    classes = 5

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            ConvNorm(3, 16, stride=2, activation=nn.ReLU6),
            ConvNorm(16, 16, groups=16, activation=nn.ReLU6),
            ConvNorm(16, 32, kernel=1, activation=nn.ReLU6),
            ConvNorm(32, 48, stride=2, activation=nn.ReLU6),
        )
        self.extra = ConvNorm(48, 64, stride=2, activation=nn.ReLU6)
        self.boxes = nn.ModuleList([nn.Conv2d(c, self.anchors * 4, 3, padding=1) for c in (48, 64)])
        self.scores = nn.ModuleList([nn.Conv2d(c, self.anchors * self.classes, 3, padding=1) for c in (48, 64)])

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(N, 3, 48, 48) to boxes (N, A, 4) and softmax scores (N, A, classes), A anchors over both maps."""
        first = self.backbone(image)
        maps = (first, self.extra(first))
        boxes = [self._spread(head(x), 4) for head, x in zip(self.boxes, maps, strict=True)]
        scores = [self._spread(head(x), self.classes) for head, x in zip(self.scores, maps, strict=True)]
        return {"boxes": torch.cat(boxes, dim=1), "scores": torch.cat(scores, dim=1).softmax(-1)}

    def _spread(self, x: Tensor, size: int) -> Tensor:
        """(N, anchors * size, H, W) to (N, H * W * anchors, size)."""
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, size)
