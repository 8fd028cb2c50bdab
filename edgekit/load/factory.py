"""The code that builds a module for a state dict: `package.module:name`, or `path/to/file.py:name`."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType

from torch import nn

from edgekit.errors import ModelLoadError
from edgekit.load.quiet import first_line

_FORM = "write it as package.module:function or path/to/file.py:function"


def build_module(factory: str) -> nn.Module:
    """Import the factory and call it without arguments. What it prints goes to stderr.

    Args:
        factory: A function or an nn.Module class. Modules are looked for in the current folder too; a file may import
            its neighbours.

    Raises:
        ModelLoadError: It cannot be imported or called, raises, or gives no torch module.
    """
    place, colon, name = factory.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise ModelLoadError(f"'{factory}' names no model factory", hint=_FORM)
    with redirect_stdout(sys.stderr):
        source = _import(place, factory)
        make = getattr(source, name, None)
        if make is None:
            known = [key for key, value in vars(source).items() if callable(value) and not key.startswith("_")]
            close = difflib.get_close_matches(name, known, n=3) or known[:5]
            raise ModelLoadError(
                f"{place} has no '{name}'", hint=f"did you mean {' or '.join(close)}?" if close else ""
            )
        if not callable(make):
            raise ModelLoadError(f"{factory} is a {type(make).__name__}, not a function or class", hint=_FORM)
        try:
            module = make()
        except (Exception, SystemExit) as error:
            raise ModelLoadError(
                f"the model factory {factory} raised {first_line(error)}",
                hint="it is called without arguments; wrap it in a function that gives it those it needs",
            ) from error
    if not isinstance(module, nn.Module):
        raise ModelLoadError(f"the model factory {factory} gave a {type(module).__name__}, not a torch.nn.Module")
    return module


def _import(place: str, factory: str) -> ModuleType:
    is_file = place.endswith(".py")
    if is_file and not Path(place).is_file():
        raise ModelLoadError(f"the model factory {factory} is in {place}, which is no file", hint=_FORM)
    folder = Path(place).resolve().parent if is_file else Path.cwd()
    try:
        with _importable(folder):
            return _from_file(Path(place).resolve()) if is_file else importlib.import_module(place)
    except (Exception, SystemExit) as error:
        hint = "install what it imports, or run edgekit from the folder it is in"
        raise ModelLoadError(f"importing the model factory {factory} raised {first_line(error)}", hint=hint) from error


def _from_file(path: Path) -> ModuleType:
    """Run a file as a module of its own; it stays in `sys.modules`, where dataclasses and pickle look."""
    name = f"edgekit_factory_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
