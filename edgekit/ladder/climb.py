"""The climb: rung after rung, each kept only if it helps on samples that did not calibrate."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgekit.ladder.draft import Draft, Evidence
from edgekit.ladder.rung import RUNGS, Rung
from edgekit.types.ladder import OUT_OF_TIME, LadderReport, Score, Step
from edgekit.types.recipe import BudgetSettings

BASE = "min-max ranges, nearest rounding, bias correction"
LEAST_GAIN_DB = 0.05
"""Gains below this are within what other samples would change."""
SURE = 1.7
"""Standard errors of a paired difference: 5 % of candidates that gain nothing pass, with 20 samples or more."""


@dataclass(frozen=True, eq=False)
class Climb:
    """Where the ladder ended.

    Attributes:
        draft: The best draft.
        report: How it was arrived at.
    """

    draft: Draft
    report: LadderReport


def climb(base: Draft, evidence: Evidence, rungs: Sequence[str], *, format: str = "") -> Climb:
    """Climb from the base until the budget is met, the rungs run out, or time does.

    Args:
        base: Base post-training quantization.
        evidence: What rungs look at.
        rungs: Names in `RUNGS`, in order.
        format: The file that scores candidates, for the report.
    """
    ladder = _Ladder(base, evidence)
    stopped = ladder.climb(rungs)
    report = LadderReport(evidence.effort, tuple(ladder.steps), stopped, format, ladder.score.samples)
    return Climb(ladder.draft, report)


class _Ladder:
    """The best draft so far."""

    def __init__(self, base: Draft, evidence: Evidence) -> None:
        start = time.perf_counter()
        self.evidence = evidence
        self.draft, self.score = base, evidence.score(base)
        self.steps = [Step("base", True, BASE, None, self.score, 1, 0.0)]
        self.steps[0] = _timed(self.steps[0], start)

    def climb(self, rungs: Sequence[str]) -> str:
        """Try the rungs; why there was no further one."""
        budget = self.evidence.budget
        for name in rungs:
            if budget.asks and is_met(budget, self.score):
                return f"the budget was met before '{name}'"
            if time.monotonic() >= self.evidence.deadline:
                return f"{OUT_OF_TIME} before '{name}'"
            self._try(name, RUNGS.load(name)())
        if not budget.asks:
            return f"every rung of effort '{self.evidence.effort}' was looked at; no budget was set"
        if is_met(budget, self.score):
            return "the budget is met"
        further = {"fast": "balanced", "balanced": "thorough"}.get(self.evidence.effort)
        hint = f"; effort '{further}' climbs further" if further else "; what is left is training with quantization"
        return f"the rungs of effort '{self.evidence.effort}' ran out below the budget{hint}"

    def _try(self, name: str, rung: Rung) -> None:
        start, before = time.perf_counter(), self.score
        refusal = rung.requires(self.draft, self.evidence)
        if refusal:
            self.steps.append(_timed(Step(name, False, refusal, before), start))
            return
        tried: list[tuple[str, Draft, Score]] = []
        with self.evidence.progress.stage(f"try {name}") as stage:
            for what, draft in rung.propose(self.draft, self.evidence):
                tried.append((what, draft, self.evidence.score(draft)))
                stage.advance()
        self.steps.append(_timed(self._choose(name, before, tried), start))

    def _choose(self, name: str, before: Score, tried: list[tuple[str, Draft, Score]]) -> Step:
        if not tried:
            limits = [limit for limit in ("max_size", "max_latency_ratio") if limit in self.evidence.budget.asks]
            within = f" within {' and '.join(limits)}" if limits else ""
            return Step(name, False, f"had nothing to propose{within}", before)
        what, draft, score = tried[0]
        for candidate in tried[1:]:
            if is_better(candidate[2], score, self.evidence.budget):
                what, draft, score = candidate
        kept = is_better(score, before, self.evidence.budget, least_db=LEAST_GAIN_DB)
        if kept:
            self.draft, self.score = draft, score
        outcome = what if kept else f"{what}: no better on samples that did not calibrate"
        return Step(name, kept, outcome, before, score, len(tried))


def is_better(new: Score, old: Score, budget: BudgetSettings, *, least_db: float = 0.0, surely: bool = False) -> bool:
    """Whether `new` is worth having in place of `old`.

    Meeting the budget goes first. Then the task metric, where more than one sample's worth of points tells them
    apart; then the output error.

    Args:
        new: Of the candidate.
        old: Of what it would replace.
        budget: What was asked for.
        least_db: Gain in SQNR below which it is not worth a change.
        surely: Of the output error, take only what the samples agree on (`SURE`): for searches over many candidates,
            whose best would otherwise be the luckiest on these samples.
    """
    if budget.asks and is_met(budget, new) != is_met(budget, old):
        return is_met(budget, new)
    limit = budget.max_size_bytes()
    if limit is not None and (new.size_bytes > limit) != (old.size_bytes > limit):
        return old.size_bytes > limit
    if new.drop_points is not None and old.drop_points is not None:
        gain = old.drop_points - new.drop_points
        if abs(gain) > 100 / max(new.samples, 1):
            return gain > 0
    gains = not math.isnan(new.sqnr_db) and new.sqnr_db > old.sqnr_db + least_db
    return gains and (not surely or _is_sure(new, old))


def _is_sure(new: Score, old: Score) -> bool:
    """One-sided paired test of the samples' noise powers; True where there are too few to pair."""
    if len(new.noise) != len(old.noise) or len(new.noise) < 2:
        return True
    gains = np.subtract(old.noise, new.noise)
    return bool(gains.mean() > SURE * gains.std(ddof=1) / math.sqrt(gains.size))


def is_met(budget: BudgetSettings, score: Score) -> bool:
    """Whether a score keeps every limit that scoring can tell; latency is measured on the written files."""
    size = budget.max_size_bytes()
    return (
        (budget.max_drop is None or (score.drop_points is not None and score.drop_points <= budget.max_drop))
        and (budget.min_sqnr is None or score.sqnr_db >= budget.min_sqnr)
        and (budget.min_agreement is None or (score.agreement or 0.0) >= budget.min_agreement)
        and (size is None or score.size_bytes <= size)
    )


def _timed(step: Step, start: float) -> Step:
    return replace(step, seconds=time.perf_counter() - start)
