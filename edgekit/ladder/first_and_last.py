"""Rung "first-and-last": the last layer's result unrounded, then first layers in float, as few as the budget needs.

What is cheapest in float: runtimes gain least from int8 in the first layers of a net, whose maps are large and whose
channels are few, and the rounding done there passes through every other layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from edgekit.ladder.candidate_latency import measure_candidates
from edgekit.ladder.climb import is_met
from edgekit.ladder.draft import Draft, Evidence
from edgekit.ladder.need import quality_of, refuse_without_need
from edgekit.shrink.quantization.first_and_last import FIRST, Prefix, first_layers, last_layers
from edgekit.units import share

MOST_SHARE = 0.25
"""Of a model's multiplications in the first layers that are tried."""
MOST_PREFIXES = 6


class FirstAndLast:
    """The last layer's result unrounded, first layers to float."""

    def requires(self, draft: Draft, evidence: Evidence) -> str:
        """A missed limit on accuracy, borders that may be float, and layers there that are not yet."""
        if evidence.integer_borders:
            return evidence.integer_borders
        refusal = refuse_without_need(draft, evidence)
        if not refusal and not last_layers(draft.quantized) and not _tried(draft):
            return "no value near the input separates first layers from the rest, and no Gemm in int8 writes an output"
        return refusal

    def propose(self, draft: Draft, evidence: Evidence) -> Iterator[tuple[str, Draft]]:
        """The last layer alone, then with ever longer beginnings, until the limits on accuracy are met."""
        last = last_layers(draft.quantized)
        plain = draft.with_plan(float_results=draft.plan.float_results.union(last))
        proposals = [(_describe(draft, None, last), plain)] if last else []
        proposals += [(_describe(draft, prefix, last), _with_first(plain, prefix)) for prefix in _tried(draft)]
        for what, proposal in proposals:
            if not _is_within(proposal, evidence):
                return  # longer beginnings are slower still
            yield what, proposal
            if is_met(quality_of(evidence.budget), evidence.score(proposal)):
                return


def _tried(draft: Draft) -> list[Prefix]:
    """At most `MOST_PREFIXES`, spread over those there are, the longest included."""
    found = first_layers(draft.quantized, most_share=MOST_SHARE)
    chosen = np.linspace(0, len(found) - 1, min(MOST_PREFIXES, len(found))).round().astype(int)
    return [found[index] for index in chosen]


def _with_first(draft: Draft, prefix: Prefix) -> Draft:
    return draft.with_plan(float_nodes={**dict.fromkeys(prefix.nodes, FIRST), **draft.plan.float_nodes})


def _describe(draft: Draft, prefix: Prefix | None, last: Sequence[str]) -> str:
    labels = {node.name: node.label for node in draft.graph.nodes}
    parts = []
    if prefix is not None:
        first = f"the first {len(prefix.nodes)} nodes" if len(prefix.nodes) > 1 else labels[prefix.nodes[0]]
        parts.append(f"{first} in float ({share(prefix.share)} of the multiplications)")
    if last:
        parts.append(f"the result of {' and '.join(labels[name] for name in last)} not rounded")
    return ", ".join(parts)


def _is_within(draft: Draft, evidence: Evidence) -> bool:
    """Whether a limit on latency leaves room for it; measured only where one was asked for."""
    limit = evidence.budget.max_latency_ratio
    if limit is None:
        return True
    timed = measure_candidates({"candidate": draft.quantized}, next(iter(evidence.samples)), evidence.workdir)
    return timed["candidate"].ratio.estimate <= limit
