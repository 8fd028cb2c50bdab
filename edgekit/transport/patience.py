"""Patience: how long a server is waited for, and how slow it may be; Pace holds a transfer to it.

A source that feeds us a byte at a time keeps us from learning of an update without ever failing: the slow retrieval
attack of the TUF specification (section 1.5.2). Every wait is therefore bounded, and so is the speed below which
waiting goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.errors import StalledError


@dataclass(frozen=True)
class Patience:
    """Bounds on waiting for one server.

    Attributes:
        connect_s: For a connection, TLS included.
        answer_s: From the request until all headers of the answer are there.
        silence_s: For the next bytes.
        slowest_bytes_per_s: Less than this over a window is given up.
        window_s: Length of a window, in seconds of waiting; what the reader does meanwhile is not counted.
    """

    connect_s: float = 10.0
    answer_s: float = 20.0
    silence_s: float = 10.0
    slowest_bytes_per_s: float = 1024.0
    window_s: float = 15.0


class Pace:
    """Speed of one transfer."""

    def __init__(self, patience: Patience, *, source: str) -> None:
        """Begin.

        Args:
            patience: The bounds.
            source: Who sends, for the message.
        """
        self._patience = patience
        self._source = source
        self._received = 0
        self._waited_s = 0.0

    def count(self, size_bytes: int, waited_s: float) -> None:
        """Some bytes came.

        Args:
            size_bytes: How many.
            waited_s: How long they were waited for.

        Raises:
            StalledError: Too few over the last window.
        """
        self._received += size_bytes
        self._waited_s += waited_s
        if self._waited_s < self._patience.window_s:
            return
        pace = self._received / self._waited_s
        if pace < self._patience.slowest_bytes_per_s:
            raise StalledError(
                f"sent {pace:.0f} bytes/s over {self._waited_s:.0f} s, "
                f"less than the {self._patience.slowest_bytes_per_s:.0f} that are waited for",
                source=self._source,
            )
        self._received, self._waited_s = 0, 0.0
