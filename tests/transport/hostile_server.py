"""A web server on the loopback that does whatever a test wants: the good one, and every bad one that was thought of.

    with HostileServer({"blobs/sha256/...": data}, lie) as server:
        open_transport(server.url)...

A behaviour is a function of one `Exchange`. It answers with `exchange.answer(...)`, or sends raw bytes, or waits until
the server is closed. Everything ends when the block is left: sockets are shut down and threads joined.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

SLICE_BYTES = 2**14
LONGEST_REQUEST_BYTES = 2**16
Behaviour = Callable[["Exchange"], None]


class ClosedError(Exception):
    """The server is being closed, or the client has gone."""


@dataclass
class Exchange:
    """One request, and the means to answer it.

    Attributes:
        method: "GET".
        name: Path without the leading slash.
        headers: Lower-case name -> value.
        body: What was sent with it.
        file: The file of that name, None where there is none.
        keep: Whether the connection is kept for another request afterwards.
    """

    server: HostileServer
    connection: socket.socket
    method: str
    name: str
    headers: Mapping[str, str]
    body: bytes
    file: bytes | None
    keep: bool = True

    @property
    def span(self) -> tuple[int, int] | None:
        """First byte and one past the last one that were asked for; None for the whole."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        if not found or self.file is None:
            return None
        return int(found[1]), min(int(found[2]) + 1 if found[2] else len(self.file), len(self.file))

    def wait(self, seconds: float = 3600.0) -> None:
        """Do nothing; raises ClosedError when the server is closed meanwhile."""
        if self.server.closing.wait(seconds):
            raise ClosedError

    def send(self, data: bytes) -> None:
        """Raw bytes, at the server's speed."""
        for begin in range(0, len(data), SLICE_BYTES):
            piece = data[begin : begin + SLICE_BYTES]
            self.server.throttle(len(piece))
            try:
                self.connection.sendall(piece)
            except OSError as error:
                raise ClosedError from error

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Status line and headers."""
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """A whole answer."""
        self.head(status, {"Content-Length": str(len(body)), **(headers or {})})
        if self.method != "HEAD":
            self.send(body)

    def part(self) -> tuple[int, bytes, dict[str, str]]:
        """Status, content and headers that an honest server would answer with."""
        if self.file is None:
            return 404, b"no such file", {}
        if self.span is None:
            return 200, self.file, {}
        start, stop = self.span
        if start >= len(self.file):
            return 416, b"", {"Content-Range": f"bytes */{len(self.file)}"}
        return 206, self.file[start:stop], {"Content-Range": f"bytes {start}-{stop - 1}/{len(self.file)}"}


@dataclass
class Seen:
    """A request as it came, for assertions."""

    method: str
    name: str
    headers: Mapping[str, str] = field(repr=False)


class HostileServer:
    """Listens on a free port of the loopback, one thread per connection.

    Attributes:
        url: Root of its tree.
        seen: Requests in the order in which they came.
        written: name -> bytes of what was PUT.
        sent_bytes: All that went out, headers too.
    """

    def __init__(
        self,
        files: Mapping[str, bytes] | Path,
        behaviour: Behaviour | None = None,
        *,
        bytes_per_s: float | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._files = files
        self._behaviour = behaviour or serve
        self._bytes_per_s = bytes_per_s
        self._tls = tls
        self.closing = threading.Event()
        self.seen: list[Seen] = []
        self.written: dict[str, bytes] = {}
        self.sent_bytes = 0
        self._lock = threading.Lock()
        self._free_at = 0.0
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._start(self._listen)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every connection and thread."""
        self.closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a thread of the hostile server does not end"

    def find(self, name: str) -> bytes | None:
        """A file, or None."""
        if isinstance(self._files, Path):
            place = self._files / name
            return place.read_bytes() if ".." not in name and place.is_file() else None
        return self.written.get(name, self._files.get(name))

    def throttle(self, size_bytes: int) -> None:
        """Wait until so many bytes may go out; all connections share the server's speed."""
        with self._lock:
            self.sent_bytes += size_bytes
            if self._bytes_per_s is None:
                return
            now = time.monotonic()
            begin = max(self._free_at, now)
            self._free_at = begin + size_bytes / self._bytes_per_s
        if self.closing.wait(self._free_at - now):
            raise ClosedError

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(lambda connection=connection: self._converse(connection))  # type: ignore[misc]

    def _converse(self, raw: socket.socket) -> None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = raw
        with self._lock:
            self._connections.add(raw)
        try:
            if self.closing.is_set():
                return
            if self._tls:
                connection = self._tls.wrap_socket(raw, server_side=True)
                with self._lock:
                    self._connections.discard(raw)
                    self._connections.add(connection)
            rest = bytearray()  # clients may send the next request before they have the answer
            while (exchange := self._receive(connection, rest)) is not None:
                self._behaviour(exchange)
                if not exchange.keep:
                    return
        except (ClosedError, OSError):
            pass
        finally:
            with self._lock:
                self._connections -= {raw, connection}
            connection.close()
            raw.close()

    def _receive(self, connection: socket.socket, rest: bytearray) -> Exchange | None:
        data = bytes(rest)
        while b"\r\n\r\n" not in data:
            more = connection.recv(2**16)
            if not more or len(data) > LONGEST_REQUEST_BYTES:
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            more = connection.recv(2**16)
            if not more:
                return None
            body += more
        length = int(headers.get("content-length", 0))
        body, rest[:] = body[:length], body[length:]
        name = target.lstrip("/")
        with self._lock:
            self.seen.append(Seen(method, name, headers))
        return Exchange(self, connection, method, name, headers, body, self.find(name))


