"""ONNX files of the user: validated, open sizes frozen, old opsets converted; weights are not read to do so.

A quantized file is taken apart first, into a float model and the scales of another tool.

Only the graph is parsed. External weights are linked, not copied, so a model of many gigabytes costs little here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx.inliner
import onnx.version_converter

from edgekit.errors import InputError, ModelLoadError, UnsupportedOpError
from edgekit.load.comparison import compare
from edgekit.load.external_data import all_nodes, check_external, external_tensors, place_beside
from edgekit.load.onnx_sizes import freeze_sizes
from edgekit.load.protobuf import PROTOBUF_LIMIT, read_proto
from edgekit.load.quantized_onnx import is_quantized, take_apart
from edgekit.load.quiet import first_line
from edgekit.load.traced import Traced
from edgekit.runtime.ort import open_onnx
from edgekit.types.finding import Finding, Severity
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec

OLDEST_OPSET = 18
_DOMAINS = ("", "ai.onnx")
_INTEGER = ("DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "MatMulNBits", "DynamicQuantizeMatMul")


def freeze_onnx(path: Path, inputs: Sequence[TensorSpec], target: Path) -> Traced:
    """Validate an ONNX file and write it with static input shapes, a quantized one as floats.

    Args:
        path: The file; its external data must lie in its folder.
        inputs: Sizes of open dimensions; an open batch (axis 0) becomes 1 without being told.
        target: The .onnx file to write.

    Raises:
        ModelLoadError: Damaged, external data missing or outside, sizes open or contradictory, ONNX Runtime cannot run
            it, or quantized in a way that no integer kernel can run.
        UnsupportedOpError: Operators of custom domains, all of them listed.
        ParityError: The converted file computes something else.
    """
    model = read_proto(path)
    _refuse_outright(path, model)
    files = check_external(path, external_tensors(model))
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    _drop_initialized_inputs(model)
    imported = None
    if is_quantized(model):
        model, imported = take_apart(_whole(path, model), where=path.name)
    _refuse(path, model)
    specs, findings = freeze_sizes(model, inputs, where=path.name)
    traced = _written(path, model, files, specs, target)
    outputs = tuple(spec for spec in traced.outputs if imported is None or spec.name in imported.outputs)
    return replace(traced, outputs=outputs, findings=(*findings, *traced.findings), imported=imported)


def _written(
    path: Path, model: onnx.ModelProto, files: dict[str, Path], specs: tuple[TensorSpec, ...], target: Path
) -> Traced:
    """Write the frozen model to `target`, in a current opset, and run it once."""
    opset = _opset(model)
    if opset >= OLDEST_OPSET:
        place_beside(external_tensors(model), files, target)
        onnx.save(model, target)
        results = _run(target, specs, where=path.name)
        return _traced(model, specs, results)
    frozen = target.with_name(f"{target.name}.frozen")
    whole = _whole(path, model)
    onnx.save(whole, frozen)
    onnx.save(_converted(path, whole, opset), target)
    results = _run(frozen, specs, where=path.name)
    compare(results, _run(target, specs, where=path.name), where=f"opset {OLDEST_OPSET} of {path.name}")
    frozen.unlink()
    message = f"opset {opset} was converted to {OLDEST_OPSET}; both give the same in ONNX Runtime"
    return _traced(model, specs, results, (Finding("opset-converted", message, Severity.NOTE, path.name),))


def _refuse_outright(path: Path, model: onnx.ModelProto) -> None:
    """A file without a graph, without what says how to read one, or one that computes on integers by name."""
    if not model.graph.node or not model.graph.output:
        raise ModelLoadError(f"{path.name} is an ONNX file without {'outputs' if model.graph.node else 'operators'}")
    if sum(opset.domain in _DOMAINS for opset in model.opset_import) != 1:
        raise ModelLoadError(f"{path.name} does not say which ONNX opset it uses")
    counts = Counter(node.op_type for node in all_nodes(model))
    integer = {op: count for op, count in counts.items() if op in _INTEGER or op.startswith(("QLinear", "QGemm"))}
    if integer:
        listed = ", ".join(f"{count} {op}" for op, count in integer.items())
        raise ModelLoadError(
            f"{path.name} computes on integers ({listed}), which is not imported",
            hint="hand over the float model it was made from, or one with QuantizeLinear/DequantizeLinear pairs",
        )


def _refuse(path: Path, model: onnx.ModelProto) -> None:
    """Whatever can be seen in the graph to be out of reach."""
    rows = [
        (f"{node.domain}.{node.op_type}", node.name, f"domain '{node.domain}' is no part of ONNX")
        for node in all_nodes(model)
        if node.domain not in _DOMAINS
    ]
    if rows:
        raise UnsupportedOpError(tuple(rows), hint="export the model with standard ONNX operators only")


def _refuse_unknown(model: onnx.ModelProto) -> None:
    """Operators under ONNX's own name that it does not have, or not yet; asked where a model does not run.

    ONNX Runtime knows a few more than the standard, so a name alone is no reason to refuse.
    """
    opset = _opset(model)
    rows = []
    for node in all_nodes(model):
        if node.domain in _DOMAINS and not onnx.defs.has(node.op_type, opset, ""):
            later = onnx.defs.has(node.op_type)
            why = (
                f"opset {opset}, which the file uses, does not have it"
                if later
                else "ONNX has no operator of this name"
            )
            rows.append((node.op_type, node.name, why))
    if rows:
        raise UnsupportedOpError(tuple(rows), hint="export the model with standard ONNX operators only")


def _drop_initialized_inputs(model: onnx.ModelProto) -> None:
    """Before IR version 4 weights had to be listed as inputs; they are none."""
    stored = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in stored]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, 8)


def _opset(model: onnx.ModelProto) -> int:
    return next(int(opset.version) for opset in model.opset_import if opset.domain in _DOMAINS)


def _whole(path: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its weights inside, which the converter needs."""
    stored = sum(tensor_file.stat().st_size for tensor_file in check_external(path, external_tensors(model)).values())
    if stored + path.stat().st_size >= PROTOBUF_LIMIT:
        raise ModelLoadError(
            f"{path.name} is quantized or uses opset {_opset(model)}, and is too large to be converted here",
            hint=f"export the float model again with opset {OLDEST_OPSET} or later",
        )
    onnx.load_external_data_for_model(model, str(path.parent))
    return model


