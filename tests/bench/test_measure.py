"""Benchmarks as a whole on this machine, and on devices that go wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from edgekit.bench import measure
from edgekit.bench.lanes import computes_here, in_lanes
from edgekit.bench.measure import bench
from edgekit.devices.device import LineStream
from edgekit.devices.local import LocalDevice
from edgekit.devices.processes import ProcessStream
from edgekit.devices.uri import DeviceUri, parse_uri
from edgekit.errors import DeviceError, InputError
from edgekit.types.bench import BenchReport, BenchSettings, Kind

QUICK = BenchSettings(processes=5, duration_s=0.03, min_runs=5, max_runs=40, warmup_s=0.1)


def run(artifacts: Sequence[Path], settings: BenchSettings = QUICK, **more: object) -> BenchReport:
    return bench(artifacts, ["local:"], settings=settings, **more)  # type: ignore[arg-type]


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[LocalDevice]]:
    """Devices opened from now on, of the class that a test puts in `kinds`, by address."""
    opened: list[LocalDevice] = []

    def open_device(uri: DeviceUri, *, runtime: Path | None = None) -> LocalDevice:
        kind = KINDS[uri.display]
        opened.append(kind(uri.display))
        return opened[-1]

    monkeypatch.setattr(measure, "open_device", open_device)
    yield opened
    assert not any(device.folder.exists() for device in opened)


class Unplugged(LocalDevice):
    """Goes away in the middle of its seventh job: the process is killed, and nothing starts afterwards."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.jobs = 0

    def start(self, command: Sequence[str], stdin: str) -> ProcessStream:
        self.jobs += 1
        if self.jobs > 7:
            raise DeviceError("the device is gone", device=self.uri, hint="plug it in again")
        stream = super().start(command, stdin)
        if self.jobs == 7:
            threading.Timer(1.0, stream.process.kill).start()
        return stream


class Jumping(LocalDevice):
    """Its wall clock is set by an hour between the states before and after."""

    def start(self, command: Sequence[str], stdin: str) -> ProcessStream:
        stream = super().start(command, stdin)
        plain = stream.lines

        def lines(timeout_s: float) -> Iterator[str]:
            for line in plain(timeout_s):
                event = json.loads(line)
                if event["event"] == "environment" and event["when"] == "after":
                    event["wall_ns"] += 3_600_000_000_000
                yield json.dumps(event)

        stream.lines = lines  # type: ignore[method-assign]
        return stream


class Emulated(LocalDevice):
    """Knows itself to be an emulator with a clock."""

    emulated = "it is qemu-user"


class Forgetful(LocalDevice):
    """Cannot remove its folder."""

    def close(self) -> tuple[str, ...]:
        super().close()
        return ("/data/local/tmp/edgekit.x",)


class Swapping(LocalDevice):
    """Sends other outputs than those that it told the digest of."""

    def pull(self, name: str, to: Path) -> None:
        super().pull(name, to)
        with np.load(to) as archive:
            arrays = {key: archive[key] + 1 for key in archive.files}
        np.savez(to, **arrays)


class Unreachable(LocalDevice):
    def __init__(self, uri: str) -> None:
        raise DeviceError("no answer", device=uri, hint="is it on?")


class Lying(LocalDevice):
    """Answers with one output more than the file has, and with sensors from no time."""

    def start(self, command: Sequence[str], stdin: str) -> ProcessStream:
        stream = super().start(command, stdin)
        plain = stream.lines

        def lines(timeout_s: float) -> Iterator[str]:
            for line in plain(timeout_s):
                event = json.loads(line)
                if event["event"] == "load" and "OUTPUTS" in self.uri:
                    event["outputs"] *= 2
                if event["event"] == "sensors":
                    del event["at_s"]
                yield json.dumps(event, separators=(",", ":"))

        stream.lines = lines  # type: ignore[method-assign]
        return stream


class Vanished(Forgetful):
    """Goes away before its first job, and keeps its folder."""

    def start(self, command: Sequence[str], stdin: str) -> ProcessStream:
        raise DeviceError("the device is gone", device=self.uri, hint="plug it in again")


