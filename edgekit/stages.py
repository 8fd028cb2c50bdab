"""Stages: passes progress on to whoever watches, and remembers how long each stage took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from edgekit.types.progress import Progress, Stage


class Stages:
    """A Progress that keeps time.

    Attributes:
        seconds: stage -> wall time, in the order they began; a stage inside another counts in both.
    """

    def __init__(self, watcher: Progress) -> None:
        self.seconds: dict[str, float] = {}
        self._watcher = watcher

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """Open a stage; its time is kept when the block is left without an error."""
        self.seconds.setdefault(name, 0.0)
        start = time.perf_counter()
        with self._watcher.stage(name, total) as stage:
            yield stage
        self.seconds[name] += time.perf_counter() - start
