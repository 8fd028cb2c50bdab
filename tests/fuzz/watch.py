"""Watch: what a case may do while its input is looked at, and what becomes of it.

One audit hook (PEP 578) sees every file that is opened, renamed, linked, made or removed, every socket and every
process, and stops what is outside the case's folder before it happens. Time is the processor's; memory is the growth
of this process's resident set at its peak.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

LONGEST_CPU_S = 15.0
LONGEST_WALL_S = 60
"""Of one case, which may be megabytes of JSON, read a few times; on a machine that is busy with other things."""

_PLACES: dict[str, tuple[int, ...]] = {
    "os.rename": (0, 1), "os.link": (0, 1), "os.symlink": (1,), "os.mkdir": (0,), "os.remove": (0,), "os.rmdir": (0,),
    "os.truncate": (0,), "os.chmod": (0,), "os.chown": (0,), "os.utime": (0,), "os.setxattr": (0,), "os.mkfifo": (0,),
    "os.mknod": (0,), "os.chflags": (0,), "os.removexattr": (0,), "os.chdir": (0,), "os.listdir": (0,),
    "os.scandir": (0,),
}  # fmt: skip
"""Audit event -> which of its arguments are paths. The last two read."""
_FOLDERS = {
    "os.rename": (2, 3),
    "os.link": (2, 3),
    "os.symlink": (2,),
    "os.mkdir": (2,),
    "os.remove": (1,),
    "os.rmdir": (1,),
}
"""Audit event -> which of its arguments are descriptors of the folders that those paths start from."""
_FORBIDDEN = (
    "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.system", "os.exec",
    "os.posix_spawn", "os.fork", "os.forkpty", "pickle.find_class", "os.putenv", "os.unsetenv", "os.kill",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class OutsideError(BaseException):
    """Something outside of the case's folder was touched. No program under test catches it."""


class TooSlowError(BaseException):
    """A case does not end."""


@dataclass
class Measured:
    """What a case took.

    Attributes:
        cpu_s: Of this process.
        peak_bytes: Growth of its resident set at the peak.
        outside: What was touched outside of its folder.
    """

    cpu_s: float = 0.0
    peak_bytes: int = 0
    outside: list[str] = field(default_factory=list)


class Watch:
    """Watches over one folder, from `install` to the end of the process: an audit hook cannot be taken back.

    Args:
        root: The only folder that may be written to; also the working directory.
        readable: Folders that may be read: Python's own, and the package under test.
    """

    def __init__(self, root: Path, *, readable: Iterable[Path] = ()) -> None:
        self.root = os.path.realpath(root)
        self._readable = (self.root, *(os.path.realpath(folder) for folder in readable))
        self._active: Measured | None = None
        self._status = _Status()

    def install(self) -> None:
        """Start to watch; nothing is judged outside of `run`."""
        sys.addaudithook(self._hear)
        signal.signal(signal.SIGALRM, _give_up)

    def run(self, deed: Callable[[], object]) -> tuple[BaseException | None, Measured]:
        """Do something and see what it takes, and what it raises."""
        measured, raised = Measured(), None
        before = self._status.begin()
        signal.alarm(LONGEST_WALL_S)
        started = time.process_time()
        self._active = measured
        try:
            deed()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a program under test raises is a finding
            raised = error
        finally:
            self._active = None
            signal.alarm(0)
        measured.cpu_s = time.process_time() - started
        measured.peak_bytes = self._status.peak() - before
        return raised, measured

    def objection(self, event: str, arguments: tuple[Any, ...]) -> str:
        """Why an audit event may not be; "" where it may."""
        if event in _FORBIDDEN:
            return f"{event}{arguments!r}"[:300]
        if event == "open":
            path, _, flags = arguments
            bits = flags if isinstance(flags, int) else 0
            inside = self._is_inside(path, -1, bool(bits & _WRITING), follow=not bits & os.O_NOFOLLOW)
            return "" if inside else f"open {path!r} with flags {bits:#o}"
        if event == "os.mkdir" and os.path.isdir(arguments[0]):
            return ""  # refused by the system
        for number, index in enumerate(_PLACES.get(event, ())):
            folders = _FOLDERS.get(event, ())
            folder = arguments[folders[number]] if number < len(folders) else -1
            is_writing = event not in ("os.listdir", "os.scandir")
            if not self._is_inside(arguments[index], folder, is_writing, follow=event in ("os.chmod", "os.truncate")):
                return f"{event} {arguments[index]!r}"
        return ""

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        measured = self._active
        if measured is None or not (event == "open" or event in _PLACES or event in _FORBIDDEN):
            return
        self._active = None  # what looks at paths must not be heard itself
        try:
            fault = self.objection(event, arguments)
        finally:
            self._active = measured
        if fault:
            measured.outside.append(fault)
            raise OutsideError(fault)

    def _is_inside(self, path: object, folder: object, is_writing: bool, *, follow: bool) -> bool:
        if path is None or isinstance(path, int):
            return True  # a descriptor, which was judged when it was opened
        text = os.fsdecode(path)  # type: ignore[arg-type]
        if "\0" in text:
            return True  # the system refuses it
        if isinstance(folder, int) and folder >= 0 and not os.path.isabs(text):
            text = os.path.join(f"/proc/self/fd/{folder}", text)
        folder_of, name = os.path.split(text)
        if follow or name in ("", ".", ".."):
            real = os.path.realpath(text)
        else:
            real = os.path.join(os.path.realpath(folder_of or "."), name)
        allowed = (self.root,) if is_writing else self._readable
        return any(real == place or real.startswith(f"{place}/") for place in allowed)


class _Status:
    """The resident set of this process, of which Linux forgets the peak when it is told to.

    Where it must not be told, only growth beyond every peak before is seen.
    """

    def __init__(self) -> None:
        self._status = os.open("/proc/self/status", os.O_RDONLY)
        self._reset: int | None = None
        with suppress(OSError):
            self._reset = os.open("/proc/self/clear_refs", os.O_WRONLY)

    def begin(self) -> int:
        """Bytes now; the peak starts anew."""
        if self._reset is None:
            return self.peak()
        os.pwrite(self._reset, b"5", 0)
        return self._bytes(b"VmRSS:")

    def peak(self) -> int:
        """Bytes at the peak since then."""
        return self._bytes(b"VmHWM:")

    def _bytes(self, key: bytes) -> int:
        text = os.pread(self._status, 4096, 0)
        return int(text.partition(key)[2].split(maxsplit=1)[0]) * 1024


def _give_up(number: int, frame: FrameType | None) -> None:
    raise TooSlowError(f"no end after {LONGEST_WALL_S} s")
