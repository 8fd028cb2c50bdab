"""The gate: which artifacts are compared, what each rule decides, and two real comparisons from end to end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.planted import plant
from edgekit import digest
from edgekit.bench import comparing
from edgekit.bench.artifacts import collect
from edgekit.bench.calibration import Scatter
from edgekit.bench.comparing import compare, compare_reports
from edgekit.bench.gate import judge_accuracy, judge_instructions, judge_size, pair_up
from edgekit.devices.local import LocalDevice
from edgekit.devices.processes import ProcessStream
from edgekit.errors import DeviceError, InputError, RecipeError
from edgekit.types.bench import (
    BenchArtifact,
    BenchReport,
    BenchSettings,
    DeviceReport,
    Kind,
    Measurement,
    Summary,
)
from edgekit.types.gate import GateJudgement, GateRecipe, GateReport, Measure, Verdict
from edgekit.types.interval import Interval

RECIPE = GateRecipe(budget_s=25)
ARTIFACT = BenchArtifact("a", "a.onnx", "0" * 64, 1000, "onnxruntime", 0.90, "top-1", "report.json")


@pytest.fixture
def sides(artifacts: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Folders with the same two files."""
    for side in ("base", "head"):
        (tmp_path / side).mkdir()
        for name in ("net.fp32.onnx", "net.int8.tflite"):
            shutil.copy(artifacts / name, tmp_path / side)
    return tmp_path / "base", tmp_path / "head"


def by(report: GateReport, artifact: str, measure: Measure) -> GateJudgement:
    return next(one for one in report.judgements if (one.artifact, one.measure) == (artifact, measure))


def score(folder: Path, accuracy: float) -> None:
    """A report.json as edgekit compress writes it, for every file there."""
    entries = [
        {"artifact": {"digest": digest.of_file(path)}, "accuracy": {"accuracy": accuracy, "metric": "top-1"}}
        for path in sorted(folder.glob("net.*"))
    ]
    (folder / "report.json").write_text(json.dumps({"check": {"artifacts": entries}}))


def test_the_same_files_pass_without_a_measurement(sides: tuple[Path, Path]) -> None:
    report = compare(*sides, ["local:"], recipe=RECIPE)
    assert report.passed
    wall = by(report, "net.int8.tflite", Measure.WALL)
    assert wall.verdict is Verdict.PASS
    assert wall.reason == "base and head are the same file"
    assert by(report, "net.int8.tflite", Measure.SIZE).change == Interval(0.0, 0.0, 0.0, 1.0)
    assert by(report, "net.int8.tflite", Measure.ACCURACY).verdict is Verdict.SKIPPED


@pytest.mark.slow
def test_more_work_a_larger_file_and_lost_accuracy_fail(sides: tuple[Path, Path]) -> None:
    base, head = sides
    plant(base / "net.fp32.onnx", head / "net.fp32.onnx", channels=64)
    score(base, 0.9)
    score(head, 0.88)
    report = compare(base, head, ["local:"], recipe=RECIPE)
    assert {one.measure for one in report.failed if one.artifact == "net.fp32.onnx"} == {
        Measure.WALL,
        Measure.SIZE,
        Measure.ACCURACY,
    }
    assert [one.measure for one in report.failed if one.artifact == "net.int8.tflite"] == []
    wall = by(report, "net.fp32.onnx", Measure.WALL)
    assert wall.change
    assert wall.change.low > RECIPE.wall_min_effect
    assert wall.head
    assert wall.base
    assert wall.head > wall.base


def test_a_head_that_the_device_refuses_is_a_regression(sides: tuple[Path, Path]) -> None:
    base, head = sides
    (head / "net.fp32.onnx").write_bytes(b"no model")
    report = compare(base / "net.fp32.onnx", head / "net.fp32.onnx", ["local:"], recipe=RECIPE)
    assert by(report, "net.fp32.onnx", Measure.WALL).verdict is Verdict.REGRESSED
    assert "refuses" in by(report, "net.fp32.onnx", Measure.WALL).reason


def test_a_base_that_the_device_refuses_decides_nothing(sides: tuple[Path, Path]) -> None:
    base, head = sides
    (base / "net.fp32.onnx").write_bytes(b"no model")
    report = compare(base / "net.fp32.onnx", head / "net.fp32.onnx", ["local:"], recipe=RECIPE)
    assert by(report, "net.fp32.onnx", Measure.WALL).verdict is Verdict.UNDECIDED
    strict = compare(
        base / "net.fp32.onnx", head / "net.fp32.onnx", ["local:"], recipe=replace(RECIPE, fail_on_undecided=True)
    )
    assert not strict.passed


