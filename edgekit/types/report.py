"""What the check found, and the Report that carries it: the nouns behind report.json, report.md and the terminal.

Every number names its unit, and null (None) always means "not measured", with the reason beside it. Nothing but
`Latency`, `Machine` and the `seconds` fields depends on where and when a run took place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgekit.types.artifact import FLOAT, Artifact
from edgekit.types.finding import Finding, Severity
from edgekit.types.graph import QuantizedGraph
from edgekit.types.interval import Interval
from edgekit.types.ladder import Judgement, LadderReport
from edgekit.types.plain import to_plain
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.spec import TensorSpec
from edgekit.types.target import HostChoice
from edgekit.types.training_summary import TrainingSummary

SCHEMA = "edgekit.report/1"
TOP1 = "top-1"
"""Name of the metric that needs no function."""


@dataclass(frozen=True)
class Machine:
    """Where the measurements were taken.

    Attributes:
        cpu: Model name, as the operating system gives it.
        isa: Instruction-set extensions that decide int8 kernels, for example ("avx2", "avx_vnni").
        cores: Logical cores this process may use.
        system: Operating system and processor architecture, for example "Linux x86_64".
        runtimes: package -> version, for example {"onnxruntime": "1.32.0"}.
    """

    cpu: str
    isa: tuple[str, ...]
    cores: int
    system: str
    runtimes: Mapping[str, str]

    @property
    def has_int8_dot(self) -> bool:
        """Whether one instruction multiplies and adds four bytes in 32 bits (VNNI on x86, dot product on ARM)."""
        return any("vnni" in flag or flag in ("asimddp", "i8mm") for flag in self.isa)

    @property
    def saturates_pairs(self) -> bool:
        """Whether int8 products are added pairwise in 16 bits: x86 with AVX2 or AVX-512 but without VNNI."""
        return not self.has_int8_dot and any(flag in ("avx2", "avx512bw") for flag in self.isa)


@dataclass(frozen=True)
class OutputSignal:
    """How one output compares with the float model's.

    Attributes:
        output: Output name.
        sqnr_db: Signal to quantization noise, dB; inf when equal. None for integer outputs.
        equal_share: Share of equal elements of an integer output, 0..1. None for float outputs.
    """

    output: str
    sqnr_db: float | None
    equal_share: float | None


@dataclass(frozen=True)
class Signal:
    """How a file's outputs compare with the float model's, over `samples` samples.

    Attributes:
        samples: How many samples were run.
        sqnr_db: Over all float outputs together, dB. None when there are none.
        outputs: Per output.
        top1_agreement: Share of samples whose largest logit is the float model's, with its Wilson interval.
        top1_reason: Why `top1_agreement` is None.
    """

    samples: int
    sqnr_db: float | None
    outputs: tuple[OutputSignal, ...]
    top1_agreement: Interval | None
    top1_reason: str = ""


@dataclass(frozen=True)
class LsbGap:
    """How far apart two int8 computations of the same values are, in steps of the quantized output.

    Attributes:
        first: What was compared: a format name, or "reference".
        second: The other.
        max_lsb: Largest difference, LSB.
        share_within_one: Share of elements at most 1 LSB apart, 0..1.
        elements: How many elements were compared.
        samples: From how many samples.
        where: First value inside the graph that differs by more than the bound; "" when within it or not sought.
    """

    first: str
    second: str
    max_lsb: int
    share_within_one: float
    elements: int
    samples: int
    where: str = ""


@dataclass(frozen=True)
class Fusion:
    """What a runtime made of the nodes.

    Attributes:
        planned_int8: Nodes of the quantized graph meant to compute on integers.
        planned_float: Float islands of the quantized graph.
        int8: Nodes the runtime computes on integers.
        float: Nodes the runtime computes on floats.
        conversions: Quantize and dequantize nodes the runtime executes.
        operators: Runtime operator -> count.
        left_float: Labels of planned int8 nodes that the runtime computes on floats.
        delegated: Partitions given to XNNPACK; None where the runtime has no delegates or does not tell.
    """

    planned_int8: int
    planned_float: int
    int8: int
    float: int
    conversions: int
    operators: Mapping[str, int]
    left_float: tuple[str, ...] = ()
    delegated: int | None = None


@dataclass(frozen=True)
class Latency:
    """Time of one inference at batch 1, measured in turns with the baseline in one process.

    Attributes:
        median_ms: Median over rounds, this file.
        baseline_ms: Median over rounds, the baseline.
        ratio: Median of the per-round ratios, file / baseline; below 1 is faster.
        baseline: Format of the baseline.
        rounds: How many rounds were measured after warm-up.
        threads: Threads each runtime was given.
    """

    median_ms: float
    baseline_ms: float
    ratio: Interval
    baseline: str
    rounds: int
    threads: int


@dataclass(frozen=True)
class Accuracy:
    """Task metric on labelled samples, paired with the float model on the same samples.

    Attributes:
        samples: How many labelled samples.
        baseline: Mean score of the float model; its accuracy, 0..1, for top-1.
        accuracy: Mean score of this file.
        difference: accuracy - baseline, with its paired interval: Newcombe (1998), method 10, for top-1; bootstrap
            for others.
        lost: Samples on which this file scores lower than the float model.
        won: Samples on which it scores higher.
        metric: "top-1", or the place of the user's function.
    """

    samples: int
    baseline: float
    accuracy: float
    difference: Interval
    lost: int
    won: int
    metric: str = TOP1


@dataclass(frozen=True)
class LayerQuality:
    """How well int8 holds one inner value.

    Attributes:
        label: Torch module path and operator.
        value: Name of the value in the graph.
        sqnr_db: Against the float model, all noise from earlier layers included, dB.
        input_sqnr_db: The noisiest float input of the layer, dB; inf when its inputs carry no noise.
        low: Smallest real value its integers can stand for; None for a float island.
        high: Largest real value its integers can stand for; None for a float island.
        scale: Real value of one step; None for a float island.
        zero_point: The integer of 0.0; None for a float island.
        saturated_share: Share of the float model's values outside [low, high], 0..1.
        channel_spread: Largest over median absolute peak of the channels.
        causes: Plain sentences on why and what would help, most likely first.
        crest_factor: Largest absolute value over the root mean square, of the float model: high where outliers set
            the range.
        output_share: Share of all noise at the outputs that comes from this layer's weights and the rounding of its
            results, 0..1, to first order. None where it was not scanned.
        float_ms: Time that keeping this layer alone in float would add to one inference on the machine of the report,
            ms, from profiles of the float and the int8 file; negative where float is faster. None when not measured.
        float_bytes: Bytes that it would add to a file. None for a float island.
    """

    label: str
    value: str
    sqnr_db: float
    input_sqnr_db: float
    low: float | None
    high: float | None
    scale: float | None
    zero_point: int | None
    saturated_share: float
    channel_spread: float
    causes: tuple[str, ...] = ()
    crest_factor: float = 1.0
    output_share: float | None = None
    float_ms: float | None = None
    float_bytes: int | None = None


@dataclass(frozen=True)
class ArtifactCheck:
    """Everything measured on one file; a None was not measured.

    Attributes:
        artifact: The file.
        size_ratio: Its size over the float file's.
        error: The runtime's message when the file did not load or run; "" otherwise.
        signal: Against the float model.
        reference: Against the NumPy integer reference.
        fusion: What the runtime made of the nodes.
        latency: Against the float file on ONNX Runtime.
        accuracy: On labelled samples.
    """

    artifact: Artifact
    size_ratio: float
    error: str = ""
    signal: Signal | None = None
    reference: LsbGap | None = None
    fusion: Fusion | None = None
    latency: Latency | None = None
    accuracy: Accuracy | None = None


@dataclass(frozen=True)
class CheckReport:
    """What the written files really say, on the real runtimes of this machine.

    Attributes:
        machine: Where it was measured.
        samples: Held-back samples that were run.
        source: Where they came from.
        artifacts: One entry per file, the float file first.
        pairs: Every two int8 files that ran.
        layers: The worst layers by SQNR, worst first.
        findings: What the user should know, with causes.
        seconds: What the check took, wall time.
    """

    machine: Machine
    samples: int
    source: str
    artifacts: tuple[ArtifactCheck, ...]
    pairs: tuple[LsbGap, ...] = ()
    layers: tuple[LayerQuality, ...] = ()
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0

    @property
    def baseline(self) -> ArtifactCheck | None:
        """The float file's entry."""
        return next((entry for entry in self.artifacts if entry.artifact.format == FLOAT), None)