KINDS: Mapping[str, type[LocalDevice]] = {
    "local:": LocalDevice,
    "adb:UNPLUGGED": Unplugged,
    "adb:JUMPING": Jumping,
    "adb:EMULATED": Emulated,
    "adb:FORGETFUL": Forgetful,
    "adb:SWAPPING": Swapping,
    "adb:OFF": Unreachable,
    "adb:LYING": Lying,
    "adb:LYING-OUTPUTS": Lying,
    "adb:VANISHED": Vanished,
}


def test_one_machine_two_runtimes_two_thread_counts(artifacts: Path) -> None:
    settings = BenchSettings(
        processes=5, duration_s=0.03, min_runs=5, max_runs=40, warmup_s=0.1, threads=(1, 2), profile=True
    )
    report = run([artifacts / "net.int8.onnx", artifacts / "net.int8.tflite"], settings)
    assert len(report.measurements) == 4
    for measurement in report.measurements:
        assert measurement.kind is Kind.WALL_NS
        assert measurement.invalid == () or "threads" in measurement.invalid[0]  # a machine of one core
        assert measurement.complete
        assert measurement.summary
        assert measurement.summary.processes == 5
        assert measurement.summary.minimum <= measurement.summary.median.estimate
        assert measurement.summary.peak_rss_bytes > 10_000_000
        assert all(process.import_ns > 0 and process.load_ns > 0 for process in measurement.processes)
        assert any(operator.module == "block.1" for operator in measurement.operators)
    device = report.devices[0]
    assert device.before
    assert device.before.cpu
    assert device.before.cores >= 1
    assert device.before.runtimes["onnxruntime"]
    assert not device.left_behind


def test_artifacts_take_turns(artifacts: Path, replaced: list[LocalDevice], monkeypatch: pytest.MonkeyPatch) -> None:
    """Round by round, in an order that rotates: never all processes of one before those of the other."""
    jobs: list[str] = []
    plain = LocalDevice.start

    def start(self: LocalDevice, command: Sequence[str], stdin: str) -> LineStream:
        job = json.loads(stdin)
        if job["steady"]:
            jobs.append(job["subjects"][0]["file"])
        return plain(self, command, stdin)

    monkeypatch.setattr(LocalDevice, "start", start)
    run([artifacts / "net.int8.onnx", artifacts / "net.int8.tflite"])
    rounds = [jobs[index : index + 2] for index in range(0, len(jobs), 2)]
    assert len(rounds) == 5
    assert all(set(one) == {"model0.onnx", "model1.tflite"} for one in rounds)
    assert rounds[0] != rounds[1]


def test_the_users_inputs_are_run_and_scored(artifacts: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(12, 3, 16, 16)).astype(np.float32)
    np.savez(tmp_path / "x.npz", anything=values, labels=np.zeros(12, np.int64))
    report = run([artifacts / "net.int8.tflite"], inputs=tmp_path / "x.npz")
    assert report.outputs[0].samples == 12
    assert report.outputs[0].top1 is not None
    assert report.artifacts[0].quality == report.outputs[0].top1
    assert report.artifacts[0].quality_source == "measured on the device"


def test_inputs_that_do_not_fit_are_said_so(artifacts: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x0=np.zeros((4, 3, 8, 8), np.float32))
    report = run([artifacts / "net.int8.onnx"], inputs=tmp_path / "x.npz")
    assert "192 elements; the file takes 1x3x16x16" in report.outputs[0].error
    assert not report.measurements[0].valid
    assert "--inputs" in report.measurements[0].invalid[0]


def test_a_device_unplugged_keeps_what_it_measured(artifacts: Path, replaced: list[LocalDevice]) -> None:
    """One job looks around, five are the first three rounds of two, the seventh is cut, two are never begun."""
    report = bench([artifacts / "net.int8.onnx", artifacts / "net.int8.tflite"], ["adb:UNPLUGGED"], settings=QUICK)
    first, second = report.measurements
    assert not first.complete
    assert not first.valid
    assert any("lost" in reason for reason in first.invalid)
    assert 2 <= len(second.processes) <= 3
    assert second.summary
    assert "signal" in report.devices[0].error or "gone" in report.devices[0].error
    assert all(not output.error for output in report.outputs)


def test_a_clock_that_jumps_makes_time_invalid(artifacts: Path, replaced: list[LocalDevice]) -> None:
    report = bench([artifacts / "net.int8.tflite"], ["adb:JUMPING"], settings=QUICK)
    assert any("clock jumped" in reason for reason in report.measurements[0].invalid)


