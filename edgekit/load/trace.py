"""From a torch module to a float ONNX file: torch.export at fixed shapes, then torch.onnx (dynamo), then a check.

What is written keeps three things that later stages need:

- BatchNormalization nodes stay nodes (the exporter's own optimizer, which folds them, is off): calibration inputs are
  synthesized from their statistics, and lints read them. Only constants are folded here.
- Each node's metadata has "edgekit.module": the dotted path of the torch module whose `forward` made it, "" at the
  top, taken from the exporter's "pkg.torch.onnx.name_scopes" (modules from outermost to innermost, then the op).
  Stack traces and fx nodes are dropped: they hold paths of the user's machine, and files must be reproducible.
- Inputs and outputs have readable names: forward's parameters; dict keys, `output`, `output_1`, joined by `_` where
  containers are nested.

Operators come as whole as opset 20 has them: HardSwish, Gelu, LayerNormalization, Softmax, LSTM, GRU are one node each;
SiLU is Sigmoid and Mul, attention is MatMul, Softmax, MatMul.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx_ir
import onnxscript.optimizer
import torch
from onnx_ir.passes import common as passes
from torch import Tensor, nn

from edgekit.errors import ModelLoadError, ParityError
from edgekit.load.call import Call, call_of, numpy_name
from edgekit.load.comparison import distance
from edgekit.load.outputs import INNER, OnlyTensors, run, unchanged_buffers
from edgekit.load.parity import check_parity
from edgekit.load.preparation import prepare
from edgekit.load.quiet import first_line, silence
from edgekit.load.traced import Traced
from edgekit.load.unsupported import export_error
from edgekit.types.finding import Finding
from edgekit.types.spec import TensorSpec

OPSET = 20
"""The first opset with Gelu; both the exporter and every ONNX Runtime since 1.17 know it."""

MODULE_KEY = "edgekit.module"
SCOPES_KEY = "pkg.torch.onnx.name_scopes"
INLINE_LIMIT = 1 << 30
"""Weights above this many bytes go to a file beside the model: protobuf ends at 2 GiB."""


def trace(module: nn.Module, inputs: Sequence[TensorSpec], path: Path) -> Traced:
    """Write a live module as a float ONNX file, checked against the module in ONNX Runtime.

    The module is left as it was: training flags, parameters, buffers and device.

    Args:
        module: Any torch module; wrappers of DataParallel and torch.compile are taken off.
        inputs: Shapes and dtypes of what `forward` takes.
        path: The .onnx file to write.

    Raises:
        ModelLoadError: The inputs do not fit, weights have no values, torch.export cannot follow the code, or two calls
            on the same inputs differ.
        UnsupportedOpError: The exporter has no ONNX form for some operators; all are listed.
        ParityError: The file computes something else than the module.
    """
    plain, inputs, findings = prepare(module, inputs)
    call = call_of(plain, inputs)
    with _evaluating(plain):
        return trace_call(plain, call, path, findings=findings)


def trace_call(module: nn.Module, call: Call, path: Path, *, findings: tuple[Finding, ...] = ()) -> Traced:
    """Write a module that is already in eval mode, given the arguments of one call; see `trace`."""
    results = run(module, call)
    try:
        with silence(), unchanged_buffers(module):
            source = OnlyTensors(module) if results.is_mixed else module
            program = torch.export.export(source, call.args, call.kwargs)
    except Exception as error:  # whatever the traced code and torch's tracer raise
        raise ModelLoadError(
            f"torch.export cannot follow {type(module).__name__}: {first_line(error)}",
            hint="control flow that depends on tensor values cannot be exported; hand over an ONNX file instead",
        ) from error
    model = convert(program)
    try:
        return finish(model, call, results.tensors, path, findings=findings)
    except ParityError:
        _refuse_random(module, call, results.tensors)  # before the exporter is blamed
        raise


def _refuse_random(module: nn.Module, call: Call, first: Mapping[str, Tensor]) -> None:
    """Call the source again with other random numbers: what then differs cannot be compared with any file."""
    second = run(module, call, seed=1).tensors
    for name, tensor in first.items():
        measured, limit = distance(tensor.numpy(), second[name].numpy()) if name in second else (math.inf, 0.0)
        if not measured <= limit:
            raise ModelLoadError(
                f"{type(module).__name__} is not deterministic: output '{name}' differs between two calls on the same "
                f"inputs by {measured:.3g} of its largest value",
                hint="take random numbers out of forward, and dropout and noise that do not ask self.training",
            )


def convert(program: torch.export.ExportedProgram) -> onnx_ir.Model:
    """From an exported program to ONNX in memory: operators as the exporter gives them, constants folded.

    Raises:
        UnsupportedOpError: Operators without an ONNX form; all are listed.
        ModelLoadError: The exporter failed otherwise.
    """
    with silence():
        try:
            exported = torch.onnx.export(program, dynamo=True, opset_version=OPSET, optimize=False, verbose=False)
        except Exception as error:  # torch.onnx raises many classes, few of them public
            raise export_error(error, program) from error
        assert exported is not None
        model = exported.model
        for node in model.graph.all_nodes():
            node.metadata_props[MODULE_KEY] = _module_path(node.metadata_props.get(SCOPES_KEY, ""))
        fold(model)
    return model


def finish(
    model: onnx_ir.Model,
    call: Call,
    results: Mapping[str, Tensor],
    path: Path,
    *,
    findings: tuple[Finding, ...] = (),
) -> Traced:
    """Name the border, write the file, and compare it with what the source gave.

    Args:
        model: Its nodes carry `MODULE_KEY`.
        call: The arguments the source was run on; their specs name the inputs.
        results: What it gave: output name -> tensor, in order.
        path: The .onnx file to write.
        findings: Handed through.

    Raises:
        ParityError: The file computes something else.
    """
    _rename(model, [spec.name for spec in call.specs], list(results))
    _clean_metadata(model)
    save(model, path)
    check_parity(path, call, results)
    outputs = tuple(TensorSpec(name, tuple(t.shape), numpy_name(t.dtype)) for name, t in results.items())
    return Traced(call.specs, outputs, findings)


def save(model: onnx_ir.Model, path: Path) -> None:
    """Write an ONNX file; weights beyond `INLINE_LIMIT` bytes go to `<path>.data`."""
    size = sum(v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value is not None)
    onnx_ir.save(model, path, external_data=f"{path.name}.data" if size > INLINE_LIMIT else None)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode inside, every submodule's own training flag afterwards."""
    flags = [(child, child.training) for child in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for child, training in flags:
            child.training = training


def fold(model: onnx_ir.Model) -> None:
    """Inline functions and fold constants; no rewrite that merges operators."""
    passes.InlinePass()(model)
    onnxscript.optimizer.fold_constants(model)
    passes.ShapeInferencePass()(model)  # shapes through LSTM and GRU, which the first round did not know
    onnxscript.optimizer.fold_constants(model)
    for step in (
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedOpsetsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.OutputFixPass(),
    ):
        step(model)


def _rename(model: onnx_ir.Model, inputs: list[str], outputs: list[str]) -> None:
    """Give the border its names; inner values that have one of them get another."""
    graph = model.graph
    assert len(graph.inputs) == len(inputs), f"{len(graph.inputs)} graph inputs for {inputs}"
    assert len(graph.outputs) == len(outputs), f"{len(graph.outputs)} graph outputs for {outputs}"
    taken = {*inputs, *outputs}
    inner = [*graph.initializers.values(), *(value for node in graph for value in node.outputs)]
    for index, value in enumerate(inner):
        if value.name in taken:
            value.name = f"{value.name}_inner_{index}"
    pairs = [*zip(graph.inputs, inputs, strict=True), *zip(graph.outputs, outputs, strict=True)]
    for index, (value, _) in enumerate(pairs):
        value.name = f"edgekit_border_{index}"  # two steps, since names may be swapped between values
    for value, name in pairs:
        value.name = name
    passes.NameFixPass()(model)


def _clean_metadata(model: onnx_ir.Model) -> None:
    """Keep module paths only; see the module docstring."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.doc_string = model.graph.doc_string = None
    for node in model.graph.all_nodes():
        path = node.metadata_props.get(MODULE_KEY, "")
        node.metadata_props.clear()
        node.metadata_props[MODULE_KEY] = path
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


def _module_path(scopes: str) -> str:
    """`['', 'layer1', 'layer1.0', 'conv2d']` to `layer1.0`.

    >>> _module_path("['', 'layer1', 'layer1.0', 'conv2d']")
    'layer1.0'
    """
    try:
        parts = ast.literal_eval(scopes)
    except (ValueError, SyntaxError):
        return ""
    path = str(parts[-2]) if isinstance(parts, list) and len(parts) > 1 else ""
    path = path.removeprefix(INNER).removeprefix(".")
    return "" if path.startswith("_empty_nn_module_stack") else path  # what torch writes where it knows no module
