"""The process that a model runs in: it limits itself, then becomes `edgekit.agent`.

A model is code that somebody else wrote. Here it can crash, hang or eat memory without taking its caller along: memory
and files are capped, no core is dumped, the kernel takes this process first when memory runs out, and it does not
outlive its caller. It is no sandbox: what it may read and where it may connect to is for the system to say
(docs/node.md).
"""

from __future__ import annotations

import ctypes
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

OOM_SCORE = Path("/proc/self/oom_score_adj")
_TAKE_FIRST = "1000"
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


def run() -> None:
    """Entry point; the words of the command are the largest memory and the largest file, bytes, 0 for no limit."""
    memory_bytes, file_bytes = map(int, sys.argv[1:3])
    confine(memory_bytes, file_bytes)
    from edgekit.agent.main import run as run_agent

    run_agent()


def confine(memory_bytes: int, file_bytes: int) -> None:
    """Give up what a model has no need of.

    Args:
        memory_bytes: Largest private memory (RLIMIT_DATA: the address space would count what is only reserved).
        file_bytes: Largest file that may be written.
    """
    _lower(resource.RLIMIT_CORE, 0)
    if file_bytes:
        _lower(resource.RLIMIT_FSIZE, file_bytes)
    if memory_bytes:
        _lower(resource.RLIMIT_DATA, memory_bytes)
    with suppress(OSError):  # no /proc, or a kernel without it
        OOM_SCORE.write_text(_TAKE_FIRST, encoding="ascii")
    with suppress(OSError, AttributeError):  # a C library without it
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _lower(kind: int, limit: int) -> None:
    """Set a limit, unless a lower one is set already."""
    _, most = resource.getrlimit(kind)
    allowed = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(kind, (allowed, allowed))
