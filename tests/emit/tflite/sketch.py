"""Draws graphs of several nodes for the tests: shapes from the reference, scales from the real pipeline."""

from __future__ import annotations

import collections
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.runtime.reference import ReferenceSession, as_float
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize
from edgekit.types.graph import Graph, Node, QuantizedGraph, Value

CODES = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


class Sketch:
    """A graph in the making, with the float value of every name."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.arrays: dict[str, np.ndarray] = {}
        self.inputs: list[str] = []
        self.constants: dict[str, np.ndarray] = {}
        self.nodes: list[Node] = []

    def input(self, *shape: int) -> str:
        name = f"x{len(self.inputs)}"
        self.inputs.append(name)
        self.arrays[name] = self.rng.normal(size=shape).astype(np.float32)
        return name

    def indices(self, array: np.ndarray) -> str:
        name = f"x{len(self.inputs)}"
        self.inputs.append(name)
        self.arrays[name] = array
        return name

    def constant(self, array: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = self.arrays[name] = array
        return name

    def weight(self, *shape: int) -> str:
        depth = max(int(np.prod(shape[1:])), 1)
        return self.constant((self.rng.normal(size=shape) / depth**0.5).astype(np.float32))

    def node(self, op: str, *inputs: str, clamp=None, outputs: int = 1, **attributes) -> str:
        return self.split(op, *inputs, clamp=clamp, outputs=outputs, **attributes)[0]

    def split(self, op: str, *inputs: str, clamp=None, outputs: int, **attributes) -> list[str]:
        number = len(self.nodes)
        names = [f"v{number}" if outputs == 1 else f"v{number}_{part}" for part in range(outputs)]
        node = Node(f"n{number}", op, inputs, tuple(names), attributes, f"block.{number}", clamp)
        self.nodes.append(node)
        feeds = {name: self.arrays[name] for name in inputs if name and name not in self.constants}
        constants = {name: self.arrays[name] for name in inputs if name in self.constants}
        values = {name: Value(name, array.shape, str(array.dtype)) for name, array in feeds.items()}
        dtype = {"ArgMax": "int64", "Cast": attributes.get("to")}.get(op, "float32")
        values.update({name: Value(name, (), dtype) for name in names})
        graph = Graph("one", tuple(feeds), tuple(names), (node,), values, constants)
        self.arrays.update(ReferenceSession(as_float(graph)).run(feeds))
        return names

    def conv(self, name: str, filters: int, *, kernel=(1, 1), strides=None, pads=None, group=1, clamp=None) -> str:
        channels, axes = self.arrays[name].shape[1], len(kernel)
        weight, bias = self.weight(filters, channels // group, *kernel), self.weight(filters)
        strides, pads = strides or (1,) * axes, pads or (0,) * 2 * axes
        attributes = {"strides": strides, "pads": pads, "dilations": (1,) * axes, "group": group}
        return self.node("Conv", name, weight, bias, clamp=clamp, **attributes)

    def gemm(self, name: str, features: int) -> str:
        return self.node("Gemm", name, self.weight(features, self.arrays[name].shape[-1]), self.weight(features))

    def graph(self, *outputs: str) -> Graph:
        values = {
            name: Value(name, array.shape, str(array.dtype))
            for name, array in self.arrays.items()
            if name not in self.constants
        }
        return Graph("sketch", tuple(self.inputs), outputs, tuple(self.nodes), values, self.constants)

    def feeds(self) -> dict[str, np.ndarray]:
        return {name: self.arrays[name] for name in self.inputs}

    def float(self, *outputs: str) -> QuantizedGraph:
        return as_float(self.graph(*outputs))

    def int8(self, *outputs: str) -> QuantizedGraph:
        graph = self.graph(*outputs)
        session = ReferenceSession(as_float(graph), taps=observed_values(graph))
        return quantize(graph, observe(session, graph, [self.feeds()]))


def read(path: Path) -> schema.ModelT:
    """The file as objects of the schema."""
    return schema.ModelT.InitFromPackedBuf(path.read_bytes())


def operators(path: Path) -> collections.Counter[str]:
    """How often each builtin operator occurs."""
    model = read(path)
    codes = [CODES[code.builtinCode] for code in model.operatorCodes]
    return collections.Counter(codes[operator.opcodeIndex] for operator in model.subgraphs[0].operators)