def serve(exchange: Exchange) -> None:
    """The honest one; takes PUT."""
    if exchange.method == "PUT":
        exchange.server.written[exchange.name] = exchange.body
        exchange.answer(201)
        return
    exchange.answer(*exchange.part())


def serve_whole(exchange: Exchange) -> None:
    """Honest, and does not know ranges."""
    exchange.answer(404 if exchange.file is None else 200, exchange.file or b"")


def serve_chunked(exchange: Exchange) -> None:
    """Honest, without telling the length beforehand."""
    status, body, headers = exchange.part()
    exchange.head(status, {"Transfer-Encoding": "chunked", **headers})
    for begin in range(0, len(body), 50_000):
        chunk = body[begin : begin + 50_000]
        exchange.send(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
    exchange.send(b"0\r\n\r\n")


def lie(exchange: Exchange) -> None:
    """Every byte is another one."""
    status, body, headers = exchange.part()
    exchange.answer(status, body.translate(bytes(255 - value for value in range(256))), headers)


def lie_at_the_end(exchange: Exchange) -> None:
    """Right but for the last byte of the file."""
    status, body, headers = exchange.part()
    if exchange.file is not None and (exchange.span is None or exchange.span[1] == len(exchange.file)):
        body = body[:-1] + bytes([255 - body[-1]])
    exchange.answer(status, body, headers)


def truncate(exchange: Exchange) -> None:
    """Closes the connection in the middle of the content."""
    status, body, headers = exchange.part()
    exchange.head(status, {"Content-Length": str(len(body)), **headers})
    exchange.send(body[: len(body) // 2])
    exchange.keep = False


def truncate_politely(exchange: Exchange) -> None:
    """Tells a shorter length, and sends that much: nothing is wrong with the answer but its content."""
    status, body, headers = exchange.part()
    exchange.answer(status, body[: len(body) // 2], headers)


def stall(exchange: Exchange) -> None:
    """Takes the request and never answers."""
    exchange.wait()


def stall_midway(exchange: Exchange) -> None:
    """Sends the first tenth, and then nothing."""
    status, body, headers = exchange.part()
    exchange.head(status, {"Content-Length": str(len(body)), **headers})
    exchange.send(body[: len(body) // 10])
    exchange.wait()


def stall_late(exchange: Exchange) -> None:
    """Sends a good megabyte, so as to seem fast, and then nothing."""
    status, body, headers = exchange.part()
    exchange.head(status, {"Content-Length": str(len(body)), **headers})
    exchange.send(body[:1_200_000])
    if len(body) > 1_200_000:
        exchange.wait()


def lie_slowly(exchange: Exchange) -> None:
    """Every byte is another one, at a quarter of a megabyte a second: it takes its time to be caught."""
    status, body, headers = exchange.part()
    exchange.head(status, {"Content-Length": str(len(body)), **headers})
    for begin in range(0, len(body), 2**14):
        exchange.send(bytes(len(body[begin : begin + 2**14])))
        exchange.wait(1 / 16)


def dribble(exchange: Exchange) -> None:
    """The right bytes, one a second."""
    status, body, headers = exchange.part()
    exchange.head(status, {"Content-Length": str(len(body)), **headers})
    for value in body:
        exchange.send(bytes([value]))
        exchange.wait(1.0)


def dribble_headers(exchange: Exchange) -> None:
    """One byte of a header without an end, ten times a second."""
    exchange.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        exchange.send(b"a")
        exchange.wait(0.1)


def dribble_chunk_size(exchange: Exchange) -> None:
    """One byte of a chunk's extension now and then: bytes come, but never content."""
    exchange.head(exchange.part()[0], {"Transfer-Encoding": "chunked", **exchange.part()[2]})
    exchange.send(b"1000;")
    while True:
        exchange.send(b"a")
        exchange.wait(0.1)


def inform_forever(exchange: Exchange) -> None:
    """Interim answers without an end."""
    while True:
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        exchange.wait(0.01)


def flood_headers(exchange: Exchange) -> None:
    """Headers without an end, as fast as they go."""
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        exchange.send(b"X-More: " + b"a" * 8000 + b"\r\n")


def redirect_in_circles(exchange: Exchange) -> None:
    """To itself, again and again."""
    exchange.answer(302, headers={"Location": f"/{exchange.name}"})


def redirect_to(root: str, *, status: int = 302) -> Behaviour:
    """To the same name below another URL."""

    def redirect(exchange: Exchange) -> None:
        exchange.answer(status, headers={"Location": f"{root}/{exchange.name}"})

    return redirect


def send_endlessly(exchange: Exchange) -> None:
    """Right at first, and then more and more, without telling a length."""
    status, body, headers = exchange.part()
    exchange.head(status, {"Transfer-Encoding": "chunked", **headers})
    while True:
        for begin in range(0, len(body), 2**16):
            chunk = body[begin : begin + 2**16]
            exchange.send(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        body = body or b"x"


def claim_wrong_range(exchange: Exchange) -> None:
    """The right content under a Content-Range that was not asked for."""
    _, body, _ = exchange.part()
    exchange.answer(206, body, {"Content-Range": f"bytes 7-{7 + len(body) - 1}/{7 + len(body)}"})


def serve_other_range(exchange: Exchange) -> None:
    """Another part of the file, honestly told."""
    assert exchange.file is not None
    middle = max(len(exchange.file) // 2, 1)
    body = exchange.file[middle:]
    exchange.answer(206, body, {"Content-Range": f"bytes {middle}-{len(exchange.file) - 1}/{len(exchange.file)}"})


def bomb(exchange: Exchange) -> None:
    """Zeros, packed two hundred to one, although no encoding was asked for."""
    packed = zlib.compressobj(1, zlib.DEFLATED, 31)
    body = b"".join(packed.compress(bytes(2**20)) for _ in range(16)) + packed.flush()
    status, _, headers = exchange.part()
    exchange.answer(status, body, {**headers, "Content-Encoding": "gzip"})


def refuse(status: int) -> Behaviour:
    """Always the same status."""

    def answer(exchange: Exchange) -> None:
        exchange.answer(status, b"no")

    return answer


def hang_up(exchange: Exchange) -> None:
    """Closes the connection instead of answering."""
    exchange.keep = False


def talk_nonsense(exchange: Exchange) -> None:
    """Answers with something that is no HTTP."""
    exchange.send(b"220 mail.example.org ESMTP ready\r\n" * 20)
    exchange.keep = False


LYING: tuple[Behaviour, ...] = (lie, lie_slowly, lie_at_the_end, send_endlessly, claim_wrong_range, serve_other_range)
"""They send something else than was asked for: dropped at once."""
FAILING: tuple[Behaviour, ...] = (
    truncate, truncate_politely, stall, stall_midway, stall_late, dribble, dribble_headers, dribble_chunk_size,
    inform_forever, flood_headers, redirect_in_circles, bomb, refuse(404), refuse(403), refuse(500), hang_up,
    talk_nonsense,
)  # fmt: skip
"""They do not send what was asked for, or not in time."""
