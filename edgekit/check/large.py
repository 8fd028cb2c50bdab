"""The check of a large model: one file in memory at a time, and nothing that would open it a second time.

Open together, the five files of a model with their prepared weights take about twelve times its memory, and every
further look inside (reference, executed graphs, inner values) loads them again. Outputs are what must be right.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from edgekit.check.accuracy import Task
from edgekit.check.case import load_case
from edgekit.check.evidence import AUDITS
from edgekit.check.held_back import MIN_SAMPLES, HeldBackWalk
from edgekit.check.measured import Measured
from edgekit.check.replay import close, record
from edgekit.check.subject import Subject, open_subject
from edgekit.errors import EdgekitError
from edgekit.types.artifact import FLOAT, Artifact, Format
from edgekit.types.finding import Finding, Severity
from edgekit.types.graph import QuantizedGraph
from edgekit.types.progress import Progress, Silent, Stage
from edgekit.types.report import Accuracy
from edgekit.types.samples import Samples
from edgekit.units import size

LARGE_BYTES = 512_000_000
"""Float constants beyond which files are checked one by one: twelve times as much is 6 GB, what 8 GB machines hold."""
LARGE_SAMPLES = 10
"""Samples whose outputs are kept for every file: enough to tell small differences."""
_RUNS = 0.8
"""Share of the time budget for running samples; opening the files takes what it takes."""


def count_constant_bytes(quantized: QuantizedGraph) -> int:
    """Bytes of all constants of the float graph."""
    return sum(array.nbytes for array in quantized.graph.constants.values())


def is_large(quantized: QuantizedGraph) -> bool:
    """Whether the files must not be open together."""
    return count_constant_bytes(quantized) > LARGE_BYTES


def measure_one_by_one(
    artifacts: Sequence[Artifact],
    quantized: QuantizedGraph,
    *,
    held_back: Samples,
    task: Task | None,
    budget_seconds: float,
    progress: Progress,
) -> Measured:
    """Compare outputs, and accuracy when labels are given, with one file open at a time.

    Raises:
        CheckError: There is no float file, or it does not load.
        InputError: The samples do not fit the model's inputs.
    """
    with progress.stage("compare files", len(artifacts)) as stage:
        recorder = _Recorder(held_back, task, seconds=budget_seconds * _RUNS / max(1, len(artifacts)), stage=stage)
        case = load_case(artifacts, quantized, open_file=recorder.open)
    walk = HeldBackWalk(case.exact, case.subjects, plain=None, reference=None, audit_samples=MIN_SAMPLES)
    samples = itertools.islice(held_back, recorder.count)
    with Silent().stage("") as silent:
        outcome = walk.walk(samples, budget_seconds=float("inf"), reference_seconds=0.0, stage=silent)
    return Measured(case, outcome, accuracies=recorder.accuracies(), notes=(_note_shortened(quantized),))


class _Recorder:
    """Opens a file, keeps what it returns, and lets go of it."""

    def __init__(self, held_back: Samples, task: Task | None, *, seconds: float, stage: Stage) -> None:
        self._held_back, self._task = held_back, task
        self._seconds, self._stage = seconds, stage
        self._scores: dict[Format, list[float]] = {}
        self.count = LARGE_SAMPLES
        """Samples to run; how many the float file, which is opened first, has time for."""

    def open(self, artifact: Artifact, quantized: QuantizedGraph) -> Subject | str:
        """As `open_subject`, with the file's results in the place of its session."""
        subject = open_subject(artifact, quantized)
        if not isinstance(subject, str):
            subject = self._close(subject)
        self._stage.advance()
        return subject

    def _close(self, subject: Subject) -> Subject:
        name, graph = subject.artifact.format, subject.quantized.graph
        wanted = min(self.count, MIN_SAMPLES) if name in AUDITS else self.count
        samples = itertools.islice(self._held_back, wanted)
        results = record(subject, samples, at_least=MIN_SAMPLES if name == FLOAT else wanted, seconds=self._seconds)
        if name == FLOAT:
            self.count = len(results)
        if name not in AUDITS and self._task is not None and not self._task.why_not_measured(graph):
            scores = _score_all(subject, self._task)
            if scores is not None:
                self._scores[name] = scores
        return close(subject, results)

    def accuracies(self) -> dict[Format, Accuracy]:
        """Of every file that ran on all labelled samples, paired with the float file."""
        if self._task is None or FLOAT not in self._scores:
            return {}
        exact = self._scores[FLOAT]
        paired = {name: self._task.pair(exact, scores) for name, scores in self._scores.items() if name != FLOAT}
        return {name: accuracy for name, accuracy in paired.items() if accuracy is not None}


def _score_all(subject: Subject, task: Task) -> list[float] | None:
    """The score of every labelled sample on an open file; None when it does not run on one of them."""
    score, scores = task.scorer(subject.quantized.graph), []
    for sample, label in task:
        try:
            outputs = subject.run(sample)
        except EdgekitError:
            return None
        scores.append(score(outputs, label))
    return scores


def _note_shortened(quantized: QuantizedGraph) -> Finding:
    return Finding(
        "check-shortened",
        f"the model's constants take {size(count_constant_bytes(quantized))}, more than {size(LARGE_BYTES)}: its files "
        "were run one at a time, so that memory holds only one of them; left out were latency, the integer reference, "
        "the kernels against the plain meaning of the file, the executed graphs and the worst layers",
        Severity.NOTE,
    )
