"""Targets: what each kind of hardware wants of an int8 file, as data, and what was found out about them.

One quantized graph can be written in many ways that mean the same, and a processor runs one of them fast and another
not at all. What is known of each target stands here in one table with its sources; choosing, writing and forecasting
read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from edgekit.types.artifact import FORMATS, Format

if TYPE_CHECKING:
    from edgekit.types.interval import Interval
    from edgekit.types.plan import WeightScheme
    from edgekit.types.report import Machine

HOST = "host"
"""The target that stands for the CPU at hand: its file is found by running candidates."""
SESSION_KEY = "edgekit.session"
"""Metadata key of the ONNX Runtime session options that a file wants, a JSON object of strings."""
SESSION_OPTIONS: Mapping[str, tuple[str, ...]] = {"session.x64quantprecision": ("0", "1")}
"""Session options a file may ask for, and their values; a file from elsewhere cannot set any other."""


@dataclass(frozen=True)
class Fact:
    """Something a target's runtime does.

    Attributes:
        text: One sentence.
        source: Specification, documentation page or kernel file it is taken from.
    """

    text: str
    source: str


@dataclass(frozen=True)
class Target:
    """What one kind of hardware wants.

    Attributes:
        name: What `--for` calls it.
        what: What it is, in a few words.
        formats: Files that are written for it; the first is the one to ship.
        activations: Integer type of activations in that file.
        scheme: How much of int8 its weights may use.
        symmetric: Whether activations need zero point 0, which is a calibration of its own.
        float_bias: Whether biases stay float instead of int32.
        fixed_batch: Whether the batch is written as 1 instead of free.
        processor: Prefix of the processor names that run it, for example "x86"; "" when it is no CPU.
        facts: What its runtime does, with sources.
    """

    name: str
    what: str
    formats: tuple[Format, ...]
    activations: Literal["int8", "uint8"]
    scheme: WeightScheme
    symmetric: bool = False
    float_bias: bool = False
    fixed_batch: bool = False
    processor: str = ""
    facts: tuple[Fact, ...] = ()

    @property
    def is_general(self) -> bool:
        """Whether the files of every run serve it, so that none is written for it alone."""
        return all(name in FORMATS for name in self.formats)

    def runs_on(self, machine: Machine) -> bool:
        """Whether a machine can say how fast and how exactly this target's files run: its CPU is such a one."""
        if self.name == HOST:
            return True
        if not self.processor:
            return self.name == "xnnpack"
        if processor_of(machine) != self.processor:
            return False
        return machine.has_int8_dot or self.name != "x86-vnni"


def processor_of(machine: Machine) -> str:
    """The family of its CPU: "x86", "arm" or "" for any other."""
    architecture = machine.system.rpartition(" ")[2].lower()
    if architecture in ("x86_64", "amd64", "i386", "i686"):
        return "x86"
    return "arm" if architecture.startswith(("arm", "aarch64")) else ""


_S8_TO_U8 = Fact(
    "int8 activations become uint8 only where a value has a single reader; the other layers run in float",
    "ONNX Runtime, qdq_s8_to_u8.cc",
)
_CLIP = Fact(
    "a Relu or Clip is free where the quantizer saturates at the same ends, and blocks the fusion elsewhere",
    "ONNX Runtime, qdq_selectors.cc and qdq_util.cc (IsClipMadeRedundantByQ)",
)

