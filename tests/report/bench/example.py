"""A benchmark as a user would have it, for tests and for looking at. Every number here is made up.

Four devices: this machine and a Raspberry Pi 5 by wall time, an emulated Cortex-A76 by instructions, a phone that was
lost. Three files of one small net. One measurement is invalid, one partial; the outputs differ between x86 and ARM;
the Pi gets hot in its long run; the history has one change for the better and one for the worse.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from edgekit.types.bench import (
    BenchArtifact,
    BenchReport,
    BenchSettings,
    DeviceReport,
    Environment,
    HistoryPoint,
    Kind,
    Measurement,
    OperatorCost,
    OutputCheck,
    ProcessRun,
    Summary,
    SustainedPoint,
)
from edgekit.types.finding import Finding, Severity
from edgekit.types.gate import GateJudgement, GateReport, Measure, Verdict
from edgekit.types.interval import Interval

FLOAT, INT8, TFLITE = "resnet8.fp32.onnx", "resnet8.int8.onnx", "resnet8.int8.tflite"
HERE, PI, EMULATED, PHONE = "workstation", "pi5", "cortex-a76", "phone"
PROCESSES, SAMPLES = 5, 200

WALL_MS = {
    (HERE, FLOAT, 1): 1.92,
    (HERE, INT8, 1): 0.634,
    (HERE, TFLITE, 1): 0.861,
    (HERE, FLOAT, 4): 0.712,
    (HERE, INT8, 4): 0.281,
    (HERE, TFLITE, 4): 0.402,
    (PI, FLOAT, 1): 9.84,
    (PI, INT8, 1): 3.47,
    (PI, TFLITE, 1): 3.12,
    (PI, FLOAT, 4): 3.61,
    (PI, INT8, 4): 1.52,
    (PI, TFLITE, 4): 1.36,
    (PHONE, FLOAT, 1): 6.4,
}
"""(device, artifact, threads) -> median."""
INSTRUCTIONS = {FLOAT: 31_204_118, INT8: 8_462_310, TFLITE: 7_905_544}
MODULES = (
    ("stem.conv", "Conv", 0.18),
    ("stack1.conv1", "Conv", 0.2),
    ("stack1.conv2", "Conv", 0.19),
    ("stack2.conv1", "Conv", 0.1),
    ("stack2.conv2", "Conv", 0.14),
    ("stack2.shortcut", "Conv", 0.02),
    ("stack3.conv1", "Conv", 0.05),
    ("stack3.conv2", "Conv", 0.07),
    ("stack3.shortcut", "Conv", 0.01),
    ("stack1", "Add", 0.012),
    ("stack2", "Add", 0.007),
    ("stack3", "Add", 0.004),
    ("pool", "AveragePool", 0.005),
    ("head", "Gemm", 0.006),
    ("", "QuantizeLinear", 0.006),
)
"""Torch module -> operator -> share of the time."""


def digest_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def make_artifacts() -> tuple[BenchArtifact, ...]:
    quality = {"quality_name": "top-1", "quality_source": "report.json"}
    return (
        BenchArtifact(FLOAT, FLOAT, digest_of(FLOAT), 316_412, "onnxruntime", 0.858, **quality),
        BenchArtifact(INT8, INT8, digest_of(INT8), 96_305, "onnxruntime", 0.8551, **quality),
        BenchArtifact(TFLITE, TFLITE, digest_of(TFLITE), 99_872, "litert", 0.8546, **quality),
    )


def make_process(random: np.random.Generator, median: float, *, kind: Kind, spread: float, watt: float) -> ProcessRun:
    """Right-skewed as wall times are; counts hardly move."""
    level = median * (1 + random.normal(0, spread / 3))
    tail = random.gamma(1.2, spread, SAMPLES) + (random.random(SAMPLES) < 0.02) * random.gamma(2, 12 * spread, SAMPLES)
    samples = tuple(int(level * (1 - spread + value)) for value in tail)
    return ProcessRun(
        samples=samples,
        import_ns=int(random.normal(4.1e8, 1e7)),
        load_ns=int(random.normal(1.9e7, 5e5)),
        first_ns=int(samples[0] * 3.2) if kind is Kind.WALL_NS else 48_000_000,
        warmup_runs=60,
        stable=True,
        peak_rss_bytes=int(random.normal(6.4e7, 1.5e6)),
        seconds=2.0,
        energy_j=watt * median / 1e9 * SAMPLES if watt else None,
    )


def sum_up(processes: tuple[ProcessRun, ...]) -> Summary:
    samples = np.concatenate([process.samples for process in processes]).astype(float)
    medians = np.array([np.median(process.samples) for process in processes])
    middle, error = float(np.median(samples)), float(medians.std() / np.sqrt(len(medians)))
    energies = [process.energy_j / SAMPLES * 1e3 for process in processes if process.energy_j is not None]
    return Summary(
        median=Interval(middle, middle - 1.96 * error, middle + 1.96 * error),
        minimum=float(samples.min()),
        p90=float(np.quantile(samples, 0.9)) if samples.size >= 64 else None,
        p99=float(np.quantile(samples, 0.99)) if samples.size >= 662 else None,
        samples=samples.size,
        processes=len(processes),
        spread=float(medians.max() / medians.min() - 1),
        import_ms=float(np.median([process.import_ns for process in processes])) / 1e6,
        load_ms=float(np.median([process.load_ns for process in processes])) / 1e6,
        first_ms=float(np.median([process.first_ns for process in processes])) / 1e6,
        peak_rss_bytes=max(process.peak_rss_bytes for process in processes),
        energy_mj=float(np.median(energies)) if energies else None,
    )


def make_measurement(device: str, artifact: str, threads: int, kind: Kind) -> Measurement:
    random = np.random.default_rng(abs(hash_of(device, artifact, threads)))
    if kind is Kind.WALL_NS:
        median, spread = WALL_MS[device, artifact, threads] * 1e6, 0.02 if device == PI else 0.05
    else:
        median, spread = float(INSTRUCTIONS[artifact]), 0.0002
    count = 2 if device == PHONE else PROCESSES
    watt = 2.1 + 0.9 * threads if device == PI else 0.0
    processes = tuple(make_process(random, median, kind=kind, spread=spread, watt=watt) for _ in range(count))
    return Measurement(
        artifact=artifact,
        device=device,
        kind=kind,
        provider="xnnpack" if artifact == TFLITE else "cpu",
        threads=threads,
        batch=1,
        processes=processes,
        summary=sum_up(processes),
        operators=make_operators(artifact, median / 1e3) if threads == 1 and kind is Kind.WALL_NS else (),
    )


def hash_of(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:6], "big")


def make_operators(artifact: str, total_us: float) -> tuple[OperatorCost, ...]:
    random = np.random.default_rng(hash_of("operators", artifact))
    shares = np.array([share for _, _, share in MODULES]) * random.uniform(0.8, 1.25, len(MODULES))
    shares /= shares.sum()
    costs = [
        OperatorCost(
            name=f"{module or 'input'}/{operator}",
            operator=f"QLinear{operator}" if artifact == INT8 and operator in ("Conv", "Add") else operator,
            module=module,
            mean_us=float(share * total_us),
            share=float(share),
        )
        for (module, operator, _), share in zip(MODULES, shares, strict=True)
    ]
    return tuple(sorted(costs, key=lambda cost: -cost.mean_us))


def make_sustained() -> tuple[SustainedPoint, ...]:
    """Fifteen minutes: warm after five, throttled after nine."""
    points = []
    for index in range(60):
        at = 15.0 * (index + 1)
        temperature = 85 - 36 * np.exp(-at / 210)
        hot = max(0.0, temperature - 82.0)
        frequency = 2400 - 190 * round(hot)
        points.append(
            SustainedPoint(
                at_s=at,
                median_ns=3.12e6 * 2400 / frequency * (1 + 0.004 * np.sin(index)),
                runs=int(15e9 / (3.12e6 * 2400 / frequency)),
                temperature_c=round(float(temperature), 1),
                frequency_mhz=float(frequency),
                power_w=round(6.1 * frequency / 2400, 2),
            )
        )
    return tuple(points)


def make_devices() -> tuple[DeviceReport, ...]:
    runtimes = {"python": "3.11.2", "onnxruntime": "1.32.0", "ai-edge-litert": "2.3.0", "numpy": "2.4.6"}
    here = Environment(
        cpu="AMD EPYC 7B13",
        isa=("avx2", "fma"),
        architecture="x86_64",
        system="Linux 6.1.0",
        cores=4,
        affinity=(0, 1, 2, 3),
        governor="performance",
        frequency_mhz={"cpu0": 3480.0, "cpu1": 3475.0},
        load=0.31,
        memory_bytes=16_778_000_000,
        runtimes=runtimes,
    )
    pi = Environment(
        cpu="Raspberry Pi 5 Model B Rev 1.0",
        isa=("asimddp", "fphp"),
        architecture="aarch64",
        system="Linux 6.6.51+rpt-rpi-2712",
        cores=4,
        affinity=(0, 1, 2, 3),
        governor="ondemand",
        frequency_mhz={"cpu0": 2400.0},
        load=0.08,
        memory_bytes=8_450_000_000,
        temperatures_c={"cpu-thermal": 48.9},
        power_w={"VDD_CORE": 2.9},
        runtimes=runtimes,
    )
    hot = replace(
        pi,
        frequency_mhz={"cpu0": 1830.0},
        load=1.02,
        temperatures_c={"cpu-thermal": 84.6},
        throttling=("soft temperature limit now", "arm frequency was capped since boot"),
        power_w={"VDD_CORE": 4.7},
    )
    emulated = Environment(
        cpu="Cortex-A76",
        isa=("asimddp",),
        architecture="aarch64",
        system="Linux 6.1.0-50-arm64",
        cores=1,
        affinity=(0,),
        memory_bytes=1_500_000_000,
        emulated="QEMU virt machine, instructions counted",
        runtimes=runtimes,
    )
    phone = Environment(
        cpu="SM8450",
        isa=("asimddp", "i8mm"),
        architecture="aarch64",
        system="Android 15",
        cores=8,
        governor="schedutil, walt",
        frequency_mhz={"cpu0": 1785.0, "cpu7": 2995.0},
        temperatures_c={"skin": 33.1, "battery": 30.0},
        battery_percent=81.0,
    )
    return (
        DeviceReport("local:", HERE, here, replace(here, load=0.94)),
        DeviceReport("ssh://pi@pi5.example", PI, pi, hot),
        DeviceReport("qemu-system:cortex-a76", EMULATED, emulated, emulated),
        DeviceReport(
            "adb:EXAMPLE0001",
            PHONE,
            phone,
            None,
            error="the device went away while resnet8.fp32.onnx was measured (2 of 5 processes had finished)",
            hint="plug it in again and repeat; what was measured until then is kept and marked",
            left_behind=("/data/local/tmp/edgekit-4f1c",),
        ),
    )


def make_measurements() -> tuple[Measurement, ...]:
    found = [make_measurement(device, artifact, threads, Kind.WALL_NS) for device, artifact, threads in WALL_MS] + [
        make_measurement(EMULATED, artifact, 1, Kind.INSTRUCTIONS) for artifact in INSTRUCTIONS
    ]
    return tuple(map(disturb, found))


def disturb(measurement: Measurement) -> Measurement:
    """One measurement of the Pi ran throttled, the phone's is partial; one ran for long."""
    where = measurement.device, measurement.artifact, measurement.threads
    if where == (PI, INT8, 4):
        return replace(
            measurement,
            invalid=(
                "the clock was capped during 3 of 5 processes (soft temperature limit, 84.6 °C)",
                "the medians of its processes differ by 31.0 %",
            ),
        )
    if where == (PI, TFLITE, 1):
        return replace(measurement, sustained=make_sustained())
    if measurement.device == PHONE:
        return replace(measurement, invalid=("2 processes finished, 5 are needed",), complete=False, operators=())
    return measurement


