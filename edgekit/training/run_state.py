"""What a run has reached, and its way into a checkpoint and back: weights, optimizer, averages, counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.errors import NumericalError
from edgekit.training.checkpoints import Checkpoint
from edgekit.training.optimizing import AveragedWeights
from edgekit.training.outcome import EpochRecord, Stopped


@dataclass
class Standing:
    """Counters of a run.

    Attributes:
        step: Optimizer steps done.
        epoch: Passes over the data that are complete.
        batch: Batches of the present pass that are used up.
        loss_sum: Sum of the losses of the present pass's steps.
        loss_count: How many those are.
        history: Records of the complete passes.
        best: The best score so far.
        stale: Passes since then.
        stopped: Why the run is over; None while it is not.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    history: list[EpochRecord] = field(default_factory=list)
    best: float | None = None
    stale: int = 0
    stopped: Stopped | None = None

    @staticmethod
    def of(facts: Mapping[str, Any]) -> Standing:
        """The counters that `asdict` made JSON of."""
        return Standing(**{**facts, "history": [EpochRecord(**record) for record in facts["history"]]})


@dataclass(eq=False)
class RunState:
    """Everything that a run changes.

    Attributes:
        model: Trained.
        learned: Modules of the loss that are trained along.
        optimizer: Of torch, or wrapped.
        average: Averaged weights, when the settings ask for them.
        scaler: Of fp16, or None.
        best: Weights with the best score.
        standing: Counters.
    """

    model: nn.Module
    learned: Sequence[nn.Module]
    optimizer: torch.optim.Optimizer
    average: AveragedWeights | None
    scaler: Any
    best: dict[str, Tensor] = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)

    def tensors(self, random: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All tensors by name, with the random states.

        Raises:
            NumericalError: A weight is NaN or infinite; such a state is not worth keeping.
        """
        parts: dict[str, Mapping[str, Tensor]] = {"model": self.model.state_dict(), "best": self.best, "random": random}
        for place, module in enumerate(self.learned):
            parts[f"loss{place}"] = module.state_dict()
        if self.average is not None:
            parts["average"] = self.average.tensors
        for name, value in parts["model"].items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise NumericalError(
                    f"after step {self.standing.step} the weight '{name}' is not finite",
                    step=self.standing.step,
                    hint="use a lower lr, or clip_norm",
                )
        found = {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
        for place, state in self.optimizer.state_dict()["state"].items():
            found |= {f"optimizer/{place}/{name}": value for name, value in state.items() if isinstance(value, Tensor)}
        return found

    def facts(self) -> dict[str, Any]:
        """All scalars."""
        return {
            "standing": asdict(self.standing),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }

    def load(self, checkpoint: Checkpoint) -> None:
        """Become what was saved."""
        self.model.load_state_dict(checkpoint.part("model"))
        for place, module in enumerate(self.learned):
            module.load_state_dict(checkpoint.part(f"loss{place}"))
        if self.average is not None:
            for name, value in checkpoint.part("average").items():
                self.average.tensors[name].copy_(value)
        if self.scaler is not None and checkpoint.facts["scaler"]:
            self.scaler.load_state_dict(checkpoint.facts["scaler"])
        self.best = checkpoint.part("best")
        self.standing = Standing.of(checkpoint.facts["standing"])
        self._load_optimizer(checkpoint.part("optimizer"))

    def _load_optimizer(self, tensors: Mapping[str, Tensor]) -> None:
        states: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            place, name = key.split("/", 1)
            states.setdefault(int(place), {})[name] = value
        self.optimizer.load_state_dict({"state": states, "param_groups": self.optimizer.state_dict()["param_groups"]})
