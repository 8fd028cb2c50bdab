"""The module itself, for work that changes its weights: a live one, or the one that a saved file belongs to."""

from __future__ import annotations

import copy
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from edgekit.errors import ModelLoadError
from edgekit.load.contents import Contents, contents_of
from edgekit.load.torch_sources import open_module
from edgekit.types.finding import Finding


@dataclass(frozen=True, eq=False)
class Trainable:
    """A module whose weights may be changed: nobody else holds it.

    Attributes:
        module: In eval mode.
        name: For files and reports.
        digest: sha256 over names, shapes and bytes of all its weights and buffers, hex.
        findings: What was noticed on loading.
    """

    module: nn.Module
    name: str
    digest: str
    findings: tuple[Finding, ...] = ()


def open_trainable(source: object, *, factory: str, trust_pickle: bool) -> Trainable:
    """Load a module.

    Args:
        source: A live module, which is copied, or the path of a state dict or a pickled module.
        factory: `package.module:name` or `file.py:name`, which builds the module of a state dict; "" for none.
        trust_pickle: Unpickle a whole module.

    Raises:
        ModelLoadError: The source holds a finished graph, which has no modules, or cannot be loaded.
    """
    if isinstance(source, nn.Module):
        module = copy.deepcopy(source).eval()
        return Trainable(module, type(source).__name__, _digest(module))
    if not isinstance(source, str | os.PathLike):
        raise ModelLoadError(f"a {type(source).__name__} cannot be trained", hint="hand over a torch.nn.Module")
    path = Path(source).expanduser()
    contents = contents_of(path)
    if contents in (Contents.ONNX, Contents.PROGRAM, Contents.SCRIPT):
        raise ModelLoadError(
            f"{path.name} is {contents.value}, a finished graph: its layers can be neither pruned nor trained",
            hint="hand over a state dict with --model package.module:factory",
        )
    module, _, found = open_module(path, contents, factory=factory, trust_pickle=trust_pickle)
    return Trainable(module.eval(), path.stem, _digest(module), tuple(found))


def _digest(module: nn.Module) -> str:
    """sha256 over names, shapes and bytes of all weights and buffers."""
    found = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        array = tensor.detach().cpu().contiguous().reshape(-1)
        found.update(f"{name} {tuple(tensor.shape)} {array.dtype}\n".encode())
        found.update(array.view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
