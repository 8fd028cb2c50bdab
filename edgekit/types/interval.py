"""Interval: an estimate that says how sure it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        estimate: The value.
        low: Lower end.
        high: Upper end.
        confidence: Nominal coverage, 0..1.
    """

    estimate: float
    low: float
    high: float
    confidence: float = 0.95
