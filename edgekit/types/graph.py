"""Graph and QuantizedGraph: the waist of edgekit, one graph that every file is translated from.

The graph speaks the dialect of `types/operators.py`: ONNX names, static shapes at batch 1, every static
argument an attribute (a Reshape has `shape`, not a second input), tensors and constants as inputs. It is plain
data over numpy, so emitters, the reference interpreter and the reports read it without onnx or torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from edgekit.types.qparams import Array, QParams
from edgekit.types.spec import TensorSpec


@dataclass(frozen=True, eq=False)
class Node:
    """One operation.

    Attributes:
        name: Unique in the graph.
        op: Operator of the dialect, for example "Conv".
        inputs: Value or constant names; "" for an optional input that is absent.
        outputs: Value names, at least one.
        attributes: Static arguments: int, float, str, or tuples of them.
        module: Path of the torch module it came from, for example "features.3.conv"; "" at top level.
        clamp: (low, high) applied to the only output: an absorbed ReLU is (0, inf), ReLU6 (0, 6).
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    module: str = ""
    clamp: tuple[float, float] | None = None

    @property
    def label(self) -> str:
        """What a report calls it: the torch module where known, with the operator."""
        return f"{self.module} ({self.op})" if self.module else f"{self.name} ({self.op})"


@dataclass(frozen=True)
class Value:
    """A tensor that exists at run time: its static shape at batch 1, and numpy dtype name."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True, eq=False)
class Graph:
    """A float model in the edgekit dialect.

    Attributes:
        name: Model name, used in files.
        inputs: Names of the run-time inputs, in calling order.
        outputs: Names of the results, in returning order.
        nodes: In topological order.
        values: Every run-time tensor, graph inputs included; constants are not in it.
        constants: name -> array: weights, biases, tables, constant operands.
        batch_axes: value name -> axis that scales with the batch. Empty when the batch is fixed.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    constants: Mapping[str, Array]
    batch_axes: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """value name -> the node that writes it (graph inputs have none)."""
        return {output: node for node in self.nodes for output in node.outputs}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """value or constant name -> the nodes that read it, in order, each once."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    def shape(self, name: str) -> tuple[int, ...]:
        """Static shape of a value or constant."""
        if name in self.constants:
            return tuple(self.constants[name].shape)
        return self.values[name].shape

    def dtype(self, name: str) -> str:
        """numpy dtype name of a value or constant."""
        return str(self.constants[name].dtype) if name in self.constants else self.values[name].dtype

    def spec(self, name: str) -> TensorSpec:
        """The TensorSpec of a value."""
        return TensorSpec(name, self.values[name].shape, self.values[name].dtype, self.batch_axes.get(name))


@dataclass(frozen=True, eq=False)
class QuantizedGraph:
    """A graph with the one table that decides every int8 file.

    Attributes:
        graph: The float graph; its constants keep their float values.
        qparams: value or constant name -> QParams. A float32 value without an entry stays float at run time.
        integers: constant name -> its integers (int8 weights, int32 biases), each with an entry in `qparams`.
        islands: node name -> why, for every node that computes on float tensors.

    A node outside `islands` is an int8 node: all its float32 activations have QParams. Where a value has QParams,
    every file stores it as integers; an island that reads it dequantizes first, and its float result is quantized
    when the result has QParams. An island may still have an int8 weight (weight-only quantization), and with an int8
    input besides, a runtime may multiply integers and keep only the result in float.
    """

    graph: Graph
    qparams: Mapping[str, QParams]
    integers: Mapping[str, Array]
    islands: Mapping[str, str] = field(default_factory=dict)

    def is_int8(self, node: Node) -> bool:
        """Whether the node works on quantized tensors (index arithmetic does not count)."""
        return node.name not in self.islands and any(name in self.qparams for name in (*node.inputs, *node.outputs))

    def multiplies_integers(self, node: Node) -> bool:
        """Whether the node's input and all its constants are stored as integers, whatever becomes of its result."""
        constants = [name for name in node.inputs[1:] if name]
        return bool(constants) and node.inputs[0] in self.qparams and all(name in self.integers for name in constants)
