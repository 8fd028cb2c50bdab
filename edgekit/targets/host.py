"""Finds the file that is right and fast on the CPU at hand: by writing the candidates and running them.

Which integer kernels a CPU has, whether they saturate, and what they cost is not to be read off a flag with any
certainty. So every candidate runs here: accuracy decides first, then speed.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edgekit.check.case import Sample, make_zeros
from edgekit.check.intervals import wilson
from edgekit.check.latency import PRECISION, measure
from edgekit.check.machine import describe_machine
from edgekit.check.signal import SignalMeter
from edgekit.check.subject import Subject, open_subject
from edgekit.emit.exporter import float_artifact
from edgekit.errors import CheckError, EdgekitError
from edgekit.targets.emission import emit_host
from edgekit.types.graph import Graph, QuantizedGraph
from edgekit.types.interval import Interval
from edgekit.types.plan import WeightScheme
from edgekit.types.progress import Progress, Silent, Stage
from edgekit.types.report import Machine, Signal
from edgekit.types.samples import Samples
from edgekit.types.target import HostCandidate, HostChoice, HostTrial, processor_of

TOLERANCE_DB = 1.0
"""As accurate as the best: at most so much more noise, dB; a quarter more noise power."""
SAMPLES = 64
"""Samples every candidate is run on, at most."""

_PRECISE = {"session.x64quantprecision": "1"}

CANDIDATES: Mapping[str, tuple[HostCandidate, ...]] = {
    "x86": (
        HostCandidate("u8s8-pair-safe", "uint8", "int8", "pair-safe"),
        HostCandidate("u8s8-full", "uint8", "int8", "full"),
        HostCandidate("u8s8-full-precise", "uint8", "int8", "full", _PRECISE),
        HostCandidate("u8s8-7-bit", "uint8", "int8", "7-bit"),
        HostCandidate("u8u8-full", "uint8", "uint8", "full"),
    ),
    "arm": (
        HostCandidate("s8s8-full", "int8", "int8", "full"),
        HostCandidate("u8s8-full", "uint8", "int8", "full"),
        HostCandidate("s8s8-pair-safe", "int8", "int8", "pair-safe"),
    ),
}
"""Processor -> what is tried, the safe choice first; any other processor tries the ARM ones."""


def choose_for_host(
    graph: Graph,
    quantize: Callable[[WeightScheme], QuantizedGraph],
    *,
    samples: Samples,
    workdir: Path,
    candidates: Sequence[HostCandidate] | None = None,
    tolerance_db: float = TOLERANCE_DB,
    latency_seconds: float = 6.0,
    progress: Progress | None = None,
) -> tuple[HostChoice, QuantizedGraph]:
    """Run every candidate and choose.

    1. Accurate are those within `tolerance_db` of the best SQNR whose top-1 agreement is not significantly below the
       best one's.
    2. Of them the fastest wins; of those within the precision of the timing, the one with the highest SQNR.

    Args:
        graph: The float graph.
        quantize: Weight scheme -> the quantized graph with it, everything else as decided; asked once per scheme.
        samples: That did not calibrate; at most `SAMPLES` of them are run.
        workdir: For the candidates' files.
        candidates: What to try; None is the list for this machine's processor.
        tolerance_db: See 1.
        latency_seconds: Wall time for the interleaved timing of all candidates.
        progress: Who watches.

    Returns:
        The choice with every trial, and the quantized graph of the chosen candidate, for `emission.emit_host`.

    Raises:
        CheckError: No candidate runs on ONNX Runtime here.
        InputError: The samples do not fit the model.
    """
    tried = tuple(candidates) if candidates is not None else candidates_for(describe_machine())
    made = {scheme: quantize(scheme) for scheme in dict.fromkeys(candidate.scheme for candidate in tried)}
    exact = open_subject(float_artifact(graph, workdir / "host.fp32.onnx", metadata={}), QuantizedGraph(graph, {}, {}))
    opened = {each.name: _open(each, made[each.scheme], workdir) for each in tried}
    if isinstance(exact, str):
        raise CheckError(f"the float model does not load: {exact}")
    live = {name: subject for name, subject in opened.items() if not isinstance(subject, str)}
    errors = {name: subject for name, subject in opened.items() if isinstance(subject, str)}
    with (progress or Silent()).stage("try candidates for this CPU", min(SAMPLES, samples.count)) as stage:
        signals = _run(exact, live, samples, errors, stage)
        timed = next(iter(samples), make_zeros(exact.quantized))
        ratios = _time(exact, live, timed, latency_seconds)
    count = max((signal.samples for signal in signals.values()), default=0)
    found = [_trial(each, signals.get(each.name), ratios.get(each.name), errors.get(each.name, "")) for each in tried]
    trials = judge(found, tolerance_db=tolerance_db, samples=count)
    chosen, why = select(trials)
    return HostChoice(chosen.candidate.name, why, trials, count, tolerance_db), made[chosen.candidate.scheme]


def candidates_for(machine: Machine) -> tuple[HostCandidate, ...]:
    """What is worth trying on a machine's processor."""
    return CANDIDATES.get(processor_of(machine), CANDIDATES["arm"])


