"""A tracker on the loopback (BEP 3, BEP 23), that forgets everything when it is closed; and one that never answers."""

from __future__ import annotations

import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import libtorrent as lt

INTERVAL_S = 30


@dataclass
class Tracker:
    """A running tracker.

    Attributes:
        url: Where to announce.
        swarms: Infohash, of 20 bytes -> the peers that announced themselves.
        announces: How often anybody did.
    """

    url: str
    swarms: dict[bytes, set[tuple[str, int]]] = field(default_factory=lambda: defaultdict(set))
    announces: int = 0


@contextmanager
def running_tracker() -> Iterator[Tracker]:
    """A tracker, until the block is left."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        timeout = 5.0

        def do_GET(self) -> None:
            asked = dict(parse_qsl(urlsplit(self.path).query, encoding="latin-1"))
            infohash = asked["info_hash"].encode("latin-1")
            me = self.client_address[0], int(asked["port"])
            with lock:
                tracker.announces += 1
                others = tracker.swarms[infohash] - {me}
                if asked.get("event") == "stopped":
                    tracker.swarms[infohash].discard(me)
                else:
                    tracker.swarms[infohash].add(me)
            compact = b"".join(socket.inet_aton(host) + struct.pack(">H", port) for host, port in others)
            answer = lt.bencode({b"interval": INTERVAL_S, b"min interval": INTERVAL_S, b"peers": compact})
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            with suppress(OSError):  # it did not wait
                self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        tracker = Tracker(f"http://127.0.0.1:{server.server_address[1]}/announce")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield tracker
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Ear:
    """A port that takes connections, says nothing, and counts who came.

    Attributes:
        port: On the loopback, TCP and UDP.
        heard: Connections and datagrams so far.
    """

    port: int
    heard: int = 0


@contextmanager
def deaf_ear() -> Iterator[Ear]:
    """A tracker, web seed or peer that never answers, until the block is left."""
    taken: list[socket.socket] = []
    closing = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        ear = Ear(server.getsockname()[1])
        datagrams.bind(("127.0.0.1", ear.port))
        for one in (server, datagrams):
            one.settimeout(0.05)

        def listen() -> None:
            while not closing.is_set():
                try:
                    taken.append(server.accept()[0])
                    ear.heard += 1
                except TimeoutError:
                    pass
                try:
                    datagrams.recvfrom(2048)
                    ear.heard += 1
                except TimeoutError:
                    pass

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield ear
        finally:
            closing.set()
            thread.join()
            for connection in taken:
                connection.close()
