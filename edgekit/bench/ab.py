"""Wall time of head against base: both in one process, in turns, over several processes, until the answer is clear.

A process that holds both files sees the same machine for both; what drifts or disturbs hits turns of each. Different
processes lay memory out differently, which alone makes equal files differ by parts of a percent, so the process is the
unit of the statistics: one logarithm of a ratio each, and Student's interval over them. Which file is loaded first
alternates.

Within a process the ratio is that of the tenth percentiles: other programs only ever add time, so the fast end of the
samples is the quiet one, while a minimum would hang on a single of them. With other programs on both cores of a shared
machine, logarithms of ratios of equal files scattered by 0.2 to 0.4 % so, by 0.3 to 0.7 % at the quartile, and by 0.5
to 2.9 % at the median. A change that only slow inferences show is not seen.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.bench import jobs
from edgekit.bench.answers import Answers
from edgekit.bench.conversation import converse
from edgekit.bench.jobs import Subject
from edgekit.bench.probes.environment import read_environment
from edgekit.bench.student import mean_interval
from edgekit.devices.device import Device
from edgekit.errors import DeviceError, DeviceRefusalError
from edgekit.types.bench import BenchSettings
from edgekit.types.gate import GateRecipe, Verdict
from edgekit.types.interval import Interval

MIN_PROCESSES = 5
MAX_PROCESSES = 40
WARMUP_S = 1.0
PROCESS_S = 1.2
"""Steady state of both files together in each process, seconds."""
MIN_RUNS = 5
"""Of each file in a process: what takes 200 ms is still judged within a minute."""
QUANTILE = 0.1
EMULATED = "emulated"
"""Kind of the refusal of a device whose time is no latency."""


@dataclass(frozen=True)
class WallComparison:
    """What an A/B comparison came to.

    Attributes:
        verdict: PASS, IMPROVED, REGRESSED or UNDECIDED.
        change: Head over base, less 1, with its interval.
        base_ms: Median over processes of base's tenth percentile.
        head_ms: The same of head.
        processes: How many.
        seconds: Wall time it took.
        reason: How the verdict was reached.
    """

    verdict: Verdict
    change: Interval
    base_ms: float
    head_ms: float
    processes: int
    seconds: float
    reason: str


def compare_wall(
    device: Device, base: Subject, head: Subject, recipe: GateRecipe, *, stop: threading.Event, seed: int = 0
) -> WallComparison:
    """Compare two files whose contents lie in the device's folder.

    At least five processes run; then, after each, the comparison ends as soon as the interval lies wholly on one side
    of the smallest effect that counts, and at the latest when the recipe's time is over.

    Raises:
        DeviceRefusalError: The device cannot run one of them, or its processes show it to be an emulator.
        DeviceError: It was lost.
        StoppedError: `stop` was set.
    """
    began = time.monotonic()
    pairs: list[tuple[float, float]] = []
    longest = 0.0
    while True:
        start = time.monotonic()
        pairs.append(_process(device, base, head, swap=len(pairs) % 2 == 1, stop=stop, seed=seed))
        longest = max(longest, time.monotonic() - start)
        if len(pairs) < MIN_PROCESSES:
            continue
        verdict = early_verdict(_logs(pairs), recipe)
        late = time.monotonic() - began + longest > recipe.budget_s or len(pairs) >= MAX_PROCESSES
        if verdict or late:
            return _conclude(pairs, verdict, recipe, time.monotonic() - began)


def early_verdict(logs: Sequence[float], recipe: GateRecipe) -> Verdict | None:
    """The verdict when the interval lies on one side of both limits, None while more processes may still tell.

    Args:
        logs: Logarithm of head over base of each process.
        recipe: The limits.
    """
    interval = mean_interval(logs, confidence=recipe.confidence)
    worse, better = math.log1p(recipe.wall_min_effect), -math.log1p(recipe.wall_min_effect)
    if interval.low > worse:
        return Verdict.REGRESSED
    if interval.high < better:
        return Verdict.IMPROVED
    if better < interval.low and interval.high < worse:
        return Verdict.PASS
    return None


def final_verdict(logs: Sequence[float], recipe: GateRecipe) -> Verdict:
    """The verdict when time is over: both the interval and the smallest effect have to speak for a change.

    An interval that leaves room for no change and for twice the smallest effect alike decides nothing.
    """
    interval = mean_interval(logs, confidence=recipe.confidence)
    effect = math.log1p(recipe.wall_min_effect)
    if interval.low > 0 and interval.estimate > effect:
        return Verdict.REGRESSED
    if interval.high < 0 and interval.estimate < -effect:
        return Verdict.IMPROVED
    return Verdict.PASS if interval.high < 2 * effect else Verdict.UNDECIDED


def _process(
    device: Device, base: Subject, head: Subject, *, swap: bool, stop: threading.Event, seed: int
) -> tuple[float, float]:
    """Tenth percentiles of base and head in one process, nanoseconds."""
    settings = BenchSettings(duration_s=PROCESS_S / 2, min_runs=MIN_RUNS, max_runs=10**9, warmup_s=WARMUP_S)
    answers = Answers()
    subjects = [head, base] if swap else [base, head]
    converse(device, jobs.job(subjects, seed=seed, steady=jobs.wall_plan(settings)), answers, stop=stop)
    emulated = read_environment(answers.before or {}).emulated
    if emulated:
        raise DeviceRefusalError(f"wall time there is no latency: {emulated}", kind=EMULATED, device=device.uri)
    if not all(min(answers.samples.get(number, ()), default=0) for number in (0, 1)):
        raise DeviceError("the agent measured nothing of one of the files", device=device.uri)
    first, second = (float(np.quantile(answers.samples[number], QUANTILE)) for number in (0, 1))
    return (second, first) if swap else (first, second)


def _logs(pairs: Sequence[tuple[float, float]]) -> list[float]:
    return [math.log(head / base) for base, head in pairs]


def _conclude(
    pairs: Sequence[tuple[float, float]], early: Verdict | None, recipe: GateRecipe, seconds: float
) -> WallComparison:
    logs = _logs(pairs)
    interval = mean_interval(logs, confidence=recipe.confidence)
    change = Interval(
        math.expm1(interval.estimate), math.expm1(interval.low), math.expm1(interval.high), recipe.confidence
    )
    base, head = (float(np.median([pair[side] for pair in pairs])) / 1e6 for side in (0, 1))
    verdict = early or final_verdict(logs, recipe)
    limit = f"{recipe.wall_min_effect:.1%}"
    reasons = {
        Verdict.REGRESSED: f"the interval excludes no change, and the estimate is beyond {limit}",
        Verdict.IMPROVED: f"the interval excludes no change, and the estimate is beyond -{limit}",
        Verdict.PASS: f"no change beyond {limit} is to be seen",
        Verdict.UNDECIDED: f"too noisy to tell a change of {limit} within {recipe.budget_s:g} s",
    }
    return WallComparison(verdict, change, base, head, len(pairs), seconds, reasons[verdict])
