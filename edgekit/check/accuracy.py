"""The task: labelled samples and what counts as a good answer, scored paired with the float model.

Top-1 is built in; any other metric is a function that scores one sample. Both models see the same samples, so only
those where they differ carry information, and the interval of the difference is the paired one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.check.intervals import bootstrap_mean, newcombe_paired
from edgekit.check.signal import find_logits, top1
from edgekit.errors import InputError
from edgekit.types.finding import Finding
from edgekit.types.graph import Graph
from edgekit.types.qparams import Array
from edgekit.types.report import TOP1, Accuracy
from edgekit.types.samples import Samples

Metric = Callable[[Mapping[str, Array], int | None], float]
"""Score of one sample, higher is better: output name -> array (batch axis kept), and its label or None."""
Scores = Sequence[float]


@dataclass(frozen=True, eq=False)
class Task:
    """What the model is for, as far as it can be measured.

    Attributes:
        samples: Labelled samples; a metric of the user's may do without labels.
        metric: Scores one sample; None is top-1.
        name: What the report calls the metric.
    """

    samples: Samples
    metric: Metric | None = None
    name: str = TOP1

    def __iter__(self) -> Iterator[tuple[Mapping[str, Array], int | None]]:
        """Each sample with its label."""
        labels = self.samples.labels()
        for index, sample in enumerate(self.samples):
            yield sample, None if labels is None else int(labels[index])

    def why_not_measured(self, graph: Graph) -> str:
        """Why the labels cannot be held against the outputs; "" when they can.

        Labels beyond the classes would count as errors of every file alike, and an accuracy of 0 % would say nothing.
        """
        if self.metric is not None:
            return ""
        logits, reason = find_logits([graph.spec(name) for name in graph.outputs])
        if reason:
            return reason
        labels = self.samples.labels()
        if labels is None:
            return f"{self.samples.source} has no labels: one integer per sample, in an array called 'labels'"
        classes = graph.spec(logits).shape[1]
        outside = int(np.count_nonzero((labels < 0) | (labels >= classes)))
        if not outside:
            return ""
        return (
            f"{outside} of the {len(labels)} labels in {self.samples.source} are not among the {classes} classes of "
            f"output {logits}: labels run from {labels.min()} to {labels.max()}, classes from 0 to {classes - 1}"
        )

    def scorer(self, graph: Graph) -> Callable[[Mapping[str, Array], int | None], float]:
        """The metric with its checks: a score that is not a finite number is an InputError, as is code that raises."""
        metric = self.metric
        if metric is not None:
            return lambda outputs, label: _checked(metric, self.name, outputs, label)
        logits, _ = find_logits([graph.spec(name) for name in graph.outputs])
        return lambda outputs, label: float(top1(outputs[logits]) == label)

    def pair(self, exact: Scores, measured: Scores) -> Accuracy | None:
        """Both means and their paired difference; None without a sample.

        Args:
            exact: Scores of the float model.
            measured: Scores of the file on the same samples, in the same order.
        """
        if not exact:
            return None
        first, second = np.asarray(exact, np.float64), np.asarray(measured, np.float64)
        lost, won = int((second < first).sum()), int((second > first).sum())
        if self.metric is None:
            both, neither = int(((first > 0) & (second > 0)).sum()), int(((first == 0) & (second == 0)).sum())
            difference = newcombe_paired(both, won, lost, neither)
        else:
            difference = bootstrap_mean(second - first)
        return Accuracy(len(exact), float(first.mean()), float(second.mean()), difference, lost, won, self.name)


def note_not_measured(graph: Graph, task: Task | None) -> tuple[Finding, ...]:
    """Say so when accuracy was asked for and cannot be measured."""
    reason = "" if task is None else task.why_not_measured(graph)
    return (Finding("accuracy-not-measured", f"accuracy was asked for: {reason}"),) if reason else ()


def _checked(metric: Metric, name: str, outputs: Mapping[str, Array], label: int | None) -> float:
    try:
        found = metric(outputs, label)
    except Exception as error:  # the user's code may raise anything
        raise InputError(
            f"the metric {name} raised {type(error).__name__} for label {label}: {error}",
            hint=f"it is called with the outputs ({', '.join(outputs)}) as a dict of arrays, and the label",
        ) from error
    try:
        score = float(found)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the metric {name} returned a {type(found).__name__} for label {label}, not one number",
            hint="return a finite number, higher is better",
        ) from error
    if not math.isfinite(score):
        raise InputError(
            f"the metric {name} gives {score} for label {label}", hint="return a finite number, higher is better"
        )
    return score
