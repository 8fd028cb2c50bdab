"""Progress in one line of plain text on stderr, for verbs that a small device runs: nothing is imported for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from edgekit.types.progress import Stage
from edgekit.units import size

LEAST_BYTES = 100_000_000
"""Work below this is done before anybody wonders."""
EVERY_S = 0.2


@dataclass
class _Line:
    """A stage of `total` bytes as one line that is written over; on anything but a terminal it is never written."""

    stream: TextIO
    name: str
    total: int
    done: int = 0
    written_at: float = field(default_factory=time.monotonic)

    def advance(self, n: int = 1) -> None:
        """`n` more bytes are done."""
        self.done += n
        now = time.monotonic()
        if now - self.written_at >= EVERY_S and self.stream.isatty():
            self.written_at = now
            self.stream.write(f"\r{self.name} {100 * self.done // self.total:3d} % of {size(self.total)}")
            self.stream.flush()


@dataclass(frozen=True)
class PlainProgress:
    """A Progress whose stages count bytes; small ones stay silent.

    Attributes:
        stream: Where it writes.
    """

    stream: TextIO

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """Show how far the block is; a log file gets one line when it begins."""
        line = _Line(self.stream, name, max(total or 0, 1))
        shown = (total or 0) >= LEAST_BYTES
        if shown and not self.stream.isatty():
            self.stream.write(f"{name}: {size(line.total)}\n")
            self.stream.flush()
        if not shown:
            line.written_at = float("inf")
        try:
            yield line
        finally:
            if shown and self.stream.isatty():
                self.stream.write("\r\033[K")
                self.stream.flush()
