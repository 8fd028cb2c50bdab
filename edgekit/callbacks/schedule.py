"""CompressionSchedule: what happens to a net at which moment of a training run, whoever runs the training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from edgekit.errors import RecipeError
from edgekit.shrink.pruning.importance import IMPORTANCES
from edgekit.shrink.pruning.masks import PATTERNS
from edgekit.shrink.qat.settings import BatchNorm
from edgekit.types.recipe import Recipe
from edgekit.types.spec import TensorSpec
from edgekit.types.strict_table import between, one_of

SELF = "self"
"""The teacher that is the net itself, as it was handed over."""
LOSSES = ("kd", "dkd", "output")
MOST = 10**9
UPDATES = 100
"""About so often masks are chosen anew while zeros grow: each time all weights are sorted."""


@dataclass(frozen=True)
class SparsityPhase:
    """Zeros that grow while the net is trained, on a cubic curve; see `edgekit.sparsify` for what they are good for.

    Attributes:
        amount: Share of zeros to reach, 0..1.
        pattern: "unstructured", or "2:4" with an amount of 0.5.
        begin: Optimizer step at which the first zeros are set.
        end: Optimizer step at which all are; None is three quarters of the way to QAT, or to the end of the training.
        ignore: Shell patterns of module paths inside the net that stay dense.
    """

    amount: float = 0.5
    pattern: str = "unstructured"
    begin: int = 0
    end: int | None = None
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        one_of("sparsity.pattern", self.pattern, PATTERNS)
        between("sparsity.amount", self.amount, 0.0, 1.0)
        between("sparsity.begin", self.begin, 0, MOST)
        if self.pattern == "2:4" and self.amount != 1 / 2:
            raise RecipeError(f'sparsity.pattern "2:4" has an amount of 0.5, found {self.amount:g}')
        if self.end is not None:
            between("sparsity.end", self.end, self.begin, MOST)


@dataclass(frozen=True)
class PrunePhase:
    """Channels that are cut before the training begins; see `edgekit.prune`.

    Attributes:
        speedup: So many times fewer multiply-accumulates, above 1.
        importance: How channels are ranked.
        round_to: Widths become multiples of it.
        ignore: Shell patterns of module paths inside the net that keep their channels.
    """

    speedup: float
    importance: str = "group-norm"
    round_to: int = 8
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        one_of("prune.importance", self.importance, IMPORTANCES)
        between("prune.round_to", self.round_to, 1, 1024)
        if not 1.0 < self.speedup < math.inf:
            raise RecipeError(f"prune.speedup must be above 1, found {self.speedup:g}")


@dataclass(frozen=True, eq=False)
class DistillPhase:
    """A teacher whose answers are part of the training loss.

    Attributes:
        teacher: It is called like the net, and never changed or saved. "self" is the net as it was handed over.
        loss: "kd" (Hinton), "dkd" (needs labels in the batch), "output" (mean squares, for what are no classes), or a
            module called as (student's output, teacher's output, labels).
        weight: Share of the teacher's part: (1 - weight) * the loss of the training + weight * the teacher's.
        temperature: Softens the answers of "kd" and "dkd".
    """

    teacher: nn.Module | str
    loss: nn.Module | str = "kd"
    weight: float = 0.7
    temperature: float = 4.0

    def __post_init__(self) -> None:
        between("distill.weight", self.weight, 0.0, 1.0)
        between("distill.temperature", self.temperature, 0.01, 1000.0)
        if isinstance(self.loss, str):
            one_of("distill.loss", self.loss, LOSSES)
        if not isinstance(self.teacher, nn.Module) and self.teacher != SELF:
            raise RecipeError(f"distill.teacher must be a module or 'self', found {self.teacher!r}")


@dataclass(frozen=True)
class QatPhase:
    """Quantization-aware training from an epoch on; see `edgekit.prepare_qat`.

    Attributes:
        epoch: First epoch (counted from 0) that trains with rounding.
        samples: At most so many samples of the calibration data give the first ranges.
        weight_bits: 8 or 4.
        learn_scales: Scales are trained too.
        batchnorm: "frozen" or "live".
        float_modules: Shell patterns of module paths inside the net that stay in float.
    """

    epoch: int
    samples: int = 128
    weight_bits: int = 8
    learn_scales: bool = False
    batchnorm: BatchNorm = "frozen"
    float_modules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        between("qat.epoch", self.epoch, 0, MOST)
        between("qat.samples", self.samples, 1, MOST)


@dataclass(frozen=True, eq=False)
class ExportPhase:
    """The files that are written when the training is over; see `edgekit.compress`.

    Attributes:
        out: Folder for them.
        evaluation: Labelled data, for the accuracy of each file.
        recipe: Further settings of the compression.
        reestimate_batches: Before exporting a net without QAT, BatchNorm statistics are averaged anew over so many
            batches of the calibration data; 0 keeps them.
    """

    out: Path | str
    evaluation: object = None
    recipe: Recipe | None = None
    reestimate_batches: int = 0

    def __post_init__(self) -> None:
        between("export.reestimate_batches", self.reestimate_batches, 0, MOST)


@dataclass(frozen=True, eq=False)
class CompressionSchedule:
    """Everything that is done to one net; each part may be left out.

    Attributes:
        calibration: Batches of inputs, walked through several times: a list, an array, a DataLoader. Labels in a batch
            are passed over. Needed by `prune`, `qat` and `export`.
        inputs: Names and shapes of the net's inputs, where the first batch does not tell.
        sparsity: Zeros that grow.
        prune: Channels cut before the first step.
        distill: A teacher.
        qat: Training with rounding.
        export: Files at the end.
    """

    calibration: object = None
    inputs: tuple[TensorSpec, ...] = ()
    sparsity: SparsityPhase | None = None
    prune: PrunePhase | None = None
    distill: DistillPhase | None = None
    qat: QatPhase | None = None
    export: ExportPhase | None = None

    def __post_init__(self) -> None:
        needing = [name for name in ("prune", "qat", "export") if getattr(self, name) is not None]
        if needing and self.calibration is None:
            raise RecipeError(
                f"{', '.join(needing)} of the schedule needs calibration data, and there are none",
                hint="CompressionSchedule(calibration=...) takes a few batches of inputs: a list, array or DataLoader",
            )
        if hasattr(self.calibration, "__next__"):
            raise RecipeError(
                "calibration is an iterator, which can be read only once", hint="hand over a list or a DataLoader"
            )


@dataclass(frozen=True)
class Timetable:
    """A schedule's moments in optimizer steps, once the length of the training is known.

    Attributes:
        begin: First step with zeros.
        end: Step at which all zeros are in place.
        every: Masks are chosen anew after so many steps.
    """

    begin: int
    end: int
    every: int

    def is_due(self, step: int) -> bool:
        """Whether masks are chosen anew after this step."""
        return self.begin <= step <= self.end and ((step - self.begin) % self.every == 0 or step == self.end)

    def progress(self, step: int) -> float:
        """How far the growth is, 0..1."""
        return 1.0 if step >= self.end else max(0.0, (step - self.begin) / (self.end - self.begin))


def timetable(phase: SparsityPhase, *, steps: int | None, steps_before_qat: int | None) -> Timetable:
    """When zeros grow.

    Args:
        phase: What was asked.
        steps: Optimizer steps of the whole training; None when nobody knows.
        steps_before_qat: Optimizer steps before rounding begins; None without QAT.

    Raises:
        RecipeError: The zeros would not be in place before QAT, or the end is unknown.
    """
    limit = steps if steps_before_qat is None else steps_before_qat
    end = phase.end
    if end is None:
        if limit is None:
            raise RecipeError(
                "the training's length is unknown, so nobody knows when the zeros must be in place",
                hint="say it: SparsityPhase(end=...), in optimizer steps",
            )
        end = phase.begin + max(limit - phase.begin, 0) * 3 // 4
    if limit is not None and end > limit:
        what = "QAT begins" if steps_before_qat is not None else "the training ends"
        raise RecipeError(
            f"sparsity.end is step {end}, but {what} at step {limit}", hint=f"end the growth by step {limit}"
        )
    return Timetable(phase.begin, end, max(1, (end - phase.begin) // UPDATES))
