"""What a benchmark found: the nouns behind bench's report.json, its page, its Markdown and its gate.

Two kinds of numbers never meet: `wall_ns` is time on a real device, `instructions` is a count on an emulated or real
one. A None was not measured, and the reason stands beside it. Everything is in the unit that its name ends with; a
cost without one is in the unit of its `kind`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edgekit.types.finding import Finding
from edgekit.types.interval import Interval

SCHEMA = "edgekit.bench/1"


class Kind(StrEnum):
    """What a cost counts."""

    WALL_NS = "wall_ns"
    INSTRUCTIONS = "instructions"


@dataclass(frozen=True)
class BenchSettings:
    """How a benchmark is taken; the same on every device.

    Attributes:
        processes: Fresh processes per measurement; fewer than 5 make a measurement invalid.
        duration_s: Steady state that each process measures, seconds.
        max_runs: Inferences that a process measures at most.
        min_runs: Inferences that a process measures at least, however long they take.
        warmup_s: Longest warm-up; a process that is not stable by then says so.
        threads: Thread counts, each a measurement of its own.
        batch: Samples per inference.
        providers: ONNX Runtime execution providers, each a measurement of its own where the device has it.
        sustained_s: Length of the one long run of the sustained mode, seconds; 0 takes none.
        profile: Whether costs per operator are taken.
        count: Whether instructions are counted instead of time, where the device can.
        seed: Of the random golden inputs and of the bootstrap.
    """

    processes: int = 5
    duration_s: float = 2.0
    max_runs: int = 10_000
    min_runs: int = 20
    warmup_s: float = 10.0
    threads: tuple[int, ...] = (1,)
    batch: int = 1
    providers: tuple[str, ...] = ("cpu",)
    sustained_s: float = 0.0
    profile: bool = False
    count: bool = False
    seed: int = 0


@dataclass(frozen=True)
class BenchArtifact:
    """One file that was measured.

    Attributes:
        name: What the report calls it; unique in the report.
        file: File name.
        digest: sha256, hex, as `edgekit.digest.of_files` writes it.
        size_bytes: Its size, external data included.
        runtime: "onnxruntime" or "litert".
        quality: Task metric of this file, 0..1 for top-1; None when nobody measured it.
        quality_name: What `quality` is ("top-1"), or what stands in for it ("agreement with float").
        quality_source: "report.json" beside the file, or "measured on the device".
    """

    name: str
    file: str
    digest: str
    size_bytes: int
    runtime: str
    quality: float | None = None
    quality_name: str = ""
    quality_source: str = ""


@dataclass(frozen=True)
class Environment:
    """State of a device at one moment; "" and None where the device does not tell.

    Attributes:
        cpu: Model name, or board.
        isa: Extensions that decide int8 kernels.
        architecture: "x86_64", "aarch64".
        system: Kernel name and release, or Android release.
        cores: Logical cores the process may use.
        affinity: Their numbers.
        governor: cpufreq governors, joined when cores differ.
        frequency_mhz: Core -> current frequency.
        load: One-minute load average.
        memory_bytes: RAM.
        temperatures_c: Sensor -> degrees Celsius.
        throttling: What limits the clock now or did since boot, in words; empty when nothing does.
        power_w: Rail -> watts.
        power_mode: nvpmodel's, where there is one.
        battery_percent: Of a phone.
        emulated: Why it is taken for an emulator; "" for real hardware.
        runtimes: package -> version, Python's own under "python".
    """

    cpu: str = ""
    isa: tuple[str, ...] = ()
    architecture: str = ""
    system: str = ""
    cores: int = 0
    affinity: tuple[int, ...] = ()
    governor: str = ""
    frequency_mhz: Mapping[str, float] = field(default_factory=dict)
    load: float | None = None
    memory_bytes: int | None = None
    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    throttling: tuple[str, ...] = ()
    power_w: Mapping[str, float] = field(default_factory=dict)
    power_mode: str = ""
    battery_percent: float | None = None
    emulated: str = ""
    runtimes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceReport:
    """One device of the benchmark.

    Attributes:
        uri: As asked for, without secrets.
        name: What the report calls it; unique in the report.
        before: State before the first measurement; None when it could not be reached.
        after: State after the last.
        error: Why its measurements are missing or partial; "" when all were taken.
        hint: What to do about `error`.
        left_behind: What could not be removed from it.
    """

    uri: str
    name: str
    before: Environment | None = None
    after: Environment | None = None
    error: str = ""
    hint: str = ""
    left_behind: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProcessRun:
    """One fresh process on the device.

    Attributes:
        samples: Cost of every measured inference, raw, in order, in the unit of the measurement's kind.
        import_ns: Wall time of importing the runtime.
        load_ns: Wall time of loading the file.
        first_ns: Wall time of the first inference.
        warmup_runs: Inferences before the measured ones.
        stable: Whether they had settled.
        peak_rss_bytes: Largest resident memory of the process.
        seconds: Wall time of the steady state.
        energy_j: Energy of the steady state, joule; None without a readable rail.
    """

    samples: tuple[int, ...]
    import_ns: int
    load_ns: int
    first_ns: int
    warmup_runs: int
    stable: bool
    peak_rss_bytes: int
    seconds: float
    energy_j: float | None = None


@dataclass(frozen=True)
class Summary:
    """The processes of one measurement in a few numbers; costs in the unit of its kind.

    Attributes:
        median: Median cost with its interval: bootstrap over processes, then over samples within them.
        minimum: Smallest cost.
        p90: 90th percentile; None below 64 samples.
        p99: 99th percentile; None below 662 samples.
        samples: How many.
        processes: From how many processes.
        spread: Largest over smallest median of a process, less 1.
        import_ms: Median over processes.
        load_ms: Median over processes.
        first_ms: Median over processes.
        peak_rss_bytes: Largest over processes.
        energy_mj: Energy per inference, millijoule.
    """

    median: Interval
    minimum: float
    p90: float | None
    p99: float | None
    samples: int
    processes: int
    spread: float
    import_ms: float
    load_ms: float
    first_ms: float
    peak_rss_bytes: int
    energy_mj: float | None = None


@dataclass(frozen=True)
class OperatorCost:
    """One operator of the file as the runtime executed it.

    Attributes:
        name: The runtime's node.
        operator: Its type, for example "QLinearConv".
        module: Torch module path it came from; "" when the file does not tell.
        mean_us: Mean over the middle half of the inferences, microseconds, with the profiler's own cost.
        share: Of the sum over all operators, 0..1.
    """

    name: str
    operator: str
    module: str
    mean_us: float
    share: float


@dataclass(frozen=True)
class SustainedPoint:
    """One interval of the sustained mode.

    Attributes:
        at_s: End of the interval, seconds from the start of the run.
        median_ns: Median wall time of the inferences in it.
        runs: How many.
        temperature_c: Hottest sensor; None without one.
        frequency_mhz: Fastest core; None where not told.
        power_w: Sum of the rails; None without one.
    """

    at_s: float
    median_ns: float
    runs: int
    temperature_c: float | None = None
    frequency_mhz: float | None = None
    power_w: float | None = None


@dataclass(frozen=True)
class Measurement:
    """One artifact on one device in one configuration.

    Attributes:
        artifact: Name of the artifact.
        device: Name of the device.
        kind: What its costs count.
        provider: "cpu", "xnnpack", "cuda" or "tensorrt".
        threads: Threads of the runtime.
        batch: Samples per inference.
        processes: What each process measured, raw.
        summary: None when there is nothing to sum up.
        invalid: Why it must not be used; empty when it may.
        operators: Costs per operator, dearest first; empty when not asked for.
        sustained: The sustained mode; empty when not asked for.
        complete: False when the device was lost before all processes had run.
    """

    artifact: str
    device: str
    kind: Kind
    provider: str
    threads: int
    batch: int
    processes: tuple[ProcessRun, ...] = ()
    summary: Summary | None = None
    invalid: tuple[str, ...] = ()
    operators: tuple[OperatorCost, ...] = ()
    sustained: tuple[SustainedPoint, ...] = ()
    complete: bool = True

    @property
    def valid(self) -> bool:
        """Whether its summary may be quoted."""
        return self.summary is not None and not self.invalid

    @property
    def configuration(self) -> str:
        """What sets it apart from others of the same artifact and device, for example "cpu, 2 threads"."""
        return configuration_of(self.provider, self.threads, self.batch)


def configuration_of(provider: str, threads: int, batch: int = 1) -> str:
    """A configuration in words.

    >>> configuration_of("cpu", 2)
    'cpu, 2 threads'
    """
    parts = [provider, f"{threads} thread{'s' if threads > 1 else ''}"]
    return ", ".join(parts + ([f"batch {batch}"] if batch > 1 else []))


@dataclass(frozen=True)
class OutputCheck:
    """What one device computed from the golden inputs, against the reference device.

    Attributes:
        artifact: Name of the artifact.
        device: Name of the device.
        reference: Name of the device it is compared with; its own for the reference itself.
        digest: sha256 over all outputs of all samples, hex.
        equal: Whether every bit is the reference's.
        samples: Golden samples that were run.
        step: Real value of one LSB of the output; None for a float output without a grid, then `lsb` is empty.
        lsb: Difference in LSB -> how many elements; "0" included.
        max_abs: Largest absolute difference, in the output's own unit.
        top1: Share of labelled samples whose largest output is the label; None without labels.
        error: Why there are no outputs; "" when there are.
    """

    artifact: str
    device: str
    reference: str
    digest: str = ""
    equal: bool = False
    samples: int = 0
    step: float | None = None
    lsb: Mapping[str, int] = field(default_factory=dict)
    max_abs: float = 0.0
    top1: float | None = None
    error: str = ""


@dataclass(frozen=True)
class HistoryPoint:
    """One earlier median, for the page.

    Attributes:
        at: When, ISO 8601, UTC.
        revision: What was measured: a commit or a name; "" when nobody said.
        artifact: Name of the artifact.
        device: Name of the device.
        configuration: As `Measurement.configuration`.
        kind: What `value` counts.
        value: Median cost.
        change: Whether a change of level begins here.
    """

    at: str
    revision: str
    artifact: str
    device: str
    configuration: str
    kind: Kind
    value: float
    change: bool = False


@dataclass(frozen=True)
class BenchReport:
    """One benchmark, told whole.

    Attributes:
        version: Version of edgekit.
        command: Command line that repeats it; "" when called from Python.
        started: When, ISO 8601, UTC.
        settings: How it was taken.
        artifacts: What was measured.
        devices: On what.
        measurements: Every artifact on every device in every configuration.
        outputs: What the devices computed.
        findings: What the user should know.
        history: Earlier medians of the same artifacts and devices.
    """

    version: str
    command: str
    started: str
    settings: BenchSettings
    artifacts: tuple[BenchArtifact, ...]
    devices: tuple[DeviceReport, ...]
    measurements: tuple[Measurement, ...] = ()
    outputs: tuple[OutputCheck, ...] = ()
    findings: tuple[Finding, ...] = ()
    history: tuple[HistoryPoint, ...] = ()

    def artifact(self, name: str) -> BenchArtifact:
        """The artifact of that name."""
        return next(found for found in self.artifacts if found.name == name)
