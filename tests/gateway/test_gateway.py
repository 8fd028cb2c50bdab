"""What a gateway answers, as a mirror, as a webseed and as a gateway of IPFS."""

from __future__ import annotations

import errno
import hashlib
import http.client
import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edgekit.addressing.car import check_car, read_blocks, read_header
from edgekit.addressing.cid import parse_cid
from edgekit.errors import DigestError, InputError
from edgekit.gateway.server import Gateway
from edgekit.gateway.shelf import Shelf
from edgekit.gateway.stored import StoredFile
from edgekit.testing.transport_check import check_blob_transport, check_threads, check_whole
from edgekit.transport.fetch import Sources
from edgekit.transport.http import HttpTransport
from edgekit.transport.ipfs import IpfsTransport
from edgekit.types.blob import Blob
from tests.gateway.conftest import FILE, MIB, Open
from tests.gateway.raw import ask, talk, until

BLOB = f"/blobs/sha256/{FILE.blob.sha256}"
SIZE = len(FILE.data)
assert FILE.blob.addresses
CID = FILE.blob.addresses.cid


def test_a_blob_of_ipfs_keeps_every_promise(gateway: Gateway, tmp_path: Path) -> None:
    check_blob_transport(lambda: IpfsTransport(f"ipfs:{gateway.url}"), FILE.blob, FILE.data, folder=tmp_path)


def test_it_is_a_mirror(gateway: Gateway, tmp_path: Path) -> None:
    transport = HttpTransport(gateway.url)
    try:
        check_whole(transport, "metadata/timestamp.json", b'{"signed":{}}')
        check_whole(transport, "targets/vision/" + "0" * 64 + ".lite0+deltas.json", b"{}")
        check_threads(transport, FILE.blob.file_name, FILE.data)
        sources = Sources([transport])
        sources.fetch(FILE.blob, tmp_path / "fetched")
        assert (tmp_path / "fetched").read_bytes() == FILE.data
        assert not sources.faults
    finally:
        transport.close()
    assert gateway.status().sent_bytes >= 2 * SIZE


def test_headers_of_a_blob(gateway: Gateway) -> None:
    found = ask(gateway.port, BLOB)
    assert found.status == 200
    assert found.body == FILE.data
    assert found.headers["etag"] == f'"{FILE.blob.sha256}"'
    assert found.headers["accept-ranges"] == "bytes"
    assert found.headers["content-length"] == str(SIZE)
    assert found.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in found.headers["cache-control"]


def test_metadata_may_change_and_its_etag_with_it(gateway: Gateway, shelf: Shelf) -> None:
    first = ask(gateway.port, "/metadata/timestamp.json")
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["content-type"] == "application/json"
    assert first.headers["etag"] == f'"{hashlib.sha256(first.body).hexdigest()}"'
    assert ask(gateway.port, "/metadata/timestamp.json", if_none_match=first.headers["etag"]).status == 304
    shelf.put_bytes("metadata/timestamp.json", b"new")
    second = ask(gateway.port, "/metadata/timestamp.json", if_none_match=first.headers["etag"])
    assert (second.status, second.body) == (200, b"new")


@pytest.mark.parametrize(
    "target", [BLOB, "/metadata/timestamp.json", f"/ipfs/{CID}?format=raw", f"/ipfs/{CID}?format=car"]
)
def test_head_is_get_without_its_content(gateway: Gateway, target: str) -> None:
    got, head = ask(gateway.port, target), ask(gateway.port, target, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert len(got.body) == int(head.headers["content-length"])
    assert {**got.headers, "date": ""} == {**head.headers, "date": ""}
    assert ask(gateway.port, target, method="HEAD", range="bytes=0-0").status == 200


# Ranges (RFC 9110, section 14).


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, SIZE),
        ("bytes=65535-65536", 65535, 65537),
        (f"bytes={MIB}-{2 * MIB - 1}", MIB, 2 * MIB),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        (f"bytes=5-{10**17}", 5, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        (f"bytes=-{10**17}", 0, SIZE),
    ],
)
def test_a_range(gateway: Gateway, asked: str, start: int, stop: int) -> None:
    found = ask(gateway.port, BLOB, range=asked)
    assert found.status == 206
    assert found.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert found.headers["content-length"] == str(stop - start)
    assert found.body == FILE.data[start:stop]


@pytest.mark.parametrize(
    "asked", [f"bytes={SIZE}-", f"bytes={10**17}-", "bytes=5-2", "bytes=-0", f"bytes={SIZE}-{SIZE + 5}"]
)
def test_a_range_that_nothing_lies_in(gateway: Gateway, asked: str) -> None:
    found = ask(gateway.port, BLOB, range=asked)
    assert (found.status, found.body) == (416, b"")
    assert found.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,5-6",
        "bytes=" + ",".join(f"{at}-{at}" for at in range(1000)),
        "bytes=0-,0-,0-,0-,0-,0-,0-,0-",
        "bytes=a-b",
        "bytes=--1",
        "bytes=1",
        "bytes=",
        "lines=0-1",
        "bytes=1-2-3",
        f"bytes={10**30}-",
        "0-1",
    ],
)
def test_what_is_no_single_range_gets_the_whole_once(gateway: Gateway, asked: str) -> None:
    found = ask(gateway.port, BLOB, range=asked)
    assert found.status == 200
    assert found.body == FILE.data


