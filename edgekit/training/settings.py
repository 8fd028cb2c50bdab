"""Settings of a training run: everything besides model and data that decides its result, in two frozen values."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgekit.errors import InputError

OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("cosine", "constant")
PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True)
class TrainingSettings:
    """How to train. The batch size is the loader's.

    Attributes:
        lr: Highest learning rate (no unit, above 0).
        optimizer: "adamw" (Loshchilov and Hutter 2019) or "sgd" with Nesterov momentum 0.9.
        schedule: "cosine" falls to 0 at the last step; "constant" stays.
        warmup: Share of all steps in which the rate rises linearly from 0, in [0, 1).
        weight_decay: For weights with two axes or more; biases and normalisation are never decayed.
        clip_norm: Largest norm of all gradients together; None does not clip.
        seed: Of data order, dropout and every other random choice. The caller's random state is put back afterwards.
        mixed_precision: "no", "bf16", or "fp16" (needs a GPU).
        gradient_accumulation: Batches to one optimizer step.
        ema: Decay of an exponential average of the weights, in [0, 1); the average is what is evaluated and kept.
            None trains without.
        label_smoothing: Share of the target spread over all classes, in [0, 1); for the built-in cross-entropy.
        checkpoint_steps: Steps from one checkpoint to the next; None writes one after each epoch. It does not change
            the result.
    """

    lr: float = 1e-3
    optimizer: str = "adamw"
    schedule: str = "cosine"
    warmup: float = 0.05
    weight_decay: float = 0.01
    clip_norm: float | None = 1.0
    seed: int = 0
    mixed_precision: str = "no"
    gradient_accumulation: int = 1
    ema: float | None = None
    label_smoothing: float = 0.0
    checkpoint_steps: int | None = None

    def __post_init__(self) -> None:
        """Refuse impossible values.

        Raises:
            InputError: The message names the field, the value and what is possible.
        """
        above_zero("lr", self.lr)
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        one_of("schedule", self.schedule, SCHEDULES)
        one_of("mixed_precision", self.mixed_precision, PRECISIONS)
        share("warmup", self.warmup)
        share("label_smoothing", self.label_smoothing)
        at_least("weight_decay", self.weight_decay, 0)
        at_least("seed", self.seed, 0)
        at_least("gradient_accumulation", self.gradient_accumulation, 1)
        if self.clip_norm is not None:
            above_zero("clip_norm", self.clip_norm)
        if self.ema is not None:
            share("ema", self.ema)
        if self.checkpoint_steps is not None:
            at_least("checkpoint_steps", self.checkpoint_steps, 1)


@dataclass(frozen=True)
class Distillation:
    """What the teacher's part of the loss is.

    Attributes:
        weight: Share of the teacher's part, in (0, 1]: (1 - weight) * task loss + weight * distillation loss. Without a
            task loss the teacher's part stands alone.
        temperature: Softens the answers of "kd" and "dkd" (no unit, above 0).
        target_weight: alpha of "dkd".
        other_weight: beta of "dkd".
        layer_weight: Of the part on layers in a loss like "kd+feature", at least 0.
        taps: Pairs (layer of the student, layer of the teacher) for "feature" and "attention", named as in
            `named_modules()`. Empty: the last feature map of each.
    """

    weight: float = 0.7
    temperature: float = 4.0
    target_weight: float = 1.0
    other_weight: float = 8.0
    layer_weight: float = 1.0
    taps: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Refuse impossible values.

        Raises:
            InputError: The message names the field, the value and what is possible.
        """
        above_zero("weight", self.weight)
        if self.weight > 1:
            raise InputError(f"weight must be above 0 and at most 1; it is {self.weight}")
        above_zero("temperature", self.temperature)
        at_least("target_weight", self.target_weight, 0)
        at_least("other_weight", self.other_weight, 0)
        at_least("layer_weight", self.layer_weight, 0)
        for pair in self.taps:
            if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(name, str) for name in pair)):
                raise InputError(f"taps has {pair!r}", hint='write pairs: taps=(("student.layer", "teacher.layer"),)')


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Nothing when the value is allowed.

    Raises:
        InputError: It is not.
    """
    if value not in allowed:
        raise InputError(f"{name} is {value!r}; it is one of: {', '.join(allowed)}")


def above_zero(name: str, value: float) -> None:
    """Nothing when the value is finite and above 0.

    Raises:
        InputError: It is not.
    """
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} must be a finite number above 0; it is {value}")


def at_least(name: str, value: float, least: float) -> None:
    """Nothing when the value is finite and not below `least`.

    Raises:
        InputError: It is not.
    """
    if not (math.isfinite(value) and value >= least):
        raise InputError(f"{name} must be a finite number, {least} or more; it is {value}")


def share(name: str, value: float) -> None:
    """Nothing when the value is in [0, 1).

    Raises:
        InputError: It is not.
    """
    if not 0 <= value < 1:
        raise InputError(f"{name} must be 0 or more and below 1; it is {value}")
