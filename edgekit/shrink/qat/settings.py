"""How a net is trained while it rounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit.errors import RecipeError
from edgekit.shrink.quantization.ranges import METHODS
from edgekit.types.plan import Plan
from edgekit.types.qparams import WEIGHT_LIMIT

BatchNorm = Literal["frozen", "live"]
FOUR_BIT_LIMIT = 7
"""Largest integer of a 4-bit weight: symmetric, as 127 is for 8 bits."""


@dataclass(frozen=True)
class QatSettings:
    """What `prepare_qat` decides and training cannot change.

    Attributes:
        weight_bits: 8, or 4: weights take the integers -7..7, stored in int8.
        per_channel: One weight scale per output channel; False is one per tensor.
        learn_scales: Scales of weights and activations are parameters (LSQ, Esser et al. 2020, arXiv 1902.08153).
        batchnorm: "frozen" trains the folded weights; "live" keeps each BatchNorm that was folded, training with the
            statistics of the batch until `freeze_batchnorm` (Krishnamoorthi 2018, arXiv 1806.08342, section 3.2.2).
        symmetric: Activations have zero point 0.
        pair_safe: Weight scales are widened as in `choose_weight`; 4-bit weights never need it.
        float_modules: Shell patterns of torch modules that compute in float.
        range: How a first range follows from what was observed: a key of `METHODS`.
        observe_steps: Training steps in which ranges follow the data; None until `freeze_ranges` is called.
        momentum: Share of a new batch in a range, 0..1.
    """

    weight_bits: int = 8
    per_channel: bool = True
    learn_scales: bool = False
    batchnorm: BatchNorm = "frozen"
    symmetric: bool = False
    pair_safe: bool = True
    float_modules: tuple[str, ...] = ()
    range: str = "minmax"
    observe_steps: int | None = None
    momentum: float = 0.01

    def __post_init__(self) -> None:
        if self.weight_bits not in (4, 8):
            raise RecipeError(f"weight_bits must be 4 or 8, found {self.weight_bits}")
        if self.batchnorm not in ("frozen", "live"):
            raise RecipeError(f"batchnorm must be frozen or live, found '{self.batchnorm}'")
        if self.range not in METHODS:
            raise RecipeError(f"range must be one of {', '.join(METHODS)}, found '{self.range}'")
        if not 0.0 < self.momentum <= 1.0:
            raise RecipeError(f"momentum must be above 0 and at most 1, found {self.momentum}")
        if self.observe_steps is not None and self.observe_steps < 0:
            raise RecipeError(f"observe_steps must be at least 0, found {self.observe_steps}")

    def __str__(self) -> str:
        """For the report: weights, scales and BatchNorm in a few words."""
        weights = f"{self.weight_bits}-bit weights with a scale per {'channel' if self.per_channel else 'tensor'}"
        scales = "learned scales" if self.learn_scales else "scales that follow the values"
        return f"{weights}, {scales}, {self.batchnorm} BatchNorm"

    @property
    def limit(self) -> int:
        """Largest integer of a weight."""
        return FOUR_BIT_LIMIT if self.weight_bits == 4 else WEIGHT_LIMIT

    def plan(self) -> Plan:
        """What the quantizer is told; biases are trained, so nothing corrects them."""
        return Plan(
            method=self.range,
            symmetric=self.symmetric,
            scheme="pair-safe" if self.pair_safe and self.weight_bits == 8 else "full",
            weight_limit=self.limit,
            per_channel=self.per_channel,
            correct_bias=False,
            float_modules=self.float_modules,
        )