_ROWS = (
    Target(
        "x86-avx2",
        "x86 CPUs with AVX2 or AVX-512 but without VNNI, ONNX Runtime",
        ("onnx-x86",),
        "uint8",
        "pair-safe",
        processor="x86",
        facts=(
            Fact(
                "two products of u8 and s8 are added in 16 bits, which saturates unless the weights are pair-safe",
                "ONNX Runtime, MLAS QgemmU8S8KernelAvx2.asm (vpmaddubsw); docs, quantization.md",
            ),
            _S8_TO_U8,
            _CLIP,
        ),
    ),
    Target(
        "x86-vnni",
        "x86 CPUs with VNNI or AMX, ONNX Runtime",
        ("onnx-vnni",),
        "uint8",
        "full",
        processor="x86",
        facts=(
            Fact(
                "four products of u8 and s8 are added in 32 bits: nothing saturates, weights may use all of int8",
                "Intel SDM, VPDPBUSD; ONNX Runtime docs, quantization.md",
            ),
            _S8_TO_U8,
            _CLIP,
        ),
    ),
    Target(
        "arm",
        "64-bit ARM CPUs, ONNX Runtime",
        ("onnx-arm",),
        "int8",
        "full",
        processor="arm",
        facts=(
            Fact(
                "signed bytes are multiplied by signed bytes and added in 32 bits (SDOT, or widened before it)",
                "ONNX Runtime pull requests 9902 and 9961; MLAS qgemm_kernel_sdot.cpp",
            ),
            Fact(
                "int8 activations with int8 weights are fused as they stand",
                "ONNX Runtime, qdq_selectors.cc (int8_allowed on ARM)",
            ),
            _CLIP,
        ),
    ),
    Target(
        "xnnpack",
        "XNNPACK, through LiteRT or ONNX Runtime's XNNPACK execution provider",
        ("tflite-int8", "onnx-int8"),
        "int8",
        "pair-safe",
        facts=(
            Fact(
                "a 2-D Conv takes int8 activations with int8 per-channel weights of zero point 0; uint8 activations "
                "only with uint8 per-tensor weights",
                "ONNX Runtime, xnnpack/nn/conv_base.cc",
            ),
            Fact(
                "signed 8-bit operators, channel-wise weights included, are delegated",
                "TensorFlow Lite, delegates/xnnpack/README.md",
            ),
        ),
    ),
    Target(
        "tensorrt",
        "NVIDIA GPUs and Jetson, TensorRT with explicit quantization",
        ("onnx-tensorrt",),
        "int8",
        "full",
        symmetric=True,
        float_bias=True,
        facts=(
            Fact("int8, zero point 0 only, activations per tensor, weights per channel", "TensorRT developer guide"),
            Fact(
                "quantize the inputs of weighted layers and the residual input of an Add; none between Conv and its "
                "activation, none behind the last layer",
                "TensorRT developer guide, Q/DQ placement recommendations",
            ),
            Fact(
                "a bias stays float: an int32 DequantizeLinear on it is refused",
                "ONNX Runtime docs, TensorRT execution provider (QuantizeBias=False)",
            ),
        ),
    ),
    Target(
        "qnn",
        "Qualcomm NPUs (Hexagon HTP), ONNX Runtime's QNN execution provider",
        ("onnx-qnn",),
        "uint8",
        "full",
        fixed_batch=True,
        facts=(
            Fact("every shape must be static", "ONNX Runtime docs, QNN execution provider"),
            Fact(
                "QDQ files with uint8 (or uint16) activations; weights may be int8, symmetric, per channel",
                "ONNX Runtime docs, QNN execution provider; quantization/execution_providers/qnn/quant_config.py",
            ),
        ),
    ),
    Target(
        HOST,
        "the CPU of this machine, found by running candidates",
        ("onnx-host",),
        "uint8",
        "pair-safe",
    ),
)

TARGETS: Mapping[str, Target] = {row.name: row for row in _ROWS}
"""target name -> its row."""


@dataclass(frozen=True)
class HostCandidate:
    """One way to write the file for the CPU at hand.

    Attributes:
        name: For example "u8s8-pair-safe".
        activations: Integer type of activations.
        weights: Integer type of the weights of linear layers; "uint8" has zero point 128.
        scheme: How much of the 8 bits the weights use.
        session: ONNX Runtime session options it is run with.
    """

    name: str
    activations: Literal["int8", "uint8"]
    weights: Literal["int8", "uint8"]
    scheme: WeightScheme
    session: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HostTrial:
    """What running a candidate gave.

    Attributes:
        candidate: It.
        sqnr_db: Against the float model over all float outputs, dB; None without one.
        agreement: Share of samples whose top-1 is the float model's, 0..1; None without logits.
        latency_ratio: Time over the float file's, in turns within one process; None when it did not run.
        accurate: Whether it is as accurate as the best, to within the tolerance.
        error: The runtime's message when it did not run; "" otherwise.
    """

    candidate: HostCandidate
    sqnr_db: float | None = None
    agreement: float | None = None
    latency_ratio: Interval | None = None
    accurate: bool = False
    error: str = ""


@dataclass(frozen=True)
class HostChoice:
    """How the file for this machine's CPU was chosen.

    Attributes:
        chosen: Name of the candidate.
        why: One sentence.
        trials: Every candidate, in the order it was tried.
        samples: Samples each was run on.
        tolerance_db: How far below the best SQNR still counts as accurate, dB.
    """

    chosen: str
    why: str
    trials: tuple[HostTrial, ...]
    samples: int
    tolerance_db: float

    @property
    def candidate(self) -> HostCandidate:
        """The chosen one."""
        return next(trial.candidate for trial in self.trials if trial.candidate.name == self.chosen)
