"""What is on a shelf, what is not, and what happens when the files below it change."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.addressing.cid import RAW, Cid, parse_cid, raw_cid
from edgekit.errors import DigestError, InputError, MalformedError
from edgekit.gateway.shelf import LARGEST_HELD_BYTES, Shelf
from edgekit.gateway.stored import SLICE_BYTES, Content, GoneError, StoredFile
from tests.gateway.conftest import FILE, MIB


def whole(content: Content | None) -> bytes | None:
    return None if content is None else b"".join(content.read(0, content.size_bytes))


def leaf(number: int) -> Cid:
    return Cid(RAW, hashlib.sha256(FILE.data[number * MIB : (number + 1) * MIB]).digest())


def root() -> Cid:
    assert FILE.blob.addresses
    return parse_cid(FILE.blob.addresses.cid)


def test_a_file_is_found_by_its_digest_and_by_its_blocks(shelf: Shelf) -> None:
    assert whole(shelf.blob(FILE.blob.sha256)) == FILE.data
    assert [whole(shelf.block(leaf(number))) for number in range(3)] == [
        FILE.data[:MIB], FILE.data[MIB : 2 * MIB], FILE.data[2 * MIB :],
    ]  # fmt: skip
    assert hashlib.sha256(whole(shelf.block(root())) or b"").digest() == root().sha256
    assert shelf.blob("0" * 64) is None
    assert shelf.block(Cid(RAW, bytes(32))) is None
    assert shelf.block(Cid(RAW, root().sha256)) is None


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_every_span_of_every_content(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    contents = data.draw(st.binary(max_size=100)) * data.draw(st.integers(1, 2 * SLICE_BYTES // 50))
    place = tmp_path_factory.mktemp("file") / "file"
    place.write_bytes(contents)
    stored = StoredFile(
        replace(FILE.blob, sha256=hashlib.sha256(contents).hexdigest(), size_bytes=len(contents)), place
    )
    start = data.draw(st.integers(0, len(contents)))
    stop = data.draw(st.integers(start, len(contents)))
    assert b"".join(stored.read(start, stop)) == contents[start:stop]


def test_another_file_is_not_put_there(path: Path) -> None:
    shelf = Shelf()
    for blob in (
        replace(FILE.blob, sha256="0" * 64),
        replace(FILE.blob, size_bytes=FILE.blob.size_bytes - 1),
        replace(FILE.blob, size_bytes=FILE.blob.size_bytes + 1),
    ):
        with pytest.raises(DigestError):
            shelf.put_file(blob, path)
        assert shelf.blob(blob.sha256) is None


def test_nothing_but_regular_files(path: Path, tmp_path: Path) -> None:
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(path)
    os.mkfifo(pipe)
    for place in (link, pipe, tmp_path, tmp_path / "absent", Path("/dev/zero")):
        with pytest.raises(DigestError):
            Shelf().put_file(FILE.blob, place)


def test_a_digest_that_is_none(path: Path) -> None:
    with pytest.raises(MalformedError):
        Shelf().put_file(replace(FILE.blob, sha256="../" * 8), path)


def test_bytes_by_name() -> None:
    shelf, data = Shelf(), b"{}"
    sha256 = hashlib.sha256(data).hexdigest()
    for name in (
        "metadata/1.root.json",
        "targets/a/b.json",
        "torrents/x.torrent",
        "proofs/y.tlog-proof",
        "log/tile/0/000",
    ):
        shelf.put_bytes(name, data)
        assert whole(shelf.named(name)) == data
    shelf.put_bytes(f"blobs/sha256/{sha256}", data)
    assert whole(shelf.blob(sha256)) == data
    assert whole(shelf.block(parse_cid(raw_cid(sha256)))) == data
    shelf.put_bytes("metadata/1.root.json", b"other")
    assert whole(shelf.named("metadata/1.root.json")) == b"other"


@pytest.mark.parametrize("name", ["keys/online.key", "metadata", "blobs/sha1/00", "ipfs/bafk", "a", "blobs"])
def test_names_that_no_channel_has(name: str) -> None:
    with pytest.raises(InputError):
        Shelf().put_bytes(name, b"")


@pytest.mark.parametrize(
    "name", ["", "../metadata/x", "metadata/../x", "/metadata/x", "metadata//x", "metadata/.x", "é"]
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(MalformedError):
        Shelf().put_bytes(name, b"")


def test_bytes_of_another_blob_and_too_many_bytes() -> None:
    shelf = Shelf()
    with pytest.raises(DigestError):
        shelf.put_bytes(f"blobs/sha256/{'0' * 64}", b"x")
    with pytest.raises(InputError):
        shelf.put_bytes("log/checkpoint", bytes(LARGEST_HELD_BYTES + 1))


def test_what_was_taken_off_is_gone(shelf: Shelf, path: Path, tmp_path: Path) -> None:
    shelf.remove(FILE.blob)
    assert shelf.blob(FILE.blob.sha256) is None
    assert all(shelf.block(cid) is None for cid in (root(), leaf(0), leaf(1), leaf(2)))
    shelf.remove(FILE.blob)
    shelf.remove_name("metadata/timestamp.json")
    shelf.remove_name("metadata/timestamp.json")
    assert shelf.named("metadata/timestamp.json") is None
    shelf.put_file(FILE.blob, path)
    shelf.remove_name(FILE.blob.file_name)
    assert shelf.blob(FILE.blob.sha256) is None


def test_a_block_of_two_files_stays_with_the_other_one(shelf: Shelf, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(FILE.data[: MIB + 7])
    blob = replace(FILE.blob, sha256=hashlib.sha256(other.read_bytes()).hexdigest(), size_bytes=MIB + 7)
    shelf.put_file(blob, other)
    shelf.remove(FILE.blob)
    assert whole(shelf.block(leaf(0))) == FILE.data[:MIB]
    shelf.remove(blob)
    assert shelf.block(leaf(0)) is None


@pytest.mark.parametrize("at", [0, SLICE_BYTES, MIB + 5, len(FILE.data) - 1])
def test_a_file_that_was_written_to_gives_no_wrong_byte(shelf: Shelf, path: Path, at: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(at)
        stream.write(bytes((FILE.data[at] ^ 1,)))
    content = shelf.blob(FILE.blob.sha256)
    assert content is not None
    found = bytearray()
    with pytest.raises(GoneError) as caught:
        drain(content, found)
    assert found == FILE.data[: at // SLICE_BYTES * SLICE_BYTES]
    shelf.withdraw(caught.value)
    assert shelf.blob(FILE.blob.sha256) is None
    assert list(shelf.faults) == [FILE.blob.sha256]
    path.write_bytes(FILE.data)
    shelf.put_file(FILE.blob, path)
    assert not shelf.faults


def test_a_late_complaint_does_not_take_the_new_file_off(shelf: Shelf, path: Path, tmp_path: Path) -> None:
    old = shelf.blob(FILE.blob.sha256)
    assert isinstance(old, StoredFile)
    moved = path.rename(tmp_path / "moved")
    shelf.put_file(FILE.blob, moved)
    with pytest.raises(GoneError) as caught:
        whole(old)
    shelf.withdraw(caught.value)
    assert whole(shelf.blob(FILE.blob.sha256)) == FILE.data


def drain(content: Content, into: bytearray) -> None:
    for piece in content.read(0, content.size_bytes):
        into += piece