def test_emulated_wall_time_is_refused_as_latency(artifacts: Path, replaced: list[LocalDevice]) -> None:
    report = bench([artifacts / "net.int8.tflite"], ["adb:EMULATED"], settings=QUICK)
    assert report.measurements[0].summary
    assert not report.measurements[0].valid
    assert "it is qemu-user" in report.measurements[0].invalid[0]


def test_what_is_left_on_a_device_is_said(artifacts: Path, replaced: list[LocalDevice]) -> None:
    report = bench([artifacts / "net.int8.tflite"], ["adb:FORGETFUL"], settings=QUICK)
    assert report.devices[0].left_behind == ("/data/local/tmp/edgekit.x",)
    assert any(finding.code == "left-on-device" for finding in report.findings)


def test_outputs_are_held_against_the_digest_that_was_told(artifacts: Path, replaced: list[LocalDevice]) -> None:
    report = bench([artifacts / "net.int8.tflite"], ["local:", "adb:SWAPPING"], settings=QUICK)
    assert "not those whose digest it told" in report.devices[1].error
    assert [output.device for output in report.outputs] == ["local:"]


def test_one_device_that_is_off_does_not_stop_the_others(artifacts: Path, replaced: list[LocalDevice]) -> None:
    report = bench([artifacts / "net.int8.tflite"], ["adb:OFF", "local:"], settings=QUICK)
    assert [device.error for device in report.devices] == ["adb:OFF: no answer", ""]
    assert report.devices[0].hint == "is it on?"
    assert report.measurements[0].device == "local:"


def test_nothing_but_devices_that_are_off_is_an_error(artifacts: Path, replaced: list[LocalDevice]) -> None:
    with pytest.raises(DeviceError, match="no answer"):
        bench([artifacts / "net.int8.tflite"], ["adb:OFF"], settings=QUICK)


