"""The table of what training did before the model was quantized."""

from __future__ import annotations

from edgekit.report.tables import NONE, Table
from edgekit.types.training_summary import TrainingSummary
from edgekit.units import count, duration, share


def tabulate_training(training: TrainingSummary) -> Table:
    """One row per step, the model as it was given first."""
    first = training.steps[0].macs if training.steps else 0
    rows = tuple(
        (
            step.name,
            step.detail or NONE,
            count(step.macs),
            f"{first / step.macs:.2f}x" if step.macs else NONE,
            count(step.parameters),
            NONE if step.accuracy is None else share(step.accuracy),
            NONE if step.time_ratio is None else f"{step.time_ratio:.2f}",
            f"{duration(step.seconds)}{' (earlier run)' if step.name in training.resumed else ''}",
        )
        for step in training.steps
    )
    return Table(("model", "how", "MACs", "fewer", "parameters", "top-1", "int8 time", "took"), rows)


def describe_training(training: TrainingSummary) -> str:
    """Where the data came from, and what the accuracy is of."""
    source = f"Trained on {training.data}." if training.data else "No training data."
    if not training.samples:
        return f"{source} No labelled data, so nothing is known of the accuracy between the steps."
    return f"{source} top-1 is that of the torch modules in float on {training.samples} labelled samples."
