"""The rung that rounds weights so that their errors cancel in each layer's output, from streamed second moments."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from edgekit.ladder.draft import Draft, Evidence
from edgekit.shrink.quantization.hessian import round_weight_by
from edgekit.shrink.quantization.moments import Columns, Layer, gather, linear_layers
from edgekit.types.graph import QuantizedGraph
from edgekit.types.plan import Weight
from edgekit.types.qparams import Array
from edgekit.types.samples import Samples

SAMPLES = 96
"""Samples that moments are gathered from; on EfficientNet-Lite0 a third of them gives 0.2 dB less."""

LARGEST_DEPTH = 4096
"""Longest column whose moments are gathered: memory grows with its square (0.6 GB here), time with its cube."""


class HessianRounding:
    """Hessian rounding of every int8 weight."""

    def requires(self, draft: Draft, evidence: Evidence) -> str:
        """Linear int8 layers of a size whose moments fit memory."""
        if not linear_layers(draft.quantized):
            return "no convolution or linear layer computes in int8, so there is no weight to round better"
        if not _roundable(draft.quantized):
            return (
                f"every int8 layer multiplies more than {LARGEST_DEPTH} inputs, too many to see how they vary together"
            )
        return ""

    def propose(self, draft: Draft, evidence: Evidence) -> Iterator[tuple[str, Draft]]:
        """All weights at once; scales stay those of the draft."""
        weights = round_all(draft, evidence)
        yield (
            f"{len(weights)} weights rounded in view of how their inputs vary together",
            draft.with_plan(weights=weights),
        )


def round_all(draft: Draft, evidence: Evidence) -> dict[str, Weight]:
    """Weight name -> its Hessian rounding at the draft's scales."""
    quantized = draft.quantized
    graph, session = quantized.graph, evidence.open_float(draft.graph)
    few = Few(evidence.samples, SAMPLES)
    weights = {}
    layers = _roundable(quantized)
    for layer, moments in gather(graph, layers, session.run, few, count=few.count, seed=evidence.seed):
        params = quantized.qparams[layer.weight]
        corrected = draft.plan.correct_bias and len(layer.nodes) == 1  # then the bias takes the mean error out
        integers = round_weight_by(
            graph,
            layer.nodes[0],
            graph.constants[layer.weight],
            params=params,
            second=moments.covariance if corrected else moments.second,
            scheme=draft.plan.scheme,
        )
        weights[layer.weight] = Weight(params, integers)
    return weights


def _roundable(quantized: QuantizedGraph) -> list[Layer]:
    layers = linear_layers(quantized)
    return [layer for layer in layers if Columns(quantized.graph, layer.nodes[0]).depth <= LARGEST_DEPTH]


class Few:
    """At most `most` of some samples, the same ones on every walk, evenly spread."""

    def __init__(self, samples: Samples, most: int) -> None:
        self._samples = samples
        self._step = max(1, samples.count // most)
        self.count = min(most, -(-samples.count // self._step))

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        return itertools.islice(self._samples, 0, self.count * self._step, self._step)
