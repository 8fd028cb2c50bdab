"""What a recipe says about training: the tables `[train]`, `[prune]`, `[distill]` and `[qat]`.

They are apart from the rest of the recipe, since they are about another kind of work: hours instead of minutes, and
nothing of it is ever started unless one of them asks for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from edgekit.errors import RecipeError
from edgekit.types.strict_table import between, one_of
from edgekit.units import parse_count, parse_size

AUTO = "auto"
"""What is best for the data at hand."""

IMPORTANCES = (AUTO, "group-norm", "taylor", "bn-scale", "lamp")
SCHEDULES = ("one-shot", "iterative")
DISTILLATION_LOSSES = (
    "kd",
    "dkd",
    "feature",
    "attention",
    "kd+feature",
    "kd+attention",
    "dkd+feature",
    "dkd+attention",
)
BATCHNORMS = ("frozen", "live")
SELF = "self"
"""The teacher that is the model itself, as it was before it was made smaller."""

_LENGTH = re.compile(r"(\d+)\s*(ep|epochs?|steps?)")


@dataclass(frozen=True)
class TrainSettings:
    """How the model is trained between the other steps; without `data` nothing is.

    Attributes:
        data: `module:name` or `file.py:name` of a DataLoader, or of a function that gives one; "" for none.
        epochs: Passes over it to fine-tune or distill, after pruning.
        lr: Highest learning rate of these; 0 takes the default of the training loop.
        loss: `module:function` of (outputs, labels); "" is cross-entropy.
        seed: Of the order of batches and of every random choice.
    """

    data: str = ""
    epochs: int = 10
    lr: float = 0.0
    loss: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        between("train.epochs", self.epochs, 0, 100_000)
        between("train.lr", self.lr, 0.0, 100.0)
        between("train.seed", self.seed, 0, 2**32 - 1)
        _refuse_unnamed("train.data", self.data)
        _refuse_unnamed("train.loss", self.loss)


@dataclass(frozen=True)
class PruneTarget:
    """What pruning has to reach.

    Attributes:
        kind: "speedup": at most 1/amount of the multiply-accumulates; "macs": at most that many; "size": at most that
            many bytes of float32 weights; "latency": at most that share of the int8 file's time on this CPU.
        amount: How much.
    """

    kind: Literal["speedup", "macs", "size", "latency"]
    amount: float


@dataclass(frozen=True)
class PruneSettings:
    """How channels are removed; without `target` none are.

    Attributes:
        target: "1.5x" (fewer multiply-accumulates), "macs=20M", "size=400kB" or "latency=0.6"; "" for no pruning.
        importance: How channels are ranked; "auto" is "taylor" with labelled training data, else "group-norm".
        round_to: Channel counts are multiples of it.
        ignore: Shell patterns of torch modules that keep their channels.
        schedule: All at once, or in steps with training between them.
    """

    target: str = ""
    importance: str = AUTO
    round_to: int = 8
    ignore: tuple[str, ...] = ()
    schedule: str = "one-shot"

    def __post_init__(self) -> None:
        one_of("prune.importance", self.importance, IMPORTANCES)
        one_of("prune.schedule", self.schedule, SCHEDULES)
        between("prune.round_to", self.round_to, 1, 1024)
        if self.target:
            self.parsed()

    def parsed(self) -> PruneTarget:
        """`target` taken apart.

        Raises:
            RecipeError: It is none of the known forms, or asks for nothing.
        """
        kind, found, value = self.target.partition("=")
        text = value.strip() if found else self.target.strip()
        if not found and text.endswith("x"):
            return PruneTarget("speedup", _above("prune.target", text[:-1], 1.0))
        if kind.strip() == "latency":
            amount = _above("prune.target", text, 0.0)
            between("prune.target latency", amount, 0.0, 0.999)
            return PruneTarget("latency", amount)
        try:
            if kind.strip() == "macs":
                return PruneTarget("macs", parse_count(text))
            if kind.strip() == "size":
                return PruneTarget("size", float(parse_size(text)))
        except ValueError as error:
            raise RecipeError(f"prune.target: {error}", hint="for example macs=20M or size=400kB") from error
        raise RecipeError(
            f"prune.target must be a speedup, macs, size or latency, found '{self.target}'",
            hint="for example 1.5x, macs=20M, size=400kB or latency=0.6",
        )


@dataclass(frozen=True)
class DistillSettings:
    """Whose answers the model learns from; without `teacher` it learns from labels alone.

    Attributes:
        teacher: "self" is the model before it was pruned; else what builds another one, as `model.factory`.
        loss: Which distillation loss.
        temperature: Softens the answers of both, where the loss has one.
        weight: Share of the distillation loss, 0..1; the rest is the loss on labels.
    """

    teacher: str = ""
    loss: str = "kd"
    temperature: float = 4.0
    weight: float = 0.9

    def __post_init__(self) -> None:
        one_of("distill.loss", self.loss, DISTILLATION_LOSSES)
        between("distill.temperature", self.temperature, 0.1, 100.0)
        between("distill.weight", self.weight, 0.0, 1.0)
        if self.teacher != SELF:
            _refuse_unnamed("distill.teacher", self.teacher)


@dataclass(frozen=True)
class QatSettings:
    """Quantization-aware training; without `length` there is none.

    Attributes:
        length: "2ep" or "500steps"; "" for none.
        lr: Highest learning rate; 0 takes a tenth of that of `train`.
        learn_scales: Train the scales of activations too (LSQ).
        batchnorm: "frozen": folded and left as it is; "live": goes on learning from batches.
    """

    length: str = ""
    lr: float = 0.0
    learn_scales: bool = False
    batchnorm: str = "frozen"

    def __post_init__(self) -> None:
        one_of("qat.batchnorm", self.batchnorm, BATCHNORMS)
        between("qat.lr", self.lr, 0.0, 100.0)
        if self.length:
            self.parsed()

    def parsed(self) -> tuple[int | None, int | None]:
        """(epochs, steps), one of them None.

        Raises:
            RecipeError: `length` is neither.
        """
        match = _LENGTH.fullmatch(self.length.strip())
        if match is None or int(match[1]) == 0:
            raise RecipeError(f"qat.length must be epochs or steps, found '{self.length}'", hint="2ep, or 500steps")
        amount = int(match[1])
        return (None, amount) if match[2].startswith("step") else (amount, None)


def _above(key: str, text: str, low: float) -> float:
    try:
        amount = float(text)
    except ValueError as error:
        raise RecipeError(f"{key}: '{text}' is no number", hint="for example 1.5x or latency=0.6") from error
    if not low < amount < float("inf"):
        raise RecipeError(f"{key} must be above {low:g}, found {text}")
    return amount


def _refuse_unnamed(key: str, place: str) -> None:
    if place and ":" not in place:
        raise RecipeError(f"{key} must be module:name, found '{place}'", hint="for example train.py:loader")
