"""Rung "weight-only": int8 weights and float activations, when accuracy matters and speed was not asked for."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.ladder.draft import Draft, Evidence
from edgekit.ladder.need import refuse_without_need


class WeightOnly:
    """The last answer: the file stays small, the arithmetic is that of float."""

    def requires(self, draft: Draft, evidence: Evidence) -> str:
        """Only where accuracy is missed, and no limit on latency rules float arithmetic out."""
        ratio = evidence.budget.max_latency_ratio
        if ratio is not None and ratio < 1:
            return f"float activations are never faster than float, and max_latency_ratio is {ratio:g}"
        return refuse_without_need(draft, evidence)

    def propose(self, draft: Draft, evidence: Evidence) -> Iterator[tuple[str, Draft]]:
        """One candidate."""
        yield (
            "int8 weights with float activations: the size of int8, the speed of float",
            draft.with_plan(weight_only=True),
        )
