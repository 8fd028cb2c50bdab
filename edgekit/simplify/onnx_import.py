"""From an ONNX file to a Graph: static shapes, constants evaluated, torch module paths, any opset, any exporter.

The result still speaks ONNX (static arguments are inputs, operators outside the dialect are there); the passes after
this one translate. Weights stay memory-mapped, so a file of many gigabytes costs little here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnx.inliner

from edgekit.errors import ModelLoadError
from edgekit.simplify.constant_folding import fold_constants
from edgekit.simplify.module_paths import module_path
from edgekit.simplify.onnx_tensors import TensorReader, attribute_values, constant_array
from edgekit.simplify.static_shapes import KnownShapes, Skeleton, infer_shapes, measure_shapes
from edgekit.types.finding import Finding, Severity
from edgekit.types.graph import Graph, Node, Value
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec

NARROWED = ("float64", "float16", "bfloat16")
FOLDING_ROUNDS = 8


@dataclass
class _Import:
    """Everything gathered while one file is read."""

    model: onnx.ModelProto
    reader: TensorReader
    nodes: list[onnx.NodeProto]
    constants: dict[str, Array]
    known: KnownShapes = field(default_factory=KnownShapes)
    modules: dict[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> list[onnx.ValueInfoProto]:
        """Run-time inputs: those without an initializer."""
        return [info for info in self.model.graph.input if info.name not in self.constants]

    @property
    def outputs(self) -> list[str]:
        return [info.name for info in self.model.graph.output]


def import_onnx(path: Path, *, name: str, inputs: Sequence[TensorSpec] = ()) -> tuple[Graph, tuple[Finding, ...]]:
    """Read an ONNX file into a Graph whose nodes are still ONNX operators of the file's own opset.

    Args:
        path: The file; external data is looked for in its folder only.
        name: Name of the graph.
        inputs: Shapes for the dimensions that the file leaves open. An open batch (axis 0) is 1 anyway.

    Returns:
        The graph and what was frozen or narrowed on the way. `opset` is an attribute of each node.

    Raises:
        ModelLoadError: The file is missing, corrupt, or has open dimensions that `inputs` does not fix.
    """
    model = _read(path)
    findings = _fix_inputs(model, {spec.name: spec for spec in inputs})
    reader = TensorReader(path.parent)
    initializers = {tensor.name: reader.read(tensor) for tensor in model.graph.initializer}
    state = _Import(model, reader, [], initializers)
    state.known.learn([*state.inputs, *model.graph.value_info, *model.graph.output])
    _take(state, model.graph.node)
    _resolve(state)
    graph = _graph(state, name)
    narrowed = sorted({state.known.dtypes[info.name] for info in state.inputs} & set(NARROWED))
    if narrowed:
        findings.append(
            Finding(
                "element-type-narrowed",
                f"the model computes in {', '.join(narrowed)}; every file computes in float32 instead",
                Severity.NOTE,
                where=path.name,
            )
        )
    return graph, tuple(findings)


def _read(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path, load_external_data=False)
    except FileNotFoundError as error:
        raise ModelLoadError(f"no such file: {path}") from error
    except Exception as error:  # protobuf's DecodeError is typed nowhere
        raise ModelLoadError(f"{path.name} is not an ONNX file: {error}", hint="export the model again") from error
    if not model.graph.node:
        raise ModelLoadError(f"{path.name} holds no nodes", hint="export the model again")
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    return model


def _fix_inputs(model: onnx.ModelProto, specs: dict[str, TensorSpec]) -> list[Finding]:
    """Make every input static; stale symbolic shapes inside the graph are forgotten."""
    findings: list[Finding] = []
    initialized = {tensor.name for tensor in model.graph.initializer}
    symbolic = False
    for info in model.graph.input:
        if info.name in initialized:
            continue
        dims = info.type.tensor_type.shape.dim
        spec = specs.get(info.name)
        if spec is not None and len(spec.shape) != len(dims):
            raise ModelLoadError(f"input {info.name} has {len(dims)} axes, asked for {spec}")
        for axis, dim in enumerate(dims):
            asked = spec.shape[axis] if spec is not None else 1 if axis == 0 else None
            if dim.HasField("dim_value") and dim.dim_value > 0:
                if spec is not None and asked != dim.dim_value:
                    raise ModelLoadError(f"input {info.name} has size {dim.dim_value} on axis {axis}, asked for {spec}")
                continue
            if asked is None:
                raise ModelLoadError(
                    f"axis {axis} of input {info.name} is open ({dim.dim_param or 'unknown'})",
                    hint=f"fix it with --input {info.name}:1x...",
                )
            if axis > 0:
                message = f"axis {axis} ({dim.dim_param or 'open'}) of input {info.name} is fixed at {asked}"
                findings.append(Finding("dimension-frozen", message, Severity.NOTE, where=info.name))
            dim.ClearField("dim_param")
            dim.dim_value = asked
            symbolic = True
    if symbolic:
        del model.graph.value_info[:]
        for info in model.graph.output:
            info.type.tensor_type.ClearField("shape")
    return findings


def _take(state: _Import, nodes: Iterable[onnx.NodeProto]) -> None:
    """Append nodes without their metadata (module paths kept aside); Constant nodes become constants."""
    for node in nodes:
        if node.op_type == "Constant":
            array = constant_array(node, state.reader)
            if array is not None:
                state.constants[node.output[0]] = array
                continue
        state.modules[node.output[0]] = module_path(node)
        bare = onnx.NodeProto(
            name=node.name, op_type=node.op_type, domain=node.domain, input=node.input, output=node.output
        )
        bare.attribute.extend(node.attribute)
        state.nodes.append(bare)


def _resolve(state: _Import) -> None:
    """Fold constants, enter known branches and find shapes until nothing is left to find."""
    opsets = list(state.model.opset_import)
    for round_number in range(FOLDING_ROUNDS):
        state.nodes = fold_constants(
            state.nodes,
            state.constants,
            shapes=state.known.shapes | {name: tuple(array.shape) for name, array in state.constants.items()},
            dtypes=state.known.dtypes | {name: str(array.dtype) for name, array in state.constants.items()},
            opsets=opsets,
            keep=frozenset(state.outputs),
        )
        if _enter_branches(state):
            continue
        gaps = len(state.known.gaps(state.nodes))
        if not gaps:
            return
        skeleton = Skeleton(state.nodes, state.constants, state.inputs, opsets)
        infer_shapes(skeleton, state.known)
        if len(state.known.gaps(state.nodes)) == gaps or round_number == FOLDING_ROUNDS - 2:
            measure_shapes(skeleton, state.known)


def _enter_branches(state: _Import) -> bool:
    """Replace each If whose condition is constant by the branch it takes."""
    if not any(node.op_type == "If" and node.input[0] in state.constants for node in state.nodes):
        return False
    old, state.nodes = state.nodes, []
    for node in old:
        if node.op_type != "If" or node.input[0] not in state.constants:
            state.nodes.append(node)
            continue
        wanted = "then_branch" if state.constants[node.input[0]].any() else "else_branch"
        branch = next(attribute.g for attribute in node.attribute if attribute.name == wanted)
        state.constants.update({tensor.name: state.reader.read(tensor) for tensor in branch.initializer})
        state.known.learn(branch.value_info)
        _take(state, branch.node)
        for inner, outer in zip(branch.output, node.output, strict=True):
            _take(state, [onnx.helper.make_node("Identity", [inner.name], [outer], name=node.name)])
    return True


def _graph(state: _Import, name: str) -> Graph:
    opset = next((entry.version for entry in state.model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    read = {value for node in state.nodes for value in node.input} | set(state.outputs)
    nodes = tuple(_node(state, node, position, opset, read) for position, node in enumerate(state.nodes))
    names = [info.name for info in state.inputs] + [value for node in nodes for value in node.outputs if value]
    used = read & state.constants.keys()
    return Graph(
        name,
        tuple(info.name for info in state.inputs),
        tuple(state.outputs),
        nodes,
        {value: _value(state.known, value) for value in names},
        {constant: _narrowed(state.constants[constant]) for constant in sorted(used)},
    )


def _node(state: _Import, node: onnx.NodeProto, position: int, opset: int, read: set[str]) -> Node:
    outputs = [value if value in read or index == 0 else "" for index, value in enumerate(node.output)]
    while len(outputs) > 1 and not outputs[-1]:
        outputs.pop()
    if node.op_type == "Split":  # every part counts, read or not
        outputs = list(node.output)
    op = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    attributes = attribute_values(node, state.reader)
    return Node(
        f"{position}:{op}",
        op,
        tuple(node.input),
        tuple(outputs),
        {**attributes, "opset": opset},
        state.modules.get(node.output[0], ""),
    )


def _value(known: KnownShapes, name: str) -> Value:
    dtype = known.dtypes.get(name, "sequence")
    return Value(name, known.shapes.get(name, ()), "float32" if dtype in NARROWED else dtype)


def _narrowed(array: Array) -> Array:
    return array.astype(np.float32) if str(array.dtype) in NARROWED else array