def make_outputs() -> tuple[OutputCheck, ...]:
    histogram = {"-2": 3, "-1": 141, "0": 1127, "1": 167, "2": 2}
    same = {"0": 1440}
    return (
        OutputCheck(FLOAT, HERE, HERE, digest_of("a"), True, 144, None, {}, 0.0, 0.861),
        OutputCheck(INT8, HERE, HERE, digest_of("b"), True, 144, 0.0039, same, 0.0, 0.854),
        OutputCheck(TFLITE, HERE, HERE, digest_of("c"), True, 144, 0.0039, same, 0.0, 0.854),
        OutputCheck(FLOAT, PI, HERE, digest_of("d"), False, 144, None, {}, 4.8e-7, 0.861),
        OutputCheck(INT8, PI, HERE, digest_of("e"), False, 144, 0.0039, histogram, 0.0078, 0.861),
        OutputCheck(TFLITE, PI, HERE, digest_of("c"), True, 144, 0.0039, same, 0.0, 0.854),
        OutputCheck(INT8, EMULATED, HERE, digest_of("e"), False, 144, 0.0039, histogram, 0.0078, 0.861),
        OutputCheck(TFLITE, EMULATED, HERE, digest_of("c"), True, 144, 0.0039, same, 0.0, 0.854),
        OutputCheck(INT8, PHONE, HERE, error="the device went away"),
    )


