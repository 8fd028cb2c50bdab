"""Gateway: gives out over HTTP what is on a shelf. Read only, to anybody, within limits.

One machine is by it a mirror of a channel, a webseed of torrents (BEP 19) and a gateway of IPFS at once. Whoever asks
gets the bytes of the name, an error, or a transfer that is cut off: never other bytes, whatever happens to the files.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from edgekit.gateway.conditions import wanted
from edgekit.gateway.finding import Found, RefusedError, find
from edgekit.gateway.shelf import Shelf
from edgekit.gateway.stored import GoneError
from edgekit.transport.bounded_server import BoundedHandler, BoundedServer, ServerLimits
from edgekit.transport.throttle import Throttle


@dataclass(frozen=True)
class GatewayLimits:
    """What strangers may ask of a gateway.

    Attributes:
        most_connections: Open at one time.
        most_per_address: The same from one address.
        most_head_bytes: Of a request.
        request_s: From the end of an answer, or the begin of a connection, to the end of the next request, in seconds.
        slice_s: Within which 64 KiB of an answer have to be taken, in seconds.
        bytes_per_s: Of all answers together; None is no limit.
    """

    most_connections: int = 64
    most_per_address: int = 48
    most_head_bytes: int = 2**13
    request_s: float = 15.0
    slice_s: float = 20.0
    bytes_per_s: float | None = None


@dataclass(frozen=True)
class GatewayStatus:
    """What a gateway has done.

    Attributes:
        connections: Open right now.
        answers: Given, those of errors too.
        sent_bytes: Of contents.
        cut_off: Transfers that were ended because the file did not hold any more what it should.
    """

    connections: int
    answers: int
    sent_bytes: int
    cut_off: int


class Gateway:
    """A web server of one shelf. Listens from the moment it is made, and answers from `start` to `close`.

    Attributes:
        url: Where.
        port: The same.
    """

    def __init__(
        self, shelf: Shelf, host: str = "127.0.0.1", port: int = 0, *, limits: GatewayLimits | None = None
    ) -> None:
        """Listen.

        Args:
            shelf: What is given out; may be changed at any time.
            host: Address of this machine, for example "0.0.0.0" for all of IPv4.
            port: 0 lets the system choose.
            limits: What strangers may ask.

        Raises:
            InputError: Nobody can listen there.
        """
        self._server = _Server(shelf, host, port, limits or GatewayLimits())
        self.port = self._server.port
        shown = f"[{self._server.host}]" if ":" in self._server.host else self._server.host
        self.url = f"http://{shown}:{self.port}"

    def __enter__(self) -> Self:
        """Answer inside the block."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every connection."""
        self.close()

    def start(self) -> None:
        """Answer from now on, in threads of its own."""
        self._server.__enter__()

    def close(self) -> None:
        """End every connection, and the threads with them; never raises. A second time does nothing."""
        self._server.over.set()
        self._server.close()

    def status(self) -> GatewayStatus:
        """What it has done so far."""
        return self._server.status()


class _Server(BoundedServer):
    """The server of a gateway.

    Attributes:
        shelf: What it gives out.
        given: Limits of answers.
        throttle: Shared by all answers.
        over: Set when it is to end.
    """

    def __init__(self, shelf: Shelf, host: str, port: int, limits: GatewayLimits) -> None:
        self.shelf = shelf
        self.given = limits
        self.throttle = Throttle(limits.bytes_per_s)
        self.over = threading.Event()
        self._counted = threading.Lock()
        self._answers = self._sent_bytes = self._cut_off = 0
        bounds = ServerLimits(
            most_connections=limits.most_connections,
            most_per_address=limits.most_per_address,
            most_head_bytes=limits.most_head_bytes,
            request_s=limits.request_s,
            most_body_bytes=0,
        )
        super().__init__(_Handler, host, port, limits=bounds)

    def count(self, *, answers: int = 0, sent_bytes: int = 0, cut_off: int = 0) -> None:
        """Add to the status."""
        with self._counted:
            self._answers += answers
            self._sent_bytes += sent_bytes
            self._cut_off += cut_off

    def status(self) -> GatewayStatus:
        """What was counted."""
        with self._counted:
            return GatewayStatus(self.connections, self._answers, self._sent_bytes, self._cut_off)


