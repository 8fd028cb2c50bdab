"""Where two computations of one quantized graph part ways: the address of a disagreement.

Kernels may round differently, and a step here and there is no news; the first value that is further off than the
bound names the node to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edgekit.check.evidence import Bound
from edgekit.check.signal import LsbMeter
from edgekit.check.taps import Tap, groups
from edgekit.types.graph import QuantizedGraph
from edgekit.types.qparams import Array
from edgekit.types.report import LsbGap
from edgekit.units import share

OpenTap = Callable[[Sequence[str]], Tap]
"""value names -> Tap that reads those of them that the computation has."""


def first_difference(
    first: OpenTap,
    second: OpenTap,
    quantized: QuantizedGraph,
    samples: Sequence[Mapping[str, Array]],
    *,
    bound: Bound,
) -> str:
    """The first value, in the order of computation, that two runs hold differently by more than the bound.

    Args:
        first: Opens taps of the one computation.
        second: Opens taps of the other.
        quantized: The graph of both.
        samples: A few samples.
        bound: What is still rounding.

    Returns:
        Node label and the difference found, or "" when all values that both have are within the bound.
    """
    graph = quantized.graph
    order = [name for node in graph.nodes for name in node.outputs if _is_stored(quantized, name)]
    for group in groups(graph, order):
        gaps = _measure(first(group), second(group), quantized, samples, group)
        for name in group:
            if name in gaps and not bound.holds(gaps[name]):
                gap = gaps[name]
                return (
                    f"{graph.producers[name].label}: up to {gap.max_lsb} LSB, "
                    f"{share(gap.share_within_one)} of its values within 1 LSB"
                )
    return ""


def _is_stored(quantized: QuantizedGraph, name: str) -> bool:
    return name in quantized.qparams and 0 not in quantized.graph.shape(name)


def _measure(
    first: Tap, second: Tap, quantized: QuantizedGraph, samples: Sequence[Mapping[str, Array]], names: Sequence[str]
) -> dict[str, LsbGap]:
    meters = {name: LsbMeter("", "") for name in names}
    for sample in samples:
        one, other = first(sample), second(sample)
        for name in one.keys() & other.keys() & meters.keys():
            params = quantized.qparams[name]
            meters[name].add({name: params.quantize(one[name])}, {name: params.quantize(other[name])})
    return {name: gap for name, meter in meters.items() if (gap := meter.result())}
