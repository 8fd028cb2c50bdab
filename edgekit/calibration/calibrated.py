"""Calibrated: the decided graph, and what it was decided on."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.ladder.draft import Draft, Evidence
from edgekit.types.finding import Finding
from edgekit.types.graph import QuantizedGraph
from edgekit.types.ladder import LadderReport
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.samples import Samples


@dataclass(frozen=True, eq=False)
class Calibrated:
    """The decided graph, and what it was decided on.

    Attributes:
        quantized: The graph every file is written from.
        held_back: Inputs that did not calibrate, for the check.
        source: Where the inputs came from, for the report.
        samples: How many calibrated.
        lint: What is odd about them.
        findings: What choosing them this way costs.
        preprocessing: How an image becomes an input, when the inputs were images.
        ladder: How the graph was arrived at; None where another tool decided, or nothing had to be.
        rescaled: Whether its inner values are other than the float file's, since a rung equalized channels.
        draft: What it was decided from, so that targets which want another plan need no second calibration; None
            where there is no plan.
        evidence: What rungs looked at, for the same.
        digest: sha256 over the user's samples, hex; "" without any.
    """

    quantized: QuantizedGraph
    held_back: Samples
    source: str
    samples: int
    lint: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()
    preprocessing: Preprocessing | None = None
    ladder: LadderReport | None = None
    rescaled: bool = False
    draft: Draft | None = None
    evidence: Evidence | None = None
    digest: str = ""
