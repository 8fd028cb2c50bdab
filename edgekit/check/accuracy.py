"""Accuracy on labelled samples, paired with the float model: does int8 cost anything that can be seen?

Both models see the same samples, so only those where they differ carry information; the interval is the paired one.
"""

from __future__ import annotations

import numpy as np

from edgekit.check.intervals import newcombe_paired
from edgekit.check.signal import find_logits
from edgekit.types.finding import Finding
from edgekit.types.graph import Graph
from edgekit.types.report import Accuracy
from edgekit.types.samples import Samples


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


def why_not_measured(graph: Graph, evaluation: Samples) -> str:
    """Why the labels cannot be held against the outputs; "" when they can.

    Labels beyond the classes would count as errors of every file alike, and an accuracy of 0 % would say nothing.
    """
    logits, reason = find_logits([graph.spec(name) for name in graph.outputs])
    if reason:
        return reason
    labels = evaluation.labels()
    if labels is None:
        return f"{evaluation.source} has no labels"
    classes = graph.spec(logits).shape[1]
    outside = int(np.count_nonzero((labels < 0) | (labels >= classes)))
    if not outside:
        return ""
    return (
        f"{outside} of the {len(labels)} labels in {evaluation.source} are not among the {classes} classes of output "
        f"{logits}: labels run from {labels.min()} to {labels.max()}, classes from 0 to {classes - 1}"
    )


def note_not_measured(graph: Graph, evaluation: Samples | None) -> tuple[Finding, ...]:
    """Say so when accuracy was asked for and cannot be measured."""
    reason = "" if evaluation is None else why_not_measured(graph, evaluation)
    return (Finding("accuracy-not-measured", f"accuracy was asked for: {reason}"),) if reason else ()
