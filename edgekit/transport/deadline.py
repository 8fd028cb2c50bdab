"""Sockets that keep a deadline: a peer that sends one byte now and then does not push it back.

httpcore counts its timeouts anew with every byte. The backend here is what it takes its sockets from; each wait ends
at the deadline of the thread that waits, which `Clock.within` sets. What is received here counts for the limit of this
process (`inflow`), and waiting for that hardly for the deadline.
"""

from __future__ import annotations

import math
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

import httpcore2

from edgekit.transport.addresses import is_public
from edgekit.transport.inflow import INFLOW, own_time


class Clock(threading.local):
    """Deadline of the thread that asks, and whether it may talk to private networks.

    Attributes:
        deadline: `own_time` at which waiting ends.
        public_only: Refuse peers of private networks: a redirect from outside is being followed.
    """

    deadline: float = math.inf
    public_only: bool = False

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Waits inside the block end after so many seconds, taken together."""
        self.extend(seconds)
        try:
            yield
        finally:
            self.deadline = math.inf

    def extend(self, seconds: float) -> None:
        """Set the deadline to so many seconds from now."""
        self.deadline = own_time() + seconds

    def left(self, timeout: float | None, late: type[httpcore2.TimeoutException]) -> float | None:
        """Seconds that one wait may take.

        Args:
            timeout: What httpcore would allow.
            late: Raised when nothing is left.
        """
        if self.deadline == math.inf:
            return timeout
        left = self.deadline - own_time()
        if left <= 0:
            raise late("the deadline has passed")
        return left if timeout is None else min(left, timeout)


class _Streams:
    """Connections that are open, until all of them are closed at once."""

    def __init__(self) -> None:
        self._open: WeakSet[_Stream] = WeakSet()
        self._lock = threading.Lock()
        self._closed = False

    def check(self) -> None:
        """Do nothing before they are closed, and raise httpcore's ConnectError then."""
        if self._closed:
            raise httpcore2.ConnectError("it is not asked any more")

    def add(self, stream: _Stream) -> _Stream:
        """Count a connection in; it is closed at once where all are, and this raises as `check`."""
        with self._lock:
            if not self._closed:
                self._open.add(stream)
                return stream
        stream.close()
        raise httpcore2.ConnectError("it is not asked any more")

    def close(self) -> None:
        """Close them, and those that are being made."""
        with self._lock:
            self._closed = True
            streams = list(self._open)
        for stream in streams:
            stream.close()


class _Stream(httpcore2.NetworkStream):
    """A connection whose waits end at the deadline."""

    def __init__(self, inner: httpcore2.NetworkStream, clock: Clock, peer: str, streams: _Streams) -> None:
        self._inner = inner
        self._clock = clock
        self._peer = peer
        self._streams = streams
        self._closed = threading.Event()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._clock.left(timeout, httpcore2.ReadTimeout)
        data = self._inner.read(INFLOW.portion(max_bytes), left)
        INFLOW.take(len(data), until=self._closed)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._clock.left(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        """Close, and wake a thread that waits in `read`: closing alone would let it wait on."""
        connection = self._inner.get_extra_info("socket")
        if connection is not None:
            with suppress(OSError):  # the peer is gone already
                connection.shutdown(socket.SHUT_RDWR)
        self._inner.close()
        self._closed.set()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left = self._clock.left(timeout, httpcore2.ConnectTimeout)
        inner = self._inner.start_tls(ssl_context, server_hostname, left)
        return self._streams.add(_Stream(inner, self._clock, self._peer, self._streams))

    def get_extra_info(self, info: str) -> Any:
        """See httpcore; "peer" is the address of the other end, also when that has gone."""
        return self._peer if info == "peer" else self._inner.get_extra_info(info)


class Backend(httpcore2.NetworkBackend):
    """Opens connections for an httpcore pool."""

    def __init__(self, clock: Clock) -> None:
        """Prepare.

        Args:
            clock: Whose deadlines count.
        """
        self._clock = clock
        self._inner = httpcore2.SyncBackend()
        self._streams = _Streams()

    def close(self) -> None:
        """Close every connection, also one that a thread is just making, and connect to nobody any more.

        A pool of httpcore does not close what is still being made, so that its socket would stay open.
        """
        self._streams.close()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """A connection to a host; see httpcore."""
        self._streams.check()
        left = self._clock.left(timeout, httpcore2.ConnectTimeout)
        try:
            inner = self._inner.connect_tcp(host, port, left, local_address, socket_options)
        except UnicodeError as error:  # of the idna codec, on a label that is empty or too long
            raise httpcore2.ConnectError(f"'{host}' is no name of a host") from error
        try:
            peer: str = inner.get_extra_info("server_addr")[0]
        except OSError as error:
            inner.close()
            raise httpcore2.ConnectError("it hung up at once") from error
        if buffer_bytes := INFLOW.buffer_bytes():
            inner.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        if self._clock.public_only and not is_public(peer):
            inner.close()
            raise httpcore2.ConnectError("it lies in a private network, into which no redirect from outside leads")
        return self._streams.add(_Stream(inner, self._clock, peer, self._streams))
