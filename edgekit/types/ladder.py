"""What the accuracy ladder found: the score of each rung, which were kept, and why it stopped."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgekit.units import size

OUT_OF_TIME = "the time budget ended"
"""How `LadderReport.stopped` begins when rungs were left for want of time."""


@dataclass(frozen=True)
class Score:
    """How a candidate does on samples that neither calibrated nor check, on the runtime of this machine.

    Attributes:
        sqnr_db: Signal to quantization noise over all float outputs, dB.
        agreement: Share of samples whose largest logit is the float model's, 0..1; None without logits.
        drop_points: Float metric minus the candidate's on the same labelled samples, points; None without labels.
        size_bytes: Size of the candidate's file.
        samples: How many samples it was scored on.
        noise: Noise power at the float outputs, sample by sample, for paired comparisons; not part of the report.
    """

    sqnr_db: float
    agreement: float | None
    drop_points: float | None
    size_bytes: int
    samples: int
    noise: tuple[float, ...] = field(default=(), repr=False, metadata={"reported": False})


@dataclass(frozen=True)
class Step:
    """One rung that was looked at.

    Attributes:
        rung: Its name, for example "hessian-rounding".
        kept: Whether its best candidate is part of the result.
        outcome: One sentence: what it changed, or why it was refused or not tried.
        before: Score of what it started from; None where nothing was scored.
        after: Score of its best candidate; None when it was not tried.
        tried: Candidates it proposed.
        seconds: Wall time.
    """

    rung: str
    kept: bool
    outcome: str
    before: Score | None = None
    after: Score | None = None
    tried: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class LadderReport:
    """The whole climb.

    Attributes:
        effort: How far it was allowed to go.
        steps: Rungs in the order they were looked at, the base first.
        stopped: Why there was no further rung, one sentence.
        format: The file whose runtime scored the candidates.
        samples: Unlabelled samples they were scored on.
    """

    effort: str
    steps: tuple[Step, ...] = ()
    stopped: str = ""
    format: str = ""
    samples: int = 0


@dataclass(frozen=True)
class Judgement:
    """One limit of the budget held against one file.

    Attributes:
        limit: Its name, for example "min_sqnr".
        format: The file.
        allowed: The limit, in its unit: points, dB, share, bytes or ratio.
        measured: What was measured, in the same unit; None when it could not be.
        met: Whether the file is within the limit.
        note: What else there is to know, for example that too few samples prove it.
    """

    limit: str
    format: str
    allowed: float
    measured: float | None
    met: bool
    note: str = ""

    def __str__(self) -> str:
        """For example: min_sqnr 24.0 dB, measured 22.8 dB in onnx-x86."""
        return f"{self.limit} {self._in_unit(self.allowed)}, measured {self._in_unit(self.measured)} in {self.format}"

    def _in_unit(self, value: float | None) -> str:
        if value is None:
            return "nothing"
        if self.limit == "max_size":
            return size(int(value))
        return f"{value:.4g}{_UNITS.get(self.limit, '')}"


_UNITS = {"max_drop": " points", "min_sqnr": " dB"}
