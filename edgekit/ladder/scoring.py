"""Scores a draft on the runtime of this machine: its file is written, loaded and run, never simulated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakKeyDictionary

from edgekit.check.accuracy import Task
from edgekit.check.signal import SignalMeter, SqnrMeter
from edgekit.check.subject import Subject, open_subject
from edgekit.emit.exporter import emit, float_artifact
from edgekit.errors import CheckError
from edgekit.ladder.draft import Draft
from edgekit.types.artifact import Format
from edgekit.types.graph import Graph, QuantizedGraph
from edgekit.types.ladder import Score
from edgekit.types.qparams import Array
from edgekit.types.samples import Samples

KEPT_BYTES = 128_000_000
"""Outputs of the float model are kept up to this size, and computed again beyond it."""
Outputs = Mapping[str, Array]


@dataclass(eq=False)
class Scorer:
    """Runs drafts over the same samples; a draft is run once however often it is asked for.

    Attributes:
        graph: The float graph, as loaded; every draft has its inputs and outputs.
        samples: Unlabelled, and none of those that calibrated.
        format: Which file is scored: the one for this machine's CPU.
        workdir: For the candidates' files.
        task: Labelled samples for the metric, when there are any.
    """

    graph: Graph
    samples: Samples
    format: Format
    workdir: Path
    task: Task | None = None
    _scores: WeakKeyDictionary[Draft, Score] = field(default_factory=WeakKeyDictionary)
    _exact: Subject | None = None
    _outputs: list[Outputs] = field(default_factory=list)
    _task_scores: list[float] = field(default_factory=list)

    def __call__(self, draft: Draft) -> Score:
        """The draft's score.

        Raises:
            CheckError: Its file does not load on the runtime.
        """
        if draft not in self._scores:
            self._scores[draft] = self._score(draft.quantized)
        return self._scores[draft]

    def _score(self, quantized: QuantizedGraph) -> Score:
        path = self.workdir / f"candidate.{self.format}.onnx"
        artifact = emit(quantized, path, format=self.format, metadata={})
        subject = _opened(open_subject(artifact, quantized), f"the candidate {self.format}")
        meter = SignalMeter([self.graph.spec(name) for name in self.graph.outputs])
        noise = []
        for sample, exact in self._pairs():
            found = subject.run(sample)
            meter.add(exact, found)
            noise.append(_noise(exact, found))
        signal = meter.result()
        assert signal is not None  # there is at least one sample
        agreement = signal.top1_agreement
        return Score(
            sqnr_db=signal.sqnr_db if signal.sqnr_db is not None else float("nan"),
            agreement=agreement.estimate if agreement else None,
            drop_points=self._drop(subject),
            size_bytes=artifact.size_bytes,
            samples=signal.samples,
            noise=tuple(noise),
        )

    def _pairs(self) -> Iterator[tuple[Mapping[str, Array], Outputs]]:
        """Each sample with the float model's outputs, kept while they are small."""
        held = 0
        for index, sample in enumerate(self.samples):
            if index < len(self._outputs):
                yield sample, self._outputs[index]
                continue
            outputs = self._float().run(sample)
            held += sum(array.nbytes for array in outputs.values())
            if len(self._outputs) == index and held * self.samples.count < KEPT_BYTES * (index + 1):
                self._outputs.append(outputs)
            yield sample, outputs

    def _drop(self, subject: Subject) -> float | None:
        """Float metric minus this file's, points."""
        if self.task is None:
            return None
        score = self.task.scorer(self.graph)
        if not self._task_scores:
            self._task_scores = [score(self._float().run(sample), label) for sample, label in self.task]
        measured = [score(subject.run(sample), label) for sample, label in self.task]
        accuracy = self.task.pair(self._task_scores, measured)
        return None if accuracy is None else 0.0 - 100 * accuracy.difference.estimate

    def _float(self) -> Subject:
        if self._exact is None:
            artifact = float_artifact(self.graph, self.workdir / "scored.fp32.onnx", metadata={})
            self._exact = _opened(open_subject(artifact, QuantizedGraph(self.graph, {}, {})), "the float model")
        return self._exact


def _noise(exact: Outputs, found: Outputs) -> float:
    """Noise power of one sample, summed over its float outputs."""
    meter = SqnrMeter()
    for name, array in exact.items():
        if array.dtype.kind == "f":
            meter.add(array, found[name])
    return meter.noise


def _opened(subject: Subject | str, what: str) -> Subject:
    if isinstance(subject, str):
        raise CheckError(f"{what} does not load: {subject}")
    return subject
