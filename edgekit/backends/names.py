"""Names of a tool's file turned back into those of our graph, from which its float file was written."""

from __future__ import annotations

import dataclasses

import numpy as np

from edgekit.types.graph import Graph
from edgekit.types.imported import Imported, StoredConstant
from edgekit.types.qparams import QParams

_SUFFIXES = ("_DequantizeLinear_Output", "_DequantizeLinear", "_quantized")
_TRANSPOSED = ".T"
"""End of a weight's name that the float file stores turned (`emit.onnx_operators.stores_transposed`)."""


def in_terms_of(graph: Graph, imported: Imported, *, source: str) -> Imported:
    """The same numbers by the names of `graph`; what has no place in it is dropped.

    Args:
        graph: The float graph that the tool was given as a file.
        imported: Taken out of the file the tool wrote.
        source: What to call the tool in reports.
    """
    activations = {}
    for name, params in imported.activations.items():
        own = name.removesuffix(".clamped")
        if own in graph.values:
            activations[own] = params
    constants = {}
    for name, stored in imported.constants.items():
        own = name
        for suffix in _SUFFIXES:
            own = own.removesuffix(suffix)
        if own in graph.constants:
            constants[own] = stored
        elif own.endswith(_TRANSPOSED) and own.removesuffix(_TRANSPOSED) in graph.constants:
            constants[own.removesuffix(_TRANSPOSED)] = turned(stored)
    return dataclasses.replace(
        imported, source=source, outputs=graph.outputs, activations=activations, constants=constants, findings=()
    )


def turned(stored: StoredConstant) -> StoredConstant:
    """A matrix of a file as (outputs, inputs)."""
    params = stored.params
    axis = None if params.axis is None else 1 - params.axis
    return StoredConstant(
        QParams(params.scale, params.zero_point, params.dtype, axis), np.ascontiguousarray(stored.integers.T)
    )