def make_findings() -> tuple[Finding, ...]:
    return (
        Finding(
            "outputs-differ",
            f"{INT8} gives other numbers on pi5 and cortex-a76 than on workstation, by at most 2 LSB: the x86 kernel "
            "adds products in 16 bits and saturates",
            Severity.WARNING,
            INT8,
            "bench the .x86.int8.onnx file there, or compress with pair-safe weights",
        ),
        Finding("int8-tflite-fastest-on-arm", f"{TFLITE} is the fastest on pi5", Severity.NOTE, TFLITE),
    )


def make_history() -> tuple[HistoryPoint, ...]:
    points = []
    for (device, artifact, threads), median in WALL_MS.items():
        if threads == 1 and device != PHONE:
            configuration = "xnnpack, 1 thread" if artifact == TFLITE else "cpu, 1 thread"
            points += make_line(device, artifact, configuration, Kind.WALL_NS, median * 1e6)
    for artifact, count in INSTRUCTIONS.items():
        configuration = "xnnpack, 1 thread" if artifact == TFLITE else "cpu, 1 thread"
        points += make_line(EMULATED, artifact, configuration, Kind.INSTRUCTIONS, float(count))
    return tuple(points)


def make_line(device: str, artifact: str, configuration: str, kind: Kind, last: float) -> list[HistoryPoint]:
    random = np.random.default_rng(hash_of("history", device, artifact))
    noise = 0.0003 if kind is Kind.INSTRUCTIONS else 0.012
    steps = {INT8: (7, 1.31), TFLITE: (11, 0.93)}
    at, factor = steps.get(artifact, (99, 1.0))
    return [
        HistoryPoint(
            at=f"2026-11-{2 + index:02d}T14:05:00Z",
            revision=digest_of(f"revision {index}")[:7],
            artifact=artifact,
            device=device,
            configuration=configuration,
            kind=kind,
            value=last * (factor if index < at else 1.0) * (1 + random.normal(0, noise)),
            change=index == at,
        )
        for index in range(16)
    ]


