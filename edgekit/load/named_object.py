"""An object of the user's own code by its place: `package.module:name` or `path/file.py:name`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

from edgekit.errors import InputError
from edgekit.load.user_code import import_place, public_callables


def load_object(reference: str, what: str) -> object:
    """The object that `reference` names.

    Args:
        reference: "package.module:name" or "path/file.py:name".
        what: What it is asked for as, for messages.

    Raises:
        InputError: There is no such module or name, or importing it raises.
    """
    where, _, name = reference.rpartition(":")
    if not where or not name.isidentifier():
        raise InputError(f"{reference!r} is no {what}", hint="give module:name or file.py:name")
    if where.endswith(".py") and not Path(where).is_file():
        raise InputError(f"there is no file {where} (asked for as the {what} {reference})")
    with redirect_stdout(sys.stderr):
        try:
            module = import_place(where)
        except (Exception, SystemExit) as error:
            raise InputError(f"importing the {what} {reference} raised {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        hint = f"it has: {', '.join(public_callables(module)) or 'none'}"
        raise InputError(f"{where} has no {name} (asked for as the {what})", hint=hint)
    found: object = getattr(module, name)
    return found