# Conditions (RFC 9110, section 13).

TAG = f'"{FILE.blob.sha256}"'


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("if_none_match", TAG, 304),
        ("if_none_match", f"W/{TAG}", 304),
        ("if_none_match", f'"a", {TAG}, "b"', 304),
        ("if_none_match", "*", 304),
        ("if_none_match", '"other"', 200),
        ("if_none_match", TAG.strip('"'), 200),
        ("if_match", TAG, 200),
        ("if_match", "*", 200),
        ("if_match", '"other"', 412),
        ("if_match", f"W/{TAG}", 412),
        ("if_modified_since", "Sun, 06 Nov 1994 08:49:37 GMT", 200),
    ],
)
def test_a_condition(gateway: Gateway, header: str, value: str, status: int) -> None:
    found = ask(gateway.port, BLOB, **{header: value})
    assert found.status == status
    assert found.body == (FILE.data if status == 200 else b"")


def test_a_range_only_of_the_same_content(gateway: Gateway) -> None:
    assert ask(gateway.port, BLOB, range="bytes=0-9", if_range=TAG).status == 206
    for other in ('"other"', f"W/{TAG}", "Sun, 06 Nov 1994 08:49:37 GMT"):
        assert ask(gateway.port, BLOB, range="bytes=0-9", if_range=other).status == 200


# IPFS (specs.ipfs.tech/http-gateways/trustless-gateway).


def test_a_block(gateway: Gateway) -> None:
    for path, data in FILE.blocks.items():
        found = ask(gateway.port, f"/{path}")
        cid = path.removeprefix("ipfs/").partition("?")[0]
        assert (found.status, found.body) == (200, data)
        assert found.headers["content-type"] == "application/vnd.ipld.raw"
        assert found.headers["content-disposition"] == f'attachment; filename="{cid}.bin"'
        assert found.headers["etag"] == f'"{cid}.raw"'
        assert ask(gateway.port, f"/ipfs/{cid}", accept="text/html, application/vnd.ipld.raw;q=1").body == data


def test_a_car_of_the_whole(gateway: Gateway) -> None:
    found = ask(gateway.port, f"/ipfs/{CID}?format=car")
    assert found.status == 200
    assert found.headers["content-type"] == "application/vnd.ipld.car; version=1; order=dfs; dups=n"
    assert found.headers["content-disposition"] == f'attachment; filename="{CID}.car"'
    assert int(found.headers["content-length"]) == len(found.body)
    checked = check_car(io.BytesIO(found.body), parse_cid(CID))
    assert checked.blocks == len(FILE.blocks)
    other = ask(gateway.port, f"/ipfs/{CID}", accept="application/vnd.ipld.car;version=1;order=dfs;dups=y")
    assert other.body == found.body


def test_a_car_of_the_root_alone(gateway: Gateway) -> None:
    found = ask(gateway.port, f"/ipfs/{CID}?format=car&dag-scope=block")
    stream = io.BytesIO(found.body)
    assert read_header(stream) == parse_cid(CID)
    assert [str(cid) for cid, _ in read_blocks(stream)] == [CID]
    whole = ask(gateway.port, f"/ipfs/{CID}?format=car&dag-scope=entity")
    assert whole.headers["etag"] != found.headers["etag"]


def test_equal_blocks_come_once(open_gateway: Open, shelf: Shelf, tmp_path: Path) -> None:
    zeros = tmp_path / "zeros"
    zeros.write_bytes(bytes(5 * MIB))
    blob = Blob(hashlib.sha256(bytes(5 * MIB)).hexdigest(), 5 * MIB)
    shelf.put_file(blob, zeros)
    stored = shelf.blob(blob.sha256)
    assert isinstance(stored, StoredFile)
    root = stored.root.cid
    found = ask(open_gateway().port, f"/ipfs/{root}?format=car")
    assert check_car(io.BytesIO(found.body), root).blocks == 2


