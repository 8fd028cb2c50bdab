"""Short, seeded training on one thread: enough for a net's outputs to mean something, minutes of CPU at most."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.nets.data import Labelled

Augment = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Plan:
    """How long and how.

    Attributes:
        epochs: Passes over the data.
        rate: Highest learning rate of AdamW; it warms up over a tenth of the steps and decays as a cosine.
        augment: Applied to each batch.
        teacher: Its logits are learned (KL divergence at temperature 2) beside the labels; None for labels alone.
        batch: Samples a step.
    """

    epochs: int
    rate: float = 3e-3
    augment: Augment = lambda batch: batch
    teacher: nn.Module | None = None
    batch: int = 64


def train(net: nn.Module, data: Labelled, plan: Plan) -> nn.Module:
    """Train in place and return the net in eval mode."""
    torch.set_num_threads(1)
    inputs, labels = torch.from_numpy(data.inputs), torch.from_numpy(data.labels)
    steps = plan.epochs * (len(data) // plan.batch)
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step / steps))
    net.train()
    for epoch in range(plan.epochs):
        total = 0.0
        for chosen in torch.randperm(len(data)).split(plan.batch)[: len(data) // plan.batch]:
            batch = plan.augment(inputs[chosen])
            loss = _loss(net(batch), labels[chosen], batch, plan.teacher)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss)
        print(f"epoch {epoch + 1} of {plan.epochs}: loss {total / (len(data) // plan.batch):.3f}", file=sys.stderr)
    return net.eval()


def _rate(progress: float) -> float:
    return min(progress / 0.1, 1.0) * 0.5 * (1 + math.cos(math.pi * progress))


def _loss(logits: Tensor, labels: Tensor, batch: Tensor, teacher: nn.Module | None) -> Tensor:
    if teacher is None:
        return functional.cross_entropy(logits, labels, label_smoothing=0.05)
    with torch.no_grad():
        target = functional.log_softmax(teacher(batch) / 2, dim=1)
    distance = functional.kl_div(functional.log_softmax(logits / 2, dim=1), target, reduction="batchmean", log_target=True)
    return 4 * distance + 0.3 * functional.cross_entropy(logits, labels)


def flip_and_shift(batch: Tensor, *, reach: int = 4) -> Tensor:
    """Mirror half of the images and shift each by up to `reach` pixels, edges repeated by reflection."""
    mirrored = torch.where(torch.rand(len(batch), 1, 1, 1) < 0.5, batch.flip(3), batch)
    return shift(mirrored, reach=reach)


def shift(batch: Tensor, *, reach: int = 2) -> Tensor:
    """Shift the images of a batch by up to `reach` pixels; the batch is cut in four, each shifted by its own draw."""
    height, width = batch.shape[2:]
    padded = functional.pad(batch, (reach,) * 4, mode="reflect")
    parts = []
    for part in padded.tensor_split(4):
        top, left = (int(draw) for draw in torch.randint(0, 2 * reach + 1, (2,)))
        parts.append(part[:, :, top : top + height, left : left + width])
    return torch.cat(parts)


def mixed(batch: Tensor) -> Tensor:
    """`flip_and_shift`, then every image blended with another one; for a teacher to name, labels no longer fit."""
    moved = flip_and_shift(batch)
    share = torch.rand(len(batch), 1, 1, 1) * 0.4
    return (1 - share) * moved + share * moved[torch.randperm(len(batch))]
