"""Sequence networks: LSTM and GRU classifiers, a text transformer encoder, a tiny vision transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RecurrentClassifier(nn.Module):
    """A recurrent layer over time, the last step to a linear layer."""

    def __init__(self, cell: type[nn.LSTM] | type[nn.GRU], *, bidirectional: bool = False, layers: int = 1) -> None:
        super().__init__()
        self.recurrent = cell(10, 24, num_layers=layers, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear(48 if bidirectional else 24, 6)

    def forward(self, features: Tensor) -> Tensor:
        """(N, 16, 10), time in the middle, to logits (N, 6)."""
        states, _ = self.recurrent(features)
        logits: Tensor = self.head(states[:, -1])
        return logits


class Attention(nn.Module):
    """Multi-head self-attention through scaled_dot_product_attention (arXiv:1706.03762)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, width) to the same shape."""
        count, length, width = x.shape
        split = self.qkv(x).reshape(count, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(split[0], split[1], split[2])
        result: Tensor = self.out(attended.transpose(1, 2).reshape(count, length, width))
        return result


class Block(nn.Module):
    """Pre-norm transformer block with a GELU network."""

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


class TextEncoder(nn.Module):
    """Token and position embeddings, two torch TransformerEncoderLayers (post-norm, ReLU), mean over time."""

    vocabulary = 64

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(self.vocabulary, 32)
        self.positions = nn.Parameter(torch.zeros(1, 16, 32))
        layer = nn.TransformerEncoderLayer(32, 4, dim_feedforward=64, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 6)

    def forward(self, ids: Tensor) -> Tensor:
        """int64 token ids (N, 16) to logits (N, 6)."""
        hidden = self.encoder(self.tokens(ids) + self.positions)
        logits: Tensor = self.head(hidden.mean(1))
        return logits


class VisionTransformer(nn.Module):
    """8x8 patches, a class token, two pre-norm blocks (arXiv:2010.11929)."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.token = nn.Parameter(torch.zeros(1, 1, 32))
        self.positions = nn.Parameter(torch.zeros(1, 17, 32))
        self.blocks = nn.Sequential(Block(32, 4), Block(32, 4))
        self.norm = nn.LayerNorm(32)
        self.head = nn.Linear(32, 10)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, 32, 32) to logits (N, 10)."""
        x = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1) + self.positions
        logits: Tensor = self.head(self.norm(self.blocks(x))[:, 0])
        return logits
