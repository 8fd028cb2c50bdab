"""CompressResult: what a compression leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import BudgetError
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

    def raise_for_budget(self) -> None:
        """Do nothing when every limit of the budget is kept.

        Raises:
            BudgetError: Naming each limit that is missed, the file, and what was measured.
        """
        missed = self.report.missed
        if missed:
            lines = "; ".join(map(str, missed))
            raise BudgetError(
                f"the budget is not met by the best that was found: {lines}",
                hint="report.md says what stands in the way and what would help",
            )