def make_report() -> BenchReport:
    return BenchReport(
        version="0.1.0",
        command="edgekit bench resnet8.fp32.onnx resnet8.int8.onnx resnet8.int8.tflite --on local: "
        "--on ssh://pi@pi5.example --on qemu-system:cortex-a76 --on adb:EXAMPLE0001 --threads 1,4 --profile",
        started="2026-11-22T14:03:11Z",
        settings=BenchSettings(threads=(1, 4), sustained_s=900.0, profile=True, count=True),
        artifacts=make_artifacts(),
        devices=make_devices(),
        measurements=make_measurements(),
        outputs=make_outputs(),
        findings=make_findings(),
        history=make_history(),
    )


def make_gate(*, fail_on_undecided: bool = False) -> GateReport:
    cpu = "cpu, 1 thread"
    return GateReport(
        base="main",
        head="feature/pair-safe",
        judgements=(
            GateJudgement(
                INT8,
                PI,
                cpu,
                Measure.WALL,
                Verdict.REGRESSED,
                3.47,
                3.72,
                "ms",
                Interval(0.072, 0.066, 0.079),
                0.02,
                "all of the interval is above the limit",
                24,
                41.2,
            ),
            GateJudgement(
                FLOAT,
                PI,
                cpu,
                Measure.WALL,
                Verdict.PASS,
                9.84,
                9.86,
                "ms",
                Interval(0.002, -0.004, 0.008),
                0.02,
                "all of the interval is below the limit",
                16,
                33.0,
            ),
            GateJudgement(
                TFLITE,
                PI,
                "xnnpack, 1 thread",
                Measure.WALL,
                Verdict.UNDECIDED,
                3.12,
                3.17,
                "ms",
                Interval(0.016, -0.003, 0.034),
                0.02,
                "the interval holds the limit after 60 s",
                30,
                60.0,
            ),
            GateJudgement(
                INT8,
                EMULATED,
                cpu,
                Measure.INSTRUCTIONS,
                Verdict.IMPROVED,
                8_462_310.0,
                8_301_204.0,
                "instructions",
                Interval(-0.019038, -0.019038, -0.019038),
                0.005,
                "fewer than before by more than the limit",
                15,
                20.5,
            ),
            GateJudgement(
                INT8,
                "",
                "",
                Measure.SIZE,
                Verdict.PASS,
                96_305.0,
                96_421.0,
                "B",
                Interval(0.0012, 0.0012, 0.0012),
                0.01,
            ),
            GateJudgement(
                INT8,
                "",
                "",
                Measure.ACCURACY,
                Verdict.PASS,
                0.8551,
                0.8546,
                "share",
                Interval(-0.0005, -0.0041, 0.0031),
                0.01,
                "loses less than the limit",
                5000,
            ),
            GateJudgement(
                INT8,
                PHONE,
                cpu,
                Measure.WALL,
                Verdict.SKIPPED,
                None,
                None,
                "ms",
                None,
                0.02,
                "the device went away",
            ),
        ),
        fail_on_undecided=fail_on_undecided,
    )
