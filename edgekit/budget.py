"""The budget: what excludes one another, what cannot be measured, and whether the written files keep it."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.check.accuracy import Task
from edgekit.check.evidence import AUDITS
from edgekit.check.signal import find_logits
from edgekit.errors import RecipeError
from edgekit.types.artifact import FLOAT, Format
from edgekit.types.graph import Graph
from edgekit.types.ladder import Judgement
from edgekit.types.recipe import BudgetSettings, Recipe
from edgekit.types.report import ArtifactCheck, CheckReport, Machine
from edgekit.units import share as percent

_FLOAT_ARITHMETIC = "float activations compute in float, which is never faster than the float file"


def refuse_contradictions(recipe: Recipe, *, labelled: bool) -> None:
    """Stop before the work when settings exclude one another.

    Args:
        recipe: All settings.
        labelled: Whether there is data to evaluate on.

    Raises:
        RecipeError: Naming both settings.
    """
    budget, quantize = recipe.budget, recipe.quantize
    if budget.max_drop is not None and not labelled:
        raise RecipeError(
            "budget.max_drop limits a metric, and there is no labelled data to measure one",
            hint="pass --eval DATA with labels, or limit what needs none: --min-sqnr or --min-agreement",
        )
    if recipe.evaluation.metric and not labelled:
        raise RecipeError("a metric was given without data to evaluate on", hint="pass --eval DATA")
    ratio = budget.max_latency_ratio
    if ratio is not None and ratio < 1 and (quantize.weight_only or quantize.weight_bits == 4):
        which = "quantize.weight_only" if quantize.weight_only else "quantize.weight_bits = 4"
        raise RecipeError(
            f"budget.max_latency_ratio = {ratio:g} contradicts {which}: {_FLOAT_ARITHMETIC}", hint="drop one of the two"
        )
    if quantize.weight_bits == 4:
        _refuse_with_int4(recipe)
    if quantize.weight_only and quantize.backend != "edgekit":
        raise RecipeError(
            f"quantize.weight_only contradicts quantize.backend = {quantize.backend}: it quantizes activations too"
        )
    _refuse_targets_without_ranges(recipe)


def _refuse_targets_without_ranges(recipe: Recipe) -> None:
    """Targets differ in how ranges and weights are quantized: that needs ranges of edgekit's own."""
    settings, targets = recipe.quantize, ", ".join(recipe.emit.targets)
    if targets and settings.weight_only:
        raise RecipeError(
            f"emit.targets = {targets} contradicts quantize.weight_only: its files have float activations everywhere",
            hint="leave --for out; the general files run on every target",
        )
    if targets and settings.backend != "edgekit":
        raise RecipeError(
            f"emit.targets = {targets} contradicts quantize.backend = {settings.backend}: its scales are kept as they "
            "are, and targets differ in theirs",
            hint="leave --for out, or let edgekit quantize",
        )


def _refuse_with_int4(recipe: Recipe) -> None:
    quantize, targets = recipe.quantize, recipe.emit.targets
    if quantize.backend != "edgekit":
        raise RecipeError(f"quantize.weight_bits = 4 contradicts quantize.backend = {quantize.backend}: it makes int8")
    if quantize.weight_only:
        raise RecipeError("quantize.weight_bits = 4 contradicts quantize.weight_only, which is int8 weights")
    if targets:
        raise RecipeError(
            f"quantize.weight_bits = 4 contradicts emit.targets = {', '.join(targets)}: their files are int8",
            hint="leave --for out; the int4 files run in any ONNX Runtime and LiteRT",
        )


