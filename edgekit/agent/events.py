"""How the agent speaks: one JSON object a line on standard output, and errors that the host can tell apart."""

from __future__ import annotations

import json
import os
import sys


class RefusalError(Exception):
    """The device cannot do what the job asks.

    Attributes:
        kind: "bad-job", "no-runtime", "no-provider", "refused" or "no-counter"; what the host's hint depends on.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def tell(event: str, **fields: object) -> None:
    """Write one event and flush it, so that the host keeps what was measured when the device is lost."""
    sys.stdout.write(json.dumps({"event": event, **fields}, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def end_with_input() -> None:
    """Read standard input to its end, then end the process: the host closes it, or the connection is gone.

    Runs in a thread of its own, which sleeps in the kernel and costs the measurement nothing.
    """
    while sys.stdin.read(4096):
        pass
    os._exit(3)


def first_line(error: BaseException) -> str:
    """What an exception says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0][:500] if lines else type(error).__name__
