"""TorchScript: read without letting it touch files, then to ONNX by whichever of torch's two ways can.

The TorchScript exporter (`dynamo=False`) is tried first: it keeps module paths in node names and takes a tenth of a
second. It needs sizes that it does not always know; then torch's converter from TorchScript to an exported program
takes over, which loses the module paths. On the 19 nets of `edgekit.testing.nets`, traced and scripted, the two
together cover all that torch.jit can save but a scripted TransformerEncoderLayer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx_ir
import torch
from torch.onnx import TrainingMode

from edgekit.errors import ModelLoadError
from edgekit.load.archive import open_archive
from edgekit.load.call import Call, tensor_of
from edgekit.load.outputs import INNER, OnlyTensors, run
from edgekit.load.quiet import first_line, silence, silence_native
from edgekit.load.trace import MODULE_KEY, OPSET, convert, finish, fold
from edgekit.load.traced import Traced
from edgekit.types.spec import TensorSpec

_MEMBERS = (
    "code/", "data/", "constants/", "data.pkl", "constants.pkl", "constants.json", "attributes.pkl", "tensors/",
    "version", "byteorder", "model.json", ".data/",
)  # fmt: skip
_FILE_OPERATORS = re.compile(r"\b(save|from_file|load|dlopen)\b")
"""TorchScript operators that read or write files; those with a `filename` among all schemas of torch 2.13."""

_ESCAPED_NAME = re.compile(r"getattr\([^)\n]*\\")


def load_script(path: Path, *, workdir: Path) -> torch.jit.ScriptModule:
    """Open a TorchScript archive in eval mode.

    Its code is compiled by torch, never by Python, so all it can do is call operators; those that touch files are
    refused before loading (`__setstate__` runs then).

    Args:
        path: The file.
        workdir: Where the rebuilt archive stands while torch reads it.

    Raises:
        ModelLoadError: Damaged, hostile, or of an incompatible torch.
    """
    archive = open_archive(path)
    for name in archive.sizes:
        if name.startswith("code/") and name.endswith(".py"):
            text = archive.read(name).decode("utf-8", errors="replace")
            found = _FILE_OPERATORS.search(text) or _ESCAPED_NAME.search(text)
            if found:
                raise ModelLoadError(
                    f"{path.name} is refused: its code ({name}) uses '{found[0]}', which can reach files",
                    hint="export the module with torch.export.save instead",
                )
    target = workdir / "script.pt"
    try:
        archive.rebuild(target, {}, prefixes=_MEMBERS)
        with silence():
            module: torch.jit.ScriptModule = torch.jit.load(target, map_location="cpu")  # type: ignore[no-untyped-call]
            module.eval()
    except ModelLoadError:
        raise
    except Exception as error:
        raise ModelLoadError(
            f"{path.name} is TorchScript that torch {torch.__version__} cannot read: {first_line(error)}"
        ) from error
    finally:
        target.unlink(missing_ok=True)
    return module


def trace_script(module: torch.jit.ScriptModule, inputs: Sequence[TensorSpec], path: Path) -> Traced:
    """Write a TorchScript module as a float ONNX file, checked against the module in ONNX Runtime.

    Args:
        module: In eval mode.
        inputs: One per argument of `forward`, in its order.
        path: The .onnx file to write.

    Raises:
        ModelLoadError: No inputs, they do not fit, or neither exporter can follow the code.
        ParityError: The file computes something else than the module.
    """
    call = _call_of(module, inputs)
    results = run(module, call).tensors
    errors = []
    for way in (_by_script_exporter, _by_exported_program):
        try:
            with TemporaryDirectory(dir=path.parent) as scratch, silence_native():
                model = way(module, call, list(results), Path(scratch))
        except Exception as error:  # both exporters raise whatever they stumble over
            errors.append(f"{way.__name__.removeprefix('_by_').replace('_', ' ')}: {first_line(error)}")
            continue
        _refuse_training(model)
        return finish(model, call, results, path)
    raise ModelLoadError(
        f"this TorchScript cannot be exported to ONNX ({'; '.join(errors)})",
        hint="export the module it came from: torch.export.save(torch.export.export(module, args), 'model.pt2')",
    )


def _call_of(module: torch.jit.ScriptModule, inputs: Sequence[TensorSpec]) -> Call:
    arguments = _arguments(module)
    names = [argument.name for argument in arguments]
    required = [argument.name for argument in arguments if not argument.has_default_value()]
    if not inputs:
        raise ModelLoadError(
            f"TorchScript does not record the shape of its inputs; forward takes ({', '.join(names)})",
            hint="say it with --input NAME:1x3x224x224 (Python: inputs=[TensorSpec(name, shape)])",
        )
    if not len(required) <= len(inputs) <= len(names):
        raise ModelLoadError(
            f"forward takes ({', '.join(names)}), but {len(inputs)} input(s) were given: "
            + ", ".join(str(spec) for spec in inputs)
        )
    by_name = {spec.name: spec for spec in inputs}
    specs = [by_name[name] for name in names if name in by_name]
    if len(specs) != len(inputs):
        if specs:
            unknown = ", ".join(name for name in by_name if name not in names)
            raise ModelLoadError(f"forward has no argument {unknown}; it takes ({', '.join(names)})")
        specs = list(inputs)
    return Call(tuple(tensor_of(spec, seed=index) for index, spec in enumerate(specs)), {}, tuple(specs))


def _arguments(module: torch.jit.ScriptModule) -> list[torch._C.Argument]:
    """What forward takes, without self."""
    schema = getattr(module.forward, "schema")  # noqa: B009 (torch declares forward as a plain callable)
    return [argument for argument in schema.arguments if argument.name != "self"]


def _by_script_exporter(module: torch.jit.ScriptModule, call: Call, outputs: list[str], scratch: Path) -> onnx_ir.Model:
    file = scratch / "script.onnx"
    plain = ["output", *(f"output_{index}" for index in range(1, len(outputs)))]
    if outputs != plain or len(call.specs) < len(_arguments(module)):  # dicts; arguments left at their defaults
        module = torch.jit.trace(OnlyTensors(module), call.args, strict=False, check_trace=False)  # type: ignore[no-untyped-call]
    torch.onnx.export(
        module,
        call.args,
        file,
        dynamo=False,
        opset_version=OPSET,
        training=TrainingMode.PRESERVE,  # EVAL would fold BatchNorm away
        input_names=[spec.name for spec in call.specs],
        output_names=outputs,
    )
    model = onnx_ir.load(file)
    onnx_ir.external_data.load_to_model(model)  # beyond 2 GB the exporter writes files that will not stay
    for node in model.graph.all_nodes():
        path = [part for part in (node.name or "").split("/")[1:-1] if part != INNER]
        node.metadata_props[MODULE_KEY] = ".".join(path)
    fold(model)
    return model


def _by_exported_program(
    module: torch.jit.ScriptModule, call: Call, outputs: list[str], scratch: Path
) -> onnx_ir.Model:
    from torch._export.converter import TS2EPConverter  # what torch.export.export itself names for ScriptModules

    symbolic = TS2EPConverter(module, call.args, call.kwargs).convert()
    # It measures shapes at run time, as TorchScript did; a second trace makes them constants.
    return convert(torch.export.export(symbolic.module(check_guards=False), call.args, call.kwargs))


def _refuse_training(model: onnx_ir.Model) -> None:
    for node in model.graph.all_nodes():
        flag = node.attributes.get("training_mode")
        if flag is not None and flag.as_int() == 1:
            raise ModelLoadError(
                f"the module was traced in training mode: {node.name} is {node.op_type} with training_mode=1",
                hint="call module.eval() before torch.jit.trace or torch.jit.script",
            )
