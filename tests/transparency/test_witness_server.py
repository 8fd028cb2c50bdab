"""A witness over HTTP on the loopback, asked by strangers who want to hold it up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import pytest

from edgekit.errors import InputError, StorageError
from edgekit.seal.keys import generate
from edgekit.transparency.memory import CheckpointMemory
from edgekit.transparency.note import VerifierKey
from edgekit.transparency.witness import SIZE_TYPE, Witness
from edgekit.transparency.witness_request import LARGEST_BYTES, AddCheckpoint, write_request
from edgekit.transparency.witness_server import serve
from edgekit.transport.bounded_server import BoundedServer, ServerLimits, address_of
from tests.transparency.growing_log import GrowingLog

LIMITS = ServerLimits(most_connections=6, request_s=1.0, most_body_bytes=LARGEST_BYTES)


class Stand:
    """A served witness, its log, and what its operator was told."""

    def __init__(self, folder: Path, limits: ServerLimits = LIMITS) -> None:
        self.log = GrowingLog().grow(3)
        self.told: list[str] = []
        self.memory = CheckpointMemory(folder)
        self.witness = Witness(self.memory, "witness.example/w1", generate("ed25519"), [self.log.key])
        self.server: BoundedServer = serve(self.witness, "127.0.0.1", 0, limits=limits, tell=self.told.append)

    def request(self, old: int) -> bytes:
        return write_request(AddCheckpoint(old, tuple(self.log.proof(old)) if old else (), self.log.note()))

    def post(self, body: bytes, path: str = "/add-checkpoint") -> tuple[int, str, bytes]:
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            connection.request("POST", path, body)
            answer = connection.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read()
        finally:
            connection.close()

    def raw(self, data: bytes, *, seconds: float = 10.0) -> bytes:
        """What comes back for some bytes until the server hangs up."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=seconds) as connection:
            connection.sendall(data)
            found = b""
            try:
                while chunk := connection.recv(2**16):
                    found += chunk
            except ConnectionResetError:  # it hung up with something unread
                pass
            return found


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path / "memory")
    with made.server:
        yield made


def test_answers_as_the_specification_says(stand: Stand) -> None:
    status, kind, body = stand.post(stand.request(0))
    assert (status, kind) == (200, "text/plain; charset=utf-8")
    assert body.decode().startswith("— witness.example/w1 ")
    assert stand.post(stand.request(0)) == (409, SIZE_TYPE, b"3\n")
    assert stand.post(b"old x\n\n")[0] == 400
    stand.log.grow(4)
    assert stand.post(write_request(AddCheckpoint(3, (), stand.log.note())))[0] == 422
    assert stand.told[0] == "200 cosigned"
    assert stand.told[1] == "409 3"


def test_a_connection_is_kept(stand: Stand) -> None:
    connection = HTTPConnection("127.0.0.1", stand.server.port, timeout=10)
    for old, status in ((0, 200), (0, 409), (3, 200)):
        connection.request("POST", "/add-checkpoint", stand.request(old))
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()


