"""What int4 tables and formats ask of one another."""

from __future__ import annotations

from edgekit.errors import EmitError
from edgekit.types.artifact import FLOAT, INT4, Format
from edgekit.types.graph import QuantizedGraph


def refuse_activations(quantized: QuantizedGraph) -> None:
    """Stop when an int4 format gets a table that quantizes activations.

    Raises:
        EmitError: Naming the first value that has QParams.
    """
    values = [name for name in quantized.qparams if name not in quantized.graph.constants]
    if values:
        raise EmitError(
            f"an int4 file keeps activations in float, the table quantizes {len(values)} of them, first '{values[0]}'",
            hint="write the int8 formats from this table, or make one with quantize_int4",
        )


def refuse_int4(quantized: QuantizedGraph, name: Format) -> None:
    """Stop when another format gets a table with int4 weights.

    Raises:
        EmitError: Naming the first int4 weight.
    """
    if name in (FLOAT, *INT4):
        return
    found = [weight for weight, params in quantized.qparams.items() if params.dtype == "int4"]
    if found:
        raise EmitError(
            f"{name} has no int4 weights, the table has {len(found)}, first '{found[0]}'",
            hint=f"write {' or '.join(INT4)} from it",
        )
