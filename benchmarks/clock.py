"""CPU seconds of each stage of a run, for benchmarks that leave some stages out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class CpuClock:
    """A Progress that adds up CPU seconds per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[CpuClock]:
        """Measure one stage."""
        start = time.process_time()
        yield self
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start

    def advance(self, n: int = 1) -> None:
        """Nothing to show."""