def test_the_probe(gateway: Gateway) -> None:
    for method in ("GET", "HEAD"):
        found = ask(gateway.port, "/ipfs/bafkqaaa?format=raw", method=method)
        assert (found.status, found.body) == (200, b"")
    car = ask(gateway.port, "/ipfs/bafkqaaa?format=car").body
    assert len(car) == car[0] + 1


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"/ipfs/{CID}", 400),
        (f"/ipfs/{CID}?format=", 400),
        (f"/ipfs/{CID}?format=tar", 400),
        (f"/ipfs/{CID}?format=html", 400),
        (f"/ipfs/{CID}/?format=raw", 400),
        (f"/ipfs/{CID}/index.html?format=car", 400),
        (f"/ipfs/{CID.upper()}?format=raw", 400),
        (f"/ipfs/{CID[:-1]}?format=raw", 400),
        ("/ipfs/QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR?format=raw", 400),
        ("/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku?format=raw", 404),
        ("/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku?format=car", 404),
        (f"/ipfs/{CID}?format=car&entity-bytes=0:5", 400),
        (f"/ipfs/{CID}?format=car&car-version=2", 400),
        (f"/ipfs/{CID}?format=car&car-dups=y", 400),
        (f"/ipfs/{CID}?format=raw&" + "&".join(f"a{number}=b" for number in range(40)), 400),
        (f"/ipns/{CID}?format=raw", 404),
        ("/ipfs/", 400),
        ("/ipfs", 404),
    ],
)
def test_what_no_gateway_of_ipfs_gives(gateway: Gateway, target: str, status: int) -> None:
    found = ask(gateway.port, target)
    assert found.status == status
    assert len(found.body) < 200


def test_only_if_cached(gateway: Gateway) -> None:
    absent = "/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku?format=raw"
    assert ask(gateway.port, absent, cache_control="only-if-cached").status == 412
    assert ask(gateway.port, f"/ipfs/{CID}?format=raw", cache_control="only-if-cached").status == 200


# Files that change while they are given out.


def test_a_file_that_was_changed_is_not_there(gateway: Gateway, shelf: Shelf, path: Path) -> None:
    path.write_bytes(bytes(SIZE))
    assert ask(gateway.port, BLOB).status == 404
    assert FILE.blob.sha256 in shelf.faults
    assert ask(gateway.port, f"/{FILE.leaf(0)}").status == 404


@pytest.mark.parametrize("change", ["removed", "replaced", "truncated", "a pipe"])
def test_a_file_that_is_gone(gateway: Gateway, path: Path, change: str) -> None:
    if change == "truncated":
        path.write_bytes(FILE.data[:-1])
    elif change == "replaced":
        other = path.with_name("other")
        other.write_bytes(FILE.data[::-1])
        other.replace(path)
    else:
        path.unlink()
        if change == "a pipe":
            os.mkfifo(path)
    assert ask(gateway.port, BLOB, range="bytes=-5").status == 404


def test_a_machine_that_can_open_no_more_files_keeps_what_it_has(
    gateway: Gateway, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("edgekit.gateway.stored.os.open", refuse)
        assert ask(gateway.port, BLOB).status == 0
    assert not shelf.faults
    assert ask(gateway.port, BLOB).body == FILE.data


def test_a_transfer_is_cut_off_where_the_file_changes(gateway: Gateway, path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(MIB + 9)
        stream.write(b"changed")
    found = ask(gateway.port, BLOB)
    assert found.status == 200
    assert found.body == FILE.data[:MIB]
    assert int(found.headers["content-length"]) == SIZE  # by which the other side knows that it was cut off
    assert gateway.status().cut_off == 1


def test_nothing_follows_a_transfer_that_was_cut_off(gateway: Gateway, path: Path) -> None:
    """Otherwise the next answer on the connection would be taken for the rest of this one."""
    with path.open("r+b") as stream:
        stream.seek(MIB + 9)
        stream.write(b"changed")
    one = f"GET {BLOB} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    answer = talk(gateway.port, one + b"GET /metadata/timestamp.json HTTP/1.1\r\nHost: a\r\n\r\n", timeout_s=5)
    assert answer.endswith(FILE.data[MIB - 64 : MIB])


def test_a_slot_that_is_rewritten_again_and_again_never_gives_a_wrong_byte(
    open_gateway: Open, shelf: Shelf, path: Path
) -> None:
    gateway, over = open_gateway(), threading.Event()

    def rewrite() -> None:
        while not over.wait(0.002):
            for data in (FILE.data[::-1], FILE.data):
                with path.open("r+b") as stream:
                    stream.write(data)

    writer = threading.Thread(target=rewrite)
    writer.start()
    statuses = set()
    try:
        for _ in range(40):
            found = ask(gateway.port, BLOB)
            statuses.add(found.status)
            assert found.body == FILE.data[: len(found.body)] or found.status == 404
            with suppress(DigestError):  # it was just another one
                shelf.put_file(FILE.blob, path)
    finally:
        over.set()
        writer.join()
    assert statuses <= {200, 404}


def test_a_file_that_is_taken_off_while_it_is_sent_is_sent_to_its_end(open_gateway: Open, shelf: Shelf) -> None:
    gateway = open_gateway(bytes_per_s=4e6)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(ask(gateway.port, BLOB).body))
    reader.start()
    until(lambda: gateway.status().sent_bytes > 0)
    shelf.remove(FILE.blob)
    assert ask(gateway.port, BLOB).status == 404
    reader.join()
    assert found == [FILE.data]


# Limits, and the end.


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
