"""Pruner: from a module and a target to a smaller module of the same class.

Trace, try, score, search, cut; then BatchNorm is re-estimated where there is data. The MACs are counted again on what
was really made, and the search is asked for a little more when products that no layer owns made it miss.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from edgekit.errors import ShrinkError
from edgekit.shrink.pruning.batchnorm import reestimate_batchnorm
from edgekit.shrink.pruning.counting import (
    BYTES,
    amount,
    count_macs,
    count_parameters,
    mac_terms,
    parameter_terms,
)
from edgekit.shrink.pruning.coupling import Group, couple
from edgekit.shrink.pruning.cut import cut, cuts_of
from edgekit.shrink.pruning.importance import Scores, score
from edgekit.shrink.pruning.layers import Axis, axis_size, size_of
from edgekit.shrink.pruning.plan import compare
from edgekit.shrink.pruning.pruned import Pruned
from edgekit.shrink.pruning.repair import repair
from edgekit.shrink.pruning.search import Cost, Widths, ladder, reach
from edgekit.shrink.pruning.settings import Evidence, PruneSettings
from edgekit.shrink.pruning.target import Target, count
from edgekit.shrink.pruning.tracing import Example, evaluating
from edgekit.shrink.pruning.verification import sound
from edgekit.types.finding import Finding, Severity
from edgekit.types.progress import Progress, Silent

_TRIES = 6
"""How often the search is repeated when what was cut costs more than the layers alone promised."""


@dataclass(frozen=True)
class Limit:
    """The target in the unit that is searched in.

    Attributes:
        is_size: Parameters are limited; else MACs.
        value: At most.
    """

    is_size: bool
    value: float


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a module offers to be cut.

    Attributes:
        groups: Tried and sound.
        scores: Of every unit.
        findings: Why others stay.
        original: axis -> channels before any pruning.
    """

    groups: Sequence[Group]
    scores: Scores
    findings: tuple[Finding, ...]


def prune_module(
    model: nn.Module,
    example: Example,
    target: Target,
    *,
    settings: PruneSettings,
    evidence: Evidence,
    progress: Progress | None = None,
) -> Pruned:
    """Prune a copy of a module to a target of MACs or size.

    Args:
        model: Left as it was.
        example: Arguments of one call; its shapes decide the MACs.
        target: Not a latency.
        settings: How.
        evidence: Data, where there is any.
        progress: Who watches.

    Raises:
        ShrinkError: Nothing can be cut, the target cannot be met (says the best there is), or tracing failed.
    """
    progress = progress or Silent()
    work = _copy(model)
    base_macs, base_parameters = count_macs(work, example), count_parameters(work)
    limit = limit_of(target, base_macs)
    start = float(base_parameters if limit.is_size else base_macs)
    if limit.value >= start:
        raise _nothing_to_do(target, limit, start)
    kept: dict[Axis, list[int]] = {}
    widths: dict[str, tuple[int, int]] = {}
    findings: tuple[Finding, ...] = ()
    with progress.stage("prune", settings.steps) as stage:
        for step in range(1, settings.steps + 1):
            goal = Limit(limit.is_size, start * (limit.value / start) ** (step / settings.steps))
            found = candidates(work, example, settings, evidence)
            if step == 1:
                findings = found.findings
                widths = {group.name: (group.width, group.width) for group in found.groups}
            before = _copy(work) if settings.repair and evidence.inputs is not None else None
            stays = _cut_to(work, example, found, goal, settings, target, kept)
            if evidence.inputs is not None:
                if before is not None:
                    repair(work, before, stays, evidence.inputs)
                reestimate_batchnorm(work, evidence.inputs())
            if evidence.train is not None and step < settings.steps:
                evidence.train(work)
            stage.advance()
    for name, (full, _) in widths.items():
        widths[name] = full, axis_size(work.get_submodule(name), "out")
    plan = compare(model, work, kept)
    macs, parameters = count_macs(work, example), count_parameters(work)
    return Pruned(work, plan, target, macs, base_macs, parameters, base_parameters, widths, findings)


