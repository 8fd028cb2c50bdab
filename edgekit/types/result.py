"""CompressResult: what a compression leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.types.finding import Finding
from edgekit.types.graph import QuantizedGraph
from edgekit.types.report import Report


@dataclass(frozen=True, eq=False)
class CompressResult:
    """What a run left.

    Attributes:
        out: The folder.
        files: format -> path of each written model file.
        report: Everything that was measured and noticed.
        quantized: The graph the files were made from.
    """

    out: Path
    files: Mapping[str, Path]
    report: Report
    quantized: QuantizedGraph

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of every stage, most severe first."""
        return self.report.all_findings
