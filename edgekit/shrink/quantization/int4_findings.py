"""What int4 made of the weights, told to the user."""

from __future__ import annotations

from edgekit.types.finding import Finding, Severity
from edgekit.types.graph import QuantizedGraph
from edgekit.units import size

_SHOWN = 3


def int4_findings(quantized: QuantizedGraph, *, informed: bool) -> tuple[Finding, ...]:
    """How many weights are int4, which are not, and what rounding without data loses.

    Args:
        quantized: What `quantize_int4` returned.
        informed: Whether it had moments.
    """
    small = [name for name in quantized.integers if quantized.qparams[name].dtype == "int4"]
    wide = [name for name in quantized.integers if name not in small]
    message = (
        f"{len(small)} of {len(quantized.integers)} weights are int4 ({_stored(quantized, small)}), "
        f"{len(wide)} are int8 ({_stored(quantized, wide)})"
    )
    if wide:
        message += f", since they are short or lose most at 4 bits: {_listed(quantized, wide)}"
    message += "; activations stay float, so nothing runs faster"
    found = [Finding("int4-weights", message, Severity.NOTE)]
    if small and not informed:
        found.append(
            Finding(
                "int4-without-data",
                "the int4 weights are rounded to nearest, for want of data: rounding them such that their errors "
                "cancel, and taking the rest out of the biases, held ResNet-20 at 24 dB instead of 16",
                Severity.WARNING,
                hint="pass 100 or more real inputs with --calibration; labels are not needed",
            )
        )
    return tuple(found)


def _stored(quantized: QuantizedGraph, names: list[str]) -> str:
    """Bytes of integers and scales."""
    total = 0
    for name in names:
        count, params = quantized.integers[name].size, quantized.qparams[name]
        total += (count + 1) // 2 if params.dtype == "int4" else count
        total += params.scale.nbytes
    return size(total)


def _listed(quantized: QuantizedGraph, names: list[str]) -> str:
    consumers = quantized.graph.consumers
    labels = list(dict.fromkeys(reader.label for name in names for reader in consumers.get(name, ())))
    rest = len(labels) - _SHOWN
    return ", ".join(labels[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
