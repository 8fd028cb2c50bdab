"""Recordings: what devices said, as the agent would have sent it.

`recorded/NAME.txt` begins with where the format is described; then "=== PATH" begins a file and "$ WORDS" a command,
and "\\0" stands for a NUL. The values are of the kind that such a device gives, not those of one device.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RECORDED = Path(__file__).parent / "recorded"


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], dict[str, Any]]:
    return read_recording


def read_recording(name: str) -> dict[str, Any]:
    """An event with "files" and "commands"."""
    event: dict[str, Any] = {"files": {}, "commands": {}}
    text = (RECORDED / f"{name}.txt").read_text(encoding="utf-8").replace("\\0", "\0")
    for section in re.split(r"^(?==== |\$ )", text, flags=re.MULTILINE)[1:]:
        head, _, body = section.partition("\n")
        mark, _, what = head.partition(" ")
        if mark == "===":
            event["files"][what] = body
        else:
            event["commands"][what] = {"code": 0, "out": body}
    return event
