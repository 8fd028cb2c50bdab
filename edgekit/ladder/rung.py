"""What a rung is, the table of rungs, and which of them an effort may take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from edgekit.ladder.draft import Draft, Evidence
from edgekit.plugins import Family


class Rung(Protocol):
    """One way to a better quantized graph. A third party's is an entry point of the group "edgekit.rungs"."""

    def requires(self, draft: Draft, evidence: Evidence) -> str:
        """Why the rung has nothing to offer here, one sentence; "" when it has."""
        ...

    def propose(self, draft: Draft, evidence: Evidence) -> Iterator[tuple[str, Draft]]:
        """Candidates, each with what it changes in a few words ("6 ranges by MSE"); the ladder scores and chooses."""
        ...


RUNGS: Family[Callable[[], Rung]] = Family(
    "edgekit.rungs",
    {
        "range-search": "edgekit.ladder.range_search:RangeSearch",
        "equalization": "edgekit.ladder.equalization:Equalization",
        "first-and-last": "edgekit.ladder.first_and_last:FirstAndLast",
        "hessian-rounding": "edgekit.ladder.hessian_rounding:HessianRounding",
        "adaptive-rounding": "edgekit.ladder.adaptive_rounding:AdaptiveRounding",
        "mixed-precision": "edgekit.ladder.mixed_precision:MixedPrecision",
        "weight-only": "edgekit.ladder.weight_only:WeightOnly",
    },
    needs=("__call__", "requires", "propose"),
)
"""Each names a class without arguments."""

_NEEDED = ("first-and-last", "mixed-precision", "weight-only")
"""These cost speed, so they wait for a limit on accuracy that is missed."""
_CLOSED_FORM = ("range-search", "equalization", "hessian-rounding")

CLIMBS: Mapping[str, tuple[str, ...]] = {
    "fast": _NEEDED,
    "balanced": (*_CLOSED_FORM, *_NEEDED),
    "thorough": (*_CLOSED_FORM, "adaptive-rounding", *_NEEDED),
}
"""effort -> rungs above the base, in order."""
