"""Shape and element type of every value of an ONNX graph: from the file, from shape inference, or by running it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx.shape_inference
import onnxruntime
from onnx import helper

from edgekit.errors import ModelLoadError
from edgekit.types.qparams import Array

SMALL_ELEMENTS = 1024
"""Constants up to this size may hold shapes, so inference gets to see their content."""


@dataclass
class KnownShapes:
    """What is known so far: value name -> static shape, value name -> numpy dtype name."""

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)

    def learn(self, infos: Iterable[onnx.ValueInfoProto]) -> None:
        """Take over every element type and every fully static shape."""
        for info in infos:
            tensor = info.type.tensor_type
            if not tensor.elem_type:
                continue
            self.dtypes[info.name] = str(np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
            if tensor.HasField("shape") and all(size.HasField("dim_value") for size in tensor.shape.dim):
                self.shapes[info.name] = tuple(size.dim_value for size in tensor.shape.dim)

    def gaps(self, nodes: Sequence[onnx.NodeProto]) -> list[str]:
        """Tensors that nodes write and whose shape or element type is not known."""
        return [
            name
            for node in nodes
            if "Sequence" not in node.op_type or node.op_type == "SequenceAt"
            for name in node.output
            if name and (name not in self.shapes or name not in self.dtypes)
        ]


@dataclass(frozen=True)
class Skeleton:
    """The parts of a model that shapes depend on.

    Attributes:
        nodes: In topological order, metadata stripped.
        constants: Name -> array.
        inputs: Run-time inputs, static.
        opsets: Opset imports of the model.
    """

    nodes: Sequence[onnx.NodeProto]
    constants: Mapping[str, Array]
    inputs: Sequence[onnx.ValueInfoProto]
    opsets: Sequence[onnx.OperatorSetIdProto]

    def model(self, outputs: Sequence[str], known: KnownShapes | None = None) -> onnx.ModelProto:
        """A model without weights: large constants are inputs, small ones initializers."""
        used = {name for node in self.nodes for name in node.input}
        small = [name for name in self.constants if name in used and self.constants[name].size <= SMALL_ELEMENTS]
        large = [name for name in self.constants if name in used and self.constants[name].size > SMALL_ELEMENTS]
        graph = helper.make_graph(
            list(self.nodes),
            "skeleton",
            [*self.inputs, *(_info(name, self.constants[name]) for name in large)],
            [onnx.ValueInfoProto(name=name) for name in outputs],
            [onnx.numpy_helper.from_array(np.asarray(self.constants[name], order="C"), name) for name in small],
        )
        known = known or KnownShapes()
        for name, shape in known.shapes.items():
            if name in known.dtypes:
                element = helper.np_dtype_to_tensor_dtype(np.dtype(known.dtypes[name]))
                graph.value_info.append(helper.make_tensor_value_info(name, element, shape))
        return helper.make_model(graph, opset_imports=list(self.opsets), ir_version=10)


def infer_shapes(skeleton: Skeleton, known: KnownShapes) -> None:
    """Fill `known` by onnx.shape_inference; gaps may remain."""
    made = {name for node in skeleton.nodes for name in node.output if name}
    relevant = KnownShapes({name: shape for name, shape in known.shapes.items() if name in made}, known.dtypes)
    try:
        inferred = onnx.shape_inference.infer_shapes(skeleton.model([], relevant), data_prop=True)
    except onnx.shape_inference.InferenceError:
        return  # `measure_shapes` asks ONNX Runtime instead, and reports what is wrong
    known.learn(inferred.graph.value_info)


def measure_shapes(skeleton: Skeleton, known: KnownShapes) -> None:
    """Fill `known` by running the float model once on zeros.

    Raises:
        ModelLoadError: ONNX Runtime cannot run the model.
    """
    gaps = known.gaps(skeleton.nodes)
    model = skeleton.model(gaps)
    feeds: dict[str, Array] = {}
    initialized = {tensor.name for tensor in model.graph.initializer}
    for info in model.graph.input:
        if info.name in skeleton.constants:
            feeds[info.name] = np.asarray(skeleton.constants[info.name], order="C")
        elif info.name not in initialized:
            feeds[info.name] = np.zeros(known.shapes[info.name], known.dtypes[info.name])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        results = session.run(gaps, feeds)
    except Exception as error:  # onnxruntime raises its own classes, none of them public API
        raise ModelLoadError(
            f"the shapes inside the model are unknown and ONNX Runtime cannot run it: "
            f"{str(error).strip().splitlines()[0]}",
            hint="export it with static shapes, or run onnx.checker.check_model on the file",
        ) from error
    for name, result in zip(gaps, results, strict=True):
        known.shapes[name], known.dtypes[name] = tuple(np.shape(result)), str(np.asarray(result).dtype)


def _info(name: str, array: Array) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
