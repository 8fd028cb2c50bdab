"""A tiny vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929) for pictures of 8x8: 16 patches of 2x2.

Pre-norm blocks with one linear layer for queries, keys and values together, GELU, and the mean of all tokens at the
end in place of a class token (Beyer et al. 2022, arXiv:2205.01580).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, width) to the same shape."""
        count, length, _ = x.shape
        projected = self.qkv(x)
        size = projected.shape[-1] // (3 * self.heads)  # of one head, read from the layer: pruning may change it
        query, key, value = projected.reshape(count, length, 3, self.heads, size).permute(2, 0, 3, 1, 4).unbind(0)
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        result: Tensor = self.out(attended.transpose(1, 2).reshape(count, length, self.heads * size))
        return result


class Block(nn.Module):
    """Attention, then a two-layer network, each after a LayerNorm and around a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, width) to the same shape."""
        x = x + self.attention(self.norm1(x))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class TinyViT(nn.Module):
    """Patches of 2x2, learned positions, blocks, mean over tokens, linear."""

    def __init__(self, *, width: int = 48, heads: int = 4, depth: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, 2)
        self.positions = nn.Parameter(torch.randn(1, 16, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 1, 8, 8), 0..1, to logits (N, classes)."""
        tokens = self.patches(image).flatten(2).transpose(1, 2) + self.positions
        logits: Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return logits


def build() -> nn.Module:
    """The net without weights, in eval mode; input (N, 1, 8, 8), output (N, 10) logits."""
    return TinyViT().eval()
