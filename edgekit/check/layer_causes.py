"""Why a layer is noisy, one sentence per cause, each with what would help."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from edgekit.check.signal import SqnrMeter
from edgekit.check.value_meter import ValueMeter
from edgekit.types.graph import Graph, Node, QuantizedGraph
from edgekit.types.qparams import QParams
from edgekit.units import share

SATURATED_SHARE = 0.001
FEW_STEPS = 8.0
"""Values of this typical size in steps lose about 29 dB to rounding: 20 log10(8 sqrt(12))."""
WIDE_SPREAD = 16.0
UNUSED_RANGE = 0.5
INHERITED_DB = 1.0
OWN_NOISE_DB = 3.0
WEAK_WEIGHTS_DB = 30.0
_MORE_DATA = "calibrating on more, and more typical, samples helps"


@dataclass(frozen=True)
class Circumstances:
    """What surrounds a value.

    Attributes:
        node: The node that computes it; None for an input of the model.
        graph: The graph it is in.
        incoming_db: SQNR of the noisiest input of the node; inf without noise.
        weights_db: SQNR of the node's int8 weights; inf when it has none.
        starved: Labels of its inputs most of whose channels int8 holds in few steps.
    """

    node: Node | None
    graph: Graph | None
    incoming_db: float = math.inf
    weights_db: float = math.inf
    starved: tuple[str, ...] = ()


def explain(meter: ValueMeter, params: QParams | None, around: Circumstances) -> list[str]:
    """Why a value is noisy, most likely cause first.

    Args:
        meter: What was seen of the value.
        params: Its QParams, None for a float value.
        around: Where it stands.
    """
    causes = [] if params is None else list(_explain_range(meter, params))
    if around.weights_db < WEAK_WEIGHTS_DB and around.weights_db < around.incoming_db + 6:
        causes.append(
            f"its int8 weights hold only {around.weights_db:.1f} dB of the float weights: Hessian rounding (effort "
            "'balanced') or keeping them in float helps"
        )
    lost_db = around.incoming_db - meter.noise.db
    if lost_db > OWN_NOISE_DB:
        causes.extend(
            f"{label} hands it most channels in few steps: what helps there helps here" for label in around.starved
        )
    if around.node is not None and around.graph is not None and lost_db > OWN_NOISE_DB:
        causes.extend(_explain_operator(around.node, around.graph))
    if around.incoming_db < math.inf and lost_db < INHERITED_DB:
        causes.append(f"the noise comes with its inputs ({around.incoming_db:.1f} dB)")
    return causes


def is_starved(meter: ValueMeter) -> bool:
    """Whether loud channels set a scale at which most channels have few steps."""
    return meter.channel_steps < FEW_STEPS and meter.channel_spread > WIDE_SPREAD


def _explain_range(meter: ValueMeter, params: QParams) -> Iterator[str]:
    low_high = f"[{params.low:.4g}, {params.high:.4g}]"
    if meter.saturated_share > SATURATED_SHARE:
        yield (
            f"{share(meter.saturated_share)} of its values lie outside the calibrated range {low_high}: the "
            f"calibration set did not show them, and {_MORE_DATA}"
        )
    if is_starved(meter):
        yield (
            f"most of its channels are typically {meter.channel_steps:.2g} steps of {float(params.scale):.3g}: one "
            f"scale serves channels whose peaks differ {meter.channel_spread:.0f} times; equalizing the channels "
            "(effort 'balanced') or keeping the layers around it in float helps"
        )
    elif meter.typical_steps < FEW_STEPS:
        yield _explain_few_steps(meter, params)
    if meter.used_range < UNUSED_RANGE:
        why = (
            "zero must be in it, and a constant subtracted before would free the range"
            if meter.far_from_zero
            else f"outliers of the calibration set, or a shared scale, set it, and {_MORE_DATA}"
        )
        used = share(meter.used_range)
        yield f"{used} of its range {low_high} (zero point {int(params.zero_point)}) is used: {why}"


def _explain_few_steps(meter: ValueMeter, params: QParams) -> str:
    few = f"its values are typically {meter.typical_steps:.1f} steps of {float(params.scale):.3g}"
    reach = max(abs(params.low), abs(params.high)) / (meter.typical_steps * float(params.scale) or 1.0)
    return (
        f"{few}: a few large values set the range, which reaches {reach:.0f} times their root mean square; searching "
        "the range (effort 'balanced') or float helps"
    )


def _explain_operator(node: Node, graph: Graph) -> Iterator[str]:
    """What an operator is known for; told only of nodes that add noise of their own."""
    if node.op == "Mul" and _is_gate(node, graph):
        yield (
            "it gates whole channels: an error of the gate scales every position of a channel; the layers that compute "
            "the gate are small and cheap in float"
        )
    elif node.op == "LayerNormalization":
        yield (
            "it divides by the spread of each row, which magnifies the rounding of quiet rows; keeping it and the "
            "value before it in float helps"
        )
    elif node.op == "Softmax":
        yield (
            "its scale is fixed at 1/256 by both runtimes, so that probabilities below 1/512 vanish; over many classes "
            "or positions float helps"
        )


def _is_gate(node: Node, graph: Graph) -> bool:
    """Whether a Mul has one value per channel for a whole map, as squeeze-and-excitation has."""
    shapes = [graph.shape(name) for name in node.inputs]
    return all(len(shape) >= 3 for shape in shapes) and any(
        all(size == 1 for size in shape[2:]) and any(size > 1 for size in other[2:])
        for shape, other in (shapes, reversed(shapes))
    )


def weight_sqnr(node: Node, quantized: QuantizedGraph) -> float:
    """SQNR of the int8 constants a node reads, against their float values, dB; inf when there are none."""
    meter = SqnrMeter()
    for name in node.inputs:
        if name in quantized.integers and quantized.qparams[name].dtype == "int8":
            meter.add(quantized.graph.constants[name], quantized.qparams[name].dequantize(quantized.integers[name]))
    return meter.db
