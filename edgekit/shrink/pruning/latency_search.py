"""Latency search: widths chosen by the clock, since MACs lie.

Half the MACs can take the same time where kernels work on 16 or 32 channels at once, or where time goes into moving
data. So candidates of several MAC counts and roundings are really measured, and the least pruned one that is fast
enough wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from edgekit.errors import ShrinkError
from edgekit.shrink.pruning.pruned import Pruned, Timed
from edgekit.shrink.pruning.pruner import prune_module
from edgekit.shrink.pruning.settings import Evidence, PruneSettings
from edgekit.shrink.pruning.target import Target
from edgekit.shrink.pruning.tracing import Example
from edgekit.types.finding import Finding, Severity
from edgekit.types.progress import Progress, Silent

ROUNDINGS = (16, 32)
"""Tried besides the asked one."""
HALVINGS = 4
"""Candidates for each rounding."""
SMALLEST = 0.05
"""Share of the MACs below which nothing is tried."""

Measure = Callable[[nn.Module], float]
"""Time of a module as a share of the unpruned one's."""


def prune_to_latency(
    model: nn.Module,
    example: Example,
    target: Target,
    *,
    settings: PruneSettings,
    evidence: Evidence,
    measure: Measure,
    progress: Progress | None = None,
) -> Pruned:
    """Prune a copy of a module until it takes at most `target.value` of the unpruned time.

    Args:
        model: Left as it was.
        example: Arguments of one call.
        target: A latency.
        settings: How; the rounding is the smallest that is tried.
        evidence: Data, where there is any.
        measure: Of candidates, which are not trained or repaired.
        progress: Who watches.

    Raises:
        ShrinkError: Nothing can be cut, or no candidate is fast enough (says the fastest).
    """
    watcher = progress or Silent()
    quick = replace(evidence, inputs=None, train=None)
    rough = replace(settings, repair=False, steps=1)
    roundings = [settings.round_to, *(size for size in ROUNDINGS if size > settings.round_to)]
    timed: list[Timed] = []
    with watcher.stage("measure widths", HALVINGS * len(roundings)) as stage:
        for round_to in roundings:
            low, high = SMALLEST, 1.0
            share = target.value
            for _ in range(HALVINGS):
                found = _candidate(model, example, share, replace(rough, round_to=round_to), quick)
                if found is None:  # widths of this rounding do not go so low
                    low = share
                else:
                    ratio = measure(found.model)
                    timed.append(Timed(round_to, found.macs / found.base_macs, ratio))
                    low, high = (share, high) if ratio <= target.value else (low, share)
                share = (low + high) / 2
                stage.advance()
    fitting = [candidate for candidate in timed if candidate.time_ratio <= target.value]
    if not fitting:
        raise _too_slow(target, timed)
    best = max(fitting, key=lambda candidate: candidate.macs_ratio)
    goal = Target("speedup", 1.0 / min(best.macs_ratio + 1e-9, 1 - 1e-9))
    final = replace(settings, round_to=best.round_to)
    pruned = prune_module(model, example, goal, settings=final, evidence=evidence, progress=progress)
    note = (
        f"widths are multiples of {best.round_to}: {best.macs_ratio:.2f} of the MACs took {best.time_ratio:.2f} of the "
        f"time, the least pruned of {len(timed)} candidates that were measured on this CPU"
    )
    findings = (*pruned.findings, Finding("latency-measured", note, Severity.NOTE))
    return replace(pruned, target=target, findings=findings, candidates=tuple(timed))


def _candidate(
    model: nn.Module, example: Example, share: float, settings: PruneSettings, evidence: Evidence
) -> Pruned | None:
    """A candidate with that share of the MACs; None where rounded widths cannot reach it."""
    try:
        target = Target("speedup", 1.0 / share)
        return prune_module(model, example, target, settings=settings, evidence=evidence)
    except ShrinkError as error:
        if "cannot be met" in str(error):
            return None
        raise


def _too_slow(target: Target, timed: list[Timed]) -> ShrinkError:
    if not timed:
        return ShrinkError(
            f"the target of {target} cannot be met: no rounding reaches so few MACs", hint="use a smaller round_to"
        )
    fastest = min(timed, key=lambda candidate: candidate.time_ratio)
    return ShrinkError(
        f"the target of {target} cannot be met: the best reachable of {len(timed)} measured candidates is "
        f"{fastest.time_ratio:.2f} of the time, with {fastest.macs_ratio:.2f} of the MACs",
        hint="time that is not spent in prunable layers stays; ask for a larger share, or a smaller input",
    )
