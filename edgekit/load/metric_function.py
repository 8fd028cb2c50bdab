"""The user's own metric, as code: `package.module:function` or `path/file.py:function`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from edgekit.errors import InputError
from edgekit.load.user_code import import_place, public_callables


def load_metric(reference: str) -> Callable[..., Any]:
    """Import the function that scores one sample; it is called with (outputs, label).

    Raises:
        InputError: There is no such module or function, or importing it raises.
    """
    where, _, name = reference.rpartition(":")
    if not where or not name.isidentifier():
        raise InputError(f"{reference!r} is no metric", hint="give module:function or file.py:function")
    if where.endswith(".py") and not Path(where).is_file():
        raise InputError(f"there is no file {where} (asked for as the metric {reference})")
    try:
        with redirect_stdout(sys.stderr):
            module = import_place(where)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise InputError(f"importing the metric {reference} raised {type(error).__name__}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        hint = f"it has: {', '.join(public_callables(module)) or 'none'}"
        raise InputError(f"{where} has no function {name} (asked for as the metric)", hint=hint)
    found: Callable[..., Any] = function
    return found