@dataclass(frozen=True)
class ModelSummary:
    """The model in a few numbers.

    Attributes:
        name: What it is called.
        source: The file or factory it was loaded from, as the user gave it.
        digest: sha256 of the source file, hex; "" for a live module.
        inputs: Its run-time inputs.
        outputs: Its results.
        parameters: Elements in all constants.
        nodes: Nodes after simplification.
        int8_nodes: Nodes planned on integers.
        islands: (label, reason) of every node kept in float.
    """

    name: str
    source: str
    digest: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: int
    nodes: int
    int8_nodes: int
    islands: tuple[tuple[str, str], ...] = ()


def summarize(quantized: QuantizedGraph, source: str, *, digest: str = "") -> ModelSummary:
    """Sum a quantized graph up.

    Args:
        quantized: The graph all files were made from.
        source: The file or factory it was loaded from.
        digest: sha256 of the source file, hex.
    """
    graph = quantized.graph
    return ModelSummary(
        name=graph.name,
        source=source,
        digest=digest,
        inputs=tuple(graph.spec(name) for name in graph.inputs),
        outputs=tuple(graph.spec(name) for name in graph.outputs),
        parameters=sum(int(array.size) for array in graph.constants.values()),
        nodes=len(graph.nodes),
        int8_nodes=sum(quantized.is_int8(node) for node in graph.nodes),
        islands=tuple(
            (node.label, quantized.islands[node.name]) for node in graph.nodes if node.name in quantized.islands
        ),
    )


