"""Applies the rules that turn measurements into findings: what the user should know, with its cause and what to do.

Every rule is a function of the `Evidence` alone, so that it can be read, and tested, without a model. Codes are
stable; messages are for people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgekit.check import rules_cost, rules_quality
from edgekit.check.evidence import Evidence
from edgekit.check.wording import count
from edgekit.types.finding import Finding, Severity

FEW_SAMPLES = 10


def judge(evidence: Evidence) -> tuple[Finding, ...]:
    """Apply every rule, in the order of `RULES`."""
    return tuple(finding for rule in RULES for finding in rule(evidence))


def find_few_samples(evidence: Evidence) -> Iterator[Finding]:
    """Too few samples to tell small differences."""
    if evidence.samples < FEW_SAMPLES:
        yield Finding(
            "few-held-back-samples",
            f"the files were compared on {count(evidence.samples, 'sample')}, too few to tell small differences",
            Severity.NOTE,
            hint=f"give {FEW_SAMPLES} or more beyond those that calibration uses (--held-back)",
        )


RULES: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    rules_quality.find_failures,
    rules_quality.find_not_finite,
    rules_quality.find_saturation,
    rules_quality.find_disagreement,
    rules_quality.find_accuracy_loss,
    rules_quality.find_low_sqnr,
    rules_quality.find_low_agreement,
    rules_quality.find_low_layers,
    rules_cost.find_slowness,
    rules_cost.find_large_files,
    rules_cost.find_float_nodes,
    find_few_samples,
)
"""Every rule, in the order its findings are listed."""
