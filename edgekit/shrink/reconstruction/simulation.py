"""The int8 graph simulated in float, so that gradients reach its roundings, biases and ranges.

A QuantizedGraph means float arithmetic between stored values that are multiples of a scale; that is also how ONNX
defines a QDQ file. Rounding has no useful gradient, so it passes gradients on unchanged inside the range and stops
them outside: the straight-through estimator (Bengio, Leonard and Courville 2013, arXiv 1308.3432).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from edgekit.shrink.synthesis.torch_executor import TorchExecutor
from edgekit.types.graph import Graph, Node, QuantizedGraph
from edgekit.types.qparams import RANGES, Array, QParams

MOVES = ("Reshape", "Transpose", "Slice", "Split", "Concat", "Gather", "Expand", "MaxPool", "ReduceMax")
"""Tied operators whose results are already multiples of the scale they share with their input."""


class SimulatedGraph(TorchExecutor):
    """Runs a QuantizedGraph with torch functions.

    Attributes:
        trained: constant name -> tensor that takes the place of the stored one; filled by whoever trains it.
    """

    def __init__(self, quantized: QuantizedGraph, wanted: Sequence[str] = ()) -> None:
        """Prepare a run of `quantized` that returns the values `wanted` (without any, the outputs)."""
        super().__init__(_as_stored(quantized), wanted)
        self.trained: dict[str, Tensor] = {}
        moved = {name for node in self.graph.nodes if _only_moves(node, quantized) for name in node.outputs}
        self._params = {
            name: params
            for name, params in quantized.qparams.items()
            if name in self.graph.values and name not in moved
        }

    def constants(self) -> dict[str, Tensor]:
        """The stored constants, with the trained ones in place."""
        return {**super().constants(), **self.trained}

    def stored(self, name: str, value: Tensor) -> Tensor:
        """The value after rounding to its integers and back."""
        if name not in self._params:
            return value
        params = self._params[name]
        low, high = RANGES[params.dtype]
        return torch.fake_quantize_per_tensor_affine(value, float(params.scale), int(params.zero_point), low, high)


def _as_stored(quantized: QuantizedGraph) -> Graph:
    """The graph with every integer constant as the reals its integers stand for, and without clamps that saturate."""
    constants: dict[str, Array] = dict(quantized.graph.constants)
    for name, integers in quantized.integers.items():
        constants[name] = quantized.qparams[name].dequantize(integers)
    nodes = tuple(
        replace(node, clamp=None) if _saturates(node, quantized.qparams) else node for node in quantized.graph.nodes
    )
    return replace(quantized.graph, constants=constants, nodes=nodes)


def _saturates(node: Node, qparams: Mapping[str, QParams]) -> bool:
    """Whether the integers of the result end where its clamp does, give or take half a step."""
    if node.clamp is None or node.outputs[0] not in qparams:
        return False
    params = qparams[node.outputs[0]]
    half = float(params.scale) / 2
    return bool(params.low >= node.clamp[0] - half * 1e-3 and params.high <= node.clamp[1] + half * 1e-3)


def _only_moves(node: Node, quantized: QuantizedGraph) -> bool:
    if node.op not in MOVES or node.name in quantized.islands:
        return False
    return all(name in quantized.qparams for name in (node.inputs[0], *node.outputs))


def as_feeds(graph: Graph, samples: Sequence[Mapping[str, Array]]) -> dict[str, Tensor]:
    """Samples as one batch: input name -> tensor; several only where every input has a batch axis."""
    if len(samples) == 1:
        return {name: torch.from_numpy(np.array(samples[0][name])) for name in graph.inputs}
    return {
        name: torch.from_numpy(np.concatenate([sample[name] for sample in samples], axis=graph.batch_axes[name]))
        for name in graph.inputs
    }
