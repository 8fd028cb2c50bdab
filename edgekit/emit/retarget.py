"""Rewrites of the table for CPUs that want other integer types; the reals they stand for do not change."""

from __future__ import annotations

import dataclasses

import numpy as np

from edgekit.types.graph import QuantizedGraph
from edgekit.types.operators import Role, role
from edgekit.types.qparams import QParams


def to_uint8(quantized: QuantizedGraph) -> QuantizedGraph:
    """int8 activations as uint8 (zero point and integers + 128), weights and biases as they are. Lossless.

    x86 kernels multiply unsigned by signed bytes; ONNX Runtime turns int8 activations into uint8 itself only where
    a value has a single reader (qdq_s8_to_u8.cc), and leaves the other layers in float.

    Law: dequantizing any value gives the same real before and after.
    """
    kept = _weights(quantized)
    qparams, integers = dict(quantized.qparams), dict(quantized.integers)
    for name, params in quantized.qparams.items():
        if params.dtype != "int8" or name in kept:
            continue
        qparams[name] = QParams(params.scale, params.zero_point + 128, "uint8", params.axis)
        if name in integers:
            integers[name] = (integers[name].astype(np.int16) + 128).astype(np.uint8)
    return dataclasses.replace(quantized, qparams=qparams, integers=integers)


def _weights(quantized: QuantizedGraph) -> set[str]:
    """Constants read as weights or biases; constant operands of Add, Concat and the like are activations."""
    return {
        name
        for node in quantized.graph.nodes
        for slot, name in enumerate(node.inputs)
        if name in quantized.integers and role(node.op, slot) in (Role.WEIGHT, Role.BIAS)
    }
