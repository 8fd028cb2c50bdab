"""HeadReader: the lines of a request's head, as many bytes as a server wants to read of them and no more."""

from __future__ import annotations

import http.client
import io


class HeadReader(io.BufferedIOBase):
    """A stream whose lines, which are those of heads, may not go on for ever; contents are read through `read`."""

    def __init__(self, inner: io.BufferedIOBase, most_bytes: int) -> None:
        self._inner = inner
        self._most_bytes = most_bytes
        self._left = most_bytes

    def begin(self) -> None:
        """Another head follows."""
        self._left = self._most_bytes

    def readline(self, size: int | None = -1, /) -> bytes:
        """One line; see io.

        Raises:
            http.client.LineTooLong: The head is longer than it may be. The standard library answers it with 431.
        """
        most = self._left + 1 if size is None or size < 0 else min(size, self._left + 1)
        line = self._inner.readline(most)
        self._left -= len(line)
        if self._left < 0:
            raise http.client.LineTooLong("head of the request")
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        """Content; see io."""
        return self._inner.read(-1 if size is None else size)

    def close(self) -> None:
        """Close the stream below."""
        self._inner.close()
        super().close()
