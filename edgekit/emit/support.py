"""Asks, before any work, whether the files that are wanted can be written at all."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.emit.tflite.support import unsupported
from edgekit.errors import UnsupportedOpError
from edgekit.types.artifact import FORMATS, INT4, Format
from edgekit.types.finding import Finding, Severity
from edgekit.types.graph import Graph
from edgekit.types.recipe import FILES


def writable_formats(graph: Graph, formats: Sequence[str]) -> tuple[tuple[Format, ...], tuple[Finding, ...]]:
    """The asked formats that can hold the graph.

    ONNX holds every operator of the dialect. Where TFLite lacks one, the TFLite file is left out and a finding lists
    each such operator with its torch module.

    Args:
        graph: The simplified graph.
        formats: What the recipe asks for.

    Returns:
        (formats in the order of FORMATS, int4 last; findings).

    Raises:
        UnsupportedOpError: Nothing that was asked can be written.
    """
    asked = tuple(name for name in (*FORMATS, *INT4) if name in formats)
    tflite = [name for name in asked if name.startswith("tflite")]
    lacking = unsupported(graph) if tflite else ()
    if not lacking:
        return asked, ()
    rest = tuple(name for name in asked if name not in tflite)
    if not rest:
        raise UnsupportedOpError(tuple(lacking), hint="ask for the ONNX formats, or replace these operators")
    listed = "; ".join(f"{op} in {module or 'the model'}: {reason}" for op, module, reason in lacking)
    finding = Finding(
        "tflite-not-written",
        f"no TFLite file was written, because TFLite cannot hold {len(lacking)} operator(s): {listed}",
        Severity.WARNING,
        where=FILES[tflite[0]],
        hint="replace these operators in the model; the ONNX files are complete",
    )
    return rest, (finding,)
