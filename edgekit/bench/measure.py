"""measure: artifacts on devices, all devices at once where they do not share a processor, into one BenchReport."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgekit.bench.artifacts import BenchFile, collect
from edgekit.bench.assembly import device_report, findings_about, measurement_of, with_measured_quality
from edgekit.bench.lanes import in_lanes, named_devices
from edgekit.bench.outputs import compare_outputs
from edgekit.bench.visit import Visit, Visitor, refuse_collisions
from edgekit.devices.opening import open_device, say_left
from edgekit.devices.uri import DeviceUri
from edgekit.errors import DeviceError, InputError
from edgekit.types.bench import BenchReport, BenchSettings, DeviceReport, Measurement
from edgekit.types.finding import Finding
from edgekit.types.progress import Progress, Silent
from edgekit.version import __version__


@dataclass(frozen=True)
class DevicePart:
    """What one device contributes to the report."""

    visit: Visit
    device: DeviceReport
    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]


def bench(
    artifacts: Sequence[Path],
    on: Sequence[str],
    *,
    settings: BenchSettings | None = None,
    inputs: Path | None = None,
    runtime: Path | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> BenchReport:
    """Measure artifacts on devices.

    Devices that cannot be reached, and those that are lost on the way, are in the report with their error and with
    what they had measured; only when no device measured anything the first error is raised.

    Args:
        artifacts: .onnx and .tflite files, or folders of them.
        on: Device URIs, for example "local:" or "ssh://pi@raspberrypi".
        settings: How the benchmark is taken.
        inputs: An .npz of golden inputs by input name, first axis samples, in the model's axis order; "labels" holds
            class numbers. None draws random inputs, the same on every device.
        runtime: Portable runtime for devices that have no Python of their own (`ssh:` and `adb:`).
        command: Command line that repeats it.
        progress: Who watches.

    Raises:
        InputError: An artifact, a URI or the inputs cannot be used.
        DeviceError: No device could be benchmarked; the message is that of the first.
    """
    settings = settings or BenchSettings()
    files = collect(artifacts)
    refuse_collisions(files)
    uris = named_devices(on)
    if inputs is not None and not inputs.is_file():
        raise InputError(f"there is no file {inputs}")
    started = datetime.now(UTC).isoformat(timespec="seconds")
    stop = threading.Event()

    def take(uri: DeviceUri) -> DevicePart:
        return _take(uri, files, settings, inputs=inputs, runtime=runtime, stop=stop, progress=progress or Silent())

    parts = in_lanes(uris, take, stop)
    if all(part.device.error and not part.visit.golden for part in parts):
        error = parts[0].visit.error
        assert error is not None
        say_left(error, parts[0].device.left_behind)
        raise error
    golden = [outputs for part in parts for outputs in part.visit.golden]
    return BenchReport(
        version=__version__,
        command=_without_places(command, on, uris),
        started=started,
        settings=settings,
        artifacts=tuple(with_measured_quality(file.artifact, golden) for file in files),
        devices=tuple(part.device for part in parts),
        measurements=tuple(measurement for part in parts for measurement in part.measurements),
        outputs=compare_outputs(golden),
        findings=tuple(finding for part in parts for finding in part.findings),
    )


def _take(
    uri: DeviceUri,
    files: Sequence[BenchFile],
    settings: BenchSettings,
    *,
    inputs: Path | None,
    runtime: Path | None,
    stop: threading.Event,
    progress: Progress,
) -> DevicePart:
    """Everything on one device."""
    name = uri.display
    try:
        device = open_device(uri, runtime=runtime if uri.kind in ("ssh", "adb") else None)
    except DeviceError as error:
        visit = Visit(name, None, [], error=error)
        return DevicePart(visit, device_report(visit, name, ()), (), ())
    left: tuple[str, ...] = ()
    try:
        visitor = Visitor(device, settings, inputs=inputs, stop=stop, name=name)
        with progress.stage(f"bench {name}", visitor.count_jobs(files)) as stage:
            visit = visitor.visit(files, stage.advance)
    finally:
        left = device.close()
    measurements = tuple(measurement_of(take, visit, settings, device.emulated) for take in visit.takes)
    findings = tuple(findings_about(visit, settings, device.emulated, left))
    return DevicePart(visit, device_report(visit, name, left), measurements, findings)


def _without_places(command: str, on: Sequence[str], uris: Sequence[DeviceUri]) -> str:
    """The command line without the options of URIs that a report does not repeat: where the user's keys lie."""
    for text, uri in zip(on, uris, strict=True):
        command = command.replace(text, uri.display)
    return command