def _converted(path: Path, model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    try:
        return onnx.version_converter.convert_version(model, OLDEST_OPSET)
    except Exception as error:  # the converter raises RuntimeError and its own ConvertError
        _refuse_unknown(model)
        raise ModelLoadError(
            f"{path.name} uses opset {opset}, and onnx cannot convert it to {OLDEST_OPSET}: {first_line(error)}",
            hint=f"export it again with opset {OLDEST_OPSET} or later",
        ) from error


def _run(path: Path, specs: Sequence[TensorSpec], *, where: str) -> dict[str, Array]:
    """One run on seeded random inputs: proof that the sizes fit, and the shapes of the outputs."""
    rng = np.random.default_rng(0)
    feeds = {}
    for spec in specs:
        is_float = spec.dtype.startswith("float")
        values = rng.standard_normal(spec.shape) if is_float else rng.integers(0, 2, spec.shape)
        feeds[spec.name] = np.asarray(values).astype(spec.dtype)
    try:
        return open_onnx(path, optimize=False).run(feeds)
    except ValueError as error:
        _refuse_unknown(onnx.load(path, load_external_data=False))
        shapes = ", ".join(str(spec) for spec in specs)
        said = str(error) if isinstance(error, InputError) else first_line(error)
        said = said.replace(f"Load model from {path} failed:", "")
        said = said.replace(f"cannot load {path.name}", f"cannot load {where}")
        raise ModelLoadError(
            f"{where} does not run in ONNX Runtime on {shapes}: {said}",
            hint="check the sizes of the inputs; onnx.checker.check_model(path, full_check=True) may tell more",
        ) from error


def _traced(
    model: onnx.ModelProto, specs: tuple[TensorSpec, ...], results: dict[str, Array], findings: tuple[Finding, ...] = ()
) -> Traced:
    outputs = [(value.name, results[value.name]) for value in model.graph.output]
    return Traced(specs, tuple(TensorSpec(name, array.shape, str(array.dtype)) for name, array in outputs), findings)
