"""Building blocks that several small networks share: conv-norm-activation, squeeze-excitation, inverted residual."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

Activation = Callable[[], nn.Module]


class ConvNorm(nn.Sequential):
    """Conv2d without bias, BatchNorm2d, activation; (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        activation: Activation = nn.ReLU,
    ) -> None:
        super().__init__(
            nn.Conv2d(channels, width, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(width),
            activation(),
        )


class SqueezeExcite(nn.Module):
    """Channel gates from the global average (Hu et al. 2018, arXiv:1709.01507)."""

    def __init__(self, channels: int, squeezed: int, *, activation: Activation, gate: Activation) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.activation = activation()
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        weights: Tensor = self.gate(self.expand(self.activation(self.reduce(self.pool(x)))))
        return x * weights


class InvertedResidual(nn.Module):
    """Expand, depthwise, optional squeeze-excitation, project; a shortcut when the shape is kept (arXiv:1801.04381)."""

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        expanded: int,
        kernel: int = 3,
        stride: int = 1,
        activation: Activation = nn.ReLU6,
        gate: Activation | None = None,
    ) -> None:
        super().__init__()
        self.expand = ConvNorm(channels, expanded, kernel=1, activation=activation)
        self.depthwise = ConvNorm(
            expanded, expanded, kernel=kernel, stride=stride, groups=expanded, activation=activation
        )
        inner = activation if gate is nn.Sigmoid else nn.ReLU
        self.excite = (
            SqueezeExcite(expanded, max(expanded // 4, 4), activation=inner, gate=gate) if gate else nn.Identity()
        )
        self.project = ConvNorm(expanded, width, kernel=1, activation=nn.Identity)
        self.shortcut = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, width, H / stride, W / stride)."""
        result: Tensor = self.project(self.excite(self.depthwise(self.expand(x))))
        return x + result if self.shortcut else result
