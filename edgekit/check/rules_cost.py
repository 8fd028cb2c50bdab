"""Rules on what the files cost: time, size, and nodes that stay in float."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.check.evidence import Evidence
from edgekit.check.wording import SHOWN, count, enumerate_some, join_names
from edgekit.types.artifact import INT4
from edgekit.types.finding import Finding, Severity
from edgekit.types.report import ArtifactCheck, Machine
from edgekit.units import duration, share, size

SMALLER = 0.9
"""An int8 file beyond this share of the float file has not shrunk."""
SMALL_MS = 0.2
"""A float model faster than this spends its int8 time at the border."""


def find_slowness(evidence: Evidence) -> Iterator[Finding]:
    """int8 no faster than float on this machine, and why."""
    for entry in evidence.int8:
        latency = entry.latency
        if latency is None or latency.ratio.high < 1 or (entry.artifact.format in INT4 and latency.ratio.low <= 1):
            continue  # weights alone make a file small, not fast
        name, ratio = entry.artifact.path.name, latency.ratio
        times = (
            f"{duration(latency.median_ms / 1e3)} against {duration(latency.baseline_ms / 1e3)} in float, "
            f"{ratio.estimate:.2f} times (95 % interval {ratio.low:.2f} to {ratio.high:.2f})"
        )
        causes = list(explain_slowness(entry, evidence.machine))
        because = f": {'; '.join(causes)}" if causes else ""
        if ratio.low > 1:
            severity, hint = _weigh_slowness(entry, evidence)
            message = f"{name} takes {times} on this machine{because}"
            yield Finding("int8-slower-than-float", message, severity, where=name, hint=hint)
        else:
            message = f"{name} is no faster than float on this machine: {times}{because}"
            yield Finding("int8-not-faster", message, Severity.NOTE, where=name)


def _weigh_slowness(entry: ArtifactCheck, evidence: Evidence) -> tuple[Severity, str]:
    """A file that is not meant for this machine may be slow on it."""
    formats = {other.artifact.format: other.artifact.path.name for other in evidence.int8 if not other.error}
    if entry.artifact.format in INT4:
        return Severity.NOTE, "int4 weights save bytes; the int8 files save time"
    if entry.artifact.format == "onnx-qop":
        return Severity.NOTE, "keep it for audits; load one of the other files"
    if entry.artifact.format == "onnx-int8" and _is_x86(evidence.machine) and "onnx-x86" in formats:
        return Severity.NOTE, f"on x86 load {formats['onnx-x86']}; this one is for ARM and for further conversion"
    return Severity.WARNING, "measure on the device that will run it; float may serve better on machines like this one"


def explain_slowness(entry: ArtifactCheck, machine: Machine) -> Iterator[str]:
    """Likely causes of an int8 file that gains nothing, most telling first."""
    fusion = entry.fusion
    if entry.artifact.format in INT4:
        yield "its weights are unpacked to floats, and those of convolutions keep XNNPACK away"
        return
    if fusion is not None and fusion.left_float:
        shown = ", ".join(fusion.left_float[:SHOWN])
        yield f"{len(fusion.left_float)} of {fusion.planned_int8} planned int8 nodes run in float ({shown})"
    elif fusion is not None and fusion.float > fusion.int8:
        yield f"{fusion.float} of its {fusion.int8 + fusion.float} nodes compute in float"
    if fusion is not None and fusion.conversions > max(4, fusion.int8 // 4):
        yield f"{fusion.conversions} conversions between float and int8 are left"
    if fusion is not None and entry.artifact.is_tflite and fusion.delegated == 0:
        yield "XNNPACK takes none of its operators"
    if entry.artifact.format == "onnx-qop" and _is_x86(machine):
        yield "QOperator files with int8 activations have no fast kernels on x86"
    if entry.latency is not None and entry.latency.baseline_ms < SMALL_MS:
        yield "the model is so small that converting its inputs and outputs outweighs the arithmetic"
    if not machine.has_int8_dot:
        missing = "VNNI" if _is_x86(machine) else "dot-product instructions"
        yield f"this CPU ({machine.cpu}) has no {missing}, without which int8 arithmetic gains less over float"


def _is_x86(machine: Machine) -> bool:
    return machine.system.endswith(("x86_64", "AMD64"))


def find_large_files(evidence: Evidence) -> Iterator[Finding]:
    """Files that int8 did not shrink, and why."""
    large = [entry for entry in evidence.int8 if entry.size_ratio > SMALLER]
    if not large:
        return
    names = [entry.artifact.path.name for entry in large]
    sizes = [
        f"{entry.artifact.path.name} ({size(entry.artifact.size_bytes)}, {share(entry.size_ratio)} of the float file)"
        for entry in large
    ]
    if evidence.float_bytes > max(entry.artifact.size_bytes for entry in large) / 2:
        cause = f"{size(evidence.float_bytes)} of the constants stay float"
    else:
        cause = "there are few weights, and scales, zero points and names outweigh them"
    yield Finding(
        "file-not-smaller",
        f"{join_names(sizes)} {'is' if len(large) == 1 else 'are'} not smaller for being quantized: {cause}",
        where=names[0] if len(names) == 1 else "",
    )


def find_float_nodes(evidence: Evidence) -> Iterator[Finding]:
    """Nodes in float: planned islands with their reasons, and planned int8 that the runtime undid."""
    by_reason: dict[str, list[str]] = {}
    for label, reason in evidence.islands:
        by_reason.setdefault(reason, []).append(label)
    for reason, labels in by_reason.items():
        yield Finding(
            "op-left-float",
            f"{count(len(labels), 'node')} computed in float in every file: {enumerate_some(labels)}. Reason: {reason}",
            Severity.NOTE,
            where=labels[0] if len(labels) == 1 else "",
        )
    for entry in evidence.int8:
        if entry.fusion is not None and entry.fusion.left_float:
            names = entry.fusion.left_float
            yield Finding(
                "planned-int8-ran-float",
                f"the runtime computes {count(len(names), 'node')} of {entry.artifact.path.name} in float that were "
                f"planned in int8: {enumerate_some(list(names))}",
                Severity.NOTE,
                where=entry.artifact.path.name,
                hint="results are right; speed may suffer",
            )
