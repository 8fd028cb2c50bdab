"""A net whose profile has something to tell: a dear convolution, a branch, and an operator that XNNPACK leaves."""

from __future__ import annotations

from edgekit.runtime.reference import ReferenceSession, as_float
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize
from edgekit.simplify.naming import name_by_module
from edgekit.types.graph import QuantizedGraph
from tests.emit.tflite.sketch import Sketch

DEAR = "block.1"
MODULES = {"block.0", "block.1", "block.2", "block.3", "block.4", "block.5"}
"""stem, dear convolution, average, convolution of the average, convolution beside it, sum."""


def net(*, side: int = 32, channels: int = 32) -> QuantizedGraph:
    """int8, its names as in a file of `edgekit compress`."""
    sketch = Sketch()
    stem = sketch.conv(sketch.input(1, 3, side, side), channels, kernel=(3, 3), pads=(1, 1, 1, 1))
    dear = sketch.conv(stem, channels, kernel=(5, 5), pads=(2, 2, 2, 2))
    mean = sketch.node("AveragePool", dear, kernel_shape=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0), count_include_pad=0)
    long = sketch.conv(mean, 8)
    short = sketch.conv(dear, 8, kernel=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    graph = name_by_module(sketch.graph(sketch.node("Add", long, short)))
    tapped = ReferenceSession(as_float(graph), taps=observed_values(graph))
    return quantize(graph, observe(tapped, graph, [sketch.feeds()]))
