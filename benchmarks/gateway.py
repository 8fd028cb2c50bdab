"""What it costs to fetch a file block by block from a gateway of IPFS, against plain HTTP from the same gateway.

    python -m benchmarks.gateway

Gateway and client are one process on the loopback. Between them stands a relay that holds every byte back for half a
round trip and lets so many through per second: what a longer way does to requests that wait for one another, not what
any real network does. Both ways of a pair are run one right after the other; each fetch ends with a verified, durable
file.
"""

from __future__ import annotations

import argparse
import queue
import socket
import statistics
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import table
from edgekit.gateway.server import Gateway
from edgekit.gateway.shelf import Shelf
from edgekit.transport.fetch import Sources
from edgekit.transport.opening import open_transport
from tests.transport.ipfs_blocks import InIpfs, in_ipfs

NAME = "gateway"
HEADER = ("between them", "file", "plain HTTP, MB/s", "block by block, MB/s", "ratio: median", "least")


@dataclass(frozen=True)
class Way:
    """What lies between client and gateway.

    Attributes:
        round_trip_s: Seconds, both directions together.
        bytes_per_s: From the gateway, all connections together; None is no limit.
        size_bytes: Of the file.
    """

    round_trip_s: float
    bytes_per_s: float | None
    size_bytes: int

    @property
    def name(self) -> str:
        """What the table calls it."""
        if not self.bytes_per_s:
            return "nothing"
        return f"{self.round_trip_s * 1000:.0f} ms, {self.bytes_per_s * 8 / 1e6:.0f} Mbit/s"


WAYS = (
    Way(0, None, 100_000_000),
    Way(0.02, 12.5e6, 50_000_000),
    Way(0.2, 12.5e6, 50_000_000),
    Way(0.1, 1.25e6, 8_000_000),
)


class Relay:
    """Passes connections on to a port, later and slower.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, way: Way, port: int) -> None:
        self._way, self._target = way, port
        self._free_at = 0.0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Take no more connections; those that are open end with their sides."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            for connection in (near, far):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink, rate in ((near, far, None), (far, near, self._way.bytes_per_s)):
                line: queue.Queue[tuple[float, bytes]] = queue.Queue(maxsize=256)
                threading.Thread(target=self._take, args=(source, line, rate), daemon=True).start()
                threading.Thread(target=self._give, args=(sink, line), daemon=True).start()

    def _take(self, source: socket.socket, line: queue.Queue[tuple[float, bytes]], rate: float | None) -> None:
        data = b"."
        while data:
            try:
                data = source.recv(2**14)
            except OSError:
                data = b""
            at = time.monotonic()
            if rate:
                with self._lock:
                    at = self._free_at = max(self._free_at, at) + len(data) / rate
            line.put((at + self._way.round_trip_s / 2, data))

    def _give(self, sink: socket.socket, line: queue.Queue[tuple[float, bytes]]) -> None:
        with suppress(OSError):
            while True:
                at, data = line.get()
                time.sleep(max(at - time.monotonic(), 0))
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)


def fetch(made: InIpfs, url: str, target: Path) -> float:
    """Bytes per second of one fetch."""
    transport = open_transport(url)
    try:
        began = time.monotonic()
        Sources([transport]).fetch(made.blob, target)
        seconds = time.monotonic() - began
    finally:
        transport.close()
    if target.read_bytes() != made.data:
        raise AssertionError("other bytes than those that were asked for")
    return made.blob.size_bytes / seconds


def measure(way: Way, repeats: int) -> dict[str, object]:
    """Pairs of both ways, the second first in every other pair."""
    made = in_ipfs(way.size_bytes)
    pairs = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        (folder / "file").write_bytes(made.data)
        shelf = Shelf()
        shelf.put_file(made.blob, folder / "file")
        port = stack.enter_context(Gateway(shelf)).port
        if way.bytes_per_s:
            relay = Relay(way, port)
            stack.callback(relay.close)
            port = relay.port
        urls = [f"http://127.0.0.1:{port}", f"ipfs:http://127.0.0.1:{port}"]
        for number in range(repeats):
            found = {url: fetch(made, url, folder / "got") for url in urls[:: -1 if number % 2 else 1]}
            pairs.append((found[urls[0]], found[urls[1]]))
    return {"way": way.name, "size_bytes": way.size_bytes, "pairs": pairs}


def row(found: dict[str, object]) -> tuple[str, ...]:
    """One line of the table."""
    pairs = found["pairs"]
    assert isinstance(pairs, list)
    plain, blocks = (statistics.median(pair[side] for pair in pairs) / 1e6 for side in (0, 1))
    ratios = [blocks / plain for plain, blocks in pairs]
    size = f"{int(str(found['size_bytes'])) / 1e6:g} MB"
    return (
        str(found["way"]),
        size,
        f"{plain:.1f}",
        f"{blocks:.1f}",
        f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="pairs of each kind")
    parser.add_argument("--keep", action="store_true", help="write the table into the README and results/")
    arguments = parser.parse_args()
    results = []
    for way in WAYS:
        results.append(measure(way, arguments.repeats))
        print(" | ".join(row(results[-1])), flush=True)
    text = table.markdown(HEADER, [row(found) for found in results])
    print(f"\n{text}")
    if arguments.keep:
        table.keep(NAME, {"ways": results}, text)


if __name__ == "__main__":
    main()
