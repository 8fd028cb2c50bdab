"""The user's own data, as code: `package.module:function` or `path/file.py:function`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

from edgekit.errors import CalibrationError, EdgekitError
from edgekit.load.user_code import import_place, public_callables


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
    if where.endswith(".py") and not Path(where).is_file():
        raise CalibrationError(f"there is no file {where} (asked for as {reference})")
    module = import_place(where)
    function = getattr(module, name, None)
    if not callable(function):
        hint = f"it has: {', '.join(public_callables(module)) or 'none'}"
        raise CalibrationError(f"{where} has no function {name}", hint=hint)
    found: Callable[[], object] = function
    return found
