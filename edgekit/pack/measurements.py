"""What was measured of each variant: by the check of `edgekit compress`, and by `edgekit bench` where that was run.

A time belongs to a kind of machine: what an x86 CPU took says nothing of an ARM, and is left out there.
"""

from __future__ import annotations

import math

from edgekit.errors import InputError
from edgekit.pack.compressed import ARCHITECTURES, Compressed, FileCheck
from edgekit.pack.variants import FLOAT, Place
from edgekit.types.bench import BenchReport, Environment, Kind, Measurement
from edgekit.types.manifest import Measured

_LONGEST_MACHINE, _LONGEST_METRIC = 200, 128


def measured_of(place: Place, compressed: Compressed, bench: BenchReport | None) -> Measured:
    """What is known of a variant.

    Args:
        place: The variant.
        compressed: The check's figures.
        bench: Of the same files, by digest; its times win over the check's.
    """
    entry = compressed.check_of(place.format)
    assert entry is not None  # a place is made of a file that the report has
    accuracy, signal = entry.accuracy, entry.signal
    ratio, machine = _ratio(place, entry, compressed, bench)
    agreement = signal.top1_agreement.estimate if signal and signal.top1_agreement else None
    return Measured(
        accuracy=accuracy.accuracy if accuracy else None,
        accuracy_baseline=accuracy.baseline if accuracy else None,
        metric=_printable(accuracy.metric.rpartition("/")[2], _LONGEST_METRIC) if accuracy else "",
        accuracy_samples=accuracy.samples if accuracy else 0,
        sqnr_db=_finite(signal.sqnr_db) if signal else None,
        agreement=agreement,
        latency_ratio=ratio,
        machine=machine,
    )


def refuse_unrelated(bench: BenchReport, compressed: Compressed) -> None:
    """Do nothing where a benchmark measured some of the files.

    Raises:
        InputError: It measured others.
    """
    digests = {entry.artifact.digest for entry in compressed.told.check.artifacts}
    if not any(artifact.digest in digests for artifact in bench.artifacts):
        names = ", ".join(artifact.name for artifact in bench.artifacts)
        raise InputError(
            f"the benchmark measured none of these files: it has {names or 'no artifacts'}",
            hint="run `edgekit bench` on the folder that is packed",
        )


def _ratio(
    place: Place, entry: FileCheck, compressed: Compressed, bench: BenchReport | None
) -> tuple[float | None, str]:
    """Time over the float ONNX file's on the same machine, and what machine that is."""
    benched = _benched(place, compressed, bench) if bench else None
    if benched:
        return benched
    there = place.arch in (compressed.architecture, "any")
    if entry.latency is None or not there or place.provider != "cpu":
        return None, ""
    return _finite(entry.latency.ratio.estimate), _printable(compressed.told.check.machine.cpu)


def _benched(place: Place, compressed: Compressed, bench: BenchReport) -> tuple[float, str] | None:
    """From a benchmark: the first device of the variant's architecture that measured both files."""
    ours, theirs = compressed.check_of(place.format), compressed.check_of(FLOAT)
    if ours is None or theirs is None:
        return None
    for device in bench.devices:
        state = device.before
        if state is None or state.emulated or not _is_for(state, place.arch):
            continue
        mine = _median(bench, device.name, ours.artifact.digest, place.provider)
        baseline = _median(bench, device.name, theirs.artifact.digest, "cpu")
        if mine and baseline:
            return float(f"{mine / baseline:.6g}"), _printable(state.cpu)
    return None


def _is_for(state: Environment, arch: str) -> bool:
    return arch == "any" or ARCHITECTURES.get(state.architecture) == arch


def _median(bench: BenchReport, device: str, digest: str, provider: str) -> float | None:
    """Median time of a file at batch 1 on one thread, ns; None where it was not validly measured."""
    names = {artifact.name for artifact in bench.artifacts if artifact.digest == digest}

    def fits(found: Measurement) -> bool:
        asked = (found.artifact in names, found.device, found.kind, found.provider, found.threads, found.batch)
        return found.valid and asked == (True, device, Kind.WALL_NS, provider, 1, 1)

    return next((one.summary.median.estimate for one in bench.measurements if fits(one) and one.summary), None)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _printable(text: str, longest: int = _LONGEST_MACHINE) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:longest].strip()
