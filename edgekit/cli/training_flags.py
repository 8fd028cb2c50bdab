"""The flags of `edgekit compress` that train: each is a field of the recipe, as all others are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from edgekit.cli.fields import field_option
from edgekit.types.training import BATCHNORMS, DISTILLATION_LOSSES, IMPORTANCES

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = (
    field_option(
        "train.data",
        "--train",
        metavar="MODULE:NAME",
        text="A DataLoader, or a function that gives one: what --prune, --distill and --qat train on.",
    ),
    field_option("train.epochs", "--epochs", metavar="N", text="Passes over it after pruning, or to distill."),
    field_option("train.lr", "--lr", kind=click.FLOAT, metavar="RATE", text="Highest learning rate; 0: the default."),
    field_option(
        "prune.target",
        "--prune",
        metavar="TARGET",
        text="Remove channels: 1.5x (fewer multiply-accumulates), macs=20M, size=400kB, or latency=0.6 (share of the "
        "int8 file's time on this CPU).",
    ),
    field_option(
        "prune.importance", "--importance", kind=click.Choice(IMPORTANCES), text="How pruning ranks the channels."
    ),
    field_option(
        "distill.teacher",
        "--distill",
        metavar="TEACHER",
        text="Learn from a teacher: self (the model before it was pruned), or module:function that builds one.",
    ),
    field_option(
        "distill.loss", "--distill-loss", kind=click.Choice(DISTILLATION_LOSSES), text="What is learnt from it."
    ),
    field_option("qat.length", "--qat", metavar="LENGTH", text="Quantization-aware training: 2ep, or 500steps."),
    field_option("qat.batchnorm", "--qat-batchnorm", kind=click.Choice(BATCHNORMS), text="BatchNorm during --qat."),
)


def training_options(command: F) -> F:
    """Put all of them on a command, in the order of the work."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command
