"""The user's own data, as code: `package.module:function` or `path/file.py:function`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from edgekit.errors import CalibrationError, EdgekitError


def call_data_function(reference: str) -> object:
    """Import the function and call it without arguments. What it prints goes to stderr.

    Modules are looked for in the current folder too; a file may import its neighbours.

    Args:
        reference: "package.module:function" or "path/file.py:function".

    Returns:
        What it returns: a generator or anything else that `open_samples` takes.

    Raises:
        CalibrationError: There is no such module or function, or its code raises.
    """
    where, _, name = reference.rpartition(":")
    if not where or not name.isidentifier():
        raise CalibrationError(
            f"{reference!r} is no data source", hint="give module:function, file.py:function, a folder, .npz or .npy"
        )
    try:
        with redirect_stdout(sys.stderr):
            return _find(where, name, reference)()
    except EdgekitError:
        raise
    except (Exception, SystemExit) as error:
        raise CalibrationError(
            f"{reference} raised {type(error).__name__}: {error}", hint="call the function by itself to find the cause"
        ) from error


def _find(where: str, name: str, reference: str) -> Callable[[], object]:
    path = Path(where)
    if path.suffix == ".py":
        if not path.is_file():
            raise CalibrationError(f"there is no file {path} (asked for as {reference})")
        with _importable(path.resolve().parent):
            spec = importlib.util.spec_from_file_location(f"edgekit_data_{path.stem}", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module  # where dataclasses and the workers of a DataLoader look it up
            spec.loader.exec_module(module)
    else:
        with _importable(Path.cwd()):
            module = importlib.import_module(where)
    function = getattr(module, name, None)
    if not callable(function):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise CalibrationError(f"{where} has no function {name}", hint=f"it has: {', '.join(public) or 'none'}")
    found: Callable[[], object] = function
    return found


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Put `folder` first on the import path for the moment."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
