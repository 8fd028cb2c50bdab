"""The layer table: how well int8 holds each inner value, named by torch module, with causes and prices.

The float file and the canonical QDQ file run side by side with their inner values tapped. The QDQ file runs without
graph optimisations, so that the numbers speak of the quantization and not of a kernel of this machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekit.check.layer_causes import Circumstances, explain, is_starved, weight_sqnr
from edgekit.check.layer_costs import LayerCost
from edgekit.check.taps import groups, tap_float, tap_int8
from edgekit.check.value_meter import ValueMeter
from edgekit.types.graph import Graph, Node, QuantizedGraph
from edgekit.types.output_noise import OutputNoise
from edgekit.types.qparams import Array
from edgekit.types.report import LayerQuality

_CHANNELS_FIRST = frozenset({"Conv", "ConvTranspose", "PRelu", "MaxPool", "AveragePool", "GlobalAveragePool"})


def rate_layers(
    float_path: Path,
    int8_path: Path,
    quantized: QuantizedGraph,
    samples: Sequence[Mapping[str, Array]],
    *,
    noise: OutputNoise | None = None,
    costs: Mapping[str, LayerCost] | None = None,
) -> tuple[LayerQuality, ...]:
    """Every layer, by how well it holds the float signal.

    Args:
        float_path: A float file of `quantized.graph`.
        int8_path: A QDQ file of `quantized`.
        quantized: The graph both were made from.
        samples: A few samples, each input name -> array at batch 1.
        noise: Which layers the noise at the outputs comes from, where that was scanned.
        costs: node name -> what keeping it in float would cost, where that was measured.

    Returns:
        Worst SQNR first. Values that are bit-equal to the float model's are left out.

    Raises:
        ModelLoadError: A file cannot be run with its inner values tapped.
    """
    graph = quantized.graph
    names = [name for name, value in graph.values.items() if value.dtype == "float32" and 0 not in value.shape]
    meters = measure_values(float_path, int8_path, quantized, samples, names)
    rated = [
        _rate(node, name, quantized, meters, noise=noise, cost=(costs or {}).get(node.name))
        for node in graph.nodes
        for name in node.outputs
        if name in meters
    ]
    noisy = [layer for layer in rated if layer.sqnr_db < math.inf]
    return tuple(sorted(noisy, key=lambda layer: layer.sqnr_db))


def measure_values(
    float_path: Path,
    int8_path: Path,
    quantized: QuantizedGraph,
    samples: Sequence[Mapping[str, Array]],
    names: Sequence[str],
) -> dict[str, ValueMeter]:
    """value name -> facts, for those of `names` that both files hold. Arguments as for `rate_layers`."""
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


def _rate(
    node: Node,
    name: str,
    quantized: QuantizedGraph,
    meters: Mapping[str, ValueMeter],
    *,
    noise: OutputNoise | None,
    cost: LayerCost | None,
) -> LayerQuality:
    meter, params = meters[name], quantized.qparams.get(name)
    incoming = min((meters[source].noise.db for source in node.inputs if source in meters), default=math.inf)
    starved = tuple(
        _label(quantized.graph, source) for source in node.inputs if source in meters and is_starved(meters[source])
    )
    around = Circumstances(node, quantized.graph, incoming, weight_sqnr(node, quantized), starved)
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
        causes=tuple(explain(meter, params, around)),
        crest_factor=meter.crest_factor,
        output_share=None if noise is None else noise.share_of(node),
        float_ms=None if cost is None else cost.ms,
        float_bytes=None if cost is None else cost.size_bytes,
    )


def _label(graph: Graph, name: str) -> str:
    """What a report calls a value: the layer that computes it, or the input."""
    return graph.producers[name].label if name in graph.producers else f"input {name}"
