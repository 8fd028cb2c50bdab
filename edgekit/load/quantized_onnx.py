"""Quantized ONNX files of other tools, taken apart: a float model, and what the tool decided about it.

Every QuantizeLinear and DequantizeLinear goes; weights become the floats their integers stand for. Each tensor that
was quantized becomes one more result of the float file, so that simplification keeps it, with its name, and merges
nothing across it: what the file rounds stays a place where it is rounded.

Three things in such files are no float model's business and are translated:

- A tool may drop a ReLU where saturation does the same (zero point at the end of the range): it is put back.
- A change of scale (a quantized value quantized again with other numbers) is a Max of the value with itself, which is
  exact and which no simplification removes.
- A value that some readers take quantized and others as it is becomes two, in the same way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from edgekit.errors import ModelLoadError
from edgekit.load.external_data import all_nodes
from edgekit.load.quantized_onnx_clamps import saturating_clamp
from edgekit.load.quantized_onnx_params import activation_params, read_grid, same_numbers, stored_constant
from edgekit.load.quantized_onnx_result import Walked, float_model, keep_last_of_moves, producer_of, public_names
from edgekit.load.stored_arrays import array_of, constant_of
from edgekit.types.finding import Finding, Severity
from edgekit.types.imported import Imported, StoredConstant
from edgekit.types.qparams import QParams, same

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
DOMAINS = ("", "ai.onnx", "com.microsoft")
_RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Expand")
MOVEMENT = frozenset(
    (*_RESHAPES, "Transpose", "MaxPool", "Slice", "Split", "Gather", "DepthToSpace", "SpaceToDepth", "Concat")
)
"""Operators that take integers as they are: every element of the result is one of the input."""


def is_quantized(model: onnx.ModelProto) -> bool:
    """Whether the file holds integers behind QuantizeLinear or DequantizeLinear."""
    return any(node.op_type in (QUANTIZE, DEQUANTIZE) and node.domain in DOMAINS for node in all_nodes(model))


def take_apart(model: onnx.ModelProto, *, where: str) -> tuple[onnx.ModelProto, Imported]:
    """Split a QDQ model into a float model and what was decided about it.

    Args:
        model: Local functions inlined, all weights inside.
        where: File name, for messages.

    Returns:
        A new float model, which returns the quantized tensors too, and the numbers.

    Raises:
        ModelLoadError: Scales that no integer kernel can run, integers used in another way, or a damaged file; the
            message names the tensor and the value.
    """
    for node in model.graph.node:
        if any(inner.op_type in (QUANTIZE, DEQUANTIZE) for inner in _inner_nodes(node)):
            raise ModelLoadError(f"{where} quantizes inside a {node.op_type}, whose body is not imported")
    apart = _Apart(model, where)
    for node in model.graph.node:
        apart.take(node)
    return apart.finish()


class _Apart:
    """One walk over the nodes, which an ONNX file has in topological order."""

    def __init__(self, model: onnx.ModelProto, where: str) -> None:
        self.where = where
        self.walked = Walked(model, {tensor.name: array_of(tensor, where) for tensor in model.graph.initializer})
        self.findings: list[Finding] = []
        self._stored: dict[str, StoredConstant] = {}  # integers of constants, before their DequantizeLinear
        self._roundings: dict[str, list[str]] = {}  # raw tensor -> float tensors made of it, one for each grid
        self._plain_readers = _plain_readers(model)
        self._has_clip_inputs = max(entry.version for entry in model.opset_import if entry.domain in DOMAINS[:2]) > 10

    def take(self, node: onnx.NodeProto) -> None:
        """Translate one node."""
        is_ours = node.domain in DOMAINS
        if is_ours and node.op_type == QUANTIZE:
            self._quantize(node)
        elif is_ours and node.op_type == DEQUANTIZE:
            self._dequantize(node)
        elif any(name in self._stored for name in node.input):
            self._constant_integers(node)
        else:
            self._other(node)

    def finish(self) -> tuple[onnx.ModelProto, Imported]:
        """The float model, and what was found."""
        walked = self.walked
        keep_last_of_moves(walked)
        names = public_names(walked)
        activations = {names[tensor]: params for tensor, params in walked.grids.items() if tensor not in walked.moved}
        imported = Imported(
            source=producer_of(walked.model),
            outputs=tuple(walked.outputs),
            activations=activations,
            constants=walked.constants,
            requantized=frozenset(names[tensor] for tensor in walked.requantized),
            findings=(self._summary(len(activations)), *self.findings),
        )
        return float_model(walked, names, where=self.where), imported

    def _quantize(self, node: onnx.NodeProto) -> None:
        walked, raw, result = self.walked, node.input[0], node.output[0]
        array = walked.floats.get(raw, walked.stored.get(raw))
        if array is not None:
            grid = read_grid(node, walked.stored, tensor=raw, rank=array.ndim)
            self._stored[result] = StoredConstant(grid.params, grid.params.quantize(array))
            return
        source = walked.aliases.get(raw, raw)
        params = activation_params(read_grid(node, walked.stored, tensor=source, rank=None), source)
        known = self._roundings.setdefault(source, [source] if source in walked.grids else [])
        tensor = next((name for name in known if same(walked.grids[name], params)), None)
        if tensor is None:
            tensor = self._rounded(source, params, stem=result)
            known.append(tensor)
        walked.grids[tensor] = params
        walked.integers[result] = (tensor, params)
        if tensor in walked.moved and not same(walked.moved[tensor], params):
            del walked.moved[tensor]

    def _rounded(self, source: str, params: QParams, *, stem: str) -> str:
        """The float tensor that `source` is where it is quantized to `params` for the first time."""
        walked = self.walked
        if source in walked.grids:
            if source not in walked.aliases.values():
                message = f"'{source}' is quantized twice in {self.where}; here the second is made from the first"
                self.findings.append(Finding("quantized-twice", message, Severity.NOTE, source))
            return self._again(source, stem)
        producer = walked.producers.get(source)
        clamp = None if producer is None else saturating_clamp(producer.op_type, params)
        if clamp is not None and not self._plain_readers[source]:
            return self._clamped(source, clamp)
        return self._again(source, stem) if self._plain_readers[source] else source

    def _again(self, source: str, stem: str) -> str:
        """The same reals under another name, for QParams of their own."""
        name = self.walked.fresh(f"{stem}.requantized")
        self.walked.append(helper.make_node("Max", [source, source], [name], name=name))
        self.walked.requantized.add(name)
        return name

    def _clamped(self, source: str, clamp: tuple[float, float]) -> str:
        name = self.walked.fresh(f"{source}.clamped")
        if math.isinf(clamp[1]) or not self._has_clip_inputs:
            self.walked.append(helper.make_node("Relu", [source], [name], name=name))
            return name
        bounds = [self.walked.fresh(f"{name}.{end}") for end in ("low", "high")]
        self.walked.floats.update(zip(bounds, np.asarray(clamp, np.float32), strict=True))
        self.walked.append(helper.make_node("Clip", [source, *bounds], [name], name=name))
        return name

    def _dequantize(self, node: onnx.NodeProto) -> None:
        walked, source, result = self.walked, node.input[0], node.output[0]
        if source in self._stored or source in walked.stored:
            self._dequantize_constant(node)
            return
        if source in walked.inputs and source not in walked.integers:
            self._integer_input(node)
        if source not in walked.integers:
            raise ModelLoadError(
                f"{self.where}: '{source}' is dequantized, but no QuantizeLinear made it",
                hint="integer operators are not imported; export the model with QuantizeLinear/DequantizeLinear pairs",
            )
        tensor, params = walked.integers[source]
        own = activation_params(read_grid(node, walked.stored, tensor=tensor, rank=None), tensor)
        if not same(own, params):
            raise ModelLoadError(
                f"'{tensor}' is quantized with scale {float(params.scale):g}, zero point {int(params.zero_point)} "
                f"and read back with {float(own.scale):g}, {int(own.zero_point)}",
                hint="the file means other numbers than its model; quantize it again",
            )
        walked.aliases[result] = tensor

    def _integer_input(self, node: onnx.NodeProto) -> None:
        """A graph input of integers becomes one of floats."""
        name = node.input[0]
        tensor = self.walked.inputs[name].type.tensor_type
        dtype = str(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        grid = read_grid(node, self.walked.stored, tensor=name, rank=None, stored=dtype)
        self.walked.grids[name] = activation_params(grid, name)
        self.walked.integers[name] = (name, self.walked.grids[name])
        tensor.elem_type = onnx.TensorProto.FLOAT

    def _dequantize_constant(self, node: onnx.NodeProto) -> None:
        source, result = node.input[0], node.output[0]
        made = self._stored.get(source)
        array = self.walked.stored[source] if made is None else made.integers
        grid = read_grid(node, self.walked.stored, tensor=source, rank=array.ndim, stored=str(array.dtype))
        if made is not None and not same_numbers(made.params, grid.params):
            raise ModelLoadError(f"constant '{source}' is quantized with one scale and read back with another")
        constant = made or stored_constant(array, grid, source)
        self.walked.constants[result] = constant
        self.walked.floats[result] = constant.reals

    def _constant_integers(self, node: onnx.NodeProto) -> None:
        """The few things exporters do to a weight's integers: bound them, or nothing."""
        made = self._stored.get(node.input[0])
        if made is None or node.op_type not in ("Clip", "Identity"):
            raise ModelLoadError(f"{self.where}: {node.op_type} '{node.name}' works on the integers of a constant")
        integers = made.integers
        if node.op_type == "Clip":
            bounds = [self.walked.stored.get(name) for name in (*node.input[1:3], "", "")[:2]]
            shift = -128 if any(bound is not None and bound.dtype == np.uint8 for bound in bounds) else 0
            low, high = (None if bound is None else bound.astype(np.int32) + shift for bound in bounds)
            integers = np.clip(integers.astype(np.int32), low, high).astype(integers.dtype)
        self._stored[node.output[0]] = StoredConstant(made.params, integers)

    def _other(self, node: onnx.NodeProto) -> None:
        walked = self.walked
        carried = [name for name in node.input if name in walked.integers]
        if carried:
            self._carry(node, carried)
        kept = onnx.NodeProto()
        kept.CopyFrom(node)
        kept.input[:] = [walked.float_name(name) for name in node.input]
        if node.op_type == "Constant":
            walked.stored.update(constant_of(node, self.where))
        elif node.op_type in MOVEMENT - {"Concat"} and not carried:
            source = kept.input[0]
            params = walked.moved.get(source, walked.grids.get(source))
            if params is not None:
                walked.moved.update(dict.fromkeys(node.output, params))
        walked.append(kept)

    def _carry(self, node: onnx.NodeProto, carried: Sequence[str]) -> None:
        """Integers that pass through an operator without a DequantizeLinear: only where it merely moves them."""
        integers = self.walked.integers
        params = integers[carried[0]][1]
        alike = all(same(integers[name][1], params) for name in carried)
        if node.op_type not in MOVEMENT or not alike or node.input[0] not in integers:
            raise ModelLoadError(
                f"{self.where}: {node.op_type} '{node.name}' computes on the integers of '{carried[0]}'",
                hint="export the model with QuantizeLinear/DequantizeLinear pairs around every operator",
            )
        for name in node.output:
            integers[name] = (name, params)
            self.walked.grids[name] = self.walked.moved[name] = params

    def _summary(self, activations: int) -> Finding:
        walked = self.walked
        integers = [name for name in walked.inputs if name in walked.integers]
        also = f"; input {', '.join(integers)} takes float32 now (--io int8 brings integers back)" if integers else ""
        return Finding(
            "scales-imported",
            f"{self.where} is quantized already: {activations} activations and {len(walked.constants)} constants keep "
            f"the scales that {producer_of(walked.model)} gave them{also}",
            Severity.NOTE,
            self.where,
        )


def _plain_readers(model: onnx.ModelProto) -> Counter[str]:
    """tensor -> how many read it without quantizing it; being a result counts."""
    read = [name for node in model.graph.node if node.op_type != QUANTIZE for name in node.input]
    return Counter([*read, *(value.name for value in model.graph.output)])


def _inner_nodes(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    inner = onnx.ModelProto()
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            inner.graph.node.extend(graph.node)
    return list(all_nodes(inner))
