"""The code that builds a module for a state dict: `package.module:name`, or `path/to/file.py:name`."""

from __future__ import annotations

import difflib
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType

from torch import nn

from edgekit.errors import ModelLoadError
from edgekit.load.quiet import first_line
from edgekit.load.user_code import import_place, public_callables

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
            known = public_callables(source)
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
    if place.endswith(".py") and not Path(place).is_file():
        raise ModelLoadError(f"the model factory {factory} is in {place}, which is no file", hint=_FORM)
    try:
        return import_place(place)
    except (Exception, SystemExit) as error:
        hint = "install what it imports, or run edgekit from the folder it is in"
        raise ModelLoadError(f"importing the model factory {factory} raised {first_line(error)}", hint=hint) from error
