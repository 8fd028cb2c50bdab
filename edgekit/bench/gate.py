"""The gate: base against head, artifact by artifact, each thing judged by the rule that its noise allows.

Wall time is compared live, side by side (`edgekit.bench.ab`). Counts of instructions have a fixed limit, since they
hardly scatter. Size and the task metric are facts of the files. What cannot be compared is said to be skipped.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.bench import jobs
from edgekit.bench.ab import EMULATED, compare_wall
from edgekit.bench.agent_file import NAME, agent_bytes
from edgekit.bench.answers import Answers
from edgekit.bench.artifacts import BenchFile
from edgekit.bench.conversation import converse
from edgekit.bench.jobs import Subject
from edgekit.devices.device import Device
from edgekit.errors import DeviceError, DeviceRefusalError, InputError
from edgekit.types.bench import BenchArtifact, Kind, configuration_of
from edgekit.types.gate import GateJudgement, GateRecipe, Measure, Verdict
from edgekit.types.interval import Interval

COUNTED_PROCESSES = 2
OF_THE_DEVICE = ("no-runtime", "no-counter", "bad-job")
"""Refusals that tell nothing of the files: the gate has not been held, which is an error and no verdict."""


@dataclass(frozen=True)
class Pair:
    """The same artifact before and after a change.

    Attributes:
        name: What the report calls it.
        base: Before.
        head: After.
    """

    name: str
    base: BenchFile
    head: BenchFile

    @property
    def same_bytes(self) -> bool:
        """Whether there is nothing to compare."""
        return self.base.artifact.digest == self.head.artifact.digest


def pair_up(base: Sequence[BenchFile], head: Sequence[BenchFile]) -> tuple[Pair, ...]:
    """Artifacts of the same file name; a single file on each side is a pair whatever it is called.

    Raises:
        InputError: No artifact is on both sides.
    """
    if len(base) == len(head) == 1 and base[0].path.suffix == head[0].path.suffix:
        return (Pair(head[0].artifact.file, base[0], head[0]),)
    before = {file.path.name: file for file in base}
    pairs = tuple(Pair(file.artifact.file, before[file.path.name], file) for file in head if file.path.name in before)
    if not pairs:
        raise InputError(
            "base and head have no artifact in common: "
            f"{', '.join(sorted(before))} against {', '.join(sorted(file.path.name for file in head))}",
            hint="folders are compared file by file, by name",
        )
    return pairs


def judge_unpaired(side: str, artifacts: Iterable[BenchArtifact], recipe: GateRecipe) -> Iterator[GateJudgement]:
    """A row for each artifact that one side alone has, so that nobody takes it for judged.

    Args:
        side: "base" or "head".
        artifacts: Those that the other side does not have.
        recipe: The limits.
    """
    for one in artifacts:
        size = float(one.size_bytes)
        base, head = (size, None) if side == "base" else (None, size)
        yield GateJudgement(
            one.file, "", "", Measure.SIZE, Verdict.SKIPPED, base, head, "B", None, recipe.size_limit,
            f"only {side} has it",
        )  # fmt: skip


def judge_files(pair: Pair, recipe: GateRecipe) -> Iterator[GateJudgement]:
    """Size and task metric: facts that need no device."""
    base, head = pair.base.artifact, pair.head.artifact
    yield judge_size(pair.name, base, head, recipe)
    yield judge_accuracy(pair.name, base, base if pair.same_bytes else head, recipe)


def judge_size(name: str, base: BenchArtifact, head: BenchArtifact, recipe: GateRecipe) -> GateJudgement:
    """Bytes of head against base."""
    change = _growth(base.size_bytes, head.size_bytes)
    return GateJudgement(
        name, "", "", Measure.SIZE, _exact(change, recipe.size_limit),
        float(base.size_bytes), float(head.size_bytes), "B", _point(change), recipe.size_limit,
    )  # fmt: skip


def judge_accuracy(name: str, base: BenchArtifact, head: BenchArtifact, recipe: GateRecipe) -> GateJudgement:
    """Task metric of head against base; skipped where one of them has none, or another one."""
    if base.quality is None or head.quality is None or base.quality_name != head.quality_name:
        missing = " and ".join(side for side, one in (("base", base), ("head", head)) if one.quality is None)
        verb = "have" if " and " in missing else "has"
        reason = f"{missing} {verb} no task metric" if missing else "base and head were scored by different metrics"
        return GateJudgement(
            name, "", "", Measure.ACCURACY, Verdict.SKIPPED, base.quality, head.quality, "share", None,
            recipe.accuracy_limit, f"{reason}: a report.json of edgekit compress beside the files brings one",
        )  # fmt: skip
    change = head.quality - base.quality
    return GateJudgement(
        name, "", "", Measure.ACCURACY, _exact(-change, recipe.accuracy_limit), base.quality, head.quality, "share",
        _point(change), recipe.accuracy_limit, head.quality_name,
    )  # fmt: skip


def judge_instructions(
    name: str, device: str, configuration: str, counts: tuple[float, float], limit: float, *, seconds: float = 0.0
) -> GateJudgement:
    """Smallest counts of base and head against the fixed limit."""
    base, head = counts
    change = _growth(base, head)
    return GateJudgement(
        name, device, configuration, Measure.INSTRUCTIONS, _exact(change, limit), base, head, "instructions",
        _point(change), limit, f"the smallest of {COUNTED_PROCESSES} x {jobs.COUNTED_RUNS} inferences",
        COUNTED_PROCESSES * jobs.COUNTED_RUNS, seconds,
    )  # fmt: skip


class Judge:
    """Compares pairs on one opened device."""

    def __init__(
        self, device: Device, recipe: GateRecipe, *, threads: Sequence[int], name: str, stop: threading.Event
    ) -> None:
        """Prepare.

        Args:
            device: Opened; whoever opened it closes it.
            recipe: The limits.
            threads: Thread counts, each compared on its own.
            name: What the report calls the device.
            stop: Ends the comparison when set.
        """
        self._device = device
        self._recipe = recipe
        self._threads = threads
        self._name = name
        self._stop = stop

    def judge(self, pairs: Sequence[Pair], advance: Callable[[], None]) -> Iterator[GateJudgement]:
        """One judgement per pair and thread count.

        Raises:
            DeviceError: The device was lost, or lacks what every comparison needs.
            StoppedError: `stop` was set.
        """
        self._device.push({NAME: agent_bytes()})
        for number, pair in enumerate(pairs):
            names = (f"base{number}{pair.base.path.suffix}", f"head{number}{pair.head.path.suffix}")
            if not pair.same_bytes:
                self._device.push(_contents(pair, names))
            for threads in self._threads:
                yield self._judge_one(pair, names, threads)
                advance()

    def _judge_one(self, pair: Pair, names: tuple[str, str], threads: int) -> GateJudgement:
        base, head = (
            Subject(name, file.artifact.runtime, threads=threads, border=file.border)
            for name, file in zip(names, (pair.base, pair.head), strict=True)
        )
        configuration = configuration_of("cpu", threads)
        counted = self._device.kind is Kind.INSTRUCTIONS
        measure = Measure.INSTRUCTIONS if counted else Measure.WALL
        limit = self._recipe.limit_of(pair.name) if counted else self._recipe.wall_min_effect

        def skipped(verdict: Verdict, reason: str) -> GateJudgement:
            unit = "instructions" if counted else "ms"
            return GateJudgement(
                pair.name, self._name, configuration, measure, verdict, None, None, unit, None, limit, reason
            )

        if self._device.kind is None:
            return skipped(Verdict.SKIPPED, f"wall time there is no latency: {self._device.emulated}")
        if pair.same_bytes:
            return skipped(Verdict.PASS, "base and head are the same file")
        try:
            if counted:
                began = time.monotonic()
                counts = self.count(base), self.count(head)
                return judge_instructions(
                    pair.name, self._name, configuration, counts, limit, seconds=time.monotonic() - began
                )
            found = compare_wall(self._device, base, head, self._recipe, stop=self._stop)
        except DeviceRefusalError as refusal:
            if refusal.kind in OF_THE_DEVICE:
                raise
            verdict = Verdict.SKIPPED if refusal.kind == EMULATED else self._blame(base, head)
            return skipped(verdict, str(refusal))
        return GateJudgement(
            pair.name, self._name, configuration, measure, found.verdict, found.base_ms, found.head_ms, "ms",
            found.change, limit, found.reason, found.processes, found.seconds,
        )  # fmt: skip

    def _blame(self, base: Subject, head: Subject) -> Verdict:
        """What a refusal means: head alone being refused is a regression."""
        answers = Answers()
        try:
            converse(self._device, jobs.job([base, head], seed=0), answers, stop=self._stop)
        except DeviceRefusalError:
            return Verdict.UNDECIDED
        return Verdict.REGRESSED if set(answers.refusals) == {1} else Verdict.UNDECIDED

    def count(self, subject: Subject) -> float:
        """Smallest count of instructions over the inferences of some processes.

        Raises:
            DeviceRefusalError: The device cannot count, or cannot run the file.
            DeviceError: It was lost.
        """
        smallest = []
        for _ in range(COUNTED_PROCESSES):
            answers = Answers()
            converse(self._device, jobs.job([subject], seed=0, steady=jobs.count_plan()), answers, stop=self._stop)
            smallest.append(min(answers.samples.get(0, ()), default=0))
            if smallest[-1] == 0:
                raise DeviceError("the agent counted nothing", device=self._device.uri)
        return float(min(smallest))


def _contents(pair: Pair, names: tuple[str, str]) -> dict[str, Path | bytes]:
    """Both files under names of their own.

    Raises:
        InputError: They have external data, whose name is written inside and would be the same twice.
    """
    for file in (pair.base, pair.head):
        if len(file.parts) > 1:
            raise InputError(
                f"{file.artifact.name} has external data, and two such files cannot lie in one folder",
                hint="bench each of them by itself, and compare the reports",
            )
    return dict(zip(names, (pair.base.path, pair.head.path), strict=True))


def _growth(base: float, head: float) -> float:
    """Head over base, less 1; a report may say that base was nothing."""
    return head / base - 1 if base else (math.inf if head else 0.0)


def _exact(growth: float, limit: float) -> Verdict:
    """Verdict on something that does not scatter; `growth` is for the worse."""
    if growth > limit:
        return Verdict.REGRESSED
    return Verdict.IMPROVED if growth < -limit else Verdict.PASS


def _point(value: float) -> Interval:
    return Interval(value, value, value, 1.0)
