"""Rung "first-and-last": the first layers in float, and the last one's result, where that costs next to no time.

Unlike mixed precision, which gives up speed for a budget, this takes what the machine gives for nothing: runtimes gain
little from int8 in the first layers of a net, whose maps are large and whose channels are few. Whether it is nothing is
measured on this machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from edgekit.ladder.candidate_latency import measure_candidates
from edgekit.ladder.draft import Draft, Evidence
from edgekit.shrink.quantization.first_and_last import FIRST, Prefix, first_layers, last_layers
from edgekit.units import share

MOST_SHARE = 0.25
"""Of a model's multiplications in the first layers that are tried."""
MOST_PREFIXES = 4
SECONDS = 2.0
"""Wall time to measure all candidates."""
SLOWER = 1.03
"""Time over that of the draft that passes for the same: what such a measurement cannot tell apart."""


class FirstAndLast:
    """First layers to float, the last layer's result unrounded."""

    def requires(self, draft: Draft, evidence: Evidence) -> str:
        """Borders that may be float, and layers there that are not yet."""
        if evidence.integer_borders:
            return evidence.integer_borders
        if draft.plan.weight_only:
            return "activations are in float already"
        if not last_layers(draft.quantized) and not _tried(draft):
            return "no value near the input separates first layers from the rest, and no Gemm in int8 writes an output"
        return ""

    def propose(self, draft: Draft, evidence: Evidence) -> Iterator[tuple[str, Draft]]:
        """The last layer alone, then with ever longer beginnings; only those that are not slower than the draft."""
        last = last_layers(draft.quantized)
        plain = draft.with_plan(float_results=draft.plan.float_results.union(last))
        proposals = [(_describe(draft, None, last), plain)] if last else []
        proposals += [(_describe(draft, prefix, last), _with_first(plain, prefix)) for prefix in _tried(draft)]
        for (what, proposal), ratio, before in _timed(draft, proposals, evidence):
            limit = evidence.budget.max_latency_ratio
            if ratio <= SLOWER * before and (limit is None or ratio <= max(limit, before)):
                yield f"{what}; {ratio:.2f} of float's time, {before:.2f} before", proposal


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


def _timed(
    draft: Draft, proposals: Sequence[tuple[str, Draft]], evidence: Evidence
) -> Iterator[tuple[tuple[str, Draft], float, float]]:
    """Each proposal with its time and the draft's, both as shares of the float file's."""
    candidates = {"before": draft.quantized, **{what: proposal.quantized for what, proposal in proposals}}
    sample = next(iter(evidence.samples))
    timed = measure_candidates(candidates, sample, evidence.workdir, seconds=SECONDS)
    before = timed["before"].ratio.estimate
    yield from ((proposal, timed[proposal[0]].ratio.estimate, before) for proposal in proposals)
