"""What was measured on the files of one check, and the report made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekit.check.addresses import locate, locate_kernel
from edgekit.check.case import Case, count_float_bytes, list_islands
from edgekit.check.evidence import Evidence
from edgekit.check.findings import judge
from edgekit.check.held_back import Outcome
from edgekit.check.machine import describe_machine
from edgekit.check.subject import as_loaded
from edgekit.types.artifact import FLOAT, Artifact, Format
from edgekit.types.finding import Finding
from edgekit.types.report import Accuracy, ArtifactCheck, CheckReport, Fusion, Latency, LayerQuality


@dataclass(frozen=True)
class Measured:
    """What was measured; what was not is empty.

    Attributes:
        case: The files.
        outcome: How their outputs compare.
        addresses: format -> the node at fault, for files further off than rounding.
        fusions: What the runtimes made of the nodes.
        latencies: Against the float file.
        accuracies: On labelled samples.
        layers: The worst layers.
        notes: Findings of the measuring itself: what could not be measured, and why.
    """

    case: Case
    outcome: Outcome
    addresses: Mapping[str, str] = field(default_factory=dict)
    fusions: Mapping[Format, Fusion] = field(default_factory=dict)
    latencies: Mapping[str, Latency] = field(default_factory=dict)
    accuracies: Mapping[Format, Accuracy] = field(default_factory=dict)
    layers: tuple[LayerQuality, ...] = ()
    notes: tuple[Finding, ...] = ()


def build_report(measured: Measured, *, source: str, seconds: float) -> CheckReport:
    """Judge what was measured.

    Args:
        measured: It.
        source: Where the held-back samples came from.
        seconds: What measuring took, wall time.
    """
    case, outcome = measured.case, measured.outcome
    machine = describe_machine()
    entries = tuple(_entry(artifact, measured) for artifact in case.artifacts)
    pairs = tuple(locate(gap, measured.addresses) for gap in outcome.pairs)
    evidence = Evidence(
        machine=machine,
        samples=outcome.samples,
        entries=entries,
        pairs=pairs,
        layers=measured.layers,
        islands=list_islands(case.quantized),
        float_bytes=count_float_bytes(case.quantized),
        kernels={name: locate_kernel(kernel, measured.addresses) for name, kernel in outcome.kernels.items()},
    )
    return CheckReport(
        machine=machine,
        samples=outcome.samples,
        source=source,
        artifacts=entries,
        pairs=pairs,
        layers=measured.layers,
        findings=(*judge(evidence), *measured.notes),
        seconds=seconds,
    )


def _entry(artifact: Artifact, measured: Measured) -> ArtifactCheck:
    name, case, outcome = artifact.format, measured.case, measured.outcome
    float_bytes = case.exact.artifact.size_bytes
    subject = case.exact if name == FLOAT else case.subjects.get(name)
    reference = outcome.references.get(name)
    return ArtifactCheck(
        artifact=artifact if subject is None else as_loaded(subject),
        size_ratio=artifact.size_bytes / float_bytes if float_bytes else 1.0,
        error=case.errors.get(name, "") or outcome.errors.get(name, ""),
        signal=outcome.signals.get(name),
        reference=None if reference is None else locate(reference, measured.addresses),
        fusion=measured.fusions.get(name),
        latency=measured.latencies.get(name),
        accuracy=measured.accuracies.get(name),
    )
