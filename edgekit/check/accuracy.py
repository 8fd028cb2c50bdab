"""Accuracy on labelled samples, paired with the float model: does int8 cost anything that can be seen?

Both models see the same samples, so only those where they differ carry information; the interval is the paired one.
"""

from __future__ import annotations

from edgekit.check.intervals import newcombe_paired
from edgekit.types.report import Accuracy


class PairedCounter:
    """Counts right and wrong answers of a file and of the float model on the same samples."""

    def __init__(self) -> None:
        self.both = self.lost = self.won = self.neither = 0

    def add(self, *, exact: int, measured: int, label: int) -> None:
        """Take in one sample.

        Args:
            exact: Class the float model gives.
            measured: Class the file gives.
            label: The true class.
        """
        if exact == label:
            self.both += measured == label
            self.lost += measured != label
        else:
            self.won += measured == label
            self.neither += measured != label

    def result(self) -> Accuracy | None:
        """The accuracies so far and their paired difference; None before the first sample."""
        count = self.both + self.lost + self.won + self.neither
        if count == 0:
            return None
        return Accuracy(
            samples=count,
            baseline=(self.both + self.lost) / count,
            accuracy=(self.both + self.won) / count,
            difference=newcombe_paired(self.both, self.won, self.lost, self.neither),
            lost=self.lost,
            won=self.won,
        )
