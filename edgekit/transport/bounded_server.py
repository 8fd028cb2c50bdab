"""BoundedServer: a small web server that strangers may talk to: nobody holds it up, fills it, or keeps it from ending.

The standard library's server, with what it lacks: a most of connections, a time by which a request has to be over
whatever drips in (a watchdog closes the connection), bounds on heads and bodies, and an end that waits for nobody. What
is served is the business of a subclass of `BoundedHandler`.
"""

from __future__ import annotations

import errno
import http.client
import socket
import socketserver
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv6Address
from types import TracebackType
from typing import Any, Self

from edgekit.errors import InputError
from edgekit.transport.head_reader import HeadReader
from edgekit.version import __version__

_LOOK_S = 0.1
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_CROWDED = b"HTTP/1.1 503 Too Many Connections\r\nContent-Length: 0\r\nConnection: close\r\nRetry-After: 5\r\n\r\n"


@dataclass(frozen=True)
class ServerLimits:
    """What a stranger may ask of the server.

    Attributes:
        most_connections: Open at one time; the next one is told 503 and closed.
        most_per_address: The same for one address of the other side, so that one alone cannot take them all. Of IPv6
            the first 64 bits count: whoever has one of these addresses has all of them.
        request_s: From the moment a request could begin until its last byte is in, in seconds; the quiet time of a kept
            connection counts. An answer has as long again, unless the handler extends it.
        most_head_bytes: Of a request's first line and headers together.
        most_body_bytes: Of a request's content.
    """

    most_connections: int = 64
    most_per_address: int = 64
    request_s: float = 15.0
    most_head_bytes: int = 2**14
    most_body_bytes: int = 2**17


class BoundedHandler(BaseHTTPRequestHandler):
    """One connection; a subclass has `do_GET`, `do_POST`, ..., which call `answer` once.

    Attributes:
        server: Whose.
    """

    server: BoundedServer
    protocol_version = "HTTP/1.1"
    server_version = f"edgekit/{__version__}"
    sys_version = ""
    default_request_version = protocol_version  # what has no version is answered with a head, too, and not by HTTP/0.9
    disable_nagle_algorithm = True  # head and content are two writes; the second must not wait for an acknowledgement

    def setup(self) -> None:
        """Count what is read of a head."""
        super().setup()
        self._head = HeadReader(self.rfile, self.server.limits.most_head_bytes)
        self.rfile = self._head

    def handle_one_request(self) -> None:
        """As the standard library's, by a deadline; a connection that breaks ends quietly."""
        try:
            self.extend(self.server.limits.request_s)
            self._head.begin()
            super().handle_one_request()
        except (OSError, http.client.LineTooLong):  # the latter of a first line, which nobody would answer
            self.close_connection = True

    def extend(self, seconds: float) -> None:
        """Give the connection so many seconds from now."""
        self.server.extend(self.connection, seconds)

    def body(self) -> bytes | None:
        """The content of the request; None where it was refused, and an answer has been sent."""
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or len(lengths) != 1:
            self._refuse(411, "say how long the content is, once")
            return None
        if not lengths[0].isascii() or not lengths[0].isdigit() or len(lengths[0]) > 18:
            self._refuse(400, "this is no length of a content")
            return None
        length = int(lengths[0])
        if length > self.server.limits.most_body_bytes:
            self._refuse(413, f"at most {self.server.limits.most_body_bytes} bytes are read")
            return None
        data = self.rfile.read(length)
        if len(data) != length:
            raise ConnectionError("it hung up before the end of its request")
        self.extend(self.server.limits.request_s)
        return data

    def answer(self, status: int, body: bytes, *, content_type: str = "text/plain; charset=utf-8") -> None:
        """Send a whole answer.

        Args:
            status: HTTP status.
            body: Content; not sent to HEAD.
            content_type: Of it.
        """
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library refuses: as plain text, without what the client wrote in it."""
        self.close_connection = True
        self.answer(code, f"{http.client.responses.get(code, 'refused')}\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what strangers write is no business of our logs."""

    def _refuse(self, status: int, why: str) -> None:
        self.close_connection = True  # what the content holds is not read, so that nothing after it can be
        self.answer(status, f"{why}\n".encode())