class _Handler(BoundedHandler):
    """One connection of a gateway."""

    server: _Server

    def do_GET(self) -> None:  # noqa: N802 (the standard library's name)
        """Give something out."""
        self.server.count(answers=1)
        if self.server.connections > self.server.given.most_connections // 2:
            self.close_connection = True  # others wait for a place
        try:
            self._check_request()
            found = find(self.server.shelf, self.requestline.split(" ")[1], self._plain_headers())
            self._give(found)
        except RefusedError as error:
            self.answer(error.status, f"{error}\n".encode())

    do_HEAD = do_GET  # noqa: N815

    def _check_request(self) -> None:
        """Refuse what HTTP/1.1 refuses, and contents, of which nobody here would read the end.

        Raises:
            RefusedError: It is refused, and the connection ends.
        """
        hosts = len(self.headers.get_all("Host", []))
        words = self.requestline.split(" ")  # the standard library parts them at other blanks too
        if len(words) != 3 or hosts > 1 or (self.request_version != "HTTP/1.0" and not hosts):
            self.close_connection = True
            raise RefusedError(400, "this is no request of HTTP/1.1 with one Host")
        if self.headers.get_all("Content-Length", ["0"]) != ["0"] or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise RefusedError(413, "nothing is taken here")

    def _plain_headers(self) -> dict[str, str]:
        names = ("accept", "cache-control", "if-match", "if-none-match", "if-range", "range")
        found = {name: self.headers.get_all(name, []) for name in names}
        return {name: ", ".join(values) for name, values in found.items() if values}

    def _give(self, found: Found) -> None:
        """Answer with a content, or the part of it that is wanted.

        Raises:
            RefusedError: Its file is gone; nothing was sent yet.
        """
        ranges = found.ranges and self.command == "GET"  # RFC 9110, section 14.2
        part = wanted(self._plain_headers(), etag=found.etag, size_bytes=found.content.size_bytes, ranges=ranges)
        empty = self.command == "HEAD" or part.start == part.stop
        with closing(self._slices(found, part.start, part.start if empty else part.stop)) as slices:
            first = next(slices, None)
            self.send_response(part.status)
            self._send_headers(found, part.status, part.start, part.stop)
            if first is not None:
                self._send(first)
                for data in slices:
                    self._send(data)

    def _slices(self, found: Found, start: int, stop: int) -> Generator[memoryview, None, None]:
        """A part of a content; one that is not there any more ends the transfer."""
        sent = False
        try:
            for data in found.content.read(start, stop):
                yield data
                sent = True
        except GoneError as error:
            self.server.shelf.withdraw(error)
            if not sent:
                raise RefusedError(404, "there is no such file") from error
            self.server.count(cut_off=1)
            self.close_connection = True

    def _send_headers(self, found: Found, status: int, start: int, stop: int) -> None:
        size = found.content.size_bytes
        headers = {"ETag": found.etag, "X-Content-Type-Options": "nosniff", **found.headers}
        if found.ranges:
            headers["Accept-Ranges"] = "bytes"
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        elif status == 416:
            headers["Content-Range"] = f"bytes */{size}"
        if status != 304:
            headers["Content-Length"] = str(stop - start)
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, data: memoryview) -> None:
        wait_s = self.server.throttle.reserve(len(data))
        self.extend(wait_s + self.server.given.slice_s)
        if wait_s and self.server.over.wait(wait_s):
            raise ConnectionError("the gateway ends")
        self.wfile.write(data)
        self.server.count(sent_bytes=len(data))
