"""Scale ratios that int8 kernels can work with; a node beyond them computes in float between its int8 borders.

Calibration gives such ratios only to layers that are all but dead. Past the limits a kernel refuses the whole file
(XNNPACK) or saturates silently on the way (builtin ADD), so these nodes are not left to it.
"""

from __future__ import annotations

from edgekit.types.graph import Node, QuantizedGraph

_PRODUCT_LIMIT = 256.0
"""s_1 * s_2 / s_out of products: XNNPACK, qs8 convolution and multiply setup."""

_SUM_LIMIT = 128.0
"""s_in / s_out of sums and HARD_SWISH: the kernels narrow the rescaled input to 16 bits."""


def fits_kernel(quantized: QuantizedGraph, node: Node) -> bool:
    """Whether the int8 kernel of a node is right at the node's scales."""
    result = quantized.qparams.get(node.outputs[0])
    sources = [quantized.qparams.get(name) for name in node.inputs[:2] if name]
    if result is None or any(source is None for source in sources):
        return True
    scales = [float(source.scale.max()) for source in sources if source is not None]
    if node.op in ("Conv", "ConvTranspose", "Gemm", "MatMul", "Mul"):
        return scales[0] * scales[1] / float(result.scale) < _PRODUCT_LIMIT
    if node.op in ("Add", "Sub", "HardSwish"):
        return max(scales) / float(result.scale) < _SUM_LIMIT
    return True
