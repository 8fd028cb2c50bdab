"""The check, start to end: every written file is run on its runtime and held against the float model.

Takes the artifacts and the quantized graph they were made from, hands on a CheckReport. Nothing simulated is
reported: outputs come from ONNX Runtime and LiteRT, node counts from what they executed, times from this machine.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from edgekit.check.accuracy import Task, note_not_measured
from edgekit.check.addresses import find_addresses
from edgekit.check.case import QDQ, Case, Sample, load_case, make_zeros
from edgekit.check.evidence import AUDITS
from edgekit.check.fusion_litert import read_tflite
from edgekit.check.fusion_ort import read_onnx
from edgekit.check.held_back import HeldBackWalk, Outcome
from edgekit.check.large import is_large, measure_one_by_one
from edgekit.check.latency import measure
from edgekit.check.layer_table import make_layer_table
from edgekit.check.measured import Measured, build_report
from edgekit.check.subject import Subject, open_subject
from edgekit.errors import EdgekitError
from edgekit.runtime.reference import ReferenceSession
from edgekit.types.artifact import FLOAT, Artifact, Format
from edgekit.types.graph import QuantizedGraph
from edgekit.types.output_noise import OutputNoise
from edgekit.types.progress import Progress, Silent
from edgekit.types.report import Accuracy, CheckReport, Fusion, Latency
from edgekit.types.samples import Samples

KEPT_SAMPLES = 2
"""Samples kept in memory, for latency and the worst layers."""
_WALK, _REFERENCE, _LATENCY, _AUDITS = 0.4, 0.1, 0.15, 0.03
"""Shares of the time budget; loading, fused graphs and worst layers take the rest."""


def compare(
    artifacts: Sequence[Artifact],
    *,
    quantized: QuantizedGraph,
    held_back: Samples,
    task: Task | None = None,
    inner: Path | None = None,
    noise: OutputNoise | None = None,
    budget_seconds: float = 20.0,
    progress: Progress | None = None,
) -> CheckReport:
    """Run every file and report what it says.

    Files of a large model are run one at a time, and less is measured on them (`edgekit.check.large`).

    Args:
        artifacts: The written files; the float ONNX file must be among them.
        quantized: The graph that all of them were made from.
        held_back: Samples that calibration has not seen; streamed, as many as the budget allows.
        task: Labelled samples and a metric, for the files that are shipped; all of them are run, outside the budget.
        inner: A float ONNX file of `quantized.graph`, where its inner values are not those of the float file: equalized
            channels. None takes the float file for the layer table.
        noise: What each rounding costs at the outputs, for the layer table; None leaves the column empty.
        budget_seconds: Wall time to aim for; two samples per file are always run.
        progress: Who watches.

    Raises:
        CheckError: There is no float file, or it does not run: nothing to compare with.
        InputError: The samples do not fit the model's inputs.
    """
    start = time.perf_counter()
    measure_files = measure_one_by_one if is_large(quantized) else partial(_measure_together, inner=inner, noise=noise)
    measured = measure_files(
        artifacts,
        quantized,
        held_back=held_back,
        task=task,
        budget_seconds=budget_seconds,
        progress=progress or Silent(),
    )
    notes = (*measured.notes, *note_not_measured(quantized.graph, task))
    seconds = time.perf_counter() - start
    return build_report(replace(measured, notes=notes), source=held_back.source, seconds=seconds)


def _measure_together(
    artifacts: Sequence[Artifact],
    quantized: QuantizedGraph,
    *,
    held_back: Samples,
    task: Task | None,
    inner: Path | None,
    noise: OutputNoise | None,
    budget_seconds: float,
    progress: Progress,
) -> Measured:
    """Measure everything, with all files open at once: only then can they be timed in turns."""
    case = load_case(artifacts, quantized)
    kept = list(itertools.islice(held_back, KEPT_SAMPLES)) or [make_zeros(quantized)]
    outcome = _walk(case, held_back, budget_seconds, progress)
    addresses = find_addresses(case, outcome, kept[0])
    fusions = _read_fusions(case, progress)
    latencies = _measure_latency(case, kept[0], budget_seconds, progress)
    accuracies = _measure_accuracy(case, task, progress)
    with progress.stage("rate layers"):
        layers, notes = make_layer_table(case, kept, inner=inner, noise=noise)
    return Measured(
        case,
        outcome,
        addresses=addresses,
        fusions=fusions,
        latencies=latencies,
        accuracies=accuracies,
        layers=layers,
        notes=notes,
    )


def _walk(case: Case, held_back: Samples, budget_seconds: float, progress: Progress) -> Outcome:
    qdq = case.first_of(QDQ)
    plain = open_subject(qdq.artifact, case.quantized, optimize=False) if qdq else None
    walk = HeldBackWalk(
        case.exact,
        case.subjects,
        plain=None if isinstance(plain, str) else plain,
        reference=ReferenceSession(case.quantized) if case.subjects else None,
    )
    with progress.stage("compare outputs", held_back.count) as stage:
        return walk.walk(
            held_back,
            budget_seconds=budget_seconds * _WALK,
            reference_seconds=budget_seconds * _REFERENCE,
            stage=stage,
        )


def _read_fusions(case: Case, progress: Progress) -> dict[Format, Fusion]:
    found: dict[Format, Fusion] = {}
    with progress.stage("read executed graphs", len(case.subjects)) as stage:
        for name, subject in case.subjects.items():
            read = read_tflite if subject.artifact.is_tflite else read_onnx
            found[name] = read(subject.artifact.path, case.quantized)
            stage.advance()
    return found


def _measure_latency(case: Case, sample: Sample, budget_seconds: float, progress: Progress) -> dict[str, Latency]:
    """Files for audits are timed apart, so that slow ones do not take the rounds of the others."""

    def runner(subject: Subject) -> Callable[[], object]:
        feeds = subject.feeds(sample)
        return lambda: subject.session.run(feeds)

    exact: dict[str, Callable[[], object]] = {FLOAT: runner(case.exact)}
    runs: dict[str, Callable[[], object]] = {
        name: runner(subject) for name, subject in case.subjects.items() if _runs(subject, sample)
    }
    shipped: dict[str, Callable[[], object]] = {name: run for name, run in runs.items() if name not in AUDITS}
    audits = {name: run for name, run in runs.items() if name in AUDITS}
    with progress.stage("measure latency"):
        apart = measure(exact | audits, FLOAT, budget_seconds=budget_seconds * _AUDITS) if audits else {}
        return apart | measure(exact | shipped, FLOAT, budget_seconds=budget_seconds * _LATENCY)


def _runs(subject: Subject, sample: Sample) -> bool:
    try:
        subject.run(sample)
    except EdgekitError:
        return False
    return True


def _measure_accuracy(case: Case, task: Task | None, progress: Progress) -> dict[Format, Accuracy]:
    if task is None or task.why_not_measured(case.quantized.graph):
        return {}
    live = {name: subject for name, subject in case.subjects.items() if name not in AUDITS}
    score, exact = task.scorer(case.quantized.graph), list[float]()
    scores: dict[Format, list[float]] = {name: [] for name in live}
    with progress.stage("evaluate", task.samples.count) as stage:
        for sample, label in task:
            exact.append(score(case.exact.run(sample), label))
            for name, subject in list(live.items()):
                try:
                    outputs = subject.run(sample)
                except EdgekitError:
                    del live[name]
                    continue
                scores[name].append(score(outputs, label))
            stage.advance()
    return {name: accuracy for name in live if (accuracy := task.pair(exact, scores[name]))}
