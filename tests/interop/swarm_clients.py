"""BitTorrent clients that are not made of libtorrent, each a process that talks to nobody but this machine."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import time
import xmlrpc.client
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from tests.interop.parts import program, webtorrent

LONGEST_S = 30.0
_LOOK_S = 0.05


@dataclass(frozen=True)
class Progress:
    """How far a client is.

    Attributes:
        whole: It has the whole file, each piece held against its hash.
        right_bytes: Of the file, in pieces that are here and right.
        sent_bytes: To peers.
    """

    whole: bool
    right_bytes: int
    sent_bytes: int


class Client(Protocol):
    """A client with one torrent.

    Attributes:
        port: Where peers connect, on the loopback.
        process: The client.
    """

    port: int
    process: subprocess.Popen[str]

    def __init__(self, stack: ExitStack, torrent: Path, folder: Path, *ports: int) -> None:
        """Start it.

        Args:
            stack: The client ends with it.
            torrent: The `.torrent`.
            folder: Where its file lies or comes to lie; what is there already is hashed first.
            ports: Of peers on the loopback, to which it connects.
        """

    def progress(self) -> Progress:
        """How far it is."""


def wait_until_whole(client: Client, seconds: float = LONGEST_S) -> None:
    """Wait for a client to have everything; AssertionError where that takes too long."""
    deadline = time.monotonic() + seconds
    while not (found := client.progress()).whole:
        assert time.monotonic() < deadline, f"after {seconds:.0f} s it is at {found}"
        time.sleep(_LOOK_S)


RTORRENT = """\
system.daemon.set = true
network.bind_address.set = 127.0.0.1
network.local_address.set = 127.0.0.1
network.port_range.set = 20000-29999
network.port_random.set = yes
network.scgi.open_local = {own}/questions
session.path.set = {own}
directory.default.set = {folder}
dht.mode.set = disable
protocol.pex.set = no
trackers.use_udp.set = no
"""
"""Bound to the loopback it can reach nothing else; it tries ports until one is free."""


class Rtorrent:
    """rtorrent, on the libtorrent of rakshasa: another library than the one that edgekit uses.

    Where its DHT is disabled, as here, it takes only a torrent that names a tracker.
    """

    def __init__(self, stack: ExitStack, torrent: Path, folder: Path, *ports: int) -> None:
        binary = program("rtorrent")
        # A folder of a short name: that of a socket has 107 bytes at most.
        own = Path(stack.enter_context(TemporaryDirectory(prefix="rtorrent-")))
        self._socket = own / "questions"
        (own / "settings").write_text(RTORRENT.format(own=own, folder=folder))
        log = stack.enter_context((own / "output").open("w+"))
        self.process = subprocess.Popen(
            [str(binary), "-n", "-o", f"import={own}/settings"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"HOME": str(own), "TERM": "dumb"},
            text=True,
        )
        stack.callback(_end, self.process)
        self._wait_for(self._answers, own / "output")
        self.port = int(self._ask("network.listen.port"))
        self._ask("load.raw_start", "", xmlrpc.client.Binary(torrent.read_bytes()))
        self._wait_for(lambda: self._ask("download_list"), own / "output")
        [self._infohash] = self._ask("download_list")
        self._wait_for(lambda: self._ask("d.is_active", self._infohash), own / "output")  # hashed what was there
        for port in ports:
            self._ask("add_peer", self._infohash, f"127.0.0.1:{port}")

    def progress(self) -> Progress:
        """See `Client.progress`."""
        names = "d.complete", "d.completed_bytes", "d.up.total"
        whole, right, sent = (int(self._ask(name, self._infohash)) for name in names)
        return Progress(bool(whole), right, sent)

    def _ask(self, method: str, *values: Any) -> Any:
        """The answer to a call of XML-RPC, by SCGI: a netstring of headers, and the call."""
        body = xmlrpc.client.dumps(values, method).encode()
        head = f"CONTENT_LENGTH\0{len(body)}\0SCGI\x001\0".encode()
        answer = b""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(LONGEST_S)
            line.connect(str(self._socket))
            line.sendall(b"%d:%b,%b" % (len(head), head, body))
            while chunk := line.recv(65536):
                answer += chunk
        [found], _ = xmlrpc.client.loads(answer.partition(b"\r\n\r\n")[2])
        return found

    def _answers(self) -> bool:
        try:
            return bool(self._ask("system.client_version"))
        except (FileNotFoundError, ConnectionRefusedError):  # not there yet, or not listened at yet
            return False

    def _wait_for(self, what: Callable[[], object], output: Path) -> None:
        deadline = time.monotonic() + LONGEST_S
        while not what():
            assert self.process.poll() is None, output.read_text(errors="replace")
            assert time.monotonic() < deadline, "rtorrent does not get ready"
            time.sleep(_LOOK_S)


class WebTorrent:
    """WebTorrent, which is written in JavaScript; see `webtorrent_program.cjs`."""

    def __init__(self, stack: ExitStack, torrent: Path | str, folder: Path, *ports: int) -> None:
        """As `Client` has it; a magnet link will do for the torrent."""
        script = Path(__file__).with_name("webtorrent_program.cjs")
        self.process = subprocess.Popen(
            [str(program("node")), str(script), str(torrent), str(folder), *map(str, ports)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"NODE_PATH": str(webtorrent())},
            text=True,
        )
        stack.callback(_end, self.process)
        self.port = int(self._line())

    def progress(self) -> Progress:
        """See `Client.progress`."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return Progress(*json.loads(self._line()))

    def _line(self) -> str:
        """Its next line: one at most is on its way."""
        assert self.process.stdout
        assert select.select([self.process.stdout], [], [], LONGEST_S)[0], "WebTorrent says nothing"
        line = self.process.stdout.readline()
        assert line, "WebTorrent ended"
        return line


def _end(process: subprocess.Popen[str]) -> None:
    """Ask a client to end, and do not wait long for it."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