def test_pairs_are_files_of_one_name(sides: tuple[Path, Path]) -> None:
    base, head = sides
    (head / "net.int8.tflite").rename(head / "other.tflite")
    assert [pair.name for pair in pair_up(collect([base]), collect([head]))] == ["net.fp32.onnx"]
    single = pair_up(collect([base / "net.int8.tflite"]), collect([head / "other.tflite"]))
    assert single[0].same_bytes
    with pytest.raises(InputError, match="in common"):
        pair_up(collect([base]), collect([head / "other.tflite"]))


@given(st.integers(1, 10**12), st.integers(1, 10**12), st.floats(0, 1))
def test_an_exact_limit_is_one_line(base: int, head: int, limit: float) -> None:
    recipe = GateRecipe(size_limit=limit, instructions_limit=limit)
    sized = judge_size("a", replace(ARTIFACT, size_bytes=base), replace(ARTIFACT, size_bytes=head), recipe)
    counted = judge_instructions("a", "d", "c", (float(base), float(head)), limit)
    assert sized.verdict is counted.verdict
    assert (sized.verdict is Verdict.REGRESSED) == (head / base - 1 > limit)
    assert (sized.verdict is Verdict.IMPROVED) == (head / base - 1 < -limit)


@pytest.mark.parametrize(
    ("quality", "verdict"),
    [(0.90, Verdict.PASS), (0.896, Verdict.PASS), (0.894, Verdict.REGRESSED), (0.93, Verdict.IMPROVED)],
)
def test_accuracy_is_in_points(quality: float, verdict: Verdict) -> None:
    assert judge_accuracy("a", ARTIFACT, replace(ARTIFACT, quality=quality), GateRecipe()).verdict is verdict


def test_accuracies_of_different_metrics_are_not_compared() -> None:
    other = replace(ARTIFACT, quality_name="agreement with float")
    found = judge_accuracy("a", ARTIFACT, other, GateRecipe())
    assert found.verdict is Verdict.SKIPPED
    assert "different metrics" in found.reason
    assert (
        "base and head have"
        in judge_accuracy("a", replace(ARTIFACT, quality=None), replace(ARTIFACT, quality=None), GateRecipe()).reason
    )


def counted(minimum: float, *, kind: Kind = Kind.INSTRUCTIONS, invalid: tuple[str, ...] = ()) -> BenchReport:
    summary = Summary(Interval(minimum, minimum, minimum), minimum, None, None, 30, 2, 0.0, 1.0, 1.0, 1.0, 1_000_000)
    measurement = Measurement("a", "d", kind, "cpu", 1, 1, (), summary, invalid)
    return BenchReport(
        "0", "", "2026-01-01T00:00:00+00:00", BenchSettings(), (ARTIFACT,), (DeviceReport("d", "d"),), (measurement,)
    )


def test_reports_are_compared_by_what_does_not_scatter() -> None:
    names = ("base.json", "head.json")
    same = compare_reports(counted(1e6), counted(1.004e6), names, GateRecipe())
    assert same.passed
    more = compare_reports(counted(1e6), counted(1.006e6), names, GateRecipe())
    assert [one.measure for one in more.failed] == [Measure.INSTRUCTIONS]
    own = GateRecipe(instructions_limits={"a.onnx": 0.01})
    assert compare_reports(counted(1e6), counted(1.006e6), names, own).passed


def test_wall_times_of_two_reports_are_never_judged() -> None:
    report = compare_reports(counted(1e6, kind=Kind.WALL_NS), counted(9e6, kind=Kind.WALL_NS), ("b", "h"), GateRecipe())
    assert report.passed
    assert by(report, "a", Measure.WALL).verdict is Verdict.SKIPPED


def test_an_invalid_count_is_undecided() -> None:
    report = compare_reports(counted(1e6), counted(1e6, invalid=("the device was lost",)), ("b", "h"), GateRecipe())
    assert by(report, "a", Measure.INSTRUCTIONS).verdict is Verdict.UNDECIDED


def test_the_recipe_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text('[gate]\nbudget_s = 30.0\n[gate.instructions_limits]\n"a.onnx" = 0.002\n[other]\nx = 1\n')
    recipe = GateRecipe.load(path)
    assert (recipe.budget_s, recipe.limit_of("a.onnx"), recipe.limit_of("b.onnx")) == (30.0, 0.002, 0.005)
    for text, words in (
        ("[gate]\nbudgets = 3\n", "unknown key"),
        ("[gate]\nconfidence = 2.0\n", "confidence"),
        ('[gate]\nbudget_s = "long"\n', "budget_s"),
        ("[gate.instructions_limits]\na = true\n", "not a number"),
        ("[gate]\ninstructions_limits = 3\n", "no table"),
        ("x = 1\n", "no table"),
        ("[gate\n", "no TOML"),
    ):
        path.write_text(text)
        with pytest.raises(RecipeError, match=words):
            GateRecipe.load(path)
    with pytest.raises(RecipeError, match="cannot read"):
        GateRecipe.load(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("counts", "limit"),
    [((1_000_000.0, 1_000_000.0), 0.0005), ((1_000_000.0, 1_000_390.0), 0.0039), ((100.0, 101.0), 0.1)],
)
def test_a_calibrated_limit_is_ten_times_the_spread(counts: tuple[float, ...], limit: float) -> None:
    assert Scatter("a", counts).limit == pytest.approx(limit, abs=1e-4)
    assert Scatter("a", counts).limit >= 10 * Scatter("a", counts).spread


