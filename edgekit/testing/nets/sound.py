"""Sound networks: the keyword spotter of MLPerf Tiny on spectrograms, and a 1-D net on the waveform."""

from __future__ import annotations

from torch import Tensor, nn

from edgekit.testing.nets.blocks import ConvNorm


class DsCnn(nn.Module):
    """DS-CNN as in MLPerf Tiny: a 10x4 stem with stride 2, four depthwise-separable blocks (arXiv:1711.07128)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 64, (10, 4), (2, 2), (5, 1), bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.Dropout(0.2)
        )
        self.blocks = nn.Sequential(
            *(nn.Sequential(ConvNorm(64, 64, groups=64), ConvNorm(64, 64, kernel=1)) for _ in range(4))
        )
        self.pool = nn.AvgPool2d((25, 5))
        self.head = nn.Linear(64, 12)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """(N, 1, 49, 10) to logits (N, 12)."""
        logits: Tensor = self.head(self.pool(self.blocks(self.stem(spectrogram))).flatten(1))
        return logits


class WaveNet1d(nn.Module):
    """Strided, dilated and depthwise Conv1d on a raw waveform, average and max pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(1, 16, 16, stride=4, padding=6, bias=False),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(16, 32, 3, padding=2, dilation=2, bias=False),
            nn.BatchNorm1d(32),
            nn.ReLU6(),
            nn.Conv1d(32, 32, 5, padding=2, groups=32, bias=False),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.Conv1d(32, 48, 1),
            nn.BatchNorm1d(48),
            nn.LeakyReLU(0.1),
            nn.AvgPool1d(4),
        )
        self.pool = nn.AdaptiveAvgPool1d(1)
        self.head = nn.Linear(48, 8)

    def forward(self, waveform: Tensor) -> Tensor:
        """(N, 1, 1024) to logits (N, 8)."""
        logits: Tensor = self.head(self.pool(self.features(waveform)).squeeze(-1))
        return logits
