"""CompressionSession: one schedule at work on one net; what each training library calls at its own moments."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.callbacks.batches import example_of, input_batches, specs_of
from edgekit.callbacks.numbers import PREFIX, numbers_of
from edgekit.callbacks.place import Place, first_tensor
from edgekit.callbacks.schedule import CompressionSchedule, Timetable, timetable
from edgekit.callbacks.tutor import Tutor
from edgekit.callbacks.zeros import GrowingZeros, HeldZeros
from edgekit.errors import RecipeError
from edgekit.pipeline import compress
from edgekit.shrink.pruning.batchnorm import reestimate_batchnorm
from edgekit.shrink.pruning.plan import PruningPlan
from edgekit.shrink.pruning.pruned import Pruned
from edgekit.shrink.pruning.saving import shrink_as_planned
from edgekit.shrink.qat.module import QatModule
from edgekit.training.modes import modes_kept
from edgekit.training.pruning import prune
from edgekit.training.quantization_aware import prepare_qat
from edgekit.types.result import CompressResult
from edgekit.types.spec import TensorSpec

REHEARSED = 4
"""Samples of a rehearsal: it shows whether the net can be rounded, not how well."""


@dataclass(frozen=True)
class Length:
    """How long a training is.

    Attributes:
        epochs: Passes over the data; None when nobody knows.
        steps_per_epoch: Optimizer steps of one; None when nobody knows.
        steps: Optimizer steps of all; None when nobody knows.
    """

    epochs: int | None = None
    steps_per_epoch: int | None = None
    steps: int | None = None


class CompressionSession:
    """Where a schedule stands.

    Attributes:
        schedule: What was asked.
        place: Where the net is.
        tutor: The teacher, or None.
        pruned: What pruning did, or None.
        result: The files, once they are written.
    """

    def __init__(self, schedule: CompressionSchedule, place: Place) -> None:
        """Take over a net that has not been changed yet."""
        self.schedule, self.place = schedule, place
        self.tutor = Tutor(schedule.distill, place.net) if schedule.distill else None
        self.pruned: Pruned | None = None
        self.result: CompressResult | None = None
        self._original = place.net
        self._specs: tuple[TensorSpec, ...] = ()
        self._plan: PruningPlan | None = None
        self._when: Timetable | None = None
        self._zeros: GrowingZeros | HeldZeros | None = None

    @property
    def is_rounding(self) -> bool:
        """Whether QAT has begun."""
        return isinstance(self.place.net, QatModule)

    @property
    def sparsity(self) -> float | None:
        """Share of zeros in the weights; None when they are not looked after now."""
        return None if self._zeros is None else self._zeros.share

    def prune(self) -> None:
        """Cut channels, where the schedule says so; before an optimizer is made.

        Raises:
            ShrinkError: The target cannot be met.
        """
        phase, net = self.schedule.prune, self.place.net
        if phase is None or self._plan is not None:
            return
        like = first_tensor(net)
        self.pruned = prune(
            net,
            example_of(net, self._inputs(), like),
            speedup=phase.speedup,
            importance=phase.importance,
            round_to=phase.round_to,
            ignore=phase.ignore,
            data=input_batches(self.schedule.calibration, like),
        )
        self._plan = self.pruned.plan
        self.place.put(self.pruned.model)

    def rehearse(self) -> QatModule | None:
        """The net prepared for QAT, without a change to it: what cannot work is to fail now, not after many epochs.

        Raises:
            EdgekitError: The net cannot be traced or rounded.
        """
        is_due = self.schedule.qat is not None and not self.is_rounding
        return self._rounded(REHEARSED) if is_due else None

    def begin(self, length: Length, *, step: int) -> None:
        """The training is about to run, at `step`; the net has the weights it is to begin with.

        Raises:
            RecipeError: The training is too short for the schedule.
        """
        qat, phase = self.schedule.qat, self.schedule.sparsity
        if qat is not None and length.epochs is not None and qat.epoch >= length.epochs:
            raise RecipeError(
                f"qat.epoch is {qat.epoch}, and the training ends after {length.epochs} epoch(s), counted from 0",
                hint="train for longer, or begin QAT earlier",
            )
        if self.tutor is not None:
            self.tutor.begin(first_tensor(self.place.net).device)
        if phase is None:
            return
        if self.is_rounding:
            self._zeros = HeldZeros(self.place.net)
            return
        before = None if qat is None or length.steps_per_epoch is None else qat.epoch * length.steps_per_epoch
        self._when = timetable(phase, steps=length.steps, steps_before_qat=before)
        self.after_step(step)

    def after_step(self, step: int) -> None:
        """An optimizer step is done; `step` of them in all."""
        if isinstance(self._zeros, HeldZeros):
            self._zeros.hold()
        elif self._when is not None and self.schedule.sparsity is not None and step >= self._when.begin:
            is_new = self._zeros is None
            if self._zeros is None:
                self._zeros = GrowingZeros(self.place.net, self.schedule.sparsity)
            if is_new or self._when.is_due(step):
                self._zeros.grow(self._when.progress(step))

    def start_rounding(self) -> QatModule:
        """Put a QatModule in the net's place; the zeros it has stay.

        Raises:
            EdgekitError: The net cannot be rounded.
        """
        qat = self.schedule.qat
        assert qat is not None
        self._take_masks_off()
        rounded = self._rounded(qat.samples)
        self.place.put(rounded)
        if self.schedule.sparsity is not None:
            self._zeros = HeldZeros(rounded)
        return rounded

    def finish(self) -> CompressResult | None:
        """Take masks off, and write the files where the schedule says so.

        Raises:
            EdgekitError: The net cannot be compressed.
        """
        self._take_masks_off()
        export, net = self.schedule.export, self.place.net
        if export is None:
            return None
        like, specs = first_tensor(net), self._inputs()
        device = like.device  # read now: a net is moved in place
        with modes_kept(net):
            if export.reestimate_batches and not self.is_rounding:
                batches = input_batches(self.schedule.calibration, like, limit=export.reestimate_batches)
                if batches is not None:
                    reestimate_batchnorm(net, batches)
            net.eval()
            try:
                self.result = compress(
                    net.cpu(),
                    calibration=self.schedule.calibration,
                    inputs=specs,
                    evaluation=export.evaluation,
                    out=export.out,
                    recipe=export.recipe,
                )
            finally:
                net.to(device)
        return self.result

    def close(self) -> None:
        """Put back what is not the net's own: the teacher."""
        if self.tutor is not None:
            self.tutor.end()

    def metrics(self) -> dict[str, float]:
        """Numbers of the present step."""
        found: dict[str, float] = {}
        if self.sparsity is not None:
            found[f"{PREFIX}sparsity"] = self.sparsity
        if self.schedule.qat is not None:
            found[f"{PREFIX}qat"] = float(self.is_rounding)
        return found

    def final_metrics(self) -> dict[str, float]:
        """Numbers of the written files."""
        return {} if self.result is None else numbers_of(self.result)

    def state(self) -> dict[str, object]:
        """What a checkpoint needs beside the weights: how the net is built."""
        plan = "" if self._plan is None else self._plan.to_json()
        return {"rounding": self.is_rounding, "masked": isinstance(self._zeros, GrowingZeros), "plan": plan}

    def adapt(self, state: Mapping[str, object]) -> None:
        """Build the net as it was when `state` was taken, so that weights of a checkpoint fit it.

        Raises:
            ModelLoadError: The net that was handed over is another one.
        """
        plan = state.get("plan")
        if isinstance(plan, str) and plan:
            net = copy.deepcopy(self._original)
            self._plan = PruningPlan.from_json(plan)
            shrink_as_planned(net, self._plan)
            self.place.put(net)
        if state.get("rounding") and not self.is_rounding:
            self.start_rounding()
        elif state.get("masked") and self._zeros is None and self.schedule.sparsity is not None:
            self._zeros = GrowingZeros(self.place.net, self.schedule.sparsity)

    def _take_masks_off(self) -> None:
        if isinstance(self._zeros, GrowingZeros):
            self._zeros.finish()
            self._zeros = None
        self._when = None

    def _inputs(self) -> tuple[TensorSpec, ...]:
        """The net's inputs, found out while it is the user's own: a rounded one has no names for them."""
        if not self._specs:
            self._specs = specs_of(self.place.net, self.schedule.calibration, self.schedule.inputs)
        return self._specs

    def _rounded(self, samples: int) -> QatModule:
        qat, net = self.schedule.qat, self.place.net
        assert qat is not None
        with modes_kept(net):
            return prepare_qat(
                net.eval(),
                self.schedule.calibration,
                inputs=self._inputs(),
                samples=samples,
                weight_bits=qat.weight_bits,
                learn_scales=qat.learn_scales,
                batchnorm=qat.batchnorm,
                float_modules=qat.float_modules,
            )
