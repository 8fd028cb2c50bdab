"""Short, seeded training on one thread: enough for a net's outputs to mean something, minutes of CPU at most."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.nets.data import Labelled

Augment = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits of a batch, which samples they are of) -> mean loss."""

TEMPERATURE = 2.0
VARIANTS = 4
"""How often `distill` augments each sample; asking the teacher once per variant is cheaper than in every epoch."""


@dataclass(frozen=True)
class Plan:
    """How long and how.

    Attributes:
        epochs: Passes over the data.
        rate: Highest learning rate of AdamW; it warms up over a tenth of the steps and decays as a cosine.
        augment: Applied to each batch.
        batch: Samples a step.
    """

    epochs: int
    rate: float = 3e-3
    augment: Augment = lambda batch: batch
    batch: int = 64


def train(net: nn.Module, data: Labelled, plan: Plan) -> nn.Module:
    """Train on labels, in place; returns the net in eval mode."""
    labels = torch.from_numpy(data.labels)

    def loss(logits: Tensor, chosen: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels[chosen], label_smoothing=0.05)

    return _fit(net, torch.from_numpy(data.inputs), plan, loss)


def distill(net: nn.Module, data: Labelled, plan: Plan, teacher: nn.Module) -> nn.Module:
    """Train on a teacher's answers instead of labels (Hinton et al. 2015), in place; returns the net in eval mode.

    Each sample becomes VARIANTS augmented ones before training; one epoch runs over all of them.
    """
    torch.set_num_threads(1)
    inputs = torch.cat([plan.augment(torch.from_numpy(data.inputs)) for _ in range(VARIANTS)])
    with torch.no_grad():
        answers = torch.cat([teacher(batch) for batch in inputs.split(plan.batch)])
    target = functional.log_softmax(answers / TEMPERATURE, dim=1)

    def loss(logits: Tensor, chosen: Tensor) -> Tensor:
        answer = functional.log_softmax(logits / TEMPERATURE, dim=1)
        distance = functional.kl_div(answer, target[chosen], reduction="batchmean", log_target=True)
        return TEMPERATURE**2 * distance

    return _fit(net, inputs, replace(plan, augment=lambda batch: batch), loss)


def _fit(net: nn.Module, inputs: Tensor, plan: Plan, loss: Loss) -> nn.Module:
    torch.set_num_threads(1)
    steps_per_epoch = len(inputs) // plan.batch
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step / steps_per_epoch / plan.epochs))
    net.train()
    for epoch in range(plan.epochs):
        total = 0.0
        for chosen in torch.randperm(len(inputs)).split(plan.batch)[:steps_per_epoch]:
            value = loss(net(plan.augment(inputs[chosen])), chosen)
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += value.item()
        print(f"epoch {epoch + 1} of {plan.epochs}: loss {total / steps_per_epoch:.3f}", file=sys.stderr, flush=True)
    return net.eval()


def _rate(progress: float) -> float:
    return min(progress / 0.1, 1.0) * 0.5 * (1 + math.cos(math.pi * progress))


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


def mixed(batch: Tensor, *, most: float = 0.4) -> Tensor:
    """`flip_and_shift`, then every image blended with up to `most` of another; for `distill`: no label has to fit."""
    moved = flip_and_shift(batch)
    share = torch.rand(len(batch), 1, 1, 1) * most
    return (1 - share) * moved + share * moved[torch.randperm(len(batch))]
