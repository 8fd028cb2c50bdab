"""What a file may be called in a device's folder."""

from __future__ import annotations

import re

from edgekit.errors import InputError


def check_name(name: str) -> str:
    """The name, if it stays in its folder and is no option to any program.

    Raises:
        InputError: It has a separator or a control character, or begins with "-" or ".".

    >>> check_name("my model.int8.onnx")
    'my model.int8.onnx'
    """
    if not re.fullmatch(r"[^-./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*", name):
        raise InputError(
            f"a file on a device cannot be called {name!r}",
            hint="no / and no \\, and neither - nor . as its first letter",
        )
    return name