def test_other_paths_and_methods(stand: Stand) -> None:
    assert stand.post(stand.request(0), "/")[0] == 404
    assert stand.post(stand.request(0), "/../../add-checkpoint")[0] == 404
    for line in (b"GET /add-checkpoint", b"PUT /add-checkpoint", b"BREW /"):
        assert stand.raw(line + b" HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 501 ")
    assert stand.memory.newest(stand.log.key) is None


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", b"Bad Request"),  # TLS
        (b"POST /add-checkpoint HTTP/1.1\r\n\r\n", b"411"),
        (b"POST /add-checkpoint HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nold 0\r\n0\r\n\r\n", b"411"),
        (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nold 0\n", b"411"),
        (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n", b"400"),
        (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 131073\r\n\r\n", b"413"),
        (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"400"),
        (b"POST /add-checkpoint HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"431"),
        (b"POST /add-checkpoint HTTP/1.1\r\nA: " + b"b" * 70000 + b"\r\n\r\n", b"431"),
        (b"POST /add-checkpoint HTTP/9.9\r\n\r\n", b"Not Supported"),
        (b"POST " + b"/x" * 40000 + b" HTTP/1.1\r\n\r\n", b""),
    ],
)
def test_garbage_on_the_wire(stand: Stand, data: bytes, status: bytes) -> None:
    assert status in stand.raw(data)[:40]
    assert stand.post(stand.request(0))[0] == 200


def test_who_drips_is_hung_up_on(stand: Stand) -> None:
    """A byte now and then does not push the end of a request back."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", stand.server.port), timeout=10) as connection:
        for byte in b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 1000\r\n\r\nold 0" * 4:
            try:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
            except OSError:
                break
        else:
            pytest.fail("it was listened to for 10 s")
    assert time.monotonic() - began < 5
    assert stand.post(stand.request(0))[0] == 200


def test_who_sends_half_a_request_and_waits(stand: Stand) -> None:
    found = stand.raw(b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 500\r\n\r\nold 0\n")
    assert found == b""
    assert stand.told == []


def test_too_many_connections(stand: Stand) -> None:
    held = [socket.create_connection(("127.0.0.1", stand.server.port), timeout=10) for _ in range(6)]
    time.sleep(0.3)  # until they are counted
    assert stand.raw(b"").startswith(b"HTTP/1.1 503 ")
    deadline = time.monotonic() + 10  # those that say nothing are hung up on, and then there is room again
    while stand.raw(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 503 "):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for connection in held:
        connection.close()


def test_one_address_leaves_room_for_others(tmp_path: Path) -> None:
    made = Stand(tmp_path, replace(LIMITS, most_per_address=2, request_s=20.0))
    with made.server:
        held = [socket.create_connection(("127.0.0.1", made.server.port), timeout=10) for _ in range(2)]
        deadline = time.monotonic() + 10
        while made.server.connections < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert made.raw(b"").startswith(b"HTTP/1.1 503 ")
        with socket.create_connection(("127.0.0.1", made.server.port), 10, source_address=("127.0.0.2", 0)) as other:
            other.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert other.recv(100).startswith(b"HTTP/1.1 501 ")
        for connection in held:
            connection.close()


def test_what_is_one_address() -> None:
    for one, other, same in (
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%lo", "fe80::2%lo", True),
    ):
        assert (address_of((one, 1)) == address_of((other, 1, 0, 0))) is same, (one, other)


def test_a_system_without_threads_loses_no_places(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each visitor who is turned away leaves the place that it had."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(2 * LIMITS.most_connections):
            assert stand.raw(b"") == b""
    assert stand.server.connections == 0
    assert stand.post(stand.request(0))[0] == 200


def test_ends_although_somebody_holds_on(tmp_path: Path) -> None:
    made = Stand(tmp_path)
    with made.server:
        held = socket.create_connection(("127.0.0.1", made.server.port), timeout=10)
        held.sendall(b"POST /add-checkpoint HTTP/1.1\r\n")
        time.sleep(0.2)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    held.close()
    with pytest.raises(OSError):  # noqa: PT011 (refused or reset, as the system likes)
        socket.create_connection(("127.0.0.1", made.server.port), timeout=2)


def test_a_port_that_is_taken(stand: Stand) -> None:
    with pytest.raises(InputError, match=r"cannot listen on 127\.0\.0\.1"):
        serve(stand.witness, "127.0.0.1", stand.server.port)


def test_what_cannot_be_written_down_is_told_to_the_operator_alone(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: CheckpointMemory, note: bytes, log: VerifierKey) -> None:
        raise StorageError("no space in /secret/place")

    monkeypatch.setattr(CheckpointMemory, "write", full)
    status, _, body = stand.post(stand.request(0))
    assert (status, b"secret" in body) == (500, False)
    assert "no space in /secret/place" in stand.told[0]


def test_conflicting_updates_at_the_same_time(tmp_path: Path) -> None:
    """Two histories posted by many clients at once: of a size, one tree is cosigned at most."""
    stand = Stand(tmp_path, ServerLimits())
    forked = stand.log.fork(1).grow(2, "another")
    ready = threading.Barrier(6)
    signed: list[bytes] = []

    def work(log: GrowingLog) -> None:
        ready.wait()
        for _ in range(4):
            status, _, _ = stand.post(write_request(AddCheckpoint(0, (), log.note())))
            if status == 200:
                signed.append(log.head().root)
            status, _, _ = stand.post(write_request(AddCheckpoint(3, (), log.note())))
            if status == 200:
                signed.append(log.head().root)

    threads = [threading.Thread(target=work, args=(log,)) for log in (stand.log, forked) for _ in range(3)]
    with stand.server:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(signed)) == 1
    assert len(stand.memory.evidence()) == 1
