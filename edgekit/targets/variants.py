"""Which plan each target's file is quantized with: one calibration serves them all.

A target differs from the main files in how much of int8 its weights use and in whether activations are symmetric.
Both follow from the histograms that are there already, so no target needs a second run over the data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from edgekit.errors import RecipeError
from edgekit.types.artifact import Format
from edgekit.types.plan import Plan, WeightScheme
from edgekit.types.target import HOST, TARGETS, Target

_WIDTH: tuple[WeightScheme, ...] = ("7-bit", "pair-safe", "full")
"""Weight schemes, each allowing every integer that the one before it allows."""


def resolve(names: Sequence[str]) -> tuple[Target, ...]:
    """The rows of the named targets, in the order of the table, each once.

    Raises:
        RecipeError: A name that is no target.
    """
    for name in names:
        if name not in TARGETS:
            raise RecipeError(f"emit.targets: there is no target '{name}'", hint=f"known targets: {', '.join(TARGETS)}")
    return tuple(row for row in TARGETS.values() if row.name in names)


def variants(
    plan: Plan, names: Sequence[str], *, redecide: Callable[[Plan], Plan] | None = None
) -> dict[Plan, tuple[Target, ...]]:
    """The plans that the targets' files need, each with the targets it serves.

    What becomes of weights that the plan decided beforehand: see `with_scheme`.

    Args:
        plan: Of the main files; an equal plan means that the main quantized graph serves the target.
        names: Targets that were asked for, without `host`, whose plan is found by running candidates.
        redecide: Rounds the weights of a plan that lost them, as the ladder did for the main plan.

    Raises:
        RecipeError: A name that is no target.
    """
    found: dict[Plan, tuple[Target, ...]] = {}
    made: dict[tuple[WeightScheme, bool], Plan] = {}
    for target in resolve(names):
        if target.name == HOST:
            continue
        key = (plan.scheme if plan.weight_only else target.scheme, plan.symmetric or target.symmetric)
        if key not in made:
            plain = (key[0], plan.symmetric)  # rounding does not look at the ranges of activations: once per scheme
            if plain not in made:
                made[plain] = with_scheme(plan, key[0], redecide=redecide)
            made[key] = made[plain] if key == plain else dataclasses.replace(made[plain], symmetric=key[1])
        found[made[key]] = (*found.get(made[key], ()), target)
    return found


def formats_of(names: Sequence[str], asked: Sequence[str]) -> tuple[Format, ...]:
    """The general formats that targets need beyond those that were asked for, for example `onnx-x86`.

    Raises:
        RecipeError: A name that is no target.
    """
    needed = [name for target in resolve(names) for name in target.formats]
    return tuple(name for name in dict.fromkeys(needed) if name not in asked)


def with_scheme(plan: Plan, scheme: WeightScheme, *, redecide: Callable[[Plan], Plan] | None = None) -> Plan:
    """The same plan with another weight scheme.

    Weights that were decided beforehand, and biases with them, are decided anew by `redecide`. Without it they are
    kept where the new scheme allows them (each of `_WIDTH` contains those before it), else rounded to nearest.
    """
    if scheme == plan.scheme:
        return plan
    keeps = redecide is None and _WIDTH.index(scheme) >= _WIDTH.index(plan.scheme)
    changed = dataclasses.replace(plan, scheme=scheme)
    if not keeps:  # biases were decided for those weights
        changed = dataclasses.replace(changed, weights={}, biases={})
    return redecide(changed) if redecide is not None and plan.weights else changed
