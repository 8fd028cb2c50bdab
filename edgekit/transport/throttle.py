"""Throttle: one speed for all bytes that go one way, whoever they go to or come from."""

from __future__ import annotations

import threading
import time


class Throttle:
    """Says how long to wait before so many bytes may go. Used from many threads."""

    def __init__(self, bytes_per_s: float | None) -> None:
        """Prepare.

        Args:
            bytes_per_s: For all together; None is no limit.
        """
        self._bytes_per_s = bytes_per_s
        self._free_at = 0.0
        self._lock = threading.Lock()

    def reserve(self, size_bytes: int) -> float:
        """Take a turn.

        Args:
            size_bytes: What is about to be sent, or has come; of 0 it is only said how long the next ones would wait.

        Returns:
            Seconds to wait first.
        """
        if self._bytes_per_s is None:
            return 0.0
        now = time.monotonic()
        with self._lock:
            begin = max(self._free_at, now)
            self._free_at = begin + size_bytes / self._bytes_per_s
        return begin - now
