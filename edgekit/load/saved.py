"""What `torch.save` and `pickle` wrote: names are read first, then only tensors and plain containers are loaded."""

from __future__ import annotations

import argparse
import io
import pathlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import safetensors
import safetensors.torch
import torch

from edgekit.errors import ModelLoadError
from edgekit.load.archive import MAX_TEXT_BYTES, open_archive
from edgekit.load.contents import Contents
from edgekit.load.pickles import foreign, globals_of
from edgekit.load.quiet import first_line, silence

_LEGACY_PICKLES = 5
"""Magic number, protocol, system, the object, storage keys; raw storages follow."""

_HARMLESS: tuple[Callable[..., object], ...] = (
    argparse.Namespace,
    pathlib.PosixPath,
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    np.dtypes.Int64DType,
    cast(Callable[..., object], np.float64(0).__reduce__()[0]),  # multiarray.scalar, wherever this NumPy keeps it
)
"""What training scripts keep beside the weights: options, paths, the best accuracy so far."""

_WAYS = (
    "safe ways: torch.save(module.state_dict(), 'weights.pt') with --model package.module:factory, or "
    "torch.export.save(torch.export.export(module, args), 'model.pt2'); "
    "if you trust whoever made this file with your machine: --trust-pickle"
)


def load_saved(path: Path, contents: Contents, *, trust_pickle: bool) -> object:
    """Load a file of `torch.save`, `pickle` or safetensors onto the CPU.

    Args:
        path: The file.
        contents: `SAVED`, `LEGACY`, `PICKLE` or `SAFETENSORS`.
        trust_pickle: Unpickle everything, which runs whatever the file says.

    Returns:
        A module, a state dict, or a checkpoint that holds one.

    Raises:
        ModelLoadError: Damaged, or it names code and `trust_pickle` is False.
    """
    if contents is Contents.SAFETENSORS:
        try:
            return safetensors.torch.load_file(path)
        except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
            raise _damaged(path, error) from error
    if trust_pickle:
        return _unpickle(path, contents)
    names = foreign(_names(path, contents))
    if names:
        shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        what = "a pickled torch module" if any(".nn.modules." in name for name in names) else "pickled Python objects"
        raise ModelLoadError(f"{path.name} holds {what} and would run code to load: {shown}", hint=_WAYS)
    if contents is Contents.PICKLE:
        raise ModelLoadError(f"{path.name} is a bare pickle without torch tensors, not a model", hint=_WAYS)
    try:
        with silence(), torch.serialization.safe_globals(list(_HARMLESS)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        why = str(error).partition("WeightsUnpickler error:")[2].strip().partition("\n")[0] or first_line(error)
        raise ModelLoadError(f"{path.name} holds more than tensors: {why}", hint=_WAYS) from error
    except Exception as error:  # torch raises RuntimeError, EOFError, KeyError, ... on damaged files
        raise _damaged(path, error) from error


def _unpickle(path: Path, contents: Contents) -> object:
    try:
        with silence():
            if contents is Contents.PICKLE:
                with path.open("rb") as stream:
                    return pickle.load(stream)
            return torch.load(path, map_location="cpu", weights_only=False)
    except (ImportError, AttributeError) as error:
        raise ModelLoadError(
            f"{path.name} needs code that is not here: {first_line(error)}",
            hint="run edgekit where that package can be imported, or save a state dict and give --model",
        ) from error
    except Exception as error:  # a pickle may raise anything
        raise _damaged(path, error) from error


def _names(path: Path, contents: Contents) -> list[str]:
    """Importable names in every pickle of the file."""
    try:
        if contents is Contents.SAVED:
            return globals_of(io.BytesIO(open_archive(path).read("data.pkl")))
        with path.open("rb") as stream:
            if contents is Contents.PICKLE and path.stat().st_size > MAX_TEXT_BYTES:
                raise ModelLoadError(f"{path.name} is a bare pickle of {path.stat().st_size} bytes", hint=_WAYS)
            count = _LEGACY_PICKLES if contents is Contents.LEGACY else 1
            return [name for _ in range(count) for name in globals_of(stream)]
    except ValueError as error:
        if isinstance(error, ModelLoadError):
            raise
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ModelLoadError:
    return ModelLoadError(
        f"{path.name} is damaged or cut off ({path.stat().st_size} bytes): {first_line(error)}",
        hint="copy or download it again; its size or sha256 at the source will tell",
    )
