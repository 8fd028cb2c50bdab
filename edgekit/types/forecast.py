"""Forecasts: what a target makes of a file, node by node, and why; the nouns of `edgekit inspect`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

RunsAs = Literal["int8", "float", "conversion", "index", "refused"]
"""Integers, floats, a change between the two, indices and shapes; or the target does not take the node at all."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of one node, and why.

    Attributes:
        op: Its operator.
        label: Its name, or the torch module it came from.
        runs: As what.
        reason: Why it does not run on integers; "" when it does.
    """

    op: str
    label: str
    runs: RunsAs
    reason: str = ""


@dataclass(frozen=True)
class NodeGroup:
    """Nodes of one operator that share their fate.

    Attributes:
        op: Operator.
        count: How many.
        runs: As what.
        reason: Why not on integers; "" when on integers.
        labels: Their names.
    """

    op: str
    count: int
    runs: RunsAs
    reason: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Forecast:
    """What a target will make of a file.

    Attributes:
        target: Name of the target.
        basis: "rules" when forecast from the file, or the runtime whose executed graph was read.
        groups: Its nodes, those that fall back first.
        remarks: What concerns the file as a whole, for example weights that may saturate.
    """

    target: str
    basis: str
    groups: tuple[NodeGroup, ...]
    remarks: tuple[str, ...] = ()

    def count(self, runs: RunsAs) -> int:
        """How many nodes run so."""
        return sum(group.count for group in self.groups if group.runs == runs)


def group_verdicts(verdicts: Sequence[Verdict]) -> tuple[NodeGroup, ...]:
    """Verdicts of one operator, fate and reason as one group; refusals and fall-backs first, large groups first."""
    found: dict[tuple[str, RunsAs, str], list[str]] = {}
    for verdict in verdicts:
        found.setdefault((verdict.op, verdict.runs, verdict.reason), []).append(verdict.label)
    rank = {"refused": 0, "float": 1, "int8": 2, "conversion": 3, "index": 4}
    groups = [NodeGroup(op, len(labels), runs, reason, tuple(labels)) for (op, runs, reason), labels in found.items()]
    return tuple(sorted(groups, key=lambda group: (rank[group.runs], -group.count, group.op)))
