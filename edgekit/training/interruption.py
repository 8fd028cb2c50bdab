"""Ctrl-C between two steps instead of inside one, so that what is saved is a whole step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether someone pressed Ctrl-C.

    Attributes:
        asked: True after the first.
    """

    def __init__(self) -> None:
        self.asked = False

    def hear(self, _signal: int, _frame: FrameType | None) -> None:
        """The first is remembered, the second interrupts at once."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def deferred(enabled: bool) -> Iterator[Interruption]:
    """Hold back the first Ctrl-C as long as the block runs; whoever runs it looks at `asked` and raises.

    Outside the main thread, where signals cannot be taken, and where SIGINT has a handler of someone else's, nothing
    is held back.
    """
    interruption = Interruption()
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not (enabled and usual and threading.current_thread() is threading.main_thread()):
        yield interruption
        return
    signal.signal(signal.SIGINT, interruption.hear)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