class BoundedServer(socketserver.TCPServer):
    """Listens from the moment it is made, and serves inside its block, a thread per connection.

    Attributes:
        limits: What strangers may ask.
        host: Where it listens.
        port: Where it listens; the one that the system chose, where 0 was asked for.
    """

    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self, handler: type[BoundedHandler], host: str, port: int, *, limits: ServerLimits | None = None
    ) -> None:
        """Listen.

        Args:
            handler: What answers.
            host: Address or name of this machine, for example "127.0.0.1".
            port: 0 to 65535; 0 lets the system choose.
            limits: What strangers may ask.

        Raises:
            InputError: Nobody can listen there.
        """
        self.limits = limits or ServerLimits()
        self._deadlines: dict[socket.socket, float] = {}
        self._addresses: Counter[str] = Counter()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._serving: threading.Thread | None = None
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), handler)
        except (OSError, OverflowError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot listen on {host}:{port}: {reason}", hint="choose another port, or 0") from error
        self.host, self.port = str(self.server_address[0]), int(self.server_address[1])

    def __enter__(self) -> Self:
        """Serve, in threads of its own."""
        self._serving = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": _LOOK_S}, daemon=True)
        self._serving.start()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every connection, and the threads with them."""
        self.close()

    def close(self) -> None:
        """Stop listening, and end every connection at once; never raises."""
        self._over.set()
        if self._serving is not None:
            self.shutdown()
            self._serving.join()
            self._serving = None
        self.server_close()
        with self._lock:
            threads = tuple(self._threads)
            for connection in self._deadlines:
                _hang_up(connection)
        for thread in threads:
            thread.join(5.0)

    @property
    def connections(self) -> int:
        """How many are open."""
        with self._lock:
            return len(self._deadlines)

    def extend(self, connection: socket.socket, seconds: float) -> None:
        """Let a connection live for so many seconds from now."""
        with self._lock:
            if connection in self._deadlines:
                self._deadlines[connection] = time.monotonic() + seconds

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection. Without room for it in the system it is left waiting, and for a moment not looked at."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in _NO_ROOM:
                self._over.wait(_LOOK_S)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve one more connection, or turn it away."""
        address = address_of(client_address)
        with self._lock:
            crowded = (
                len(self._deadlines) >= self.limits.most_connections
                or self._addresses[address] >= self.limits.most_per_address
            )
            if not crowded:
                self._addresses[address] += 1
                self._deadlines[request] = time.monotonic() + self.limits.request_s
        if crowded:
            with suppress(OSError):
                request.setblocking(False)
                request.send(_CROWDED)
            self.shutdown_request(request)
            return
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        with self._lock:
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the system has no thread left: one visitor less, and its place is free again
            self._forget(request, client_address, thread)
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """What breaks in one connection is over with it."""

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:
            pass  # the other end has gone, or the watchdog hung up
        finally:
            self._forget(request, client_address, threading.current_thread())
            self.shutdown_request(request)

    def _forget(self, request: Any, client_address: Any, thread: threading.Thread) -> None:
        with self._lock:
            self._deadlines.pop(request, None)
            self._addresses -= Counter((address_of(client_address),))  # drops those that come to 0
            self._threads.discard(thread)

    def _watch(self) -> None:
        """Hang up where the time is over; the thread of that connection ends by it."""
        while not self._over.wait(_LOOK_S):
            now = time.monotonic()
            with self._lock:
                for connection, deadline in self._deadlines.items():
                    if now >= deadline:
                        _hang_up(connection)


def address_of(client_address: Any) -> str:
    """What is counted as one address."""
    text = str(client_address[0])
    if ":" not in text:
        return text
    address = IPv6Address(text.partition("%")[0])
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # it has gone already
        connection.shutdown(socket.SHUT_RDWR)
