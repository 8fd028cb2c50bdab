"""Rules on what the files say: whether they run, agree with one another, and keep the float model's results."""

from __future__ import annotations

import math
from collections.abc import Iterator

from edgekit.check.evidence import AUDITS, Evidence, KernelGap
from edgekit.check.wording import count, holds, join_names
from edgekit.types.finding import Finding, Severity
from edgekit.types.interval import Interval
from edgekit.types.report import LayerQuality, LsbGap
from edgekit.units import share

KERNEL_LOSS_DB = 1.0
"""Less than this between a file's numbers and its runtime is rounding."""
CLEAN_DB = 60.0
"""Better than any int8 output; a loss above it is no loss."""
LOW_SQNR_DB = 10.0
LOW_LAYER_DB = 10.0
OWN_NOISE_DB = 3.0
LOW_AGREEMENT = 0.97
"""Told when the whole confidence interval lies below; a few samples cannot prove more."""
SHOWN_LAYERS = 3


def find_failures(evidence: Evidence) -> Iterator[Finding]:
    """Files that do not load or do not run, with the runtime's own words."""
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


def find_not_finite(evidence: Evidence) -> Iterator[Finding]:
    """Outputs that are not numbers."""
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


def find_saturation(evidence: Evidence) -> Iterator[Finding]:
    """The same integers, other results: U8S8 and S8S8 kernels of AVX2 add pairs of products in 16 bits."""
    for entry in evidence.int8:
        kernel = evidence.kernels.get(entry.artifact.format)
        if kernel is None or not _loses(kernel):
            continue
        name = entry.artifact.path.name
        gap = f", up to {kernel.gap.max_lsb} LSB off" if kernel.gap else ""
        gap += f", first at {kernel.gap.where}" if kernel.gap and kernel.gap.where else ""
        seen = f"{name} holds {kernel.plain_db:.1f} dB by its numbers and {kernel.runtime_db:.1f} dB as run here{gap}"
        if evidence.machine.saturates_pairs and not entry.artifact.is_tflite:
            yield Finding(
                "saturation",
                f"{seen}: this CPU ({evidence.machine.cpu}) has no VNNI, and its int8 kernels add pairs of products "
                "in 16 bits, where large weights saturate",
                where=name,
                hint="have edgekit choose pair-safe weights from the float model (quantize.pair_safe = true, backend "
                "'edgekit'); weights that another tool chose are kept as they are, and CPUs with VNNI or ARM cores "
                "run them right",
            )
        else:
            yield Finding(
                "runtime-differs",
                f"{seen}: the runtime's kernels do not compute what the file says",
                where=name,
                hint="compare with the QOperator file and the reference, and report the model",
            )


def _loses(kernel: KernelGap | None) -> bool:
    return kernel is not None and min(kernel.plain_db, CLEAN_DB) - kernel.runtime_db > KERNEL_LOSS_DB


def find_disagreement(evidence: Evidence) -> Iterator[Finding]:
    """Files further from the reference, or from one another, than rounding explains."""
    saturated = {finding.where for finding in find_saturation(evidence)}
    entries = {str(entry.artifact.format): entry for entry in evidence.int8}
    drifted: list[tuple[str, LsbGap]] = []
    explained = set(saturated)
    for entry in evidence.int8:
        gap, name = entry.reference, entry.artifact.path.name
        if gap is None or name in saturated or evidence.bound.holds(gap):
            continue
        explained.add(name)
        if gap.max_lsb <= evidence.bound.max_lsb and not gap.where:
            drifted.append((name, gap))
            continue
        yield Finding(
            "reference-disagrees",
            f"{name} and the integer reference {_describe(gap)}",
            where=name,
            hint="the file or the runtime does not compute what was planned; report the model",
        )
    for gap in evidence.pairs:
        names = [entries[name].artifact.path.name for name in (gap.first, gap.second) if name in entries]
        if evidence.bound.holds(gap) or explained & set(names):
            continue
        yield Finding(
            "files-disagree",
            f"{join_names(names)} {_describe(gap)}",
            where=gap.where.partition(": up to")[0],
            hint="the two runtimes round this operator differently, or one file is wrong: the reference decides",
        )
    if drifted:
        yield _tell_drift(drifted)


