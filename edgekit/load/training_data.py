"""The user's training data, as code: a DataLoader by its place, or a function that gives one.

Training walks over its data many times, so what is handed on can be walked again: a function that returns a generator
is called anew for each epoch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from typing import Any

from edgekit.errors import InputError
from edgekit.load.named_object import load_object


class Recalled:
    """Batches of a function that is called again for each walk."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function

    def __iter__(self) -> Iterator[Any]:
        found = self._function()
        if not isinstance(found, Iterable):
            raise InputError(f"the training data function gave a {type(found).__name__}, which has no batches")
        return iter(found)


def load_training_data(reference: str) -> Iterable[Any]:
    """Import it. What its code prints goes to stderr.

    Args:
        reference: "package.module:name" or "path/file.py:name" of a DataLoader, another iterable of batches, or a
            function without arguments that gives one.

    Returns:
        Batches that can be walked over more than once.

    Raises:
        InputError: There is no such name, its code raises, or what it gives has no batches.
    """
    found = load_object(reference, "training data")
    if isinstance(found, Iterable) and not isinstance(found, Iterator | type):
        return found
    if not callable(found):
        raise InputError(
            f"{reference} is a {type(found).__name__}, not a DataLoader or a function that gives one",
            hint="a generator can be walked over once only: name the function that makes it",
        )
    with redirect_stdout(sys.stderr):
        try:
            made = found()
        except (Exception, SystemExit) as error:
            raise InputError(f"{reference} raised {type(error).__name__}: {error}") from error
    if isinstance(made, Iterator):
        return Recalled(found)
    if isinstance(made, Iterable):
        return made
    raise InputError(f"{reference} gave a {type(made).__name__}, which has no batches", hint="return a DataLoader")
