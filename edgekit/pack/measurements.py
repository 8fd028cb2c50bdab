"""What was measured of each variant: by the check of `edgekit compress`, and by `edgekit bench` where that was run.

A time belongs to a kind of machine: what an x86 CPU took says nothing of an ARM, and is left out there.
"""

from __future__ import annotations

import math

from edgekit.errors import InputError
from edgekit.pack.compressed import ARCHITECTURES, Compressed
from edgekit.pack.variants import FLOAT, Place
from edgekit.types.bench import BenchReport, Environment, Kind, Measurement
from edgekit.types.interval import Interval
from edgekit.types.manifest import Measured

FEWEST_ROUNDS = 6
"""The median lies between the smallest and the largest of so many with 97 % (1 - 2 ** (1 - n)), of five with 94 %: a
95 % interval takes six."""
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
    ratio, machine = time_of(place, compressed, bench)
    agreement = signal.top1_agreement.estimate if signal and signal.top1_agreement else None
    return Measured(
        accuracy=accuracy.accuracy if accuracy else None,
        accuracy_baseline=accuracy.baseline if accuracy else None,
        metric=_printable(accuracy.metric.rpartition("/")[2], _LONGEST_METRIC) if accuracy else "",
        accuracy_samples=accuracy.samples if accuracy else 0,
        sqnr_db=_finite(signal.sqnr_db) if signal else None,
        agreement=agreement,
        latency_ratio=ratio.estimate if ratio else None,
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


def time_of(place: Place, compressed: Compressed, bench: BenchReport | None) -> tuple[Interval | None, str]:
    """Time of a variant over the float ONNX file's on the same machine, and what machine that is; None and "" without.

    Args:
        place: The variant.
        compressed: The check's figures.
        bench: Of the same files, by digest; its times win over the check's.
    """
    benched = _benched(place, compressed, bench) if bench else None
    if benched:
        return benched
    entry = compressed.check_of(place.format)
    there = place.arch in (compressed.architecture, "any")
    if entry is None or entry.latency is None or not there or place.provider != "cpu":
        return None, ""
    found, machine = entry.latency.ratio, _printable(compressed.told.check.machine.cpu)
    if not math.isfinite(found.estimate):
        return None, machine
    return _as_sure_as(found, is_enough=entry.latency.rounds >= FEWEST_ROUNDS), machine


def _benched(place: Place, compressed: Compressed, bench: BenchReport) -> tuple[Interval, str] | None:
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
        if mine and baseline and mine.estimate > 0 and baseline.estimate > 0:
            # The baseline's own interval is left out: it is the same for all variants that are compared.
            low, estimate, high = (
                float(f"{each / baseline.estimate:.6g}") for each in (mine.low, mine.estimate, mine.high)
            )
            return _as_sure_as(Interval(estimate, low, high)), _printable(state.cpu)
    return None


def _as_sure_as(found: Interval, *, is_enough: bool = True) -> Interval:
    """An interval to compare with; without bounds where what was measured has none that can be believed."""
    if is_enough and 0 <= found.low <= found.estimate <= found.high:
        return found
    return Interval(found.estimate, 0.0, math.inf)


def _is_for(state: Environment, arch: str) -> bool:
    return arch == "any" or ARCHITECTURES.get(state.architecture) == arch


def _median(bench: BenchReport, device: str, digest: str, provider: str) -> Interval | None:
    """Median time of a file at batch 1 on one thread, ns; None where it was not validly measured."""
    names = {artifact.name for artifact in bench.artifacts if artifact.digest == digest}

    def fits(found: Measurement) -> bool:
        asked = (found.artifact in names, found.device, found.kind, found.provider, found.threads, found.batch)
        return found.valid and asked == (True, device, Kind.WALL_NS, provider, 1, 1)

    return next((one.summary.median for one in bench.measurements if fits(one) and one.summary), None)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _printable(text: str, longest: int = _LONGEST_MACHINE) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:longest].strip()
