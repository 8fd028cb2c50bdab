"""Decided: a model that brings its own scales and integers, since it was trained with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from edgekit.types.finding import Finding
from edgekit.types.graph import QuantizedGraph


@dataclass(frozen=True, eq=False)
class Decided:
    """What training decided.

    Attributes:
        name: Of the model, for files and reports.
        quantized: The graph with the trained float constants and their integers.
        origin: What made it, for the report: "quantization-aware training".
        outcome: One sentence on how it was trained.
        findings: What the user should know.
    """

    name: str
    quantized: QuantizedGraph
    origin: str
    outcome: str
    findings: tuple[Finding, ...] = ()


@runtime_checkable
class DecidedModel(Protocol):
    """What can be asked for it: a QatModule, without importing torch to find out."""

    def decided(self) -> Decided:
        """Everything that calibration would decide."""
        ...
