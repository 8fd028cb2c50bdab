"""Limits of a gateway: speed, places, deadlines; and how it ends."""

from __future__ import annotations

import hashlib
import http.client
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.gateway.server import Gateway
from edgekit.gateway.shelf import Shelf
from edgekit.testing.transport_check import check_whole
from edgekit.transport.http import HttpTransport
from edgekit.types.blob import Blob
from tests.gateway.conftest import FILE, MIB, Open
from tests.gateway.raw import ask, talk, until

BLOB = f"/blobs/sha256/{FILE.blob.sha256}"
SIZE = len(FILE.data)
assert FILE.blob.addresses
CID = FILE.blob.addresses.cid


def test_the_speed_is_that_of_all_together(open_gateway: Open) -> None:
    gateway = open_gateway(bytes_per_s=4e6)
    began = time.monotonic()
    threads = [threading.Thread(target=ask, args=(gateway.port, BLOB)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = time.monotonic() - began
    assert 0.9 * 3 * SIZE / 4e6 - 0.1 < took_s < 4 * 3 * SIZE / 4e6


@contextmanager
def idle(port: int, count: int) -> Iterator[list[socket.socket]]:
    connections = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


def test_more_connections_than_there_may_be(open_gateway: Open) -> None:
    gateway = open_gateway(most_connections=4, most_per_address=4)
    with idle(gateway.port, 4):
        until(lambda: gateway.status().connections == 4)
        assert ask(gateway.port, BLOB).status in (0, 503)
    until(lambda: gateway.status().connections == 0)
    assert ask(gateway.port, BLOB).status == 200


def test_one_address_does_not_take_all_places(open_gateway: Open) -> None:
    gateway = open_gateway(most_connections=8, most_per_address=2)
    with idle(gateway.port, 2):
        until(lambda: gateway.status().connections == 2)
        assert ask(gateway.port, BLOB).status in (0, 503)


def test_kept_connections_end_when_places_are_few(open_gateway: Open) -> None:
    gateway = open_gateway(most_connections=4)
    with idle(gateway.port, 2):
        until(lambda: gateway.status().connections == 2)
        client = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
        client.request("GET", "/metadata/timestamp.json")
        answer = client.getresponse()
        assert answer.getheader("Connection") == "close"
        answer.read()
        client.close()


def test_a_connection_is_kept_for_many_requests(gateway: Gateway) -> None:
    client = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    for target, status in (("/metadata/timestamp.json", 200), ("/absent", 404), (BLOB, 200), ("/ipfs/x", 400)):
        client.request("GET", target)
        answer = client.getresponse()
        body = answer.read()
        assert answer.status == status
        assert status != 200 or len(body) == int(answer.getheader("Content-Length") or 0)
    client.close()
    assert gateway.status().answers == 4


def test_slow_headers_end_by_the_deadline(open_gateway: Open) -> None:
    gateway = open_gateway(request_s=1.0)
    with idle(gateway.port, 1) as (connection,):
        began = time.monotonic()
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        with suppress(OSError):  # it hung up
            while time.monotonic() - began < 8:
                connection.sendall(b"a")
                time.sleep(0.1)
        assert time.monotonic() - began < 5


def test_a_connection_that_says_nothing_ends(open_gateway: Open) -> None:
    gateway = open_gateway(request_s=0.5)
    with idle(gateway.port, 1) as (connection,):
        assert connection.recv(10) == b""


def test_who_does_not_take_the_answer_is_hung_up_on(open_gateway: Open, shelf: Shelf, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(40 * MIB))
    sha256 = hashlib.sha256(bytes(40 * MIB)).hexdigest()
    shelf.put_file(Blob(sha256, 40 * MIB), big)
    gateway = open_gateway(slice_s=0.5)
    with idle(gateway.port, 1) as (connection,):
        connection.sendall(f"GET /blobs/sha256/{sha256} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        until(lambda: gateway.status().sent_bytes > 0)
        until(lambda: gateway.status().connections == 0)
    assert gateway.status().sent_bytes < 40 * MIB


def test_it_ends_while_others_read(open_gateway: Open) -> None:
    gateway = open_gateway(bytes_per_s=1e5)
    readers = [
        threading.Thread(target=talk, args=(gateway.port, f"GET {BLOB} HTTP/1.1\r\nHost: a\r\n\r\n".encode()))
        for _ in range(5)
    ]
    for reader in readers:
        reader.start()
    until(lambda: gateway.status().connections == 5)
    began = time.monotonic()
    gateway.close()
    assert time.monotonic() - began < 3
    for reader in readers:
        reader.join(10)
        assert not reader.is_alive()
    gateway.close()
    with pytest.raises(OSError):  # noqa: PT011
        socket.create_connection(("127.0.0.1", gateway.port), timeout=2)


def test_a_machine_without_descriptors_costs_no_work(gateway: Gateway) -> None:
    """Who cannot be let in waits at the door, where it would be seen again at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as visitor:
        free = os.dup(visitor.fileno())
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            visitor.connect(("127.0.0.1", gateway.port))
            before = time.process_time()
            time.sleep(1.0)
            worked_s = time.process_time() - before
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert worked_s < 0.3
        until(lambda: gateway.status().connections == 1)
    assert ask(gateway.port, BLOB).status == 200


def test_a_port_that_is_taken(gateway: Gateway, shelf: Shelf) -> None:
    with pytest.raises(InputError, match="cannot listen"):
        Gateway(shelf, port=gateway.port)


def test_ipv6(shelf: Shelf) -> None:
    try:
        gateway = Gateway(shelf, "::1")
    except InputError:
        pytest.skip("needs IPv6 on the loopback")
    with gateway:
        transport = HttpTransport(gateway.url)
        check_whole(transport, "metadata/timestamp.json", b'{"signed":{}}')
        transport.close()


def test_one_that_was_never_started_can_be_closed(shelf: Shelf) -> None:
    Gateway(shelf).close()
