"""The user's own metric, as code: `package.module:function` or `path/file.py:function`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgekit.errors import InputError
from edgekit.load.named_object import load_object


def load_metric(reference: str) -> Callable[..., Any]:
    """Import the function that scores one sample; it is called with (outputs, label).

    Raises:
        InputError: There is no such module or function, or importing it raises.
    """
    found = load_object(reference, "metric")
    if not callable(found):
        raise InputError(f"{reference} is a {type(found).__name__}, not a function (asked for as the metric)")
    return found