def candidates(module: nn.Module, example: Example, settings: PruneSettings, evidence: Evidence) -> Candidates:
    """Find, try and score what can be cut.

    Raises:
        ShrinkError: Nothing can, with the reasons.
    """
    tracer = _copy(module)
    for parameter in tracer.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)
    with evaluating(tracer):
        coupling = couple(tracer, example, ignore=settings.ignore)
        groups, unsound = sound(tracer, example, coupling.groups, seed=settings.seed)
        findings = tuple(_stays(name, why) for name, why in unsound.items())
        if not groups:
            reasons = "; ".join(f"{name}: {why}" for name, why in {**coupling.fixed, **unsound}.items())
            raise ShrinkError(
                f"{type(module).__name__} has no layer that can be pruned{f' ({reasons})' if reasons else ''}",
                hint="outputs keep their channels; pruning needs a convolution, Linear or LSTM before the last layer",
            )
        batches = evidence.batches() if evidence.batches is not None and settings.importance == "taylor" else ()
        scores = score(tracer, groups, settings.importance, batches=batches, loss=evidence.loss)
    return Candidates(groups, scores, findings)


def limit_of(target: Target, base_macs: int) -> Limit:
    """What the search has to stay below."""
    if target.kind == "size":
        return Limit(is_size=True, value=target.value // BYTES)
    return Limit(is_size=False, value=base_macs / target.value if target.kind == "speedup" else target.value)


def _cut_to(
    work: nn.Module,
    example: Example,
    found: Candidates,
    limit: Limit,
    settings: PruneSettings,
    target: Target,
    kept: dict[Axis, list[int]],
) -> Mapping[Axis, Sequence[int]]:
    """Cut `work` in place until the limit holds and note in `kept` what stays; returns what stays of it now."""
    terms = parameter_terms(work) if limit.is_size else mac_terms(work, example)
    fixed = 0.0 if limit.is_size else count_macs(work, example) - amount(terms, lambda axis: 1.0)
    sizes = {axis: size_of(work, axis) for group in found.groups for axis in group.axes}
    ladders = [
        ladder(
            group,
            found.scores[group.name],
            round_to=settings.round_to,
            max_ratio=_share_left(work, group, settings, kept),
        )
        for group in found.groups
    ]
    cost, asked = Cost(terms, fixed=fixed), limit.value
    for _ in range(_TRIES):
        widths = Widths(ladders, sizes)
        is_met = reach(widths, cost, asked, scope=settings.scope)
        smaller = copy.deepcopy(work)
        cut(smaller, cuts_of(widths.units()))
        measured = count_parameters(smaller) if limit.is_size else count_macs(smaller, example)
        if measured <= limit.value:
            stays = cut(work, cuts_of(widths.units()))
            _compose(kept, stays)
            return stays
        if not is_met:
            break
        asked -= measured - limit.value
    raise _out_of_reach(target, limit, measured, settings)


def _share_left(work: nn.Module, group: Group, settings: PruneSettings, kept: Mapping[Axis, Sequence[int]]) -> float:
    """The share of the group's present units that may go, so that `max_ratio` of the original ones holds."""
    axis = (group.name, "out")
    now = size_of(work, axis)
    original = max(kept[axis]) + 1 if axis in kept else now
    return max(0.0, 1.0 - (1.0 - settings.max_ratio) * original / now)


def _compose(kept: dict[Axis, list[int]], now: Mapping[Axis, Sequence[int]]) -> None:
    """Indices into the present module become indices into the original one."""
    for axis, channels in now.items():
        earlier = kept.get(axis)
        kept[axis] = [earlier[channel] for channel in channels] if earlier is not None else list(channels)


def _copy(model: nn.Module) -> nn.Module:
    try:
        with torch.no_grad():
            return copy.deepcopy(model)
    except Exception as error:  # whatever the user's own __deepcopy__ raises
        raise ShrinkError(
            f"{type(model).__name__} cannot be copied: {error}",
            hint="pruning works on a copy; remove tensors with history",
        ) from error


def _stays(name: str, why: str) -> Finding:
    return Finding(
        "not-prunable", f"keeps its channels: {why}", Severity.NOTE, where=name, hint=f'ignore=("{name}",) says so too'
    )


def _nothing_to_do(target: Target, limit: Limit, start: float) -> ShrinkError:
    unit = "parameters" if limit.is_size else "MACs"
    return ShrinkError(
        f"the target of {target} is met already: the module has {count(start)} {unit}, "
        f"and at most {count(limit.value)} were asked",
        hint="ask for less than the module has",
    )


def _out_of_reach(target: Target, limit: Limit, best: float, settings: PruneSettings) -> ShrinkError:
    reachable = f"{count(best * BYTES)}B of weights" if limit.is_size else f"{count(best)} MACs"
    return ShrinkError(
        f"the target of {target} cannot be met: the best reachable is {reachable} "
        f"(at most {count(limit.value)} {'parameters' if limit.is_size else 'MACs'} were asked)",
        hint=f"a smaller round_to (now {settings.round_to}) or a larger max_ratio (now {settings.max_ratio:g}) "
        "reaches further, as does ignoring less",
    )
