"""Rung "equalization": channels of like size, in closed form, across residual streams too."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from edgekit.ladder.draft import Draft, Evidence
from edgekit.shrink.quantization.equalize import balance, equalize, unevenness
from edgekit.shrink.quantization.equalize_groups import ChannelGroup, channel_groups
from edgekit.shrink.quantization.islands import float_islands

LEAST_UNEVENNESS = 1.5
"""Largest channel over the median one; groups more even than this gain nothing."""
STRENGTHS = {"balanced": (0.5, 1.0), "thorough": (0.5, 0.75, 1.0)}
"""effort -> how much of the burden moves from activations to weights."""


class Equalization:
    """One candidate per strength, each observed anew since its ranges are other ones."""

    def requires(self, draft: Draft, evidence: Evidence) -> str:
        """Some group of channels must be uneven."""
        if draft.plan.weight_only or not draft.histograms:
            return "no activation is quantized, so uneven channels cost nothing"
        groups = _groups(draft)
        if not groups:
            return "no layer's channels can be rescaled: each meets a function that does not commute with a scale"
        worst = max(unevenness(draft.histograms, group) for group in groups)
        if worst < LEAST_UNEVENNESS:
            return f"the channels are even already: the largest is {worst:.1f} times the median one"
        return ""

    def propose(self, draft: Draft, evidence: Evidence) -> Iterator[tuple[str, Draft]]:
        """All uneven groups at each strength."""
        groups = [group for group in _groups(draft) if unevenness(draft.histograms, group) >= LEAST_UNEVENNESS]
        worst = max(unevenness(draft.histograms, group) for group in groups)
        kept = {name: ends for name, ends in draft.plan.ranges.items() if not any(name in g.axes for g in groups)}
        for strength in STRENGTHS.get(evidence.effort, (1.0,)):
            factors = [(group, balance(draft.graph, draft.histograms, group, strength=strength)) for group in groups]
            graph = equalize(draft.graph, factors)
            plan = dataclasses.replace(draft.plan, ranges=kept, weights={})
            found = f"largest channel was {worst:.0f}x the median"
            yield (
                f"{len(groups)} groups of channels equalized (strength {strength:g}; {found})",
                Draft(graph, evidence.observe(graph), plan),
            )


def _groups(draft: Draft) -> tuple[ChannelGroup, ...]:
    islands = float_islands(draft.graph, float_modules=draft.plan.float_modules, float_nodes=draft.plan.float_nodes)
    return channel_groups(draft.graph, islands)
