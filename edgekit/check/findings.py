"""Rules that turn measurements into findings: what the user should know, with its cause and what to do.

Every rule is a function of the `Evidence` alone, so that it can be read, and tested, without a model. Codes are
stable; messages are for people.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from edgekit.check.evidence import Evidence
from edgekit.types.finding import Finding, Severity
from edgekit.types.report import ArtifactCheck, LayerQuality, LsbGap, Machine
from edgekit.units import duration, share, size

KERNEL_LOSS_DB = 1.0
CLEAN_DB = 60.0
"""Better than any int8 output; a loss above it is no loss."""
LOW_SQNR_DB = 10.0
LOW_LAYER_DB = 10.0
OWN_NOISE_DB = 3.0
LOW_AGREEMENT = 0.9
SMALLER = 0.9
FEW_SAMPLES = 10
_SHOWN = 3


def judge(evidence: Evidence) -> tuple[Finding, ...]:
    """Apply every rule, in the order of `RULES`."""
    return tuple(finding for rule in RULES for finding in rule(evidence))


def _failed(evidence: Evidence) -> Iterator[Finding]:
    for entry in evidence.entries:
        if entry.error:
            name = entry.artifact.path.name
            yield Finding(
                "runtime-failed",
                f"{name} does not run: {entry.error}",
                Severity.ERROR,
                where=name,
                hint="leave this format out with --formats, and report the model",
            )


def _not_finite(evidence: Evidence) -> Iterator[Finding]:
    for entry in evidence.int8:
        broken = [out.output for out in entry.signal.outputs if _is_nan(out.sqnr_db)] if entry.signal else []
        if broken:
            yield Finding(
                "not-finite-output",
                f"{entry.artifact.path.name} or the float model returns NaN or infinity in {', '.join(broken)}",
                Severity.ERROR,
                where=entry.artifact.path.name,
                hint="check the model in float first: an infinite mask value is a common cause",
            )


def _saturation(evidence: Evidence) -> Iterator[Finding]:
    """The same integers, other results: U8S8 and S8S8 kernels of AVX2 add pairs of products in 16 bits."""
    for entry in evidence.int8:
        kernel = evidence.kernels.get(entry.artifact.format)
        if kernel is None or not min(kernel.plain_db, CLEAN_DB) - kernel.runtime_db > KERNEL_LOSS_DB:
            continue
        name = entry.artifact.path.name
        gap = f", up to {kernel.gap.max_lsb} LSB off" if kernel.gap else ""
        seen = f"{name} holds {kernel.plain_db:.1f} dB by its numbers and {kernel.runtime_db:.1f} dB as run here{gap}"
        if evidence.machine.saturates_pairs and not entry.artifact.is_tflite:
            yield Finding(
                "saturation",
                f"{seen}: this CPU ({evidence.machine.cpu}) has no VNNI, and its int8 kernels add pairs of products "
                "in 16 bits, where large weights saturate",
                where=name,
                hint="quantize with pair-safe weights (quantize.pair_safe = true); CPUs with VNNI or ARM cores are "
                "not affected",
            )
        else:
            yield Finding(
                "runtime-differs",
                f"{seen}: the runtime's kernels do not compute what the file says",
                where=name,
                hint="compare with the QOperator file and the reference, and report the model",
            )


def _disagreement(evidence: Evidence) -> Iterator[Finding]:
    saturated = {finding.where for finding in _saturation(evidence)}
    names = {str(entry.artifact.format): entry.artifact.path.name for entry in evidence.entries}
    for gap in evidence.pairs:
        files = {names.get(first, first) for first in (gap.first, gap.second)}
        if evidence.bound.holds(gap) or files & saturated:
            continue
        yield Finding(
            "files-disagree",
            f"{names.get(gap.first, gap.first)} and {names.get(gap.second, gap.second)} {_describe(gap)}",
            where=gap.where.partition(":")[0],
            hint="the two runtimes round this operator differently, or one file is wrong: the reference decides",
        )
    for entry in evidence.int8:
        gap_to_reference = entry.reference
        name = entry.artifact.path.name
        if gap_to_reference and name not in saturated and not evidence.bound.holds(gap_to_reference):
            yield Finding(
                "reference-disagrees",
                f"{name} and the integer reference {_describe(gap_to_reference)}",
                where=name,
                hint="the file or the runtime does not compute what was planned; report the model",
            )


def _describe(gap: LsbGap) -> str:
    where = f"; first at {gap.where}" if gap.where else ""
    return (
        f"differ by up to {gap.max_lsb} LSB, {share(gap.share_within_one)} of the outputs are within 1 LSB "
        f"({gap.samples} samples){where}"
    )


def _low_signal(evidence: Evidence) -> Iterator[Finding]:
    for entry in evidence.int8:
        signal, name = entry.signal, entry.artifact.path.name
        if signal is None:
            continue
        for output in signal.outputs:
            if output.sqnr_db is not None and output.sqnr_db < LOW_SQNR_DB:
                yield Finding(
                    "low-sqnr",
                    f"{name} holds only {output.sqnr_db:.1f} dB of output {output.output} "
                    f"({signal.samples} samples){_worst(evidence.layers)}",
                    where=name,
                    hint="keep the worst layers in float (quantize.float_modules), or calibrate on more typical data",
                )
        agreement = signal.top1_agreement
        if agreement is not None and agreement.high < 1 and agreement.estimate < LOW_AGREEMENT:
            yield Finding(
                "low-agreement",
                f"{name} and the float model choose the same class on {share(agreement.estimate)} of "
                f"{signal.samples} samples (95 % interval {share(agreement.low)} to {share(agreement.high)})",
                where=name,
                hint="--eval with labelled data says whether this costs accuracy",
            )


def _worst(layers: tuple[LayerQuality, ...]) -> str:
    return f"; worst is {layers[0].label} at {layers[0].sqnr_db:.1f} dB" if layers else ""


def _low_layers(evidence: Evidence) -> Iterator[Finding]:
    """Only layers that add noise of their own: what they hand on is not their fault."""
    guilty = [
        layer
        for layer in evidence.layers
        if layer.sqnr_db < LOW_LAYER_DB and layer.input_sqnr_db - layer.sqnr_db > OWN_NOISE_DB
    ]
    for layer in guilty[:_SHOWN]:
        cause = f": {'; '.join(layer.causes)}" if layer.causes else ""
        yield Finding(
            "low-sqnr-layer",
            f"{layer.label} holds {layer.sqnr_db:.1f} dB (its inputs {layer.input_sqnr_db:.1f} dB){cause}",
            where=layer.label,
            hint="keep it in float with quantize.float_modules, if the outputs suffer",
        )


def _accuracy(evidence: Evidence) -> Iterator[Finding]:
    for entry in evidence.int8:
        accuracy = entry.accuracy
        if accuracy is None or accuracy.difference.high >= 0:
            continue
        low, high = accuracy.difference.low * 100, accuracy.difference.high * 100
        yield Finding(
            "accuracy-loss",
            f"{entry.artifact.path.name} is right on {share(accuracy.accuracy)} of {accuracy.samples} samples, "
            f"the float model on {share(accuracy.baseline)}: {accuracy.difference.estimate * 100:+.1f} points "
            f"(95 % interval {low:+.1f} to {high:+.1f})",
            where=entry.artifact.path.name,
            hint="see the worst layers; keep them in float with quantize.float_modules",
        )


def _slow(evidence: Evidence) -> Iterator[Finding]:
    for entry in evidence.int8:
        latency = entry.latency
        if latency is None or latency.ratio.high < 1:
            continue
        name, ratio = entry.artifact.path.name, latency.ratio
        times = (
            f"{duration(latency.median_ms / 1e3)} against {duration(latency.baseline_ms / 1e3)} in float, "
            f"{ratio.estimate:.2f} times (95 % interval {ratio.low:.2f} to {ratio.high:.2f})"
        )
        causes = list(explain_slowness(entry, evidence.machine))
        because = f": {'; '.join(causes)}" if causes else ""
        if ratio.low > 1:
            yield Finding(
                "int8-slower-than-float",
                f"{name} takes {times} on this machine{because}",
                where=name,
                hint="measure on the device that will run it; on this machine the other files may be faster",
            )
        else:
            yield Finding(
                "int8-not-faster",
                f"{name} is no faster than float on this machine: {times}{because}",
                Severity.NOTE,
                where=name,
            )


def explain_slowness(entry: ArtifactCheck, machine: Machine) -> Iterator[str]:
    """Likely causes of an int8 file that gains nothing, most telling first."""
    fusion = entry.fusion
    if fusion is not None and fusion.left_float:
        shown = ", ".join(fusion.left_float[:_SHOWN])
        yield f"{len(fusion.left_float)} of {fusion.planned_int8} planned int8 nodes run in float ({shown})"
    elif fusion is not None and fusion.float > fusion.int8:
        yield f"{fusion.float} of its {fusion.int8 + fusion.float} nodes compute in float"
    if fusion is not None and fusion.conversions > max(4, fusion.int8 // 4):
        yield f"{fusion.conversions} conversions between float and int8 are left"
    if fusion is not None and entry.artifact.is_tflite and fusion.delegated == 0:
        yield "XNNPACK takes none of its operators"
    if entry.artifact.format == "onnx-qop" and machine.system.endswith(("x86_64", "AMD64")):
        yield "QOperator files with int8 activations have no fast kernels on x86; this file is for audits"
    if not machine.has_int8_dot:
        missing = "dot-product instructions" if machine.system.endswith(("aarch64", "arm64")) else "VNNI"
        yield f"this CPU ({machine.cpu}) has no {missing}, so int8 arithmetic is hardly faster than float"


def _not_smaller(evidence: Evidence) -> Iterator[Finding]:
    for entry in evidence.int8:
        if entry.size_ratio <= SMALLER:
            continue
        name, total = entry.artifact.path.name, entry.artifact.size_bytes
        if evidence.float_bytes > total / 2:
            cause = f"{size(evidence.float_bytes)} of its constants stay float"
        else:
            cause = "it has few weights; scales, zero points and names outweigh them"
        yield Finding(
            "file-not-smaller",
            f"{name} has {size(total)}, {share(entry.size_ratio)} of the float file: {cause}",
            where=name,
        )


def _left_float(evidence: Evidence) -> Iterator[Finding]:
    by_reason: dict[str, list[str]] = {}
    for label, reason in evidence.islands:
        by_reason.setdefault(reason, []).append(label)
    for reason, labels in by_reason.items():
        yield Finding(
            "op-left-float",
            f"{_count(len(labels), 'node')} computed in float in every int8 file: {_enumerate(labels)}. "
            f"Reason: {reason}",
            Severity.NOTE,
            where=labels[0] if len(labels) == 1 else "",
        )
    for entry in evidence.int8:
        if entry.fusion is not None and entry.fusion.left_float:
            names = entry.fusion.left_float
            yield Finding(
                "planned-int8-ran-float",
                f"the runtime computes {_count(len(names), 'node')} of {entry.artifact.path.name} in float that were "
                f"planned in int8: {_enumerate(list(names))}",
                Severity.NOTE,
                where=entry.artifact.path.name,
                hint="results are right; speed may suffer",
            )


def _few_samples(evidence: Evidence) -> Iterator[Finding]:
    if evidence.samples < FEW_SAMPLES:
        yield Finding(
            "few-held-back-samples",
            f"the files were compared on {_count(evidence.samples, 'sample')}, too few to tell small differences",
            Severity.NOTE,
            hint=f"give {FEW_SAMPLES} or more beyond those that calibration uses (--held-back)",
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _enumerate(labels: list[str]) -> str:
    rest = len(labels) - _SHOWN
    return ", ".join(labels[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _is_nan(value: float | None) -> bool:
    return value is not None and math.isnan(value)


RULES: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    _failed,
    _not_finite,
    _saturation,
    _disagreement,
    _accuracy,
    _low_signal,
    _low_layers,
    _slow,
    _not_smaller,
    _left_float,
    _few_samples,
)
"""Every rule, in the order its findings are listed."""
