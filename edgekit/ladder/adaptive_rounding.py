"""The rung that learns: weights fitted layer after layer to what the quantized layers before them give."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.ladder.draft import Draft, Evidence
from edgekit.ladder.hessian_rounding import Few
from edgekit.shrink.reconstruction.sequential import decidable, fit_in_sequence
from edgekit.shrink.reconstruction.walk import affordable

MOST_SAMPLES = 96
"""More add time and little else on EfficientNet-Lite0."""
LEAST_SAMPLES = 4
"""Fewer say nothing about a layer's inputs."""


class AdaptiveRounding:
    """Adaptive rounding of every int8 weight that one node reads."""

    def requires(self, draft: Draft, evidence: Evidence) -> str:
        """Linear int8 layers, and room for a few samples."""
        if not decidable(draft.quantized):
            return "no convolution or linear layer has an int8 weight of its own, so there is no rounding to learn"
        if affordable(draft.graph) < LEAST_SAMPLES:
            return f"the values of {LEAST_SAMPLES} samples do not fit into memory, and fewer teach nothing"
        if evidence.samples.count < LEAST_SAMPLES:
            return f"{evidence.samples.count} calibration samples teach nothing; {LEAST_SAMPLES} are the least"
        return ""

    def propose(self, draft: Draft, evidence: Evidence) -> Iterator[tuple[str, Draft]]:
        """All layers in one pass, with and without making up for the layers before; scales stay those of the draft."""
        few = Few(evidence.samples, min(MOST_SAMPLES, affordable(draft.graph)))
        layers = len(decidable(draft.quantized))
        for regress in (True, False):
            with evidence.progress.stage("fit layers", layers) as stage:
                fitted = fit_in_sequence(
                    draft.quantized,
                    few,
                    scheme=draft.plan.scheme,
                    regress=regress,
                    correct_bias=draft.plan.correct_bias,
                    seed=evidence.seed,
                    deadline=evidence.deadline,
                    advance=stage.advance,
                )
            if not fitted.weights:
                return  # the time budget ended
            how = "and regressed " if regress else ""
            weights = {**draft.plan.weights, **fitted.weights}
            yield (
                f"{len(fitted.weights)} weights rounded {how}behind their quantized prefix",
                draft.with_plan(weights=weights, biases={}),
            )