def _tell_drift(drifted: list[tuple[str, LsbGap]]) -> Finding:
    """Single steps that add up over a deep network: worth knowing, nothing to repair."""
    names = [name for name, _ in drifted]
    furthest, least = max(gap.max_lsb for _, gap in drifted), min(gap.share_within_one for _, gap in drifted)
    return Finding(
        "rounding-adds-up",
        f"{join_names(names)} {'ends' if len(names) == 1 else 'end'} up to {furthest} LSB from the integer reference "
        f"({share(least)} of the outputs within 1 LSB); no single node was found that computes anything else",
        Severity.NOTE,
        where=names[0] if len(names) == 1 else "",
    )


def _describe(gap: LsbGap) -> str:
    where = f"; first at {gap.where}" if gap.where else ""
    return (
        f"differ by up to {gap.max_lsb} LSB, {share(gap.share_within_one)} of the outputs are within 1 LSB "
        f"({gap.samples} samples){where}"
    )


def find_low_sqnr(evidence: Evidence) -> Iterator[Finding]:
    """Outputs that int8 holds badly."""
    found: dict[tuple[str, str], list[str]] = {}
    for entry in evidence.int8:
        kernel = evidence.kernels.get(entry.artifact.format)
        if _loses(kernel) and kernel is not None and kernel.plain_db >= LOW_SQNR_DB:
            continue  # the kernels are at fault, and a finding of their own
        for output in entry.signal.outputs if entry.signal else ():
            if output.sqnr_db is not None and output.sqnr_db < LOW_SQNR_DB:
                found.setdefault((output.output, f"{output.sqnr_db:.1f}"), []).append(entry.artifact.path.name)
    for (output_name, decibels), names in found.items():
        yield Finding(
            "low-sqnr",
            f"{join_names(names)} {holds(names)} only {decibels} dB of output {output_name} "
            f"({count(evidence.samples, 'sample')}){_worst(evidence.layers)}",
            where=names[0] if len(names) == 1 else "",
            hint="effort 'balanced' equalizes channels and searches ranges; with a limit such as --min-sqnr 25 layers "
            "return to float until it is kept; more typical data may be all it takes",
        )


def find_low_agreement(evidence: Evidence) -> Iterator[Finding]:
    """Classes that are not the float model's."""
    found: dict[Interval, list[str]] = {}
    for entry in evidence.int8:
        agreement = entry.signal.top1_agreement if entry.signal else None
        if agreement is not None and agreement.high < LOW_AGREEMENT and entry.artifact.format not in AUDITS:
            found.setdefault(agreement, []).append(entry.artifact.path.name)
    for agreement, names in found.items():
        yield Finding(
            "low-agreement",
            f"{join_names(names)} and the float model choose the same class on {share(agreement.estimate)} of "
            f"{count(evidence.samples, 'sample')} (95 % interval {share(agreement.low)} to {share(agreement.high)})",
            where=names[0] if len(names) == 1 else "",
            hint="--eval with labelled data says whether this costs accuracy",
        )


def _worst(layers: tuple[LayerQuality, ...]) -> str:
    """The layer that the noise comes from: by the scan, else the one that loses most against its inputs."""
    if not layers:
        return ""
    guilty = max(
        layers, key=lambda layer: (layer.output_share or 0.0, min(layer.input_sqnr_db, CLEAN_DB) - layer.sqnr_db)
    )
    told = f", where {share(guilty.output_share)} of it comes from" if guilty.output_share else ""
    return f"; worst is {guilty.label} at {guilty.sqnr_db:.1f} dB{told}"


def find_low_layers(evidence: Evidence) -> Iterator[Finding]:
    """Only layers that add noise of their own: what they hand on is not their fault."""
    guilty = [
        layer
        for layer in evidence.layers
        if layer.sqnr_db < LOW_LAYER_DB and layer.input_sqnr_db - layer.sqnr_db > OWN_NOISE_DB
    ]
    for layer in guilty[:SHOWN_LAYERS]:
        cause = f": {'; '.join(layer.causes)}" if layer.causes else ""
        yield Finding(
            "low-sqnr-layer",
            f"{layer.label} holds {layer.sqnr_db:.1f} dB (its inputs {layer.input_sqnr_db:.1f} dB){cause}",
            where=layer.label,
            hint="keep it in float with quantize.float_modules, if the outputs suffer",
        )


def find_accuracy_loss(evidence: Evidence) -> Iterator[Finding]:
    """Accuracy lost beyond what chance explains."""
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


def _is_nan(value: float | None) -> bool:
    return value is not None and math.isnan(value)
