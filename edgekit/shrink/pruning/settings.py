"""Settings: how to prune, apart from what is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from torch import nn

from edgekit.shrink.pruning.importance import IMPORTANCES, Loss
from edgekit.shrink.pruning.tracing import Example
from edgekit.types.strict_table import between, one_of

SCOPES = ("global", "local")


@dataclass(frozen=True)
class PruneSettings:
    """How channels are chosen.

    Attributes:
        importance: One of `IMPORTANCES`.
        scope: "global" lets all layers compete, by importance per saved cost; "local" takes the same share of each.
        round_to: Widths are multiples of it; narrower layers stay whole.
        max_ratio: No layer loses more than this share of its channels.
        ignore: Shell patterns of module paths that keep their output channels.
        steps: Rounds of cutting, with training in between where a callback is given; 1 is one-shot.
        seed: Of the channels a layer is tried with.
        repair: Refit the layers that lost inputs, where there is data.
    """

    importance: str = "group-norm"
    scope: str = "global"
    round_to: int = 8
    max_ratio: float = 0.9
    ignore: tuple[str, ...] = ()
    steps: int = 1
    seed: int = 0
    repair: bool = True

    def __post_init__(self) -> None:
        one_of("importance", self.importance, IMPORTANCES)
        one_of("scope", self.scope, SCOPES)
        between("round_to", self.round_to, 1, 1024)
        between("max_ratio", self.max_ratio, 0.0, 1.0)
        between("steps", self.steps, 1, 1000)
        between("seed", self.seed, 0, 2**32 - 1)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What pruning may look at besides weights.

    Attributes:
        batches: Called for a fresh walk over batches of (arguments of forward, labels or anything the loss takes).
        inputs: Called for a fresh walk over inputs alone.
        loss: (module, batch) -> scalar.
        train: Called with the module between rounds of cutting.
    """

    batches: Callable[[], Iterable[object]] | None = None
    inputs: Callable[[], Iterable[Example]] | None = None
    loss: Loss | None = None
    train: Callable[[nn.Module], object] | None = field(default=None)
