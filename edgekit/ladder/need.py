"""Need: whether a budget makes it worth giving up speed for accuracy; what the last two rungs ask first."""

from __future__ import annotations

import dataclasses

from edgekit.ladder.climb import is_met
from edgekit.ladder.draft import Draft, Evidence
from edgekit.types.recipe import BudgetSettings

QUALITY = ("max_drop", "min_sqnr", "min_agreement")
"""Limits of the budget that float layers can help to keep."""


def refuse_without_need(draft: Draft, evidence: Evidence) -> str:
    """Why no speed should be given up for accuracy; "" when a limit on accuracy is missed."""
    asked = [name for name in QUALITY if name in evidence.budget.asks]
    if draft.plan.weight_only:
        return "activations are in float already"
    if not asked:
        return "it costs speed, and no limit on accuracy was asked for"
    if is_met(quality_of(evidence.budget), evidence.score(draft)):
        return f"{' and '.join(asked)} kept without it"
    return ""


def quality_of(budget: BudgetSettings) -> BudgetSettings:
    """The limits on accuracy alone."""
    return dataclasses.replace(budget, max_size="", max_latency_ratio=None)
