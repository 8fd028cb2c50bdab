"""ProcessStream: a command of this machine as a LineStream; under `local:`, `adb:` and the emulators."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgekit.errors import DeviceError, DeviceTimeoutError

STDERR_CHARACTERS = 4000
"""How much of standard error is kept: its end."""
LINE_BYTES = 16 * 2**20
"""Longest line that is taken; what comes from a device is not to fill this machine."""
GRACE_S = 3.0
"""How long a command may take to end by itself once its input has ended, and again once it was asked to by SIGTERM."""
FINISH_S = 60.0
"""How long `finish` waits for a command that has said its last line."""


@dataclass(frozen=True)
class FarSide:
    """What runs on another machine, where the process here only talks to it.

    Attributes:
        read_end: Called with exit code and standard error of the process when its output has ended: gives those of
            the command there, or raises DeviceError because the device went away.
        end: Ends the command there, when it does not end with its standard input; may raise DeviceError.
    """

    read_end: Callable[[int, str], tuple[int, str]]
    end: Callable[[], None]


class ProcessStream:
    """One running command, in a process group of its own that is ended when the block is left.

    Attributes:
        process: For its id and its exit code.
    """

    def __init__(self, process: subprocess.Popen[bytes], stdin: str, device: str, far: FarSide | None = None) -> None:
        self.process = process
        self._device = device
        self._far = far
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._rest = ""
        self._overlong = False
        self._stderr: deque[bytes] = deque()
        self._threads = [
            threading.Thread(target=work, args=arguments, daemon=True)
            for work, arguments in (
                (self._read_lines, (process.stdout,)),
                (self._read_stderr, (process.stderr,)),
                (self._write, (stdin.encode(),)),
            )
        ]
        for thread in self._threads:
            thread.start()

    def lines(self, timeout_s: float) -> Iterator[str]:
        """See `LineStream.lines`; of a device that went away, the whole lines that came are given first."""
        while True:
            try:
                line = self._lines.get(timeout=timeout_s)
            except queue.Empty:
                raise DeviceTimeoutError(
                    f"nothing was heard for {timeout_s:g} s",
                    device=self._device,
                    hint="the command hangs, or the model is too slow for this limit",
                ) from None
            if line is None:
                self._lines.put(None)  # whoever asks again hears the end again
                break
            yield line
        if self._overlong:
            raise DeviceError(f"a line of more than {LINE_BYTES} bytes", device=self._device)
        if self._far:
            self.finish()
        if self._rest:
            rest, self._rest = self._rest, ""
            yield rest

    def finish(self) -> tuple[int, str]:
        """See `LineStream.finish`.

        Raises:
            DeviceTimeoutError: It does not end.
        """
        try:
            code = self.process.wait(FINISH_S)
        except subprocess.TimeoutExpired:
            raise DeviceTimeoutError(f"the command did not end within {FINISH_S:g} s", device=self._device) from None
        self._threads[1].join(GRACE_S)
        return self._far.read_end(code, self.stderr()) if self._far else (code, self.stderr())

    def stderr(self) -> str:
        """The last 4000 characters of standard error so far."""
        return b"".join(tuple(self._stderr)).decode(errors="replace")[-STDERR_CHARACTERS:]

    def __enter__(self) -> ProcessStream:
        return self

    def __exit__(self, *exception: object) -> None:
        """Standard input ends; then the whole group does, politely first."""
        if not self._threads[2].is_alive():
            _close(self.process.stdin)
        try:
            self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            if self._far:
                with suppress(DeviceError):
                    self._far.end()
            else:
                self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(GRACE_S)
        self._signal(signal.SIGKILL)  # also what it has left behind
        self.process.wait()
        for thread, stream in zip(
            self._threads, (self.process.stdout, self.process.stderr, self.process.stdin), strict=True
        ):
            thread.join(GRACE_S)
            if not thread.is_alive():  # else a descendant that left the group holds the pipe: closing would wait for it
                _close(stream)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def _read_lines(self, stream: IO[bytes]) -> None:
        while line := stream.readline(LINE_BYTES):
            if len(line) == LINE_BYTES:
                self._overlong = True
                break
            text = line.decode(errors="replace")
            if text.endswith("\n"):
                self._lines.put(text.rstrip("\r\n"))
            else:
                self._rest = text
        self._lines.put(None)
        while stream.read(2**16):  # a full pipe would hold the command up
            pass

    def _read_stderr(self, stream: IO[bytes]) -> None:
        size = 0
        while piece := os.read(stream.fileno(), 2**16):
            self._stderr.append(piece)
            size += len(piece)
            while size - len(self._stderr[0]) > 4 * STDERR_CHARACTERS:
                size -= len(self._stderr.popleft())

    def _write(self, text: bytes) -> None:
        stdin = self.process.stdin
        assert stdin is not None
        with suppress(OSError):  # it ended without reading: its exit code says so
            stdin.write(text)
            stdin.flush()


def open_process(
    command: Sequence[str],
    *,
    stdin: str,
    device: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    far: FarSide | None = None,
) -> ProcessStream:
    """Run a command of this machine.

    Args:
        command: Words; the first is looked up on PATH.
        stdin: Text for its standard input, which then stays open until the block is left.
        device: URI for error messages.
        folder: Where it runs; a relative program is looked for there.
        environment: Variables to add to those of this process.
        far: For a process that runs the command on another machine.

    Raises:
        DeviceError: There is no such program, or it cannot be run.
    """
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, **environment} if environment else None,
            start_new_session=True,
        )
    except OSError as error:
        raise DeviceError(f"'{command[0]}' cannot be started: {error.strerror}", device=device) from error
    return ProcessStream(process, stdin, device, far)


def _close(stream: IO[bytes] | None) -> None:
    if stream is not None:
        with suppress(OSError):  # a buffer that nobody read
            stream.close()
