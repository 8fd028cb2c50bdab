"""Files that change while a gateway gives them out: never a byte that is not that of the name."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from edgekit.errors import DigestError
from edgekit.gateway.server import Gateway
from edgekit.gateway.shelf import Shelf
from tests.gateway.conftest import FILE, MIB, Open
from tests.gateway.raw import ask, talk, until

BLOB = f"/blobs/sha256/{FILE.blob.sha256}"
SIZE = len(FILE.data)
assert FILE.blob.addresses
CID = FILE.blob.addresses.cid


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
