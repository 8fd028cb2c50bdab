"""Inflow: one limit for all that this process receives, whatever transport it comes over.

A source that is slow is overtaken, given up and named. One that is slow because this process takes its bytes slowly has
done nothing wrong: whoever judges a source by time reads a clock that runs at a tenth of the speed while it is the
limit that is waited for (`own_time`). A tenth, so that nobody who fills the limit with rubbish is waited for without
an end: every bound on waiting becomes ten times as long at most.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from edgekit.transport.throttle import Throttle

LEAST_BYTES_PER_S = 10_000
"""With less, the metadata of several mirrors does not come in the time that it has."""
MOST_PATIENCE = 10
_SLICE_S, _LEAST_SLICE_BYTES = 0.02, 256
"""What is received at once: so many streams take turns that none of them is silent for long."""
BUFFER_BYTES = 2**15
"""What the system keeps of a stream has come too, read or not. Linux takes twice as much as it is told, and 128 KiB
where it is told nothing; with less the sender would wait for its window, and seem to be slow."""
_SLOW_BYTES_PER_S = 2**19
_MEAN_S = 1.0
_MUCH_WAITING = 0.5
_MOST_DEBT_S = 1.0


class Waits:
    """How long a thread has waited for the limit, and others that work for it: their time together, counted once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = 0
        self._began = 0.0
        self._excused_s = 0.0

    @contextmanager
    def here(self) -> Iterator[None]:
        """Count what this thread waits inside the block here."""
        before, _own.waits = _own.waits, self
        try:
            yield
        finally:
            _own.waits = before

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The block waits for the limit."""
        with self._lock:
            if not self._waiting:
                self._began = time.monotonic()
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
                if not self._waiting:
                    self._excused_s += time.monotonic() - self._began

    def excuse(self, seconds: float) -> None:
        """So much of the time that has just passed was a wait for the limit too."""
        with self._lock:
            self._excused_s += seconds

    def clock(self) -> float:
        """Seconds, as of `time.monotonic`; of those that were spent waiting for the limit a tenth."""
        with self._lock:
            now = time.monotonic()
            excused_s = self._excused_s + (now - self._began if self._waiting else 0.0)
        return now - excused_s * (1 - 1 / MOST_PATIENCE)


class _Own(threading.local):
    """The waits of the thread that asks."""

    def __init__(self) -> None:
        self.waits = Waits()


_own = _Own()


def own_waits() -> Waits:
    """Those of the calling thread, to be handed to the threads that work for it."""
    return _own.waits


def own_time() -> float:
    """The clock by which the calling thread judges those it waits for; see `Waits.clock`."""
    return _own.waits.clock()


class Inflow:
    """The limit of this process. Used from many threads.

    Attributes:
        bytes_per_s: The limit that is in force; 0 for none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits: list[int] = []
        self._throttle = Throttle(None)
        self._counted_at = self._mean_bytes_per_s = self._mean_waiting = 0.0
        self.bytes_per_s = 0  # read without the lock: whether there is a limit, and about how much

    @contextmanager
    def limited(self, bytes_per_s: int) -> Iterator[None]:
        """Inside the block this process receives no more than that; where several blocks say so, the least counts.

        Args:
            bytes_per_s: Over all transports together; 0 for no limit.
        """
        with self._lock:
            self._limits.append(bytes_per_s)
            self._apply()
        try:
            yield
        finally:
            with self._lock:
                self._limits.remove(bytes_per_s)
                self._apply()

    def portion(self, most_bytes: int) -> int:
        """How much a stream may receive at once, of so many bytes that it could take."""
        if not self.bytes_per_s:
            return most_bytes
        return min(most_bytes, max(_LEAST_SLICE_BYTES, int(self.bytes_per_s * _SLICE_S)))

    def buffer_bytes(self) -> int:
        """What to have the system keep of a stream at most; 0 leaves it to the system."""
        return BUFFER_BYTES if 0 < self.bytes_per_s < _SLOW_BYTES_PER_S else 0

    def take(self, size_bytes: int, *, until: threading.Event | None = None) -> None:
        """Bytes have come: wait until it is their turn. Other transports than edgekit's own may call this as well.

        Args:
            size_bytes: How many.
            until: Ends the wait, when set.
        """
        with self._lock:
            if not self.bytes_per_s:
                return
            wait_s = self._throttle.reserve(size_bytes)
            self._count(size_bytes, wait_s)
        if wait_s:
            with own_waits().waiting():
                (until or threading.Event()).wait(wait_s)

    # A swarm is limited by the library that it is made with, and tells what it received.

    def swarm_bytes_per_s(self) -> int:
        """What others leave to the swarm; half where they would take all. 0 for no limit."""
        with self._lock:
            self._count(0, 0.0)
            others = math.inf if self._mean_waiting > _MUCH_WAITING else self._mean_bytes_per_s
            return math.ceil(self.bytes_per_s - min(others, self.bytes_per_s / 2))

    def charge(self, size_bytes: int) -> None:
        """The swarm has received so much: what others receive waits for it, though not for long."""
        with self._lock:
            if self._throttle.reserve(0) < _MOST_DEBT_S:
                self._throttle.reserve(size_bytes)

    def _apply(self) -> None:
        least = min(filter(None, self._limits), default=0)
        if least != self.bytes_per_s:
            self.bytes_per_s, self._throttle = least, Throttle(least or None)

    def _count(self, size_bytes: int, wait_s: float) -> None:
        """Keep the means of what comes otherwise than by the swarm, and of how many wait to receive more."""
        now = time.monotonic()
        kept = math.exp((self._counted_at - now) / _MEAN_S)
        self._mean_bytes_per_s = self._mean_bytes_per_s * kept + size_bytes / _MEAN_S
        self._mean_waiting = self._mean_waiting * kept + wait_s / _MEAN_S
        self._counted_at = now


INFLOW = Inflow()
"""Of this process."""
