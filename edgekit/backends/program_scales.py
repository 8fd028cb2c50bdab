"""Reads scales and integers out of a quantized torch program, by the steps of the graph it was made from."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch

from edgekit.backends.stepwise import PREFIX, WEIGHT_SLOT
from edgekit.types.graph import Graph
from edgekit.types.imported import Imported, StoredConstant
from edgekit.types.qparams import QParams

_STEP = re.compile(rf"{PREFIX}(\d+)\b")
_WEIGHTS = ("layer.weight", WEIGHT_SLOT, "layer.1.weight")
_OFFSETS = {torch.uint8: -128, torch.int8: 0}


def read_program(program: Any, graph: Graph) -> Imported:
    """QParams of every value and weight that the program quantizes.

    Args:
        program: GraphModule of a `Stepwise`, with `quantized_decomposed` operators.
        graph: What the `Stepwise` was made from.

    Returns:
        By the names of `graph`; tensors inside a step, which have no name there, are left out.
    """
    operators = torch.ops.quantized_decomposed
    activations: dict[str, QParams] = {}
    constants: dict[str, StoredConstant] = {}
    inputs = [node.name for node in program.graph.nodes if node.op == "placeholder"]
    for node in program.graph.nodes:
        if node.target is operators.quantize_per_tensor.default:
            name = _value(node.args[0], graph, inputs)
            if name and node.args[5] in _OFFSETS:
                activations.setdefault(name, _per_tensor(program, node))
        elif node.target is operators.quantize_per_channel.default and node.args[0].op == "get_attr":
            name = _weight(node.args[0].target, graph)
            if name:
                constants[name] = _per_channel(program, node)
    return Imported("torch program", graph.outputs, activations, constants)


def _value(source: Any, graph: Graph, inputs: list[str]) -> str:
    """Name of the graph value that an fx node computes; "" for what lies inside a step."""
    if source.op == "placeholder":
        return graph.inputs[inputs.index(source.name)]
    index = _step(source)
    if index is None or len(graph.nodes[index].outputs) != 1:
        return ""
    inside = [user for user in source.users if _step(user) == index]
    return "" if inside else graph.nodes[index].outputs[0]


def _step(node: Any) -> int | None:
    """Index of the graph node in whose submodule an fx node was traced."""
    for path, _ in reversed(list(node.meta.get("nn_module_stack", {}).values())):
        found = _STEP.search(path)
        if found:
            return int(found.group(1))
    return None


def _weight(target: str, graph: Graph) -> str:
    found = _STEP.match(target)
    if found is None or target[found.end() + 1 :] not in _WEIGHTS:
        return ""
    return graph.nodes[int(found.group(1))].inputs[1]


def _per_tensor(program: Any, node: Any) -> QParams:
    _, scale, zero, _, _, dtype = node.args
    numbers = [float(_number(program, value)) for value in (scale, zero)]
    return QParams(np.asarray(numbers[0], np.float32), np.asarray(int(numbers[1]) + _OFFSETS[dtype]))


def _per_channel(program: Any, node: Any) -> StoredConstant:
    weight, scale, zero, axis, low, high, dtype = node.args
    arrays = [_number(program, value) for value in (weight, scale, zero)]
    integers = torch.ops.quantized_decomposed.quantize_per_channel(*arrays, axis, low, high, dtype).numpy()
    offset = _OFFSETS[dtype]
    zeros = arrays[2].numpy().astype(np.int32) + offset
    params = QParams(arrays[1].numpy().astype(np.float32), zeros, "int8", axis)
    return StoredConstant(params, (integers.astype(np.int32) + offset).astype(np.int8))


def _number(program: Any, value: Any) -> Any:
    """A number, or the tensor that a node of the program fetches."""
    if not isinstance(value, torch.fx.Node):
        return value
    found = program
    for part in str(value.target).split("."):
        found = getattr(found, part)
    return found.detach() if isinstance(found, torch.Tensor) else found
