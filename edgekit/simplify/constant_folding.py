"""Evaluates every node that depends on constants only, in ONNX Runtime, as one throwaway model.

Exporters leave arithmetic of shapes (Shape, Gather, Concat, Range) and of weights (casts, transposes, padded biases)
in the graph. Rather than keep a table of numpy equivalents, the constant part is cut out and run once.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from edgekit.errors import ModelLoadError
from edgekit.types.qparams import Array

NOT_DETERMINISTIC = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout"}
)
NOT_TENSORS = frozenset({"SplitToSequence", "SequenceConstruct", "SequenceEmpty", "SequenceInsert", "Optional"})

Shapes = Mapping[str, tuple[int, ...]]


def fold_constants(
    nodes: Sequence[onnx.NodeProto],
    constants: MutableMapping[str, Array],
    *,
    shapes: Shapes,
    dtypes: Mapping[str, str],
    opsets: Sequence[onnx.OperatorSetIdProto],
    keep: frozenset[str],
) -> list[onnx.NodeProto]:
    """Evaluate the constant part of a graph.

    Rules:
        1. Shape and Size of a value of known static shape are constants.
        2. CastLike becomes Cast when the element type of its second input is known.
        3. A node whose inputs are all constants is evaluated, with everything of its kind, in one run.
        4. Results that only evaluated nodes read are not kept. Sequences are evaluated when read at known positions.

    Args:
        nodes: In topological order.
        constants: Name -> array; evaluated results are added.
        shapes: Static shapes known so far.
        dtypes: numpy dtype names known so far.
        opsets: Opset imports of the model.
        keep: Names that must stay available (graph results).

    Returns:
        The nodes that remain.

    Raises:
        ModelLoadError: ONNX Runtime cannot evaluate the constant part.
    """
    known = set(constants)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    folded: list[onnx.NodeProto] = []
    remaining: list[onnx.NodeProto] = []
    for node in nodes:
        node = _cast_like(node, dtypes)
        if node.op_type in ("Shape", "Size") and node.input[0] in shapes:
            constants[node.output[0]] = _measured(node, shapes[node.input[0]])
            known.update(node.output)
        elif _is_foldable(node, known) and _ends_in_tensors(node, readers, known):
            folded.append(node)
            known.update(name for name in node.output if name)
        else:
            remaining.append(node)
    if folded:
        wanted = {name for node in remaining for name in node.input} | keep
        constants.update(_evaluate(folded, constants, wanted, opsets))
    return remaining


def _is_foldable(node: onnx.NodeProto, known: set[str]) -> bool:
    if node.op_type in NOT_DETERMINISTIC:
        return False
    if any(attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for attribute in node.attribute):
        return False
    return all(name in known for name in node.input if name)


def _ends_in_tensors(node: onnx.NodeProto, readers: Mapping[str, list[onnx.NodeProto]], known: set[str]) -> bool:
    """Whether a sequence, which cannot be kept as a constant, is taken apart at known positions."""
    if node.op_type not in NOT_TENSORS:
        return True
    taken = readers.get(node.output[0], [])
    return node.op_type == "SplitToSequence" and all(
        reader.op_type == "SequenceAt" and reader.input[1] in known for reader in taken
    )


def _cast_like(node: onnx.NodeProto, dtypes: Mapping[str, str]) -> onnx.NodeProto:
    if node.op_type != "CastLike" or node.input[1] not in dtypes:
        return node
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtypes[node.input[1]]))
    cast = helper.make_node("Cast", [node.input[0]], list(node.output), name=node.name, to=element)
    cast.metadata_props.extend(node.metadata_props)
    return cast


def _measured(node: onnx.NodeProto, shape: tuple[int, ...]) -> Array:
    if node.op_type == "Size":
        return np.asarray(int(np.prod(shape, dtype=np.int64)), np.int64)
    bounds = {attribute.name: attribute.i for attribute in node.attribute}
    return np.asarray(shape[bounds.get("start", 0) : bounds.get("end", len(shape))], np.int64)


def _evaluate(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Array],
    wanted: set[str],
    opsets: Sequence[onnx.OperatorSetIdProto],
) -> dict[str, Array]:
    made = {name for node in nodes for name in node.output if name}
    fed = {name for node in nodes for name in node.input if name and name not in made}
    outputs = sorted(made & wanted)
    if not outputs:
        return {}
    graph = helper.make_graph(
        [_bare(node) for node in nodes],
        "constants",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(constants[name].dtype), constants[name].shape
            )
            for name in sorted(fed)
        ],
        [onnx.ValueInfoProto(name=name) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=list(opsets), ir_version=10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        results = session.run(outputs, {name: np.asarray(constants[name], order="C") for name in sorted(fed)})
    except Exception as error:  # onnxruntime raises its own classes, none of them public API
        packed = sorted(name for name in fed if str(constants[name].dtype).endswith("int4"))
        if packed:
            raise ModelLoadError(
                f"{len(packed)} constant(s) of the model are stored in 4 bits, which are not unpacked: {packed[0]}",
                hint="hand over the float model that the file was made from",
            ) from error
        raise ModelLoadError(
            f"the constant part of the model cannot be evaluated: {str(error).strip().splitlines()[0]}",
            hint="check the file with onnx.checker.check_model",
        ) from error
    return {name: np.asarray(result) for name, result in zip(outputs, results, strict=True)}


def _bare(node: onnx.NodeProto) -> onnx.NodeProto:
    """The node without its metadata, which can be longer than the whole graph."""
    bare = onnx.NodeProto(op_type=node.op_type, domain=node.domain, input=node.input, output=node.output)
    bare.attribute.extend(node.attribute)
    return bare