def refuse_unmeasurable(budget: BudgetSettings, graph: Graph, task: Task | None) -> None:
    """Stop before the work when a limit is on something that this model or data cannot tell.

    Raises:
        RecipeError: Naming the limit and why.
    """
    outputs = [graph.spec(name) for name in graph.outputs]
    if budget.min_sqnr is not None and not any(spec.dtype.startswith("float") for spec in outputs):
        raise RecipeError(
            f"budget.min_sqnr needs a float output; the model returns {', '.join(map(str, outputs))}",
            hint="use --max-drop with labelled data",
        )
    logits, reason = find_logits(outputs)
    if budget.min_agreement is not None and not logits:
        raise RecipeError(f"budget.min_agreement compares classes: {reason}", hint="use --min-sqnr")
    reason = task.why_not_measured(graph) if task is not None else ""
    if budget.max_drop is not None and reason:
        raise RecipeError(f"budget.max_drop: {reason}", hint="give labels that fit, or --metric MODULE:FUNCTION")


def format_of(machine: Machine) -> Format:
    """The file that is meant for this machine's CPU in ONNX Runtime."""
    return "onnx-x86" if "x86" in machine.system or "AMD64" in machine.system else "onnx-int8"


def judge(budget: BudgetSettings, check: CheckReport) -> tuple[Judgement, ...]:
    """Hold every limit against every file it concerns, as measured on the real runtimes.

    Accuracy and size concern each shipped file (not the one for audits). Latency concerns the file for this machine's
    CPU: the others are for machines that are not here.
    """
    shipped = [entry for entry in check.artifacts if entry.artifact.format not in (FLOAT, *AUDITS)]
    found = [judgement for entry in shipped for judgement in _judge_file(budget, entry)]
    if budget.max_latency_ratio is not None and shipped:
        wanted = ("onnx-host", format_of(check.machine))
        ranked = sorted(shipped, key=lambda entry: [entry.artifact.format != name for name in wanted])
        entry = ranked[0]
        found.append(_judge_latency(budget.max_latency_ratio, entry))
    return tuple(found)


def _judge_file(budget: BudgetSettings, entry: ArtifactCheck) -> Iterator[Judgement]:
    name, signal = entry.artifact.format, entry.signal
    if budget.max_drop is not None:
        yield _judge_drop(budget.max_drop, entry)
    if budget.min_sqnr is not None:
        sqnr = signal.sqnr_db if signal else None
        yield Judgement("min_sqnr", name, budget.min_sqnr, sqnr, sqnr is not None and sqnr >= budget.min_sqnr)
    if budget.min_agreement is not None:
        agreed = signal.top1_agreement if signal else None
        share = agreed.estimate if agreed else None
        met = share is not None and share >= budget.min_agreement
        doubt = ""
        if agreed is not None and signal is not None and met and agreed.low < budget.min_agreement:
            doubt = f"not proved: {signal.samples} samples leave it open down to {percent(agreed.low)}"
        yield Judgement("min_agreement", name, budget.min_agreement, share, met, doubt)
    limit = budget.max_size_bytes()
    if limit is not None:
        yield Judgement("max_size", name, limit, entry.artifact.size_bytes, entry.artifact.size_bytes <= limit)


def _judge_drop(limit: float, entry: ArtifactCheck) -> Judgement:
    accuracy = entry.accuracy
    if accuracy is None:
        return Judgement("max_drop", entry.artifact.format, limit, None, met=False, note=entry.error)
    drop, worst = (0.0 - 100 * part for part in (accuracy.difference.estimate, accuracy.difference.low))
    note = ""
    if drop <= limit < worst:
        note = f"not proved: {accuracy.samples} samples leave it open up to {worst:.2f} points"
    return Judgement("max_drop", entry.artifact.format, limit, drop, drop <= limit, note)


def _judge_latency(limit: float, entry: ArtifactCheck) -> Judgement:
    latency = entry.latency
    if latency is None:
        return Judgement("max_latency_ratio", entry.artifact.format, limit, None, met=False, note="not timed")
    ratio, note = latency.ratio, ""
    if ratio.low <= limit <= ratio.high:
        note = f"not proved: {latency.rounds} rounds leave it open from {ratio.low:.2f} to {ratio.high:.2f}"
    return Judgement("max_latency_ratio", entry.artifact.format, limit, ratio.estimate, ratio.estimate <= limit, note)
