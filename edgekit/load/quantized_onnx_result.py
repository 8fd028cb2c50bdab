"""What taking a quantized file apart gathers, and the float ONNX model it is put together to."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx
from onnx import helper, numpy_helper

from edgekit.errors import ModelLoadError
from edgekit.load.protobuf import PROTOBUF_LIMIT
from edgekit.types.imported import StoredConstant
from edgekit.types.qparams import Array, QParams

_SUFFIXES = (".requantized", ".q", ".clamped", ".raw")
"""Ends of names that say how a tensor came about, in our own files and in what was taken apart."""
_RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")


@dataclass
class Walked:
    """Everything known of one file while its nodes are walked through.

    Attributes:
        model: The quantized file.
        stored: Constants as the file has them.
        floats: Constants of the float model: reals of dequantized integers, bounds of clamps.
        constants: Result of a DequantizeLinear -> integers and QParams of the constant.
        nodes: Of the float model.
        producers: Float tensor -> its node in the float model.
        aliases: Result of a DequantizeLinear -> float tensor.
        integers: Integer tensor -> the float tensor it stands for, and how.
        grids: Float tensor -> its QParams, one only.
        moved: Those that hold elements of another one, and so its grid.
        requantized: Those that a Max node makes from another one.
    """

    model: onnx.ModelProto
    stored: dict[str, Array]
    floats: dict[str, Array] = field(default_factory=dict)
    constants: dict[str, StoredConstant] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    producers: dict[str, onnx.NodeProto] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    integers: dict[str, tuple[str, QParams]] = field(default_factory=dict)
    grids: dict[str, QParams] = field(default_factory=dict)
    moved: dict[str, QParams] = field(default_factory=dict)
    requantized: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        graph = self.model.graph
        self.inputs = {value.name: value for value in graph.input}
        self.outputs = [value.name for value in graph.output]
        self._taken = {name for node in graph.node for name in (*node.input, *node.output)}
        self._taken.update((*self.inputs, *self.outputs, *self.stored))

    def append(self, node: onnx.NodeProto) -> None:
        """Add a node to the float model."""
        self.nodes.append(node)
        self.producers.update(dict.fromkeys(node.output, node))

    def fresh(self, stem: str) -> str:
        """A name nobody has."""
        name, count = stem, 1
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        return name

    def float_name(self, name: str) -> str:
        """The float tensor behind an integer one or behind a DequantizeLinear; itself for any other."""
        return self.integers[name][0] if name in self.integers else self.aliases.get(name, name)


def keep_last_of_moves(walked: Walked) -> None:
    """Of a value and its only reader, a reshape with the same QParams, the result of the reshape is the one to keep.

    Otherwise the value, being kept, would stop simplification from joining the reshape with what comes before.
    """
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in walked.nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    results = {walked.float_name(name) for name in walked.outputs}
    for tensor in list(walked.grids):
        found = readers.get(tensor, [])
        if tensor in results or len(found) != 1 or found[0].op_type not in _RESHAPES:
            continue
        result = found[0].output[0]
        if tensor not in walked.moved and result in walked.grids and result in walked.moved:
            walked.moved[tensor] = walked.moved.pop(result)


def public_names(walked: Walked) -> dict[str, str]:
    """Float tensor with QParams -> its name in the float model: that of a result made from it, else its own, short."""
    results = {walked.float_name(name): name for name in reversed(walked.outputs)}
    taken = {*walked.producers, *walked.inputs, *walked.outputs}
    names = {}
    for tensor in walked.grids:
        short = tensor
        for suffix in _SUFFIXES:
            short = short.removesuffix(suffix)
        own = tensor if tensor in walked.inputs or short in taken else short
        names[tensor] = own if tensor in walked.inputs else results.get(tensor, own)
        taken.add(names[tensor])
    return names


def float_model(walked: Walked, names: dict[str, str], *, where: str) -> onnx.ModelProto:
    """Put the float model together; it returns its results, then every tensor that was quantized.

    Raises:
        ModelLoadError: Its weights are too many for one protobuf.
    """
    graph = walked.model.graph
    taps = {names[tensor]: tensor for tensor in walked.grids if tensor not in {*walked.moved, *walked.inputs}}
    for public, tensor in {**taps, **{name: walked.float_name(name) for name in walked.outputs}}.items():
        if public != tensor:
            walked.append(helper.make_node("Identity", [tensor], [public], name=f"{public}/Identity"))
    used = {name for node in walked.nodes for name in node.input} | set(walked.outputs)
    if sum(array.nbytes for name, array in walked.floats.items() if name in used) >= PROTOBUF_LIMIT:
        raise ModelLoadError(f"the float weights of {where} would pass 2 GiB, which is too large to import")
    stored = [tensor for tensor in graph.initializer if tensor.name in used and tensor.name not in walked.floats]
    stored += [numpy_helper.from_array(array, name) for name, array in walked.floats.items() if name in used]
    results = [_as_float(value) if value.name in walked.integers else value for value in graph.output]
    results += [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in taps if name not in walked.outputs
    ]
    made = helper.make_graph(walked.nodes, graph.name or "model", list(walked.inputs.values()), results, stored)
    domains = {"", "ai.onnx", *(node.domain for node in walked.nodes)}
    opsets = [entry for entry in walked.model.opset_import if entry.domain in domains]
    return helper.make_model(made, opset_imports=opsets, ir_version=walked.model.ir_version)


def producer_of(model: onnx.ModelProto) -> str:
    """Tool and version that wrote the file."""
    return " ".join(part for part in (model.producer_name, model.producer_version) if part) or "another tool"


def _as_float(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    changed = onnx.ValueInfoProto()
    changed.CopyFrom(value)
    changed.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return changed
