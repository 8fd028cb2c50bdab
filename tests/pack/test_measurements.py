"""What was measured goes with the kind of machine it was measured on."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from edgekit.errors import InputError
from edgekit.pack.compressed import Compressed
from edgekit.pack.measurements import FEWEST_ROUNDS, measured_of, refuse_unrelated, time_of
from edgekit.pack.variants import Place
from edgekit.types.bench import (
    BenchArtifact,
    BenchReport,
    BenchSettings,
    DeviceReport,
    Environment,
    Kind,
    Measurement,
    Summary,
)
from edgekit.types.interval import Interval

ARM = Place("tflite-int8-arm64", "tflite-int8", "arm64", "litert")
HERE = Place("tflite-int8-amd64", "tflite-int8", "amd64", "litert")


def summary(median: float) -> Summary:
    return Summary(Interval(median, median, median), median, None, None, 100, 5, 0.0, 1.0, 1.0, 1.0, 10**8)


def benched(compressed: Compressed, *, architecture: str = "aarch64", emulated: str = "") -> BenchReport:
    """The float file takes 8 ms and the .tflite 2 ms on a board."""
    entries = {name: compressed.check_of(name) for name in ("onnx-fp32", "tflite-int8")}
    artifacts = tuple(
        BenchArtifact(name, entry.artifact.path, entry.artifact.digest, 1, "onnxruntime")
        for name, entry in entries.items()
        if entry
    )
    return BenchReport(
        "0",
        "",
        "",
        BenchSettings(),
        artifacts,
        (DeviceReport("ssh://pi", "pi", Environment(cpu="Pi 5", architecture=architecture, emulated=emulated)),),
        (
            Measurement("onnx-fp32", "pi", Kind.WALL_NS, "cpu", 1, 1, summary=summary(8e6)),
            Measurement("tflite-int8", "pi", Kind.WALL_NS, "cpu", 4, 1, summary=summary(1e6)),
            Measurement("tflite-int8", "pi", Kind.WALL_NS, "cpu", 1, 1, summary=summary(2e6)),
        ),
    )


@pytest.fixture
def on_x86(compressed: Compressed) -> Compressed:
    machine = replace(compressed.told.check.machine, system="Linux x86_64", cpu="A CPU\n")
    return replace(compressed, told=replace(compressed.told, check=replace(compressed.told.check, machine=machine)))


def test_the_checks_figures(on_x86: Compressed) -> None:
    entry = on_x86.check_of("tflite-int8")
    assert entry
    assert entry.accuracy
    assert entry.signal
    assert entry.latency
    assert entry.signal.top1_agreement
    found = measured_of(HERE, on_x86, None)
    assert (found.accuracy, found.accuracy_baseline) == (entry.accuracy.accuracy, entry.accuracy.baseline)
    assert (found.metric, found.accuracy_samples) == ("top-1", 24)
    assert found.agreement == entry.signal.top1_agreement.estimate
    assert found.sqnr_db == entry.signal.sqnr_db
    assert (found.latency_ratio, found.machine) == (entry.latency.ratio.estimate, "A CPU")


def test_a_time_on_x86_says_nothing_of_arm(on_x86: Compressed) -> None:
    found = measured_of(ARM, on_x86, None)
    assert (found.latency_ratio, found.machine) == (None, "")
    assert found.accuracy is not None


def test_an_infinite_sqnr_is_left_out(on_x86: Compressed) -> None:
    entries = tuple(
        replace(each, signal=replace(each.signal, sqnr_db=float("inf"))) if each.signal else each
        for each in on_x86.told.check.artifacts
    )
    check = replace(on_x86.told.check, artifacts=entries)
    assert measured_of(HERE, replace(on_x86, told=replace(on_x86.told, check=check)), None).sqnr_db is None


def test_a_benchmark_on_a_board_says_it(on_x86: Compressed) -> None:
    found = measured_of(ARM, on_x86, benched(on_x86))
    assert (found.latency_ratio, found.machine) == (0.25, "Pi 5")


def test_a_benchmark_elsewhere_or_emulated_does_not(on_x86: Compressed) -> None:
    assert measured_of(HERE, on_x86, benched(on_x86)).machine == "A CPU"
    for bench in (benched(on_x86, emulated="qemu"), benched(on_x86, architecture="x86_64")):
        assert measured_of(ARM, on_x86, bench).latency_ratio is None


def with_latency(compressed: Compressed, *, rounds: int, ratio: Interval) -> Compressed:
    """The check timed the .tflite so."""
    check = compressed.told.check
    entries = tuple(
        replace(each, latency=replace(each.latency, rounds=rounds, ratio=ratio))
        if each.latency and each.artifact.format == "tflite-int8"
        else each
        for each in check.artifacts
    )
    return replace(compressed, told=replace(compressed.told, check=replace(check, artifacts=entries)))


def test_how_sure_a_time_is(on_x86: Compressed) -> None:
    """By the check's interval, if enough rounds stand behind it; by the benchmark's, which knows of processes."""
    found, unsure = Interval(0.5, 0.4, 0.6), Interval(0.5, 0.0, math.inf)
    for rounds, expected in ((FEWEST_ROUNDS, found), (FEWEST_ROUNDS - 1, unsure)):
        compressed = with_latency(on_x86, rounds=rounds, ratio=found)
        assert time_of(HERE, compressed, None) == (expected, "A CPU")
        assert measured_of(HERE, compressed, None).latency_ratio == 0.5
    bench = benched(on_x86)
    wide = replace(summary(2e6), median=Interval(2e6, 1e6, 4e6))
    told = tuple(
        replace(each, summary=wide) if each.artifact == "tflite-int8" and each.threads == 1 else each
        for each in bench.measurements
    )
    assert time_of(ARM, on_x86, replace(bench, measurements=told)) == (Interval(0.25, 0.125, 0.5), "Pi 5")


@pytest.mark.parametrize("ends", [(0.6, 0.4), (0.51, 0.6), (-1.0, 0.6), (float("nan"), 0.6)])
def test_an_interval_that_cannot_be_is_not_believed(on_x86: Compressed, ends: tuple[float, float]) -> None:
    compressed = with_latency(on_x86, rounds=100, ratio=Interval(0.5, *ends))
    assert time_of(HERE, compressed, None)[0] == Interval(0.5, 0.0, math.inf)


def test_what_must_not_be_quoted_is_not(on_x86: Compressed) -> None:
    bench = benched(on_x86)
    wrong = replace(bench, measurements=tuple(replace(each, invalid=("no",)) for each in bench.measurements))
    assert measured_of(ARM, on_x86, wrong).latency_ratio is None


def test_a_benchmark_of_other_files_is_refused(on_x86: Compressed) -> None:
    bench = benched(on_x86)
    refuse_unrelated(bench, on_x86)
    others = replace(bench, artifacts=tuple(replace(each, digest="0" * 64) for each in bench.artifacts))
    with pytest.raises(InputError, match="none of these files"):
        refuse_unrelated(others, on_x86)
