"""Makes the layer table of one check: ratings, shares of the output's noise, and prices on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekit.check.case import QDQ, Case, Sample
from edgekit.check.layer_costs import estimate_float_costs
from edgekit.check.layers import rate_layers
from edgekit.check.machine import describe_machine
from edgekit.errors import EdgekitError
from edgekit.types.artifact import Format
from edgekit.types.finding import Finding
from edgekit.types.output_noise import OutputNoise
from edgekit.types.report import LayerQuality


def make_layer_table(
    case: Case,
    samples: Sequence[Sample],
    *,
    inner: Path | None = None,
    noise: OutputNoise | None = None,
) -> tuple[tuple[LayerQuality, ...], tuple[Finding, ...]]:
    """Rate every layer of the checked files.

    Args:
        case: The files.
        samples: A few samples; the first one is timed.
        inner: Float file of `case.quantized.graph`, where that is not the checked one: a rung of the ladder may have
            rescaled inner values.
        noise: What `scan_output_noise` found, where it was asked.

    Returns:
        The layers, worst first, and a note where they could not be rated. Both are empty without a QDQ file.
    """
    plain = case.first_of(QDQ)
    if plain is None:
        return (), ()
    fast = case.first_of(_formats_of_this_machine()) or plain
    inner = inner or case.exact.artifact.path
    try:
        costs = estimate_float_costs(inner, fast.artifact.path, case.quantized, samples[0])
        paths = inner, plain.artifact.path
        return rate_layers(*paths, case.quantized, samples, noise=noise, costs=costs), ()
    except EdgekitError as error:
        return (), (Finding("layers-not-rated", f"the inner values could not be read: {error}"),)


def _formats_of_this_machine() -> tuple[Format, ...]:
    is_x86 = describe_machine().system.endswith(("x86_64", "AMD64"))
    return ("onnx-x86",) if is_x86 else ("onnx-int8",)
