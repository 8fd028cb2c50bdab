"""Rung "mixed-precision": the layers that cost the outputs most return to float, as few as the budget needs.

What each rounding costs at the outputs is scanned once; the order is greedy by noise removed per work added. How many
steps of it are taken is found by scoring on the real runtime: doubling, then bisecting.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgekit.ladder.candidate_latency import measure_candidates
from edgekit.ladder.climb import is_met
from edgekit.ladder.draft import Draft, Evidence
from edgekit.ladder.need import quality_of, refuse_without_need
from edgekit.shrink.quantization.float_choice import FloatStep, order_floats
from edgekit.types.float_bytes import count_float_bytes
from edgekit.types.ladder import Score
from edgekit.types.output_noise import OutputNoise
from edgekit.units import duration, share, size

SHOWN = 3


class MixedPrecision:
    """Worst layers to float, until the budget is met."""

    def requires(self, draft: Draft, evidence: Evidence) -> str:
        """Only a missed limit on accuracy is worth the time and the bytes of float layers."""
        return refuse_without_need(draft, evidence)

    def propose(self, draft: Draft, evidence: Evidence) -> Iterator[tuple[str, Draft]]:
        """The smallest set of float layers that meets the budget; where none does, the best one within its limits."""
        from edgekit.shrink.quantization.sensitivity import scan_output_noise  # torch: only a missed budget needs it

        noise = scan_output_noise(draft.quantized, evidence.samples, seed=evidence.seed)
        steps = order_floats(draft.quantized, noise, most_bytes=_room(draft, evidence))
        if not steps:
            return
        search = _Search(draft, evidence, noise, steps)
        search.run()
        found = search.choose()
        if found is not None:
            yield search.describe(found), found.draft


def _room(draft: Draft, evidence: Evidence) -> float:
    """Bytes by which the file may grow."""
    largest = evidence.budget.max_size_bytes()
    return math.inf if largest is None else largest - evidence.score(draft).size_bytes


@dataclass(frozen=True, eq=False)
class _Trial:
    """A scored candidate.

    Attributes:
        count: Steps of the order that it takes.
        draft: It.
        score: On the real runtime.
        met: Whether it keeps the limits on accuracy.
        within: Whether it keeps those on size and latency, and anything in int8.
    """

    count: int
    draft: Draft
    score: Score
    met: bool
    within: bool


class _Search:
    """How many steps of the order are needed."""

    def __init__(self, draft: Draft, evidence: Evidence, noise: OutputNoise, steps: Sequence[FloatStep]) -> None:
        self._draft, self._evidence, self._noise, self._steps = draft, evidence, noise, steps
        self._quality = quality_of(evidence.budget)
        self._trials: dict[int, _Trial] = {}

    def run(self) -> None:
        """Double the number of steps until the budget is met or a limit broken, then bisect."""
        missed, count = 0, self._first_count()
        while True:
            trial = self._try(count)
            if trial.met or not trial.within:
                break
            missed = count
            if count == len(self._steps) or self._is_late():
                return
            count = min(2 * count, len(self._steps))
        enough = count
        while enough - missed > max(1, enough // 8) and not self._is_late():
            middle = (missed + enough) // 2
            trial = self._try(middle)
            if trial.met or not trial.within:
                enough = middle
            else:
                missed = middle

    def choose(self) -> _Trial | None:
        """The fewest steps that meet everything; else the best output within size and latency; None without any."""
        allowed = [trial for trial in self._trials.values() if trial.within]
        met = [trial for trial in allowed if trial.met]
        if met:
            return min(met, key=lambda trial: trial.count)
        return max(allowed, key=lambda trial: trial.score.sqnr_db, default=None)

    def describe(self, trial: _Trial) -> str:
        """What it changes and costs, for the report."""
        graph, before = self._draft.quantized.graph, self._evidence.score(self._draft)
        chosen = {name for step in self._steps[: trial.count] for name in step.nodes}
        nodes = [node for node in graph.nodes if node.name in chosen]
        worst = sorted(nodes, key=self._noise.share_of, reverse=True)[:SHOWN]
        rest = f" and {len(nodes) - SHOWN} more" if len(nodes) > SHOWN else ""
        added = trial.score.size_bytes - before.size_bytes
        sign = "+" if added >= 0 else "-"
        return (
            f"{len(nodes)} of {len(graph.nodes)} nodes to float ({', '.join(node.label for node in worst)}{rest}), "
            f"where about {share(self._removed(trial.count))} of the output's noise came from; "
            f"{sign}{size(abs(added))}{self._describe_time(trial)}"
        )

    def _describe_time(self, trial: _Trial) -> str:
        sample = next(iter(self._evidence.samples))
        candidates = {"before": self._draft.quantized, "after": trial.draft.quantized}
        timed = measure_candidates(candidates, sample, self._evidence.workdir)
        more = timed["after"].median_ms - timed["before"].median_ms
        ratio = timed["after"].ratio.estimate
        sign = "+" if more >= 0 else "-"
        return f", {sign}{duration(abs(more) / 1e3)} on this machine ({ratio:.2f} of float)"

    def _first_count(self) -> int:
        """Steps that should do by the scan, where the limit is on the SQNR; else 1."""
        wanted = self._evidence.budget.min_sqnr
        if wanted is None:
            return 1
        missing_db = wanted - self._evidence.score(self._draft).sqnr_db
        allowed = self._noise.total * 10 ** (-max(missing_db, 0.0) / 10)
        return next((index + 1 for index, step in enumerate(self._steps) if step.left <= allowed), len(self._steps))

    def _try(self, count: int) -> _Trial:
        if count not in self._trials:
            names = [name for step in self._steps[:count] for name in step.nodes]
            floats = {**self._draft.plan.float_nodes, **dict.fromkeys(names, self._explain(count))}
            draft = self._draft.with_plan(float_nodes=floats)
            score = self._evidence.score(draft)
            met = is_met(self._quality, score)
            self._trials[count] = _Trial(count, draft, score, met, self._is_within(draft, score))
        return self._trials[count]

    def _is_within(self, draft: Draft, score: Score) -> bool:
        budget = self._evidence.budget
        largest = budget.max_size_bytes()
        quantized = draft.quantized
        if not any(quantized.is_int8(node) for node in quantized.graph.nodes):
            return False  # that is the float model, and meets no budget for int8 files
        if largest is not None and score.size_bytes > largest:
            return False
        if budget.max_latency_ratio is None:
            return True
        sample = next(iter(self._evidence.samples))
        timed = measure_candidates({"candidate": quantized}, sample, self._evidence.workdir)
        return timed["candidate"].ratio.estimate <= budget.max_latency_ratio

    def _explain(self, count: int) -> str:
        """Why these nodes are in float, for all of them; free of times, so that the same inputs give the same plan."""
        quantized = self._draft.quantized
        names = {name for step in self._steps[:count] for name in step.nodes}
        more = sum(count_float_bytes(quantized, node) for node in quantized.graph.nodes if node.name in names)
        part = share(self._removed(count))
        return (
            f"kept in float for the accuracy budget: about {part} of the output's noise came from there; +{size(more)}"
        )

    def _removed(self, count: int) -> float:
        """Share of the noise that the first steps take away."""
        return 1 - self._steps[count - 1].left / self._noise.total

    def _is_late(self) -> bool:
        return not math.isinf(self._evidence.deadline) and time.monotonic() >= self._evidence.deadline
