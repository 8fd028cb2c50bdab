"""Torrents of one file: written and read back, and every trick refused."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.addressing import bencode
from edgekit.addressing.torrent import (
    LONGEST_PIECE_BYTES,
    MOST_PIECES,
    SHORTEST_PIECE_BYTES,
    Torrent,
    make_torrent,
    piece_length_of,
    read_info,
    read_torrent,
    torrent_of_file,
    write_torrent,
)
from edgekit.errors import DigestError, MalformedError, StorageError, TrustError
from edgekit.types.blob import Addresses, Blob

DATA = bytes(range(256)) * 300  # five pieces of 16 KiB
SHA256 = hashlib.sha256(DATA).hexdigest()


def blob_of(torrent: Torrent) -> Blob:
    """The blob of a torrent as a manifest would sign it."""
    return Blob(torrent.name, torrent.size_bytes, None, Addresses("", torrent.pieces_root.hex(), torrent.infohash))


TORRENT = make_torrent(DATA, SHA256)
BLOB = blob_of(TORRENT)


@settings(max_examples=30)
@given(st.binary(min_size=1, max_size=3 * SHORTEST_PIECE_BYTES), st.booleans())
def test_it_is_read_back_as_written(data: bytes, announced: bool) -> None:
    torrent = make_torrent(data, hashlib.sha256(data).hexdigest())
    trackers = ["http://127.0.0.1:1/announce", "udp://127.0.0.1:2"] if announced else []
    written = write_torrent(torrent, trackers=trackers, webseeds=["http://127.0.0.1:1/blob"] * announced)
    assert read_torrent(written, blob=blob_of(torrent)) == torrent
    info = dataclasses.replace(torrent, piece_layer=b"")
    assert read_info(torrent.info, blob=blob_of(torrent)) == info


def test_it_is_made_of_the_blobs_own_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(DATA)
    assert torrent_of_file(path, BLOB) == TORRENT
    for others in (DATA[:-1] + b"\0", DATA[:SHORTEST_PIECE_BYTES], DATA * 2, b""):
        path.write_bytes(others)
        with pytest.raises(DigestError):
            torrent_of_file(path, BLOB)
    with pytest.raises(StorageError):
        torrent_of_file(tmp_path / "absent", BLOB)


def test_what_stands_in_it() -> None:
    value: Any = bencode.decode(write_torrent(TORRENT), where="it", limit_bytes=2**20)
    assert set(value) == {b"info", b"piece layers"}
    info = value[b"info"]
    assert info[b"name"] == SHA256.encode()
    assert info[b"file tree"] == {SHA256.encode(): {b"": {b"length": len(DATA), b"pieces root": TORRENT.pieces_root}}}
    assert info[b"pieces"] == b"".join(
        hashlib.sha1(DATA[at : at + SHORTEST_PIECE_BYTES]).digest() for at in range(0, len(DATA), SHORTEST_PIECE_BYTES)
    )
    assert hashlib.sha256(bencode.encode(info)).hexdigest() == TORRENT.infohash
    assert hashlib.sha1(bencode.encode(info)).hexdigest() == TORRENT.infohash_v1


@pytest.mark.parametrize("size", [1, 2**14, 2**24, 2**24 + 1, 5_000_000, 2**30, 2**34, 2**40])
def test_length_of_pieces(size: int) -> None:
    length = piece_length_of(size)
    assert SHORTEST_PIECE_BYTES <= length <= LONGEST_PIECE_BYTES
    assert length & (length - 1) == 0
    assert size <= length * MOST_PIECES or length == LONGEST_PIECE_BYTES
    assert length == SHORTEST_PIECE_BYTES or size > length // 2 * MOST_PIECES


@pytest.mark.parametrize("size", [0, -1, 2**40 + 1])
def test_sizes_of_which_there_is_no_torrent(size: int) -> None:
    with pytest.raises(MalformedError):
        piece_length_of(size)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", "/etc/passwd", ".hidden", "a\0", "é", "x" * 201]
)
def test_names_with_tricks_are_not_written(name: str) -> None:
    with pytest.raises(MalformedError, match="cannot be called"):
        make_torrent(DATA, name)


def trick(change: Callable[[dict[bytes, Any]], object]) -> tuple[bytes, Blob]:
    """A torrent whose info dictionary was changed, and a blob whose publisher signed the changed infohash."""
    value: Any = bencode.decode(write_torrent(TORRENT), where="it", limit_bytes=2**20)
    change(value[b"info"])
    infohash = hashlib.sha256(bencode.encode(value[b"info"])).hexdigest()
    addresses = Addresses("", TORRENT.pieces_root.hex(), infohash)
    return bencode.encode(value), dataclasses.replace(BLOB, addresses=addresses)


def rename(name: bytes) -> Callable[[dict[bytes, Any]], object]:
    def change(info: dict[bytes, Any]) -> None:
        info[b"name"] = name
        info[b"file tree"] = {name: next(iter(info[b"file tree"].values()))}

    return change


LEAF = {b"": {b"length": len(DATA), b"pieces root": TORRENT.pieces_root}}
NAME = SHA256.encode()
TRICKS: dict[str, Callable[[dict[bytes, Any]], object]] = {
    "another name": rename(b"model.onnx"),
    "a path upwards": rename(b"../../etc/passwd"),
    "an absolute path": rename(b"/etc/passwd"),
    "an empty name": rename(b""),
    "a name in another case": rename(SHA256.upper().encode()),
    "a file in a folder": lambda info: info.update({b"file tree": {b"..": {NAME: LEAF}}}),
    "two files": lambda info: info.update({b"file tree": {NAME: LEAF, b"x": LEAF}}),
    "files of v1": lambda info: info.update({b"files": [{b"length": len(DATA), b"path": [b"..", b"x"]}]}),
    "another name of v1 alone": lambda info: info.update({b"name": b"../x"}),
    "a symbolic link": lambda info: info.update({b"attr": b"l", b"symlink path": [b"..", b"x"]}),
    "another length": lambda info: info.update({b"length": len(DATA) + 1}),
    "another length of pieces": lambda info: info.update({b"piece length": 2**16}),
    "pieces of no length": lambda info: info.update({b"piece length": 0}),
    "pieces that are missing": lambda info: info.update({b"pieces": info[b"pieces"][:-20]}),
    "pieces of another length": lambda info: info.update({b"pieces": info[b"pieces"][:-1]}),
    "no pieces": lambda info: info.pop(b"pieces"),
    "another root": lambda info: info[b"file tree"][NAME][b""].update({b"pieces root": bytes(32)}),
    "no root": lambda info: info[b"file tree"][NAME][b""].pop(b"pieces root"),
    "v1 alone": lambda info: [info.pop(b"file tree"), info.pop(b"meta version")],
    "another version": lambda info: info.update({b"meta version": 3}),
    "private": lambda info: info.update({b"private": 1}),
    "a list for a number": lambda info: info.update({b"length": [1]}),
}


@pytest.mark.parametrize("name", TRICKS)
def test_tricks_are_refused_even_where_their_infohash_is_signed(name: str) -> None:
    data, blob = trick(TRICKS[name])
    with pytest.raises(MalformedError):
        read_torrent(data, blob=blob)
    with pytest.raises(DigestError, match="infohash"):
        read_torrent(data, blob=BLOB)


def layers(change: Callable[[dict[bytes, Any]], object]) -> bytes:
    value: Any = bencode.decode(write_torrent(TORRENT), where="it", limit_bytes=2**20)
    change(value)
    return bencode.encode(value)


ROOT, LAYER = TORRENT.pieces_root, TORRENT.piece_layer


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda value: value.pop(b"piece layers"), MalformedError),
        (lambda value: value.update({b"piece layers": {}}), MalformedError),
        (lambda value: value.update({b"piece layers": {ROOT: LAYER[:-32]}}), MalformedError),
        (lambda value: value.update({b"piece layers": {ROOT: LAYER + bytes(32)}}), MalformedError),
        (lambda value: value.update({b"piece layers": {ROOT: LAYER, b"x": b""}}), MalformedError),
        (lambda value: value.update({b"piece layers": {ROOT: [LAYER]}}), MalformedError),
        (lambda value: value.update({b"piece layers": {ROOT: LAYER[32:] + LAYER[:32]}}), DigestError),
        (lambda value: value.pop(b"info"), MalformedError),
        (lambda value: value.update({b"info": b"info"}), MalformedError),
    ],
)
def test_layers_that_do_not_lead_to_the_root(
    change: Callable[[dict[bytes, Any]], object], error: type[TrustError]
) -> None:
    with pytest.raises(error):
        read_torrent(layers(change), blob=BLOB)


def test_a_layer_of_one_piece_is_refused() -> None:
    torrent = make_torrent(b"small", hashlib.sha256(b"small").hexdigest())
    value: Any = bencode.decode(write_torrent(torrent), where="it", limit_bytes=2**20)
    value[b"piece layers"] = {torrent.pieces_root: torrent.pieces_root}
    with pytest.raises(MalformedError, match="one piece"):
        read_torrent(bencode.encode(value), blob=blob_of(torrent))


@settings(max_examples=200)
@given(st.integers(0, len(write_torrent(TORRENT)) * 8 - 1))
def test_every_flipped_bit_is_noticed(at: int) -> None:
    data = bytearray(write_torrent(TORRENT))
    data[at // 8] ^= 1 << at % 8
    with pytest.raises(TrustError):
        read_torrent(bytes(data), blob=BLOB)


def test_trackers_and_web_seeds_are_left_out() -> None:
    data = write_torrent(TORRENT, trackers=["http://evil.example/"], webseeds=["http://evil.example/"])
    assert read_torrent(data, blob=BLOB) == TORRENT


def test_a_blob_without_addresses_has_no_torrent() -> None:
    with pytest.raises(MalformedError, match="nobody signed"):
        read_torrent(write_torrent(TORRENT), blob=Blob(SHA256, len(DATA)))


def test_a_torrent_that_is_too_large_is_not_looked_at() -> None:
    with pytest.raises(MalformedError, match="at most"):
        read_torrent(b"d" + bytes(2**23), blob=BLOB)
