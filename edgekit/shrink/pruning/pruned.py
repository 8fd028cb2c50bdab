"""Pruned: the smaller module and what is known about it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from edgekit.shrink.pruning.counting import BYTES
from edgekit.shrink.pruning.plan import PruningPlan
from edgekit.shrink.pruning.saving import save_pruned
from edgekit.shrink.pruning.target import Target, count
from edgekit.types.finding import Finding


@dataclass(frozen=True)
class Timed:
    """A candidate of a latency target, as it was measured.

    Attributes:
        round_to: Its widths are multiples of this.
        macs_ratio: Its MACs, as a share of the unpruned ones.
        time_ratio: Its time, as a share of the unpruned one's.
    """

    round_to: int
    macs_ratio: float
    time_ratio: float


@dataclass(frozen=True, eq=False)
class Pruned:
    """What `prune` returns.

    Attributes:
        model: A smaller module of the same class; yours to train.
        plan: Which channels were kept.
        target: What was asked.
        macs: Multiply-accumulates of one call on the example.
        base_macs: The same before pruning.
        parameters: Trainable or not, shared ones once.
        base_parameters: The same before pruning.
        widths: path of a layer -> channels (before, after), for every group that could be cut.
        findings: What could not be cut and why; what the user should know.
        candidates: What was measured for a latency target, in the order of measuring.
    """

    model: nn.Module
    plan: PruningPlan
    target: Target
    macs: int
    base_macs: int
    parameters: int
    base_parameters: int
    widths: dict[str, tuple[int, int]]
    findings: tuple[Finding, ...] = ()
    candidates: tuple[Timed, ...] = ()

    @property
    def speedup(self) -> float:
        """How many times fewer MACs; no promise about time."""
        return self.base_macs / max(self.macs, 1)

    @property
    def size(self) -> int:
        """Bytes of the parameters in float32."""
        return BYTES * self.parameters

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model's current weights and the plan to one .safetensors file, without pickle.

        Raises:
            StorageError: The file cannot be written.
        """
        place = Path(path)
        save_pruned(self.model, self.plan, place)
        return place

    def save_plan(self, path: str | os.PathLike[str]) -> Path:
        """Write the plan alone, as JSON, for people and other tools.

        Raises:
            OSError: The file cannot be written.
        """
        place = Path(path)
        handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(self.plan.to_json())
        os.chmod(temporary, 0o644)
        os.replace(temporary, place)
        return place

    def __str__(self) -> str:
        rows = [
            f"MACs        {count(self.base_macs):>9} -> {count(self.macs):>9}   {self.speedup:.2f}x fewer",
            f"parameters  {count(self.base_parameters):>9} -> {count(self.parameters):>9}",
        ]
        longest = max((len(path) for path in self.widths), default=0)
        rows += [f"{path:<{longest}}  {before:>5} -> {after:>5}" for path, (before, after) in self.widths.items()]
        rows += [f"{finding.severity}: {finding.where or finding.code}: {finding.message}" for finding in self.findings]
        return "\n".join(rows)
