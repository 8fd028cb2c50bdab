"""What it costs a node to find that nothing is new: bytes on the wire and CPU seconds of `edgekit node update`.

    python -m benchmarks.node_update

The demo's ResNet-8 is packed and published to a folder, which servers on the loopback show; each counts what goes
through its sockets, requests and headers included. TLS would add its handshake, some 5 kB, and TCP and IP their own
headers; neither is counted. CPU is user and system time of the whole process, from the start of Python to its end,
with bytecode that is there already, as pip leaves it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

from benchmarks import table

ROUNDS = 7
MODEL = "demo/resnet8"
HEADER = ("`edgekit node`", "mirrors", "sent, B", "received, B", "requests", "CPU s")


@dataclass
class Traffic:
    """What went through a server's sockets, as the node sees it."""

    sent: int = 0
    received: int = 0
    requests: int = 0

    @property
    def total(self) -> int:
        """Bytes in both directions."""
        return self.sent + self.received


class _Counted:
    """A stream that tells how many bytes go through it."""

    def __init__(self, stream: BinaryIO, count: Callable[[int], None]) -> None:
        self._stream = stream
        self._count = count

    def readline(self, limit: int = -1) -> bytes:
        data = self._stream.readline(limit)
        self._count(len(data))
        return data

    def write(self, data: bytes) -> int:
        self._count(len(data))
        return self._stream.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Files(SimpleHTTPRequestHandler):
    """Static files, connections kept open, bytes counted."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, traffic: Traffic, **named: Any) -> None:
        self._traffic = traffic
        super().__init__(*arguments, **named)

    def setup(self) -> None:
        super().setup()
        self.rfile: Any = _Counted(self.rfile, self._add_sent)
        self.wfile: Any = _Counted(self.wfile, self._add_received)

    def _add_sent(self, size: int) -> None:
        self._traffic.sent += size

    def _add_received(self, size: int) -> None:
        self._traffic.received += size

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        self._traffic.requests += 1

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[tuple[str, Traffic]]:
    """A server of a folder on the loopback: its URL, and what goes through it."""
    traffic = Traffic()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(folder), traffic=traffic))
    server.daemon_threads = True
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.05), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", traffic
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Commands:
    """Runs `edgekit` as a process of its own, and tells what that cost."""

    def __init__(self, folder: Path) -> None:
        """Run in `folder`; bytecode is kept in it."""
        self._folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        }

    def cpu_seconds(self, *words: str) -> float:
        """CPU time of `edgekit WORDS`.

        Raises:
            RuntimeError: It failed.
        """
        with tempfile.TemporaryFile() as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "edgekit", *words],
                stdout=output, stderr=subprocess.STDOUT, cwd=self._folder, env=self._environment,
            )  # fmt: skip
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                output.seek(0)
                raise RuntimeError(f"edgekit {' '.join(words)}: {child.returncode}\n{output.read().decode()}")
        return usage.ru_utime + usage.ru_stime


def publish_demo(edgekit: Commands, folder: Path) -> Path:
    """The demo's model in a channel; the folder of the channel."""
    keys = {"publisher": "p256", "root": "ed25519", "targets": "ed25519", "demo": "ed25519", "online": "ed25519"}
    for name, kind in keys.items():
        edgekit.cpu_seconds("keys", "new", name, "--type", kind, "--no-passphrase")
    edgekit.cpu_seconds("demo", "resnet8", "--out", "compressed")
    edgekit.cpu_seconds(
        "pack", "compressed", "--key", "publisher.key", "-o", "resnet8.edgekit", "--name", MODEL, "--version", "1"
    )
    edgekit.cpu_seconds(
        "channel", "init", "channel", "--root-key", "root.key", "--targets-key", "targets.key",
        "--family", "demo=demo.key", "--online-key", "online.key",
    )  # fmt: skip
    edgekit.cpu_seconds(
        "publish", "resnet8.edgekit", "--to", "channel", "--key", "demo.key", "--online-key", "online.key",
        "--signer", "publisher.pub",
    )  # fmt: skip
    return folder / "channel"


def measure(edgekit: Commands, channel: Path, mirrors: int) -> list[dict[str, Any]]:
    """First install, updates that find nothing, and rounds, of a new node that follows some mirrors."""
    node = f"node-{mirrors}"
    with ExitStack() as stack:
        served = [stack.enter_context(serve(channel)) for _ in range(mirrors)]
        urls = [word for url, _ in served for word in ("--channel", url)]
        root = str(channel / "metadata" / "1.root.json")
        edgekit.cpu_seconds("node", "init", node, *urls, "--trust", root, "--model", MODEL, "--no-passphrase")
        rows = []
        for name, verb, rounds in (
            ("update, first", "update", 1),
            ("update, unchanged", "update", ROUNDS),
            ("run-once, unchanged", "run-once", ROUNDS),
        ):
            costs = []
            for _ in range(rounds):
                for _, traffic in served:
                    traffic.sent = traffic.received = traffic.requests = 0
                costs.append(edgekit.cpu_seconds("node", verb, node))
            counts = [traffic for _, traffic in served]
            rows.append(
                {
                    "what": name,
                    "mirrors": mirrors,
                    "sent": sum(one.sent for one in counts),
                    "received": sum(one.received for one in counts),
                    "requests": sum(one.requests for one in counts),
                    "cpu_s": sorted(costs),
                }
            )
    return rows


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        edgekit = Commands(folder)
        channel = publish_demo(edgekit, folder)
        rows = [row for mirrors in (1, 3) for row in measure(edgekit, channel, mirrors)]
    shown = [
        (
            row["what"], str(row["mirrors"]), f"{row['sent']:,}", f"{row['received']:,}", str(row["requests"]),
            f"{row['cpu_s'][len(row['cpu_s']) // 2]:.2f}",
        )
        for row in rows
    ]  # fmt: skip
    table.keep("node_update", {"rounds": ROUNDS, "rows": rows}, table.markdown(HEADER, shown))


if __name__ == "__main__":
    main()
