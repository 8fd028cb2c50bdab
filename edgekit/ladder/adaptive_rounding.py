"""The rung that learns: roundings by coordinate descent, then roundings, biases and ranges by gradient."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.ladder.draft import Draft, Evidence
from edgekit.ladder.hessian_rounding import Few
from edgekit.shrink.quantization.moments import gather, linear_layers
from edgekit.shrink.reconstruction.rounding import round_layer
from edgekit.types.plan import Weight

SAMPLES = 64
"""Samples that moments are gathered from."""


class AdaptiveRounding:
    """Adaptive rounding of every int8 weight."""

    def requires(self, draft: Draft, evidence: Evidence) -> str:
        """Linear int8 layers."""
        if not linear_layers(draft.quantized):
            return "no convolution or linear layer computes in int8, so there is no rounding to learn"
        return ""

    def propose(self, draft: Draft, evidence: Evidence) -> Iterator[tuple[str, Draft]]:
        """Roundings from moments; scales stay those of the draft."""
        rounded = descend(draft, evidence)
        yield f"{len(rounded.plan.weights)} weights rounded adaptively", rounded


def descend(draft: Draft, evidence: Evidence) -> Draft:
    """Every weight rounded by coordinate descent from where the draft has it; biases are corrected anew."""
    quantized = draft.quantized
    graph, session = quantized.graph, evidence.open_float(draft.graph)
    few = Few(evidence.samples, SAMPLES)
    weights = dict(draft.plan.weights)
    layers = linear_layers(quantized)
    with evidence.progress.stage("second moments", few.count) as stage:
        found = gather(graph, layers, session.run, few, count=few.count, seed=evidence.seed, advance=stage.advance)
        for layer, moments in found:
            params, node = quantized.qparams[layer.weight], layer.nodes[0]
            integers = round_layer(
                graph,
                node,
                graph.constants[layer.weight],
                params=params,
                moments=moments,
                scheme=draft.plan.scheme,
                corrected=draft.plan.correct_bias and len(graph.consumers[layer.weight]) == 1,
            )
            weights[layer.weight] = Weight(params, integers)
    return draft.with_plan(weights=weights, biases={})
