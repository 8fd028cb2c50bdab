"""Plan: everything the quantizer is told besides the graph and what was observed.

A rung of the accuracy ladder takes a plan and proposes another; importing a file that was quantized elsewhere is a
plan too. So there is one quantizer, and what decided a file can be read off one value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from edgekit.types.qparams import WEIGHT_LIMIT, Array, QParams

WeightScheme = Literal["pair-safe", "full", "7-bit"]
"""How much of int8 a weight uses: scales widened until no 16-bit pair sum saturates; all of +-127; +-63."""

WEIGHT_SCHEMES: tuple[WeightScheme, ...] = get_args(WeightScheme)


@dataclass(frozen=True, eq=False)
class Weight:
    """One weight tensor, decided.

    Attributes:
        params: Its scale, zero point 0.
        integers: int8 of the weight's shape, within the limit of the scheme it was made for.
    """

    params: QParams
    integers: Array


@dataclass(frozen=True, eq=False)
class Plan:
    """How to quantize.

    Attributes:
        method: How an activation's range follows from its histogram, where `ranges` does not name it: "minmax",
            "percentile", "mse" or "entropy".
        ranges: value or constant operand -> real (low, high) to use instead. A tie group spans those of its members.
        symmetric: Activations are int8 with zero point 0 (TensorRT), ranges widened to (-m, m).
        scheme: How much of int8 the weights use.
        weight_limit: Largest integer of a weight: 127, or 7 for 4-bit weights, which are stored as int8 all the same.
        per_channel: Weights have a scale per output channel; False is one for each tensor.
        correct_bias: Take the mean error of each rounded weight back out of its bias.
        weights: weight name -> scale and integers decided beforehand (Hessian or adaptive rounding).
        biases: bias name -> float bias decided beforehand, in place of the graph's corrected one; (C,). For a node
            without one, the name of its weight with ".bias" appended.
        float_nodes: node name -> why it computes in float.
        float_results: Names of last layers that multiply int8 and whose results, outputs of the model, stay float.
        float_modules: Shell patterns of torch modules that compute in float.
        weight_only: int8 weights, float activations; nothing else of the plan counts then.
    """

    method: str = "minmax"
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    symmetric: bool = False
    scheme: WeightScheme = "pair-safe"
    weight_limit: int = WEIGHT_LIMIT
    per_channel: bool = True
    correct_bias: bool = True
    weights: Mapping[str, Weight] = field(default_factory=dict)
    biases: Mapping[str, Array] = field(default_factory=dict)
    float_nodes: Mapping[str, str] = field(default_factory=dict)
    float_results: frozenset[str] = frozenset()
    float_modules: tuple[str, ...] = ()
    weight_only: bool = False