def test_a_file_that_one_side_alone_has_is_said_to_be_skipped(sides: tuple[Path, Path]) -> None:
    base, head = sides
    (head / "net.int8.tflite").unlink()
    shutil.copy(base / "net.int8.tflite", head / "new.tflite")
    with (head / "new.tflite").open("ab") as stream:
        stream.write(b"more")
    report = compare(base, head, ["local:"], recipe=RECIPE)
    assert by(report, "net.int8.tflite", Measure.SIZE).reason == "only base has it"
    assert by(report, "new.tflite", Measure.SIZE).reason == "only head has it"
    other = replace(counted(1e6), artifacts=(replace(ARTIFACT, name="b", file="b.onnx", digest="1" * 64),))
    reports = compare_reports(counted(1e6), replace(other, measurements=()), ("b", "h"), GateRecipe())
    assert [(one.artifact, one.reason) for one in reports.judgements] == [
        ("a.onnx", "only base has it"), ("b.onnx", "only head has it"),
    ]  # fmt: skip


def test_a_base_of_nothing_is_no_crash() -> None:
    assert judge_instructions("a", "d", "c", (0.0, 1.0), 0.005).verdict is Verdict.REGRESSED
    assert judge_size("a", replace(ARTIFACT, size_bytes=0), ARTIFACT, GateRecipe()).verdict is Verdict.REGRESSED


class Strange(LocalDevice):
    """Changes what the agent says."""

    def __init__(self, change: Callable[[dict[str, Any]], None]) -> None:
        super().__init__("adb:STRANGE")
        self._change = change

    def start(self, command: Sequence[str], stdin: str) -> ProcessStream:
        stream = super().start(command, stdin)
        plain = stream.lines

        def lines(timeout_s: float) -> Iterator[str]:
            for line in plain(timeout_s):
                event = json.loads(line)
                self._change(event)
                yield json.dumps(event, separators=(",", ":"))

        stream.lines = lines  # type: ignore[method-assign]
        return stream

    def close(self) -> tuple[str, ...]:
        super().close()
        return ("/data/local/tmp/edgekit.x",)


def emulate(event: dict[str, Any]) -> None:
    if event["event"] == "environment":
        event["files"]["/proc/self/comm"] = "qemu-aarch64"


def say_nothing(event: dict[str, Any]) -> None:
    if event["event"] == "samples":
        event["values"] = []


def compare_on(
    change: Callable[[dict[str, Any]], None], sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> GateReport:
    """Two versions of one file, on a device that changes its answers."""
    base, head = sides
    plant(base / "net.fp32.onnx", head / "net.fp32.onnx", channels=1)
    monkeypatch.setattr(comparing, "open_device", lambda *_, **__: Strange(change))
    return compare(base / "net.fp32.onnx", head / "net.fp32.onnx", ["adb:STRANGE"], recipe=RECIPE)


def test_an_emulator_that_only_its_processes_show_is_not_timed(
    sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = by(compare_on(emulate, sides, monkeypatch), "net.fp32.onnx", Measure.WALL)
    assert wall.verdict is Verdict.SKIPPED
    assert "runs under qemu-aarch64" in wall.reason
    assert wall.base is None


def test_a_device_that_measures_nothing_is_an_error_that_says_what_is_left(
    sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DeviceError, match="measured nothing") as caught:
        compare_on(say_nothing, sides, monkeypatch)
    assert "/data/local/tmp/edgekit.x" in caught.value.hint


@pytest.mark.parametrize(("on", "words"), [([], "no device"), (["local:", "local:"], "twice")])
def test_devices_that_make_no_sense(sides: tuple[Path, Path], on: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        compare(*sides, on)


def test_a_device_without_the_runtime_is_an_error_and_no_verdict(sides: tuple[Path, Path]) -> None:
    base, head = sides
    plant(base / "net.fp32.onnx", head / "net.fp32.onnx", channels=1)
    with pytest.raises(DeviceError, match="has no onnxruntime"):
        compare(base / "net.fp32.onnx", head / "net.fp32.onnx", ["local:?python=python3 -S -s"], recipe=RECIPE)
