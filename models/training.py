"""The training loop that the zoo's scripts share: AdamW, one cycle of the learning rate, pictures moved about.

One thread and fixed seeds: the same machine gives the same weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgekit.types.progress import Progress, Silent
from models.data import Pictures


@dataclass(frozen=True)
class Moves:
    """How far a training picture is moved about at random, once per epoch.

    Attributes:
        turn: Largest turn to either side, degrees.
        shift: Largest shift along each axis, pixels.
        scale: Largest change of size, a share.
    """

    turn: float = 0.0
    shift: float = 0.0
    scale: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """How a net is trained.

    Attributes:
        epochs: Walks through the training pictures.
        batch: Pictures per step.
        learning_rate: The largest; it rises over the first fifth of the steps and falls to zero (Smith & Topin 2018,
            "Super-convergence", arXiv:1708.07120).
        weight_decay: Of AdamW.
        smoothing: Of the labels, a share (Szegedy et al. 2016, arXiv:1512.00567).
        moves: Of the pictures.
        seed: Of weights, order and moves.
    """

    epochs: int
    batch: int = 64
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    smoothing: float = 0.05
    moves: Moves = Moves()
    seed: int = 0


def fit(
    module: nn.Module, pictures: Pictures, schedule: Schedule, *, progress: Progress | None = None, steps: int = 0
) -> list[float]:
    """Train a module in place.

    Args:
        module: Changed; ends in eval mode.
        pictures: To train on.
        schedule: How.
        progress: Who watches; one advance per epoch.
        steps: End after this many; 0 is the whole schedule.

    Returns:
        The loss of every step.
    """
    torch.set_num_threads(1)
    images, labels = torch.from_numpy(pictures[0]), torch.from_numpy(pictures[1])
    random = torch.Generator().manual_seed(schedule.seed)
    per_epoch = math.ceil(len(images) / schedule.batch)
    optimizer = torch.optim.AdamW(module.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, schedule.learning_rate, total_steps=schedule.epochs * per_epoch, pct_start=0.2
    )
    criterion = nn.CrossEntropyLoss(label_smoothing=schedule.smoothing)
    losses: list[float] = []
    module.train()
    with (progress or Silent()).stage("train", schedule.epochs) as stage:
        for _ in range(schedule.epochs):
            for chosen in torch.split(torch.randperm(len(images), generator=random), schedule.batch):
                optimizer.zero_grad()
                loss = criterion(module(moved(images[chosen], schedule.moves, random)), labels[chosen])
                loss.backward()
                optimizer.step()
                rate.step()
                losses.append(float(loss.detach()))
                if len(losses) == steps:
                    return losses
            stage.advance()
    module.eval()
    return losses


def moved(images: Tensor, moves: Moves, random: torch.Generator | None = None) -> Tensor:
    """Each picture turned, shifted and scaled at random, with zeros beyond the edge.

    Args:
        images: float32 (N, C, H, W).
        moves: How far at most.
        random: Where the choices come from; None is torch's own generator.
    """
    count, _, height, width = images.shape

    def within(limit: float) -> Tensor:
        return (torch.rand(count, generator=random) * 2 - 1) * limit

    angle, size = within(math.radians(moves.turn)), 1 + within(moves.scale)
    rows, columns = within(2 * moves.shift / height), within(2 * moves.shift / width)
    cosine, sine = torch.cos(angle) * size, torch.sin(angle) * size
    affine = torch.stack(
        (torch.stack((cosine, -sine, columns), dim=1), torch.stack((sine, cosine, rows), dim=1)), dim=1
    )
    grid = nn.functional.affine_grid(affine, list(images.shape), align_corners=False)
    return nn.functional.grid_sample(images, grid, align_corners=False)
