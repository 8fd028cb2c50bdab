"""A float Graph as a torch module with one submodule a node: an exported program then says where each tensor is from.

torch.export keeps the path of the submodule that made a tensor (`nn_module_stack`). With a submodule for each node, the
path is the node, and whatever a quantizer of exported programs puts around a tensor can be told in names of the graph.
Layers are those of `torch.nn`, since such quantizers look for them by class. `forward` handles names and tensors only:
the tracer behind strict export follows no numpy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.shrink.synthesis.torch_operators import FUNCTIONS
from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import Array

PREFIX = "step_"
WEIGHT_SLOT = "slot_1"
"""Name of the tensor that a step keeps its second input in, when that is a constant and the step is no layer."""


class Stepwise(nn.Module):
    """Takes the graph's inputs in calling order, returns its outputs as a tuple; batch 1."""

    def __init__(self, graph: Graph) -> None:
        """Make the steps.

        Args:
            graph: A float graph in the dialect.
        """
        super().__init__()
        self._input_names = graph.inputs
        self._output_names = graph.outputs
        self._reads: list[tuple[str, ...]] = []
        self._writes: list[tuple[str, ...]] = []
        for index, node in enumerate(graph.nodes):
            self.add_module(f"{PREFIX}{index}", _step(node, graph))
            self._reads.append(tuple(name for name in node.inputs if name and name not in graph.constants))
            self._writes.append(node.outputs)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run once: tensors of the inputs' shapes in, tensors of the outputs' shapes out."""
        held = dict(zip(self._input_names, inputs, strict=True))
        for index, (reads, writes) in enumerate(zip(self._reads, self._writes, strict=True)):
            results = getattr(self, f"{PREFIX}{index}")(*[held[name] for name in reads])
            held.update(zip(writes, results, strict=True))
        return tuple([held[name] for name in self._output_names])


def _step(node: Node, graph: Graph) -> nn.Module:
    arrays = {slot: graph.constants[name] for slot, name in enumerate(node.inputs) if name in graph.constants}
    layer = LAYERS.get(node.op)
    made = layer(node, arrays) if layer is not None and 1 in arrays else None
    return _Layer(made, node) if made is not None else _Function(node, arrays)


class _Layer(nn.Module):
    """A layer of torch.nn and its clamp; `layer.weight` is the weight."""

    def __init__(self, layer: nn.Module, node: Node) -> None:
        super().__init__()
        self.layer = layer
        self.clamp = _clamp(node)

    def forward(self, value: Tensor) -> tuple[Tensor]:
        return (self.clamp(self.layer(value)),)


class _Function(nn.Module):
    """Any other node; its constants are buffers."""

    def __init__(self, node: Node, arrays: dict[int, Array]) -> None:
        super().__init__()
        self._node = node
        self._function = FUNCTIONS[node.op]
        self._slots = [f"slot_{slot}" if slot in arrays else "" for slot, name in enumerate(node.inputs) if name]
        for slot, array in arrays.items():
            self.register_buffer(f"slot_{slot}", torch.from_numpy(np.array(array)))
        self.clamp = _clamp(node)

    def forward(self, *run_time: Tensor) -> tuple[Tensor, ...]:
        rest = list(run_time)
        inputs = [getattr(self, slot) if slot else rest.pop(0) for slot in self._slots]
        found = self._function(self._node, inputs)
        return tuple([self.clamp(result) for result in (found if isinstance(found, tuple) else (found,))])


def _clamp(node: Node) -> nn.Module:
    """As the layers that quantizers know how to fuse."""
    if node.clamp is None:
        return nn.Identity()
    if node.clamp[0] == 0.0 and math.isinf(node.clamp[1]):
        return nn.ReLU()
    if all(math.isfinite(end) for end in node.clamp):
        return nn.Hardtanh(*node.clamp)
    return _Clamp(*node.clamp)


class _Clamp(nn.Module):
    """Open at one end."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self._low = None if math.isinf(low) else low
        self._high = None if math.isinf(high) else high

    def forward(self, value: Tensor) -> Tensor:
        return value.clamp(self._low, self._high)


def _conv(node: Node, arrays: dict[int, Array]) -> nn.Module | None:
    """A Conv2d with the same padding on both sides, or a padding before one."""
    weight, pads = arrays[1], node.attributes["pads"]
    if weight.ndim != 4:
        return None
    outputs, per_group, *kernel = weight.shape
    before, after = list(pads[:2]), list(pads[2:])
    group = node.attributes["group"]
    layer = nn.Conv2d(
        per_group * group,
        outputs,
        tuple(kernel),
        stride=node.attributes["strides"],
        padding=tuple(before) if before == after else 0,
        dilation=node.attributes["dilations"],
        groups=group,
        bias=2 in arrays,
    )
    _fill(layer, arrays)
    if before == after:
        return layer
    return nn.Sequential(nn.ZeroPad2d((before[1], after[1], before[0], after[0])), layer)


def _linear(node: Node, arrays: dict[int, Array]) -> nn.Module:
    outputs, inputs = arrays[1].shape
    layer = nn.Linear(inputs, outputs, bias=2 in arrays)
    _fill(layer, arrays)
    return layer


def _fill(layer: nn.Conv2d | nn.Linear, arrays: dict[int, Array]) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.array(arrays[1])))
        if 2 in arrays and layer.bias is not None:
            layer.bias.copy_(torch.from_numpy(np.array(arrays[2])))


LAYERS: Mapping[str, Callable[[Node, dict[int, Array]], nn.Module | None]] = {"Conv": _conv, "Gemm": _linear}
"""Operator -> its layer of torch.nn, which quantizers recognize; None where it has none."""
