"""Rung "range-search": how far int8 reaches in each activation."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.ladder.draft import Draft, Evidence
from edgekit.shrink.quantization.ranges import METHODS, percentile_range

PERCENTILES = (0.999, 0.99999)
"""Shares tried besides that of the method "percentile"."""


class RangeSearch:
    """One method for all tensors. Which suits a network best is told by its outputs alone."""

    def requires(self, draft: Draft, evidence: Evidence) -> str:
        """Something must have been observed, and be quantized."""
        if draft.plan.weight_only or not draft.histograms:
            return "no activation is quantized, so there is no range to search"
        return ""

    def propose(self, draft: Draft, evidence: Evidence) -> Iterator[tuple[str, Draft]]:
        """One candidate per method that the draft does not use yet, and wider and narrower percentiles."""
        for method in METHODS:
            if method != draft.plan.method:
                yield f"all ranges by {method}", draft.with_plan(method=method, ranges={}, weights={})
        for keep in PERCENTILES:
            ranges = {name: percentile_range(found, keep) for name, found in draft.histograms.items()}
            yield f"all ranges at {100 * keep:g} %", draft.with_plan(ranges=ranges, weights={})
