"""Peers and nodes as processes that end with their test, by their own handles."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
LONGEST_S = 60.0


class Program:
    """A process and the lines that it prints."""

    def __init__(self, stack: ExitStack, module: str, *words: object) -> None:
        """Start `python -m MODULE WORDS...`; killed at the end of the stack if it still runs."""
        self._text = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, words)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        stack.callback(self._clear)

    def line(self, seconds: float = LONGEST_S) -> str:
        """The next line that it prints; AssertionError when none comes in time."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._text:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, left))
            assert ready, f"it said nothing in {seconds:.0f} s"
            chunk = self.process.stdout.read1(65536)  # type: ignore[attr-defined]
            assert chunk, f"it ended with {self.process.wait(5)}"
            self._text += chunk
        line, _, self._text = self._text.partition(b"\n")
        return line.decode()

    def told(self, event: str, seconds: float = LONGEST_S) -> dict[str, Any]:
        """The next line of JSON about some event; others are passed over."""
        deadline = time.monotonic() + seconds
        while True:
            found: dict[str, Any] = json.loads(self.line(deadline - time.monotonic()))
            if found["event"] == event:
                return found

    def end(self, seconds: float = 10.0) -> int:
        """Close its standard input, and wait for it to end: its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(seconds)

    def kill(self) -> None:
        """As `kill -9` does."""
        self.process.kill()
        self.process.wait(5)

    def _clear(self) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def peer(stack: ExitStack, torrent: Path, file: Path, *words: object) -> tuple[Program, int]:
    """A peer of libtorrent alone, and its port; see `peer_program`."""
    program = Program(stack, "tests.transport.torrent.peer_program", torrent, file, *words)
    return program, int(program.line())


def node(stack: ExitStack, blob: Path, target: Path, *words: object) -> Program:
    """A node; see `node_program`."""
    return Program(stack, "tests.transport.torrent.node_program", blob, target, *words)
