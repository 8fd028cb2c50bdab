"""Small nets, one for each way in which channels of layers depend on each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

IMAGE = (2, 3, 8, 8)
TOKENS = (2, 6, 12)


class Case(NamedTuple):
    """A net, and the shape of one example (dtype int64 when `vocabulary` is not 0)."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    vocabulary: int = 0

    def example(self) -> Tensor:
        if self.vocabulary:
            return torch.randint(0, self.vocabulary, self.shape)
        return torch.randn(self.shape)


def head(width: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5))


def conv(width_in: int, width: int, kernel: int = 3, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(width_in, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(width), nn.ReLU())


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(3, 16), conv(16, 24), nn.Conv2d(24, 32, 3), nn.PReLU(32))
        self.head = head(32)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.body(image))


class Flattened(nn.Module):
    """A Linear that reads every pixel of every channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(3, 16)
        self.first = nn.Linear(16 * 16, 24)
        self.last = nn.Linear(24, 5)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(functional.avg_pool2d(self.conv(image), 2).flatten(1))))


class Concat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.after = conv(3, 16), conv(3, 24), conv(40, 16)
        self.head = head(16)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.after(torch.cat([self.left(image), self.right(image)], 1)))


class Split(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left, self.right = conv(3, 32), conv(16, 16), conv(16, 16)
        self.head = head(16)

    def forward(self, image: Tensor) -> Tensor:
        first, second = self.stem(image).chunk(2, dim=1)
        return self.head(self.left(first) + self.right(second))


class Residual(nn.Module):
    """The stream can be cut too: the shortcut is a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 16)
        self.one, self.two, self.short = conv(16, 24), conv(24, 32, stride=2), conv(16, 32, 1, stride=2)
        self.three, self.four = conv(32, 24), conv(24, 32)
        self.head = head(32)

    def forward(self, image: Tensor) -> Tensor:
        features = self.stem(image)
        features = self.two(self.one(features)) + self.short(features)
        return self.head(self.four(self.three(features)) + features)


class Padded(nn.Module):
    """Option A: a strided slice, and new channels that are zero."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = conv(3, 16), conv(16, 24, stride=2), conv(24, 32)
        self.head = head(32)

    def forward(self, image: Tensor) -> Tensor:
        features = self.stem(image)
        short = functional.pad(features[:, :, ::2, ::2], (0, 0, 0, 0, 8, 8))
        return self.head(self.two(self.one(features)) + short)


class Depthwise(nn.Module):
    """An inverted bottleneck, and a depthwise layer with a channel multiplier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.expand, self.depthwise = conv(3, 16), conv(16, 32, 1), conv(32, 32, groups=32)
        self.project = nn.Conv2d(32, 16, 1)
        self.multiplied = nn.Conv2d(16, 32, 3, groups=16)
        self.head = head(32)

    def forward(self, image: Tensor) -> Tensor:
        features = self.stem(image)
        features = features + self.project(self.depthwise(self.expand(features)))
        return self.head(self.multiplied(features))


class Grouped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.grouped, self.after = conv(3, 32), conv(32, 48, groups=4), conv(48, 16, 1)
        self.head = head(16)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.after(self.grouped(self.stem(image))))


