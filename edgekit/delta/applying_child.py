"""The process that a delta is applied in: it limits itself, then says by its exit code how it went.

Decoders see here what somebody else wrote. What goes wrong in one ends this process and not the node's; memory and
the file that comes out are capped by the kernel, beside the caps that each decoder keeps to.
"""

from __future__ import annotations

import errno
import mmap
import os
import signal
import sys

from edgekit.delta.codecs import CODECS
from edgekit.errors import MalformedError, MissingExtraError
from edgekit.runtime.agent_child import confine

MALFORMED, MISSING_EXTRA, NO_MEMORY, NO_SPACE = 3, 4, 5, 6
"""Exit codes; standard error has one line more on it."""
WORDS = "import sys; sys.path.append(sys.argv.pop(1)); from edgekit.delta.applying_child import run; run()"


def run() -> None:
    """Entry point: CODEC BASE DELTA OUT, bytes of the file that comes out, and largest private memory in bytes."""
    codec, base, delta, out = sys.argv[1:5]
    size_bytes, memory_bytes = map(int, sys.argv[5:7])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    confine(memory_bytes, size_bytes)
    sys.exit(_tell(codec, base, delta, out, size_bytes))


def _tell(codec: str, base: str, delta: str, out: str, size_bytes: int) -> int:
    try:
        _apply(codec, base, delta, out, size_bytes)
    except MalformedError as error:
        return _say(error, MALFORMED)
    except MissingExtraError as error:
        return _say(error, MISSING_EXTRA)
    except MemoryError:
        return _say("memory ran out", NO_MEMORY)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _say(error.strerror, NO_SPACE)
        return _say(error, 1)
    return 0


def _apply(codec: str, base: str, delta: str, out: str, size_bytes: int) -> None:
    result = CODECS[codec].applier(_mapped(base), _mapped(delta), size_bytes=size_bytes)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(out, flags, 0o644), "wb") as stream:
        stream.write(result)


def _mapped(path: str) -> memoryview:
    """A file as memory that the kernel may take back at any time; mapped until the process ends."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return memoryview(mmap.mmap(file, 0, access=mmap.ACCESS_READ) if os.fstat(file).st_size else b"")
    finally:
        os.close(file)


def _say(what: object, code: int) -> int:
    print(what, file=sys.stderr)
    return code
