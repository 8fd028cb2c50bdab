"""The worst layers: where int8 loses the signal, named by torch module, with the likely cause.

The float file and the canonical QDQ file run side by side with their inner values tapped. The QDQ file runs without
graph optimisations, so that the numbers speak of the quantization and not of a kernel of this machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgekit.check.signal import SqnrMeter
from edgekit.check.taps import groups, tap_float, tap_int8
from edgekit.types.graph import Graph, Node, QuantizedGraph
from edgekit.types.qparams import Array, QParams
from edgekit.types.report import LayerQuality
from edgekit.units import share

WORST = 10
SATURATED_SHARE = 0.001
FEW_STEPS = 8.0
WIDE_SPREAD = 16.0
UNUSED_RANGE = 0.5
INHERITED_DB = 1.0
WEAK_WEIGHTS_DB = 30.0
_CHANNELS_FIRST = frozenset({"Conv", "ConvTranspose", "PRelu", "MaxPool", "AveragePool", "GlobalAveragePool"})


class ValueMeter:
    """Streaming facts about one value: its noise, how its range is used, how its channels differ."""

    def __init__(self, params: QParams | None, channel_axis: int) -> None:
        self.noise = SqnrMeter()
        self.seen_low, self.seen_high = math.inf, -math.inf
        self.outside = self.elements = 0
        self._params = params
        self._axis = channel_axis
        self._peaks: Array | None = None

    def add(self, exact: Array, measured: Array) -> None:
        """Take in the value in float and as int8 holds it, same shape."""
        self.noise.add(exact, measured)
        self.elements += exact.size
        self.seen_low, self.seen_high = min(self.seen_low, float(exact.min())), max(self.seen_high, float(exact.max()))
        if self._params is not None:
            half = float(self._params.scale) / 2
            outside = (exact < self._params.low - half) | (exact > self._params.high + half)
            self.outside += int(np.count_nonzero(outside))
        peaks = np.abs(exact).max(axis=tuple(axis for axis in range(exact.ndim) if axis != self._axis % exact.ndim))
        self._peaks = peaks if self._peaks is None else np.maximum(self._peaks, peaks)

    @property
    def saturated_share(self) -> float:
        """Share of the float values that the integers cannot reach."""
        return self.outside / self.elements if self.elements else 0.0

    @property
    def channel_spread(self) -> float:
        """Largest over median peak of the channels; 1 for a single channel or a dead value."""
        if self._peaks is None or not (middle := float(np.median(self._peaks))):
            return 1.0
        return float(self._peaks.max()) / middle

    @property
    def typical_steps(self) -> float:
        """Root mean square of the float value in quantization steps; inf for a float value."""
        if self._params is None or not self.elements:
            return math.inf
        return math.sqrt(self.noise.signal / self.elements) / float(self._params.scale)

    @property
    def used_range(self) -> float:
        """Share of the representable range between the smallest and the largest value seen."""
        if self._params is None or not self.elements:
            return 1.0
        return max(0.0, self.seen_high - self.seen_low) / (self._params.high - self._params.low)

    @property
    def far_from_zero(self) -> bool:
        """Whether holding 0 costs more of the range than the values themselves take."""
        return max(self.seen_low, -self.seen_high) > self.seen_high - self.seen_low


def worst_layers(
    float_path: Path,
    int8_path: Path,
    quantized: QuantizedGraph,
    samples: Sequence[Mapping[str, Array]],
    *,
    count: int = WORST,
) -> tuple[LayerQuality, ...]:
    """The layers that hold the float signal worst.

    Args:
        float_path: `model.fp32.onnx`.
        int8_path: A QDQ file of `quantized`.
        quantized: The graph both were made from.
        samples: A few samples, each input name -> array at batch 1.
        count: How many layers to return.

    Returns:
        Worst SQNR first. Values that are bit-equal to the float model's are left out.

    Raises:
        ModelLoadError: A file cannot be run with its inner values tapped.
    """
    graph = quantized.graph
    names = [name for name, value in graph.values.items() if value.dtype == "float32" and 0 not in value.shape]
    meters = measure_values(float_path, int8_path, quantized, samples, names)
    rated = [_rate(node, name, quantized, meters) for node in graph.nodes for name in node.outputs if name in meters]
    noisy = [layer for layer in rated if layer.sqnr_db < math.inf]
    return tuple(sorted(noisy, key=lambda layer: layer.sqnr_db)[:count])


def measure_values(
    float_path: Path,
    int8_path: Path,
    quantized: QuantizedGraph,
    samples: Sequence[Mapping[str, Array]],
    names: Sequence[str],
) -> dict[str, ValueMeter]:
    """value name -> facts, for those of `names` that both files hold. Arguments as for `worst_layers`."""
    meters: dict[str, ValueMeter] = {}
    for group in groups(quantized.graph, names):
        exact_tap, int8_tap = tap_float(float_path, quantized, group), tap_int8(int8_path, quantized, group)
        for sample in samples:
            exact, measured = exact_tap(sample), int8_tap(sample)
            for name in [name for name in group if name in exact and name in measured]:
                if name not in meters:
                    meters[name] = ValueMeter(quantized.qparams.get(name), _channel_axis(quantized.graph, name))
                meters[name].add(exact[name], measured[name])
    return meters


def _channel_axis(graph: Graph, name: str) -> int:
    producer = graph.producers.get(name)
    rank = len(graph.shape(name))
    first = rank == 4 or (producer is not None and producer.op in _CHANNELS_FIRST)
    return 1 if first and rank > 1 else -1


def _rate(node: Node, name: str, quantized: QuantizedGraph, meters: Mapping[str, ValueMeter]) -> LayerQuality:
    meter, params = meters[name], quantized.qparams.get(name)
    incoming = min((meters[source].noise.db for source in node.inputs if source in meters), default=math.inf)
    return LayerQuality(
        label=node.label,
        value=name,
        sqnr_db=meter.noise.db,
        input_sqnr_db=incoming,
        low=None if params is None else params.low,
        high=None if params is None else params.high,
        scale=None if params is None else float(params.scale),
        zero_point=None if params is None else int(params.zero_point),
        saturated_share=meter.saturated_share,
        channel_spread=meter.channel_spread,
        causes=tuple(explain(meter, params, incoming_db=incoming, weights_db=weight_sqnr(node, quantized))),
    )


def explain(meter: ValueMeter, params: QParams | None, *, incoming_db: float, weights_db: float) -> list[str]:
    """Why a value is noisy, most likely cause first.

    Args:
        meter: What was seen of the value.
        params: Its QParams, None for a float value.
        incoming_db: SQNR of the noisiest input of its node.
        weights_db: SQNR of the node's int8 weights; inf when it has none.
    """
    causes = []
    if params is not None and meter.saturated_share > SATURATED_SHARE:
        causes.append(
            f"{share(meter.saturated_share)} of its values lie outside the calibrated range "
            f"[{params.low:.4g}, {params.high:.4g}]: the calibration set did not show them"
        )
    if params is not None and meter.typical_steps < FEW_STEPS:
        causes.append(_explain_few_steps(meter, params))
    if params is not None and meter.used_range < UNUSED_RANGE:
        why = (
            "zero must be in it"
            if meter.far_from_zero
            else "outliers of the calibration set, or a shared scale, set it"
        )
        causes.append(
            f"{share(meter.used_range)} of its range [{params.low:.4g}, {params.high:.4g}] "
            f"(zero point {int(params.zero_point)}) is used: {why}"
        )
    if weights_db < WEAK_WEIGHTS_DB and weights_db < incoming_db + 6:
        causes.append(f"its int8 weights hold only {weights_db:.1f} dB of the float weights")
    if incoming_db < math.inf and incoming_db - meter.noise.db < INHERITED_DB:
        causes.append(f"the noise comes with its inputs ({incoming_db:.1f} dB)")
    return causes


def _explain_few_steps(meter: ValueMeter, params: QParams) -> str:
    few = f"its values are typically {meter.typical_steps:.1f} steps of {float(params.scale):.3g}"
    if meter.channel_spread > WIDE_SPREAD:
        return f"{few}: one scale serves channels whose peaks differ {meter.channel_spread:.0f} times"
    return f"{few}: a few large values set the range"


def weight_sqnr(node: Node, quantized: QuantizedGraph) -> float:
    """SQNR of the int8 constants a node reads, against their float values, dB; inf when there are none."""
    meter = SqnrMeter()
    for name in node.inputs:
        if name in quantized.integers and quantized.qparams[name].dtype == "int8":
            meter.add(quantized.graph.constants[name], quantized.qparams[name].dequantize(quantized.integers[name]))
    return meter.db