class Transposed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = conv(3, 16, stride=2)
        self.up = nn.ConvTranspose2d(16, 24, 2, stride=2)
        self.last = nn.Conv2d(24, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(torch.relu(self.up(self.down(image))))


class Norms(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.group = nn.Conv2d(3, 32, 3), nn.GroupNorm(4, 32)
        self.second, self.instance = nn.Conv2d(32, 16, 3), nn.InstanceNorm2d(16, affine=True)
        self.linear, self.layer = nn.Linear(16, 24), nn.LayerNorm(24)
        self.last = nn.Linear(24, 5)

    def forward(self, image: Tensor) -> Tensor:
        features = self.instance(self.second(torch.relu(self.group(self.first(image)))))
        return self.last(self.layer(self.linear(features.mean((2, 3)))))


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down, self.up, self.after = conv(3, 32), nn.Conv2d(32, 8, 1), nn.Conv2d(8, 32, 1), conv(32, 16)
        self.head = head(16)

    def forward(self, image: Tensor) -> Tensor:
        features = self.stem(image)
        scale = torch.sigmoid(self.up(torch.relu(self.down(features.mean((2, 3), keepdim=True)))))
        return self.head(self.after(features * scale))


class Attention(nn.Module):
    """`nn.MultiheadAttention` in a residual stream, with a class token and positions."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(12, 32)
        self.token = nn.Parameter(torch.randn(1, 1, 32))
        self.position = nn.Parameter(torch.randn(1, 7, 32))
        self.norm1, self.attention = nn.LayerNorm(32), nn.MultiheadAttention(32, 4, batch_first=True)
        self.norm2, self.up, self.down = nn.LayerNorm(32), nn.Linear(32, 64), nn.Linear(64, 32)
        self.last = nn.Linear(32, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        features = self.embed(tokens)
        features = torch.cat([self.token.expand(len(tokens), -1, -1), features], 1) + self.position
        inner = self.norm1(features)
        features = features + self.attention(inner, inner, inner, need_weights=False)[0]
        features = features + self.down(functional.gelu(self.up(self.norm2(features))))
        return self.last(features[:, 0])


class FusedAttention(nn.Module):
    """q, k and v from one Linear, as in timm."""

    def __init__(self, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.num_heads, self.head_dim = heads, width // heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, count, _ = tokens.shape
        q, k, v = (
            self.qkv(tokens).reshape(batch, count, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        )
        mixed = functional.softmax(q @ k.transpose(-2, -1) * self.head_dim**-0.5, dim=-1) @ v
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, self.num_heads * self.head_dim))


class SeparateAttention(nn.Module):
    """q, k and v from three Linears, as in Hugging Face's encoders."""

    def __init__(self, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.num_attention_heads, self.attention_head_size, self.all_head_size = heads, width // heads, width
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.dense = nn.Linear(width, width)

    def split(self, tokens: Tensor) -> Tensor:
        shape = (*tokens.shape[:2], self.num_attention_heads, self.attention_head_size)
        return tokens.view(shape).permute(0, 2, 1, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = self.split(self.query(tokens)), self.split(self.key(tokens)), self.split(self.value(tokens))
        mixed = functional.scaled_dot_product_attention(q, k, v).permute(0, 2, 1, 3)
        return self.dense(mixed.reshape(*tokens.shape[:2], self.all_head_size))


class UncountedAttention(SeparateAttention):
    """Its code reads the size of a head alone, as in newer Hugging Face models: half of all channels are half of the
    heads to it, whichever they were."""

    def split(self, tokens: Tensor) -> Tensor:
        return tokens.view(*tokens.shape[:2], -1, self.attention_head_size).permute(0, 2, 1, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = self.split(self.query(tokens)), self.split(self.key(tokens)), self.split(self.value(tokens))
        mixed = functional.scaled_dot_product_attention(q, k, v).permute(0, 2, 1, 3)
        return self.dense(mixed.reshape(*tokens.shape[:2], -1))


class NormedAttention(UncountedAttention):
    """Queries are normalised over all heads, as in OLMo 2: no trial of their numbers is possible, only of the call."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(32)

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = self.norm(self.query(tokens)), self.key(tokens), self.value(tokens)
        mixed = functional.scaled_dot_product_attention(self.split(q), self.split(k), self.split(v)).permute(0, 2, 1, 3)
        return self.dense(mixed.reshape(*tokens.shape[:2], -1))


class Transformer(nn.Module):
    """A pre-norm encoder around some attention."""

    def __init__(self, attention: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.embed, self.position = nn.Linear(12, 32), nn.Parameter(torch.randn(1, 6, 32))
        self.norm1, self.attention = nn.LayerNorm(32), attention()
        self.norm2, self.up, self.down = nn.LayerNorm(32), nn.Linear(32, 64), nn.Linear(64, 32)
        self.last = nn.Linear(32, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        features = self.embed(tokens) + self.position
        features = features + self.attention(self.norm1(features))
        features = features + self.down(functional.gelu(self.up(self.norm2(features))))
        return self.last(features.mean(1))


class Recurrent(nn.Module):
    def __init__(self, *, layers: int = 1, bidirectional: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.lstm = nn.LSTM(16, 24, layers, batch_first=True, bidirectional=bidirectional)
        self.middle = nn.Linear(48 if bidirectional else 24, 16)
        self.last = nn.Linear(16, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        features, _ = self.lstm(self.embed(tokens))
        return self.last(torch.relu(self.middle(features[:, -1])))


class Mirrored(nn.Module):
    """Channels that mean something by their position, in code of any width, beside a layer that mixes channels."""

    def __init__(self) -> None:
        super().__init__()
        self.mirrored, self.up, self.norm, self.last = (
            nn.Linear(6, 32),
            nn.Linear(32, 32),
            nn.LayerNorm(32),
            nn.Linear(32, 5),
        )

    def forward(self, x: Tensor) -> Tensor:
        wide = functional.relu(self.mirrored(x))
        return self.last(self.norm(self.up(wide + wide.flip(1))))


class CalledTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.shared, self.after = conv(3, 16), conv(16, 16), conv(16, 24)
        self.head = head(24)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.after(self.shared(self.shared(self.stem(image)))))


class TiedWeights(nn.Module):
    """The last Linear is the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.up, self.down = nn.Embedding(20, 16), nn.Linear(16, 32), nn.Linear(32, 16)
        self.last = nn.Linear(16, 20, bias=False)
        self.last.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        features = self.embed(tokens)
        return self.last(features + self.down(torch.relu(self.up(features))))


class Outputs(nn.Module):
    """Several outputs, one of them also read by a later layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.middle, self.after = conv(3, 16), conv(16, 24), conv(24, 32)
        self.head = head(32)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.middle(self.stem(image))
        return {"features": features, "logits": self.head(self.after(features))}


class OneDimension(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Conv1d(3, 16, 3), nn.BatchNorm1d(16), nn.Conv1d(16, 24, 3)
        self.last = nn.Linear(24, 5)

    def forward(self, sound: Tensor) -> Tensor:
        return self.last(self.second(torch.relu(self.norm(self.first(sound)))).mean(2))


class FixedReshape(nn.Module):
    """A reshape with a number in it, which holds for 16 channels only."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fixed, self.after = conv(3, 24), conv(24, 16), conv(16, 24)
        self.head = head(24)

    def forward(self, image: Tensor) -> Tensor:
        features = self.fixed(self.stem(image))
        shuffled = features.reshape(-1, 2, 8, 8, 8).transpose(1, 2).reshape(-1, 16, 8, 8)
        return self.head(self.after(shuffled))


CASES: dict[str, Case] = {
    "plain": Case(Plain, IMAGE),
    "flattened": Case(Flattened, IMAGE),
    "concat": Case(Concat, IMAGE),
    "split": Case(Split, IMAGE),
    "residual": Case(Residual, IMAGE),
    "padded": Case(Padded, IMAGE),
    "depthwise": Case(Depthwise, IMAGE),
    "grouped": Case(Grouped, IMAGE),
    "transposed": Case(Transposed, IMAGE),
    "norms": Case(Norms, IMAGE),
    "squeeze-excite": Case(SqueezeExcite, IMAGE),
    "attention": Case(Attention, TOKENS),
    "fused-attention": Case(lambda: Transformer(FusedAttention), TOKENS),
    "separate-attention": Case(lambda: Transformer(SeparateAttention), TOKENS),
    "uncounted-attention": Case(lambda: Transformer(UncountedAttention), TOKENS),
    "normed-attention": Case(lambda: Transformer(NormedAttention), TOKENS),
    "mirrored": Case(Mirrored, (2, 6)),
    "lstm": Case(Recurrent, (2, 6), 20),
    "lstm-stacked": Case(lambda: Recurrent(layers=2, bidirectional=True), (2, 6), 20),
    "called-twice": Case(CalledTwice, IMAGE),
    "tied-weights": Case(TiedWeights, (2, 6), 20),
    "outputs": Case(Outputs, IMAGE),
    "one-dimension": Case(OneDimension, (2, 3, 20)),
    "fixed-reshape": Case(FixedReshape, IMAGE),
}


def build(name: str, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """The net in eval mode with random weights and statistics, and an example."""
    torch.manual_seed(seed)
    net = CASES[name].build().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return net, CASES[name].example()
