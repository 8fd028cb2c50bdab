"""The front door: whatever the user hands over becomes a float ONNX file in a work folder.

    live module ────────────────────────────────┐
    torch.save, pickle, safetensors ─ weights ──┤ + factory
    torch.export program ─ audit ───────────────┼─ trace ─> workdir/model.onnx, checked against its source
    TorchScript ─ code scan ────────────────────┤
    ONNX ─ validation, frozen sizes ────────────┘

What a file is, is found by looking (`contents.py`); nothing in it is executed unless the user says so.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from edgekit.errors import ModelLoadError, StorageError
from edgekit.load.contents import Contents, contents_of
from edgekit.load.factory import build_module
from edgekit.load.onnx_file import freeze_onnx
from edgekit.load.program import load_program, trace_program
from edgekit.load.saved import load_saved
from edgekit.load.script import load_script, trace_script
from edgekit.load.trace import Traced, trace
from edgekit.load.weights import find_weights, load_weights
from edgekit.types.finding import Finding, Severity
from edgekit.types.model import Model
from edgekit.types.spec import TensorSpec

FILE = "model.onnx"


def open_model(
    source: object,
    *,
    workdir: Path,
    inputs: Sequence[TensorSpec] = (),
    factory: str | None = None,
    trust_pickle: bool = False,
) -> Model:
    """Make a float ONNX file of a model.

    Args:
        source: A torch module (also a ScriptModule or ExportedProgram), or the path of a file.
        workdir: Folder for `model.onnx`, made if absent.
        inputs: Name, shape and dtype of each input, where the source does not say them.
        factory: `package.module:name` or `file.py:name`, which builds the module that a state dict belongs to.
        trust_pickle: Unpickle a whole module. This runs whatever the file says.

    Returns:
        The model; its `path` lies in `workdir`.

    Raises:
        ModelLoadError: The source cannot be used; the message says what it is, the hint what to do.
        UnsupportedOpError: Operators without an ONNX form, all of them listed.
        ParityError: The written file computes something else than the source.
        StorageError: `workdir` cannot be written.
    """
    target = workdir / FILE
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        return _open(source, target, inputs, factory or "", trust_pickle)
    except BaseException as error:
        for file in workdir.glob(f"{FILE}*"):
            file.unlink()
        if isinstance(error, OSError) and not isinstance(error, StorageError):
            raise StorageError(f"cannot write the float model to {workdir}: {error.strerror or error}") from error
        raise


def _open(source: object, target: Path, inputs: Sequence[TensorSpec], factory: str, trust_pickle: bool) -> Model:
    if isinstance(source, str | os.PathLike):
        return _open_file(Path(source).expanduser(), target, inputs, factory, trust_pickle)
    if isinstance(source, torch.jit.ScriptModule):
        traced, origin = trace_script(source, inputs, target), "live TorchScript module"
    elif isinstance(source, nn.Module):
        traced, origin = trace(source, inputs, target), "live torch module"
    elif isinstance(source, torch.export.ExportedProgram):
        traced, origin = trace_program(source, inputs, target), "live torch.export program"
    else:
        raise ModelLoadError(f"a {type(source).__name__} is no model", hint="hand over a torch.nn.Module or a path")
    return _model(type(source).__name__, target, traced, origin)


def _open_file(path: Path, target: Path, inputs: Sequence[TensorSpec], factory: str, trust_pickle: bool) -> Model:
    contents = contents_of(path)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    origin, notes = contents.value, []
    if factory and contents in (Contents.ONNX, Contents.PROGRAM, Contents.SCRIPT):
        message = f"{path.name} is {origin}, which is complete; the factory {factory} was not called"
        notes.append(Finding("factory-not-needed", message, Severity.NOTE))
    if contents is Contents.ONNX:
        traced = freeze_onnx(path, inputs, target)
    elif contents is Contents.PROGRAM:
        traced = trace_program(load_program(path, workdir=target.parent), inputs, target)
    elif contents is Contents.SCRIPT:
        traced = trace_script(load_script(path, workdir=target.parent), inputs, target)
    else:
        module, origin, found = _module(path, contents, factory, trust_pickle)
        notes += found
        traced = trace(module, inputs, target)
    return _model(path.stem, target, traced, origin, digest=digest, notes=tuple(notes))


def _module(path: Path, contents: Contents, factory: str, trust_pickle: bool) -> tuple[nn.Module, str, list[Finding]]:
    """The module in a saved file, or the factory's with the file's weights; what the file was; findings."""
    loaded = load_saved(path, contents, trust_pickle=trust_pickle)
    if isinstance(loaded, nn.Module):
        return loaded, "pickled torch module", []
    weights = find_weights(loaded)
    if not weights:
        inside = f"; it has the keys {', '.join(map(str, list(loaded)[:6]))}" if isinstance(loaded, dict) else ""
        raise ModelLoadError(f"{path.name} holds a {type(loaded).__name__}, but no state dict{inside}")
    if not factory:
        modules = [item for item in loaded.values() if isinstance(item, nn.Module)] if isinstance(loaded, dict) else []
        if modules:
            return modules[0], "pickled torch module", []
        raise ModelLoadError(
            f"{path.name} is a state dict: {len(weights[0].tensors)} tensors without the code of the network",
            hint="name the function that builds the module: --model package.module:factory or --model file.py:factory",
        )
    module = build_module(factory)
    found = load_weights(module, weights, maker=factory)
    return module, "safetensors state dict" if contents is Contents.SAFETENSORS else "state dict", list(found)


def _model(
    name: str, target: Path, traced: Traced, origin: str, *, digest: str = "", notes: tuple[Finding, ...] = ()
) -> Model:
    return Model(name, target, traced.inputs, traced.outputs, origin, digest, (*notes, *traced.findings))
