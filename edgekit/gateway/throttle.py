"""Throttle: one speed for all that goes out, whoever it goes to."""

from __future__ import annotations

import threading
import time


class Throttle:
    """Says how long to wait before so many bytes may go out. Used from many threads."""

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
            size_bytes: What is about to be sent.

        Returns:
            Seconds to wait before it is.
        """
        if self._bytes_per_s is None:
            return 0.0
        now = time.monotonic()
        with self._lock:
            begin = max(self._free_at, now)
            self._free_at = begin + size_bytes / self._bytes_per_s
        return begin - now
