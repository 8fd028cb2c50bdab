"""read_ahead: several small answers asked for at once, and handed on in their order while they come.

A file that comes block by block would otherwise wait for a round trip before every block.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

from edgekit.transport.inflow import Waits, own_waits

J = TypeVar("J")


def read_ahead(
    jobs: Iterator[J], read: Callable[[J], Generator[bytes, None, None]], *, width: int
) -> Generator[bytes, None, None]:
    """Chunks of the answers to all jobs. Leaving ends those that are under way with their next chunk.

    Args:
        jobs: What to read, in order; the next is taken when there is room.
        read: Reads one, from a thread of its own. Its answer may lie in memory whole before it is wanted, so its size
            and its time have to be bounded.
        width: How many are read at once.

    Raises:
        Exception: What `read` raised, when it is that job's turn.
    """
    lanes: deque[_Lane] = deque()
    over = threading.Event()
    try:
        for job in jobs:
            lanes.append(_Lane(partial(read, job), over))
            if len(lanes) == width:
                yield from lanes.popleft().chunks()
        while lanes:
            yield from lanes.popleft().chunks()
    finally:
        over.set()


class _Lane:
    """One job on its way."""

    def __init__(self, read: Callable[[], Generator[bytes, None, None]], over: threading.Event) -> None:
        self._came: SimpleQueue[bytes | Exception | None] = SimpleQueue()
        # A daemon: a server that never answers is not waited for at the end of the program.
        threading.Thread(target=self._work, args=(read, over, own_waits()), daemon=True).start()

    def chunks(self) -> Iterator[bytes]:
        """What came, and comes."""
        while (chunk := self._came.get()) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    def _work(self, read: Callable[[], Generator[bytes, None, None]], over: threading.Event, waits: Waits) -> None:
        try:
            with waits.here(), closing(read()) as source:
                for chunk in source:
                    if over.is_set():
                        return
                    self._came.put(chunk)
            self._came.put(None)
        except Exception as error:  # whatever it is, it is for whoever waits for this job
            self._came.put(error)
