"""Scores every file of a net alike, in one process: against the float file, on samples that never calibrated.

What a file answers does not change, so those scores are kept under the digest of its bytes. Latency depends on the
moment: all files take turns in one run, every time.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.nets.catalogue import NETS, Net
from benchmarks.nets.data import Array
from edgekit.check.latency import measure
from edgekit.errors import EdgekitError
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.runtime.session import Session
from edgekit.types.report import Latency

FLOAT = "float"
LATENCY_SECONDS = 60.0
"""Wall time for the interleaved latencies of one net; it ends earlier once all ratios are known to 3 %."""


@dataclass(frozen=True)
class Score:
    """What one file answered.

    Attributes:
        samples: How many labelled samples.
        top1: Share of them whose largest logit is the label.
        agreement: Share of them whose largest logit is the float file's.
        sqnr_db: Power of the float logits over that of the difference, over all samples, dB.
    """

    samples: int
    top1: float
    agreement: float
    sqnr_db: float


def score(
    name: str, files: Mapping[str, Path], *, samples: int | None = None
) -> tuple[dict[str, Score | str], dict[str, Latency]]:
    """Score and time a net's files.

    Args:
        name: Of the net.
        files: Label -> file; FLOAT is the one they are compared with.
        samples: Score on so many, evenly spread over the scoring samples; None takes all.

    Returns:
        label -> Score, or the reason why the file does not run; label -> Latency for those that run.
    """
    sessions: dict[str, Session] = {}
    failures: dict[str, Score | str] = {}
    for label, path in files.items():
        try:
            sessions[label] = _open(path)
            _logits(sessions[label], next(iter(NETS[name].scoring()))[0])
        except EdgekitError as error:
            sessions.pop(label, None)
            failures[label] = str(error).splitlines()[0]
    count = min(samples or NETS[name].scoring_samples, NETS[name].scoring_samples)
    scores = _answers(name, {label: files[label] for label in sessions}, sessions, count)
    return {**scores, **failures}, _latencies(NETS[name], sessions)


def _open(path: Path) -> Session:
    return open_tflite(path) if path.suffix == ".tflite" else open_onnx(path)


def _answers(name: str, files: Mapping[str, Path], sessions: Mapping[str, Session], count: int) -> dict[str, Score]:
    """Scores, those of files seen before from the keep."""
    kept = files[FLOAT].parent / "scores.json"
    known: dict[str, dict[str, float]] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    digests = {label: f"{_digest(path)} {count}" for label, path in files.items()}
    new = [label for label in files if digests[label] not in known]
    if new:
        print(f"{name}: scoring {len(new)} files", file=sys.stderr, flush=True)
        runs = {label: sessions[label] for label in (FLOAT, *(label for label in new if label != FLOAT))}
        found = run_through(spread(NETS[name], count), {label: _runner(session) for label, session in runs.items()})
        known.update({digests[label]: asdict(found[label]) for label in new})
        kept.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return {label: _restored(known[digest]) for label, digest in digests.items()}


def _restored(kept: Mapping[str, float]) -> Score:
    return Score(int(kept["samples"]), kept["top1"], kept["agreement"], kept["sqnr_db"])


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _runner(session: Session) -> Callable[[Array], Array]:
    return lambda sample: _logits(session, sample)


def spread(net: Net, count: int) -> Iterator[tuple[Array, int]]:
    """`count` of a net's scoring samples, evenly spread over all of them, each with its class."""
    total = net.scoring_samples
    for index, pair in enumerate(net.scoring()):
        if (index + 1) * count // total > index * count // total:
            yield pair


def run_through(samples: Iterable[tuple[Array, int]], runs: Mapping[str, Callable[[Array], Array]]) -> dict[str, Score]:
    """Scores of several runs over the same samples; `runs[FLOAT]` is the truth of agreement and SQNR.

    Args:
        samples: Inputs with a batch axis of 1, each with its class.
        runs: Label -> one inference, input with a batch axis of 1 -> float64 logits.
    """
    right, same = dict.fromkeys(runs, 0), dict.fromkeys(runs, 0)
    noise = dict.fromkeys(runs, 0.0)
    signal, count = 0.0, 0
    for sample, label in samples:
        exact = runs[FLOAT](sample)
        signal += float((exact**2).sum())
        count += 1
        for name, run in runs.items():
            logits = exact if name == FLOAT else run(sample)
            right[name] += int(logits.argmax() == label)
            same[name] += int(logits.argmax() == exact.argmax())
            noise[name] += float(((logits - exact) ** 2).sum())
    return {name: Score(count, right[name] / count, same[name] / count, sqnr(signal, noise[name])) for name in runs}


def sqnr(signal: float, noise: float) -> float:
    """Signal to quantization noise ratio in dB of two powers; infinite without noise."""
    return float("inf") if noise == 0 else 10 * float(np.log10(signal / noise))


def _logits(session: Session, sample: Array) -> Array:
    (result,) = session.run({session.inputs[0].name: sample}).values()
    return np.asarray(result, np.float64).ravel()


def _latencies(net: Net, sessions: Mapping[str, Session]) -> dict[str, Latency]:
    sample, _ = next(iter(net.scoring()))
    feeds = {label: {session.inputs[0].name: sample} for label, session in sessions.items()}
    runs = {label: (lambda label=label: sessions[label].run(feeds[label])) for label in sessions}
    return measure(runs, FLOAT, budget_seconds=LATENCY_SECONDS)