def test_a_file_that_one_runtime_refuses_leaves_the_others(artifacts: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    report = run([tmp_path / "broken.onnx", artifacts / "net.int8.tflite"])
    broken, whole = report.measurements
    assert "refuses" in broken.invalid[0]
    assert broken.summary is None
    assert whole.valid
    assert "refuses" in report.outputs[0].error


def test_a_device_without_the_runtime_says_how_to_get_it(artifacts: Path, tmp_path: Path) -> None:
    """A Python of its own, with numpy's and the runtimes' place taken away."""
    report = bench([artifacts / "net.int8.onnx"], ["local:?python=python3 -S -s"], settings=QUICK)
    assert "has no onnxruntime" in report.measurements[0].invalid[0]
    assert "edgekit bench bundle" in report.measurements[0].invalid[0]


def test_instructions_cannot_be_counted_everywhere(artifacts: Path) -> None:
    """Where the processor counts, there is a number; elsewhere the reason, never a time in its place."""
    report = run([artifacts / "net.int8.tflite"], BenchSettings(count=True))
    measurement = report.measurements[0]
    assert measurement.kind is Kind.INSTRUCTIONS
    if not measurement.valid:
        assert "no count of instructions" in measurement.invalid[0]
        assert measurement.summary is None


def test_the_sustained_mode_follows_time(artifacts: Path) -> None:
    settings = BenchSettings(processes=5, duration_s=0.03, min_runs=5, max_runs=40, warmup_s=0.1, sustained_s=2.5)
    points = run([artifacts / "net.int8.tflite"], settings).measurements[0].sustained
    assert 2 <= len(points) <= 4
    assert [point.at_s for point in points] == sorted(point.at_s for point in points)
    assert sum(point.runs for point in points) > 100


@pytest.mark.parametrize(
    ("on", "words"),
    [([], "no device"), (["local:", "local:"], "twice"), (["nowhere"], "no device"), (["usb:1"], "usb")],
)
def test_devices_that_make_no_sense(artifacts: Path, on: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        bench([artifacts / "net.int8.tflite"], on, settings=QUICK)


@pytest.mark.parametrize(
    ("uri", "here"),
    [("local:", True), ("qemu-user:max", True), ("ssh://127.0.0.1:22", True), ("ssh://me@localhost", True),
     ("adb:127.0.0.1:5555", True), ("adb:emulator-5554", True), ("ssh://pi@10.0.0.7", False), ("adb:R5CT", False)],
)  # fmt: skip
def test_which_devices_share_this_processor(uri: str, here: bool) -> None:
    assert computes_here(parse_uri(uri)) is here


def test_devices_elsewhere_work_at_the_same_time_and_those_here_in_turn() -> None:
    uris = [parse_uri(text) for text in ("local:", "adb:A", "adb:B", "qemu-user:max")]
    both, here = threading.Barrier(2, timeout=10), threading.Lock()

    def work(uri: DeviceUri) -> str:
        if uri.kind == "adb":
            both.wait()
        else:
            assert here.acquire(blocking=False)
            here.release()
        return uri.display

    assert in_lanes(uris, work, threading.Event()) == ["local:", "adb:A", "adb:B", "qemu-user:max"]


def test_an_interrupt_ends_all_lanes() -> None:
    stop = threading.Event()

    def work(uri: DeviceUri) -> str:
        if uri.display == "adb:A":
            raise KeyboardInterrupt
        assert stop.wait(10)
        return uri.display

    with pytest.raises(KeyboardInterrupt):
        in_lanes([parse_uri("adb:A"), parse_uri("adb:B")], work, stop)


def test_an_error_of_a_later_device_ends_the_earlier_ones() -> None:
    """What cannot be used is said at once, not when the slowest device is done."""
    stop = threading.Event()

    def work(uri: DeviceUri) -> str:
        if uri.display == "adb:B":
            raise InputError("no such option")
        assert stop.wait(10)
        return uri.display

    with pytest.raises(InputError, match="no such option"):
        in_lanes([parse_uri("adb:A"), parse_uri("adb:B")], work, stop)


def test_outputs_that_cannot_be_end_the_visit_and_not_the_benchmark(
    artifacts: Path, replaced: list[LocalDevice]
) -> None:
    report = bench([artifacts / "net.int8.tflite"], ["adb:LYING-OUTPUTS", "local:"], settings=QUICK)
    assert "1 outputs of a file with 2" in report.devices[0].error
    assert [one.device for one in report.measurements if one.valid] == ["local:"]


def test_sensors_from_no_time_are_left_out(artifacts: Path, replaced: list[LocalDevice]) -> None:
    settings = BenchSettings(processes=5, duration_s=0.03, min_runs=5, max_runs=40, warmup_s=0.1, sustained_s=0.2)
    report = bench([artifacts / "net.int8.tflite"], ["adb:LYING"], settings=settings)
    assert report.measurements[0].sustained
    assert report.measurements[0].sustained[0].temperature_c is None


def test_an_error_that_ends_everything_says_what_was_left(artifacts: Path, replaced: list[LocalDevice]) -> None:
    with pytest.raises(DeviceError, match="gone") as caught:
        bench([artifacts / "net.int8.tflite"], ["adb:VANISHED"], settings=QUICK)
    assert caught.value.hint == "plug it in again; remove /data/local/tmp/edgekit.x there by hand"


def test_a_batch_of_the_users_inputs(artifacts: Path, tmp_path: Path) -> None:
    """The file that takes it is measured on as many samples; the other is refused, not measured on fewer."""
    np.savez(tmp_path / "x.npz", x0=np.zeros((3, 3, 16, 16), np.float32))
    settings = BenchSettings(processes=5, duration_s=0.03, min_runs=5, max_runs=40, warmup_s=0.1, batch=4)
    report = run([artifacts / "net.int8.tflite", artifacts / "net.fp32.onnx"], settings, inputs=tmp_path / "x.npz")
    assert report.measurements[0].valid
    assert "does not take a batch of 4" in report.measurements[1].invalid[0]


def test_labels_that_are_too_few_are_said_so(artifacts: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x0=np.zeros((4, 3, 16, 16), np.float32), labels=np.zeros(3, np.int64))
    report = run([artifacts / "net.int8.tflite"], inputs=tmp_path / "x.npz")
    assert "3 class numbers" in report.outputs[0].error
    assert report.devices[0].error == ""


def test_two_files_of_one_name_with_external_data_are_refused(tmp_path: Path) -> None:
    """The name of the data is written in the file, so they would be one file on the device."""
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        for name in ("net.onnx", "net.onnx.data"):
            (tmp_path / side / name).write_bytes(side.encode())
    with pytest.raises(InputError, match=r"two artifacts.*net\.onnx"):
        run([tmp_path / "a", tmp_path / "b"])
