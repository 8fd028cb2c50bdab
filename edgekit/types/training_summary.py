"""What training did to a model before it was quantized, step by step, for the report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainedStep:
    """The model after one step.

    Attributes:
        name: "as given", "pruned", "distilled", "fine-tuned" or "trained for int8".
        detail: What the step was, in a few words.
        macs: Multiply-accumulates of one sample.
        parameters: Elements in all weights.
        accuracy: Share of labelled samples answered rightly, 0..1; None where there are none.
        seconds: Wall time.
        time_ratio: Time of an int8 file as a share of the given model's, on this CPU, one thread; None: not measured.
    """

    name: str
    detail: str
    macs: int
    parameters: int
    accuracy: float | None
    seconds: float
    time_ratio: float | None = None


@dataclass(frozen=True)
class TrainingSummary:
    """All steps of one run.

    Attributes:
        data: Where the training batches came from.
        samples: Labelled samples that `accuracy` was measured on; 0 without any.
        steps: In order; the first is the model as it was given.
        resumed: Names of steps that an earlier, interrupted run had finished.
    """

    data: str
    samples: int
    steps: tuple[TrainedStep, ...]
    resumed: tuple[str, ...] = ()
