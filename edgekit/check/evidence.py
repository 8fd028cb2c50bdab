"""Evidence: everything measured that the rules of `findings` read, and the bound that divides rounding from errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekit.types.artifact import FLOAT, Format
from edgekit.types.report import ArtifactCheck, LayerQuality, LsbGap, Machine

AUDITS: tuple[Format, ...] = ("onnx-qop",)
"""Formats that are written to be compared, not to be shipped; run on a few samples, as they can be slow."""


@dataclass(frozen=True)
class Bound:
    """How far two runtimes may be apart before it is a finding.

    The default is what was measured to separate rounding from errors: over a deep network, single steps add up to
    a few, but nearly all elements stay within one.

    Attributes:
        max_lsb: Largest difference of any element.
        share_within_one: Least share of elements that are at most one step apart, 0..1.
    """

    max_lsb: int = 8
    share_within_one: float = 0.97

    def holds(self, gap: LsbGap) -> bool:
        """Whether the gap is within the bound."""
        return gap.max_lsb <= self.max_lsb and gap.share_within_one >= self.share_within_one


@dataclass(frozen=True)
class KernelGap:
    """What the runtime's kernels made of a file, against the plain meaning of the same integers.

    Attributes:
        plain_db: SQNR of the QDQ file run without graph optimisations, dB.
        runtime_db: SQNR of this file as its runtime really runs it, same samples, dB.
        gap: In LSB of the outputs; None when no output is quantized.
    """

    plain_db: float
    runtime_db: float
    gap: LsbGap | None


@dataclass(frozen=True)
class Evidence:
    """Everything the rules read.

    Attributes:
        machine: Where it was measured.
        samples: Held-back samples that were run.
        entries: One per file.
        pairs: Gaps between int8 files.
        layers: The worst layers.
        islands: (label, reason) of every planned float island.
        float_bytes: Bytes of float constants that the int8 files keep.
        kernels: Runtime kernels against the plain meaning of the file.
        bound: What still counts as rounding.
    """

    machine: Machine
    samples: int
    entries: tuple[ArtifactCheck, ...]
    pairs: tuple[LsbGap, ...] = ()
    layers: tuple[LayerQuality, ...] = ()
    islands: tuple[tuple[str, str], ...] = ()
    float_bytes: int = 0
    kernels: Mapping[Format, KernelGap] = field(default_factory=dict)
    bound: Bound = field(default_factory=Bound)

    @property
    def int8(self) -> list[ArtifactCheck]:
        """The entries of the int8 files."""
        return [entry for entry in self.entries if entry.artifact.format != FLOAT]
