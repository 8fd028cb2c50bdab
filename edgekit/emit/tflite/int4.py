"""`model.int4.tflite`: int4 weights, unpacked to floats once, when the file is loaded.

A DEQUANTIZE of a constant runs once per interpreter, so activations stay float and every file means the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgekit.emit.int4_limits import refuse_activations
from edgekit.emit.tflite.export import Border
from edgekit.emit.tflite.export import write as write_table
from edgekit.types.graph import QuantizedGraph


def write(
    quantized: QuantizedGraph, path: Path, *, io: str = "float", metadata: Mapping[str, str] | None = None
) -> Border:
    """Write the file; the arguments, result and errors are those of `edgekit.emit.tflite.export.write`.

    Raises:
        EmitError: A value has QParams: this format keeps activations in float.
    """
    refuse_activations(quantized)
    return write_table(quantized, path, io=io, metadata=metadata)
