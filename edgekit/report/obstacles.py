"""What stands in the way of a budget: the layers that cost most, and what is left to try."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from edgekit.types.ladder import OUT_OF_TIME
from edgekit.types.report import LayerQuality, Report
from edgekit.units import duration, share, size

NAMED = 3
ACCURACY = frozenset({"max_drop", "min_sqnr", "min_agreement"})
OWN_NOISE_DB = 1.0
SATURATION = "saturation"
"""Code of the finding that a file saturates in this CPU's kernels."""
_OWN = "edgekit"
_FURTHER = {"fast": "balanced", "balanced": "thorough"}


def worst(layers: Sequence[LayerQuality], count: int) -> tuple[LayerQuality, ...]:
    """The layers that matter most: by their share of the output's noise where it was scanned, else by SQNR."""
    if any(layer.output_share is not None for layer in layers):
        layers = sorted(layers, key=lambda layer: -(layer.output_share or 0.0))
    return tuple(layers[:count])


def explain_missed(report: Report) -> tuple[str, ...]:
    """Sentences on why a budget is missed and what would help; empty when it is kept."""
    limits = {judgement.limit for judgement in report.missed}
    sentences: list[str] = []
    if limits & ACCURACY:
        sentences += _explain_accuracy(report)
    if "max_size" in limits:
        sentences.append(_explain_size(report))
    if "max_latency_ratio" in limits:
        sentences.append(_explain_latency(report))
    return tuple(sentences)


def _explain_accuracy(report: Report) -> Iterator[str]:
    saturated = {finding.where for finding in report.all_findings if finding.code == SATURATION}
    if saturated:
        yield f"In the way of {', '.join(sorted(saturated))} are this CPU's kernels, which saturate: see the warning."
    for layer in _culprits(report.check.layers):
        why = f": {layer.causes[0]}" if layer.causes else ""
        yield f"In the way is {layer.label}, {_weigh(layer)}{why}."
    yield from _explain_settings(report)
    room = [name for name in ("max_size", "max_latency_ratio") if any(one.limit == name for one in report.judgements)]
    if room:
        yield f"A wider {' or '.join(room)} would make room for more layers in float."
    yield (
        "Beyond that the weights have to adapt: train on from this checkpoint with quantization in the loop (QAT), a "
        "few epochs, the float model as the teacher."
    )


def _explain_settings(report: Report) -> Iterator[str]:
    """What other settings would do; by now the recipe is plain data."""
    settings = report.recipe.get("quantize", {})
    backend, ladder = settings.get("backend", _OWN), report.ladder
    if settings.get("weight_bits", 8) == 4:
        yield "int8 weights (quantize.weight_bits = 8) hold more than int4 ones, in a file nearly twice the size."
    if backend != _OWN:
        yield f"What '{backend}' decided is kept as it is; edgekit's own ladder (quantize.backend = {_OWN}) climbs on."
    if ladder is None or backend != _OWN:
        return
    if ladder.stopped.startswith(OUT_OF_TIME):
        yield "A longer time budget lets it look at the rungs that are left."
    if ladder.effort in _FURTHER:
        yield f"Effort '{_FURTHER[ladder.effort]}' climbs further."


def _culprits(layers: Sequence[LayerQuality]) -> tuple[LayerQuality, ...]:
    """Layers that add noise of their own, not those that hand on that of others."""
    if any(layer.output_share is not None for layer in layers):
        return tuple(layer for layer in worst(layers, NAMED) if layer.output_share)
    own = [layer for layer in layers if layer.input_sqnr_db - layer.sqnr_db > OWN_NOISE_DB]
    return tuple(own[:NAMED])


def _weigh(layer: LayerQuality) -> str:
    cost = describe_cost(layer)
    price = f"; float there costs {cost}" if cost else ""
    if layer.output_share is not None:
        return f"where {share(layer.output_share)} of the output's noise comes from{price}"
    return f"which holds {layer.sqnr_db:.1f} dB{price}"


def describe_cost(layer: LayerQuality) -> str:
    """What float for this layer alone costs: "+0.4 ms, +120.0 kB"; "" where nothing was measured."""
    parts = []
    if layer.float_ms is not None and math.isfinite(layer.float_ms):
        parts.append(("-" if layer.float_ms < 0 else "+") + duration(abs(layer.float_ms) / 1e3))
    if layer.float_bytes is not None:
        parts.append(("-" if layer.float_bytes < 0 else "+") + size(abs(layer.float_bytes)))
    return ", ".join(parts)


def _explain_size(report: Report) -> str:
    kept = _count_islands(report, "keeps its constants", "keep their constants")
    return (
        f"For the size: {kept}int4 weights (quantize.weight_bits = 4) halve the file, and pruning shrinks it further."
    )


def _explain_latency(report: Report) -> str:
    kept = _count_islands(report, "computes", "compute")
    return (
        f"For the time: {kept}the findings name what falls back on this machine, and a smaller input or a pruned model "
        "is faster everywhere."
    )


def _count_islands(report: Report, one: str, many: str) -> str:
    """How many nodes do something in float, as the beginning of a sentence; "" when none does."""
    islands = len(report.model.islands)
    return f"{islands} {'node ' + one if islands == 1 else 'nodes ' + many} in float; " if islands else ""