@dataclass(frozen=True)
class CalibrationSummary:
    """What the scales were chosen on.

    Attributes:
        source: Folder, file or function, as the user gave it.
        samples: How many were used for the scales.
        held_back: How many were kept for the check.
        lint: What is odd about the set.
        digest: sha256 over all samples as the model is fed them, those held back too, hex; it does not depend on where
            they lie. "" where no data was given.
    """

    source: str
    samples: int
    held_back: int
    lint: tuple[Finding, ...] = ()
    digest: str = ""


@dataclass(frozen=True)
class Report:
    """One compression, told whole.

    Attributes:
        version: Version of edgekit.
        command: Command line that repeats the run; "" when called from Python.
        model: The model.
        calibration: The calibration set.
        recipe: The settings used, as in recipe.toml.
        check: What the files say.
        findings: What the stages before the check noticed.
        preprocessing: How an image becomes the input, when the calibration set was images.
        seconds: stage -> wall time.
        ladder: How the quantized graph was arrived at; None where there was nothing to choose.
        judgements: Every limit of the budget held against every file it concerns.
        host: How the file for this machine's CPU was found; None when it was not asked for.
        training: What was trained before; None when nothing was.
    """

    version: str
    command: str
    model: ModelSummary
    calibration: CalibrationSummary
    recipe: Mapping[str, Any]
    check: CheckReport
    findings: tuple[Finding, ...] = ()
    preprocessing: Preprocessing | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    ladder: LadderReport | None = None
    judgements: tuple[Judgement, ...] = ()
    host: HostChoice | None = None
    training: TrainingSummary | None = None

    @property
    def missed(self) -> tuple[Judgement, ...]:
        """Limits of the budget that a file does not keep."""
        return tuple(judgement for judgement in self.judgements if not judgement.met)

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Of every stage, most severe first, otherwise in the order they were made."""
        rank = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
        found = (*self.findings, *self.calibration.lint, *self.check.findings)
        return tuple(sorted(found, key=lambda finding: rank[finding.severity]))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data under the schema `edgekit.report/1`.

        Fields keep their names; files are given by name, not by path; numbers that JSON lacks become the strings
        "inf", "-inf" and "nan".
        """
        return {"schema": SCHEMA, **to_plain(self)}
