"""Work that is done by several threads at once, and how long it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def together(works: Sequence[Callable[[], object]]) -> list[BaseException]:
    """Have everything done at once; what went wrong."""
    faults: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return faults
