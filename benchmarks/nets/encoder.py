"""A transformer encoder over image patches (Dosovitskiy et al. 2021), with the usual pre-norm blocks and GELU."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

WIDTH = 96
HEADS = 4
DEPTH = 4
PATCH = 4
TOKENS = (28 // PATCH) ** 2


class Attention(nn.Module):
    """Multi-head self-attention, written out so that every exporter sees the same MatMul, Softmax, MatMul."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.result = nn.Linear(WIDTH, WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, TOKENS, WIDTH) to the same."""
        query, key, value = self._heads(self.query(tokens)), self._heads(self.key(tokens)), self.value(tokens)
        weights = torch.softmax(query @ key.transpose(2, 3) / math.sqrt(WIDTH // HEADS), dim=-1)
        mixed = (weights @ self._heads(value)).transpose(1, 2).reshape(-1, TOKENS, WIDTH)
        result: Tensor = self.result(mixed)
        return result

    @staticmethod
    def _heads(tokens: Tensor) -> Tensor:
        return tokens.reshape(-1, TOKENS, HEADS, WIDTH // HEADS).transpose(1, 2)


class Block(nn.Module):
    """Attention, then two dense layers, each normalized before and added after."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(WIDTH)
        self.attention = Attention()
        self.before_dense = nn.LayerNorm(WIDTH)
        self.dense = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, TOKENS, WIDTH) to the same."""
        tokens = tokens + self.attention(self.before_attention(tokens))
        result: Tensor = tokens + self.dense(self.before_dense(tokens))
        return result


class Encoder(nn.Module):
    """0.46 M parameters; reads a 28x28 digit as 49 tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, WIDTH, PATCH, PATCH)
        self.position = nn.Parameter(torch.randn(1, TOKENS, WIDTH) * 0.02)
        self.blocks = nn.Sequential(*(Block() for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(WIDTH)
        self.classifier = nn.Linear(WIDTH, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (batch, 10) of digits (batch, 1, 28, 28)."""
        tokens = self.patches(image).flatten(2).transpose(1, 2) + self.position
        logits: Tensor = self.classifier(self.norm(self.blocks(tokens)).mean(1))
        return logits
