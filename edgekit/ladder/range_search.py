"""Rung "range-search": how far int8 reaches in each activation."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

from edgekit.ladder.climb import is_better
from edgekit.ladder.draft import Draft, Evidence
from edgekit.shrink.quantization.histogram import Histogram
from edgekit.shrink.quantization.ranges import METHODS, choose_range

REFINED = 12
"""Tensors that a thorough search tries one by one."""
LEAST_GAIN_DB = 0.03
"""A single tensor's range is changed for no less: the rounding of all later layers falls differently anyway."""


class RangeSearch:
    """One method for all tensors, then (thorough) others for the tensors on which the methods differ most.

    Which method suits a network is told by its outputs alone. On EfficientNet-Lite0, criteria local to one tensor (the
    error to the power of 2.4, 3 or 4 in place of 2) did worse than the plain squared error.
    """

    def requires(self, draft: Draft, evidence: Evidence) -> str:
        """Something must have been observed, and be quantized."""
        if draft.plan.weight_only or not draft.histograms:
            return "no activation is quantized, so there is no range to search"
        return ""

    def propose(self, draft: Draft, evidence: Evidence) -> Iterator[tuple[str, Draft]]:
        """One candidate per method that the draft does not use yet, and a refinement of the best of all."""
        best, name = draft, f"ranges by {draft.plan.method}"
        for method in METHODS:
            if method == draft.plan.method:
                continue
            candidate = draft.with_plan(method=method, ranges={}, weights={})
            yield f"all ranges by {method}", candidate
            if is_better(evidence.score(candidate), evidence.score(best), evidence.budget):
                best, name = candidate, f"ranges by {method}"
        if evidence.effort == "thorough":
            refined, changed = _refine(best, evidence)
            if changed:
                yield f"{name}, {changed} tensor(s) by another method", refined


def _refine(draft: Draft, evidence: Evidence) -> tuple[Draft, int]:
    """Greedy: each tensor in turn takes the range that its network's outputs like better; how many changed."""
    changed = 0
    for name, other in _disputed(draft)[:REFINED]:
        if time.monotonic() >= evidence.deadline:
            break
        ranges = {**draft.plan.ranges, name: choose_range(draft.histograms[name], other)}
        candidate = draft.with_plan(ranges=ranges, weights={})
        new, old = evidence.score(candidate), evidence.score(draft)
        if is_better(new, old, evidence.budget, least_db=LEAST_GAIN_DB, surely=True):
            draft, changed = candidate, changed + 1
    return draft, changed


def _disputed(draft: Draft) -> list[tuple[str, str]]:
    """Quantized values whose range depends most on the method, each with the method that differs most."""
    found = []
    for name, histogram in draft.histograms.items():
        if name not in draft.quantized.qparams or name in draft.plan.ranges:
            continue
        own = _width(histogram, draft.plan.method)
        gaps = {method: abs(math.log(_width(histogram, method) / own)) for method in ("minmax", "mse")}
        method = max(gaps, key=lambda key: gaps[key])
        if gaps[method] > 0:
            found.append((gaps[method], name, method))
    return [(name, method) for _, name, method in sorted(found, reverse=True)]


def _width(histogram: Histogram, method: str) -> float:
    low, high = choose_range(histogram, method)
    return max(high, 0.0) - min(low, 0.0) + 1e-12
