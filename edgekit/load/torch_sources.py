"""Sources that torch has to read: live modules, torch.export programs, TorchScript, saved weights.

Apart from the front door (`checkpoint.py`), because importing torch takes seconds and hundreds of megabytes that a
float ONNX file does not need.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from edgekit.errors import ModelLoadError
from edgekit.load.contents import Contents
from edgekit.load.factory import build_module
from edgekit.load.program import load_program, trace_program
from edgekit.load.saved import load_saved
from edgekit.load.script import load_script, trace_script
from edgekit.load.trace import trace
from edgekit.load.traced import Traced
from edgekit.load.weights import find_weights, load_weights
from edgekit.types.finding import Finding
from edgekit.types.spec import TensorSpec


def trace_live(source: object, inputs: Sequence[TensorSpec], target: Path) -> tuple[Traced, str]:
    """Write a live torch object as ONNX; returns what the trace found and what the object is.

    Raises:
        ModelLoadError: It is no module, ScriptModule or ExportedProgram, or cannot be traced.
    """
    if isinstance(source, torch.jit.ScriptModule):
        return trace_script(source, inputs, target), "live TorchScript module"
    if isinstance(source, nn.Module):
        return trace(source, inputs, target), "live torch module"
    if isinstance(source, torch.export.ExportedProgram):
        return trace_program(source, inputs, target), "live torch.export program"
    raise ModelLoadError(f"a {type(source).__name__} is no model", hint="hand over a torch.nn.Module or a path")


def trace_file(
    path: Path,
    contents: Contents,
    inputs: Sequence[TensorSpec],
    target: Path,
    *,
    factory: str,
    trust_pickle: bool,
) -> tuple[Traced, str, list[Finding]]:
    """Write a torch file as ONNX; returns what the trace found, what the file is, and findings.

    Raises:
        ModelLoadError: The file cannot be used; the hint says what to do.
    """
    if contents is Contents.PROGRAM:
        return trace_program(load_program(path, workdir=target.parent), inputs, target), contents.value, []
    if contents is Contents.SCRIPT:
        return trace_script(load_script(path, workdir=target.parent), inputs, target), contents.value, []
    module, origin, found = open_module(path, contents, factory=factory, trust_pickle=trust_pickle)
    return trace(module, inputs, target), origin, found


def open_module(
    path: Path, contents: Contents, *, factory: str, trust_pickle: bool
) -> tuple[nn.Module, str, list[Finding]]:
    """The module in a saved file, or the factory's with the file's weights; what the file was; findings.

    Raises:
        ModelLoadError: The file holds no module and no weights of the factory's module.
    """
    loaded = load_saved(path, contents, trust_pickle=trust_pickle)
    inner = list(loaded.values()) if isinstance(loaded, dict) and not factory else []
    modules = [item for item in (loaded, *inner) if isinstance(item, nn.Module)]
    if modules:
        return modules[0], "pickled torch module", []
    weights = find_weights(loaded)
    if not weights:
        inside = f"; it has the keys {', '.join(map(str, list(loaded)[:6]))}" if isinstance(loaded, dict) else ""
        raise ModelLoadError(f"{path.name} holds a {type(loaded).__name__}, but no state dict{inside}")
    if not factory:
        raise ModelLoadError(
            f"{path.name} is a state dict: {len(weights[0].tensors)} tensors without the code of the network",
            hint="name the function that builds the module: --model package.module:factory or --model file.py:factory",
        )
    module = build_module(factory)
    found = load_weights(module, weights, maker=factory)
    return module, "safetensors state dict" if contents is Contents.SAFETENSORS else "state dict", list(found)