def judge(trials: Sequence[HostTrial], *, tolerance_db: float, samples: int) -> tuple[HostTrial, ...]:
    """The same trials, each marked whether it is as accurate as the best.

    Args:
        trials: What was measured; SQNR and agreement may be None where the model has no float outputs or no logits.
        tolerance_db: How far below the best SQNR is still as accurate, dB.
        samples: On how many samples the agreement was measured.
    """
    ran = [trial for trial in trials if not trial.error]
    best_db = max((trial.sqnr_db for trial in ran if _is_number(trial.sqnr_db)), default=None)  # type: ignore[type-var]
    best_share = max((trial.agreement for trial in ran if trial.agreement is not None), default=None)
    least = wilson(round(best_share * samples), samples).low if best_share is not None and samples else 0.0

    def is_accurate(trial: HostTrial) -> bool:
        if trial.error or (trial.agreement is not None and trial.agreement < least):
            return False
        if best_db is None:
            return True
        return trial.sqnr_db is not None and (trial.sqnr_db == best_db or trial.sqnr_db >= best_db - tolerance_db)

    return tuple(dataclasses.replace(trial, accurate=is_accurate(trial)) for trial in trials)


def select(trials: Sequence[HostTrial]) -> tuple[HostTrial, str]:
    """The best of the judged trials, and why, in one sentence.

    Raises:
        CheckError: None of them ran.
    """
    accurate = [trial for trial in trials if trial.accurate]
    timed = [trial for trial in accurate if trial.latency_ratio is not None]
    if not accurate:
        raise CheckError(f"no int8 file runs on this CPU: {trials[0].error if trials else 'nothing was tried'}")
    if not timed:
        return accurate[0], "it is as accurate as the best; nothing could be timed"
    fastest = min(timed, key=_ratio)
    rivals = [trial for trial in timed if _ratio(trial) <= _ratio(fastest) * (1 + PRECISION)]
    chosen = max(rivals, key=lambda trial: trial.sqnr_db if _is_number(trial.sqnr_db) else -math.inf)  # type: ignore[arg-type,return-value]
    count = f"{len(accurate)} of {len(trials)} candidates are as accurate as the best"
    better = chosen.sqnr_db != fastest.sqnr_db
    how = "the fastest of them" if chosen is fastest else "as fast as the fastest of them"
    how += ", and more accurate" if chosen is not fastest and better else ""
    return chosen, f"{count}; this is {how}, {_ratio(chosen):.2f} of the float file's time"


def _open(candidate: HostCandidate, quantized: QuantizedGraph, workdir: Path) -> Subject | str:
    path = workdir / f"host.{candidate.name}.onnx"
    return open_subject(emit_host(quantized, path, candidate=candidate, metadata={}), quantized)


def _run(
    exact: Subject, live: dict[str, Subject], samples: Samples, errors: dict[str, str], stage: Stage
) -> dict[str, Signal]:
    """Outputs of every candidate against the float model; one that fails leaves `live` for `errors`."""
    graph = exact.quantized.graph
    meters = {name: SignalMeter([graph.spec(output) for output in graph.outputs]) for name in live}
    for sample in itertools.islice(samples, SAMPLES):
        expected = exact.run(sample)
        for name, subject in list(live.items()):
            try:
                meters[name].add(expected, subject.run(sample))
            except EdgekitError as error:
                errors[name] = str(error)
                del live[name]
        stage.advance()
    found = {name: meters[name].result() for name in live}
    return {name: signal for name, signal in found.items() if signal is not None}


def _time(exact: Subject, live: Mapping[str, Subject], sample: Sample, seconds: float) -> dict[str, Interval]:
    def runner(subject: Subject) -> Callable[[], object]:
        feeds = subject.feeds(sample)
        return lambda: subject.session.run(feeds)

    if not live:
        return {}
    runs = {"float": runner(exact)} | {name: runner(subject) for name, subject in live.items()}
    return {name: latency.ratio for name, latency in measure(runs, "float", budget_seconds=seconds).items()}


def _trial(candidate: HostCandidate, signal: Signal | None, ratio: Interval | None, error: str) -> HostTrial:
    agreement = signal.top1_agreement if signal else None
    return HostTrial(
        candidate,
        sqnr_db=signal.sqnr_db if signal else None,
        agreement=agreement.estimate if agreement else None,
        latency_ratio=ratio,
        error=error,
    )


def _ratio(trial: HostTrial) -> float:
    return trial.latency_ratio.estimate if trial.latency_ratio else math.inf


def _is_number(value: float | None) -> bool:
    return value is not None and not math.isnan(value)
