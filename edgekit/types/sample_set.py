"""SampleSet: the Samples that every source becomes, read one at a time by position.

Reading by position is what makes a held-back part, a limit and a second walk cheap: nothing is decoded twice and
nothing is kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgekit.types.finding import Finding
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.qparams import Array


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Samples behind a reader.

    Attributes:
        positions: int64 (count,), what to hand to `read`, in walking order.
        read: position -> input name -> array of the input's shape and dtype, batch axis of size 1 kept.
        source: Where they came from, for reports.
        preprocessing: The spec applied to images, when there was one.
        classes: int64 (count,) class labels, aligned with `positions`, or None.
        findings: What was noticed while opening them.
    """

    positions: Array
    read: Callable[[int], Mapping[str, Array]]
    source: str
    preprocessing: Preprocessing | None = None
    classes: Array | None = None
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions", np.asarray(self.positions, np.int64))
        assert self.classes is None or len(self.classes) == len(self.positions)

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(self.positions)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        for position in self.positions:
            yield self.read(int(position))

    def labels(self) -> Array | None:
        """int64 (count,) class labels, or None when the set has none."""
        return self.classes

    def select(self, chosen: Sequence[int] | Array, *, findings: tuple[Finding, ...] | None = None) -> SampleSet:
        """The samples at `chosen` (indices into this set, in that order), with their labels.

        Args:
            chosen: Indices, 0 <= index < count.
            findings: Findings of the result; None keeps those of this set.
        """
        index = np.asarray(chosen, np.int64)
        classes = None if self.classes is None else self.classes[index]
        kept = self.findings if findings is None else findings
        return replace(self, positions=self.positions[index], classes=classes, findings=kept)
