"""Reads an ONNX file as a list of sites: each node with the QuantizeLinear and DequantizeLinear around it.

Read from the file alone, whoever made it, and only here is it known how Q and DQ are found around a node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.check.fusion import Executed
from edgekit.check.fusion_ort import list_executed
from edgekit.errors import ModelLoadError
from edgekit.simplify.module_paths import module_path
from edgekit.targets.site import Feed, Params, Sink, Site
from edgekit.types.qparams import RANGES, Array

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
KEPT_AT_LOAD = (QUANTIZE, DEQUANTIZE, "DynamicQuantizeLinear")
"""Operators that a runtime does not fold, even of constants (ONNX Runtime, constant_folding.cc)."""


@dataclass(frozen=True, eq=False)
class Scene:
    """The whole file.

    Attributes:
        model: Without external data.
        path: Where it came from.
    """

    model: onnx.ModelProto
    path: Path
    _params: dict[tuple[str, ...], Params] = field(default_factory=dict)

    @property
    def graph(self) -> onnx.GraphProto:
        """Its graph."""
        return self.model.graph

    @cached_property
    def constants(self) -> Mapping[str, TensorProto]:
        """Initializers and results of Constant nodes."""
        found = {tensor.name: tensor for tensor in self.graph.initializer}
        for node in self.graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                found[node.output[0]] = node.attribute[0].t
        return found

    @cached_property
    def folded(self) -> frozenset[str]:
        """Results that hang on constants alone: a runtime computes them when it loads the file."""
        found: set[str] = set()
        for node in self.graph.node:
            operands = [name for name in node.input if name]
            known = operands and all(name in self.constants or name in found for name in operands)
            if known and node.op_type not in KEPT_AT_LOAD and not node.op_type.startswith("Random"):
                found.update(node.output)
        return frozenset(found - self.outputs)

    @cached_property
    def producers(self) -> Mapping[str, onnx.NodeProto]:
        """Tensor name -> the node that writes it."""
        return {name: node for node in self.graph.node for name in node.output}

    @cached_property
    def readers(self) -> Mapping[str, Sequence[onnx.NodeProto]]:
        """Tensor name -> its readers, once per input slot."""
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                found.setdefault(name, []).append(node)
        return found

    @cached_property
    def outputs(self) -> frozenset[str]:
        """Names of the graph outputs."""
        return frozenset(value.name for value in self.graph.output)

    @cached_property
    def opset(self) -> int:
        """Version of the default domain."""
        return next((entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx")), 1)

    @cached_property
    def free_axes(self) -> tuple[str, ...]:
        """Graph inputs with a size that is not fixed."""
        return tuple(
            value.name
            for value in self.graph.input
            if any(not axis.HasField("dim_value") for axis in value.type.tensor_type.shape.dim)
        )

    def array(self, name: str) -> Array | None:
        """Values of a constant; None when it is none, or lies outside the file."""
        tensor = self.constants.get(name)
        if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
            return None
        return numpy_helper.to_array(tensor)

    def sites(self) -> Iterator[Site]:
        """Every node that computes: no Q, DQ or Constant, and nothing that is folded."""
        kinds = {step.names: step for step in list_executed(self.graph)}
        for node in self.graph.node:
            if node.op_type in (*KEPT_AT_LOAD, "Constant") or self.folded.intersection(node.output):
                continue
            step: Executed = kinds[(*node.output, node.name)]
            feeds = tuple(self._feed(name) for name in node.input if name)
            sinks = tuple(self._sink(name) for name in node.output if name)
            yield Site(node, _label(node), step.kind, feeds, sinks, self.opset, self._vanishes(node, sinks))

    def _feed(self, name: str) -> Feed:
        producer = self.producers.get(name)
        if producer is None or producer.op_type != DEQUANTIZE:
            return Feed(name, constant=name in self.constants or name in self.folded)
        source = self._origin(producer.input[0])
        made = self.producers.get(source)
        return Feed(
            name,
            params=self._parameters(producer),
            constant=source in self.constants,
            source=source,
            readers=self._count_readers(source),
            quantized_here=made is not None and made.op_type == QUANTIZE,
        )

    def _sink(self, name: str) -> Sink:
        readers = self.readers.get(name, ())
        if not readers and name not in self.outputs:
            return Sink(unread=True)
        quantizers = self._distinct(reader for reader in readers if reader.op_type == QUANTIZE)
        if not quantizers and len(readers) == 1 and readers[0].op_type in ("Relu", "Clip"):
            behind = self._sink(readers[0].output[0])
            if behind.params is None or not behind.alone or name in self.outputs:
                return Sink(readers=len(readers), clip=readers[0].op_type)
            redundant = self._saturates(readers[0], behind.params)
            return behind if redundant else Sink(readers=len(readers), clip=readers[0].op_type)
        if not quantizers:
            return Sink(readers=len(readers))
        others = len(readers) - sum(reader.op_type == QUANTIZE for reader in readers)
        alone = len(quantizers) == 1 and not others and name not in self.outputs
        integers = quantizers[0].output[0]
        stays = integers in self.outputs or any(node.op_type != DEQUANTIZE for node in self.readers.get(integers, ()))
        return Sink(self._parameters(quantizers[0]), alone, self._count_readers(integers), stays)

    def _distinct(self, quantizers: Iterator[onnx.NodeProto]) -> list[onnx.NodeProto]:
        """Runtimes merge QuantizeLinear nodes with equal parameters."""
        found: list[onnx.NodeProto] = []
        for node in quantizers:
            if not any(self._parameters(node).same(self._parameters(other)) for other in found):
                found.append(node)
        return found

    def _count_readers(self, integers: str) -> int:
        """Readers behind the DequantizeLinear nodes of some integers, and those that read the integers themselves."""
        count = int(integers in self.outputs)
        for reader in self.readers.get(integers, ()):
            if reader.op_type != DEQUANTIZE:
                count += 1
                continue
            count += reader.output[0] in self.outputs
            for user in self.readers.get(reader.output[0], ()):
                count += self._count_readers(user.output[0]) if self._repeats(user, reader) else 1
        return count

    def _origin(self, integers: str) -> str:
        """Where the same integers come from: runtimes cut out a DQ and Q of equal parameters between Q and DQ.

        Source: ONNX Runtime, double_qdq_pairs_remover.cc.
        """
        made = self.producers.get(integers)
        before = self.producers.get(made.input[0]) if made is not None and made.op_type == QUANTIZE else None
        if made is None or before is None or not self._repeats(made, before):
            return integers
        return self._origin(before.input[0])

    def _repeats(self, quantizer: onnx.NodeProto, before: onnx.NodeProto) -> bool:
        """Whether a Q undoes the DQ before it."""
        pair = (quantizer.op_type, before.op_type) == (QUANTIZE, DEQUANTIZE)
        return pair and self._parameters(quantizer).same(self._parameters(before))

    def _parameters(self, node: onnx.NodeProto) -> Params:
        """Of a Q or DQ node."""
        key = tuple(node.input)
        if key not in self._params:
            scale = self.array(node.input[1])
            has_zero = len(node.input) > 2 and bool(node.input[2])
            zero = self.array(node.input[2]) if has_zero else np.zeros_like(scale) if scale is not None else None
            self._params[key] = Params(self._integer_type(node), scale, zero)
        return self._params[key]

    def _integer_type(self, node: onnx.NodeProto) -> str:
        candidates = [node.input[2]] if len(node.input) > 2 else []
        candidates += [node.input[0]] if node.op_type == DEQUANTIZE else []
        for name in candidates:
            if name in self.constants:
                return str(helper.tensor_dtype_to_np_dtype(self.constants[name].data_type))
            producer = self.producers.get(name)
            if producer is not None and producer.op_type == QUANTIZE:
                return self._integer_type(producer)
        for value in self.graph.input:
            if value.name in candidates:
                return str(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
        return "uint8" if node.op_type == QUANTIZE else ""

    def _vanishes(self, node: onnx.NodeProto, sinks: Sequence[Sink]) -> bool:
        if node.op_type not in ("Relu", "Clip") or not sinks or sinks[0].params is None or not sinks[0].alone:
            return False
        return self._saturates(node, sinks[0].params)

    def _saturates(self, clip: onnx.NodeProto, params: Params) -> bool:
        """Whether saturation at the ends of the integers does what a Relu or Clip does.

        Source: ONNX Runtime, qdq_util.cc, IsClipMadeRedundantByQ.
        """
        if params.dtype not in RANGES or not params.per_tensor or params.scale is None or params.zero_point is None:
            return False
        ends = RANGES[params.dtype]
        scale, zero = float(params.scale.ravel()[0]), int(params.zero_point.ravel()[0])
        low, high = (ends[0] - zero) * scale, (ends[1] - zero) * scale
        bottom, top = (0.0, np.inf) if clip.op_type == "Relu" else self._clip_ends(clip)
        slack = float(np.finfo(np.float32).eps)
        return bottom - low <= slack and high - top <= slack

    def _clip_ends(self, clip: onnx.NodeProto) -> tuple[float, float]:
        ends = [-np.inf, np.inf]
        for slot in (1, 2):
            if len(clip.input) > slot and clip.input[slot]:
                array = self.array(clip.input[slot])
                ends[slot - 1] = float(array.ravel()[0]) if array is not None else (np.inf, -np.inf)[slot - 1]
        return ends[0], ends[1]


def open_scene(path: Path) -> Scene:
    """Read an .onnx file, without its external data.

    Raises:
        ModelLoadError: It cannot be read as ONNX.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf raises classes of its own
        raise ModelLoadError(f"{path.name} cannot be read as ONNX: {error}") from error
    return Scene(model, path)


def _label(node: onnx.NodeProto) -> str:
    return module_path(node) or node.name or (node.output[0] if node.output else node.op_type)
