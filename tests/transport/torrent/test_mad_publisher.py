"""A publisher whose machine was taken over signs the infohash of a torrent that no honest one would make."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.addressing import bencode
from edgekit.addressing.torrent import SHORTEST_PIECE_BYTES
from edgekit.errors import MalformedError, TransferError
from edgekit.types.blob import Addresses, Blob
from tests.transport.conftest import Start as StartServer
from tests.transport.torrent.conftest import Connect, Made
from tests.transport.torrent.processes import peer


def signed(made: Made, folder: Path, **changes: object) -> tuple[Blob, Path]:
    """The blob with the infohash of a changed torrent, and that torrent."""
    whole = bencode.decode(made.torrent.read_bytes(), where="torrent", limit_bytes=2**20)
    assert isinstance(whole, dict)
    info = {**whole[b"info"], **{key.replace("_", " ").encode(): value for key, value in changes.items()}}
    torrent = folder / "signed.torrent"
    torrent.write_bytes(bencode.encode({**whole, b"info": info}))
    assert made.noise.blob.addresses is not None
    addresses: Addresses = replace(made.noise.blob.addresses, infohash=hashlib.sha256(bencode.encode(info)).hexdigest())
    return replace(made.noise.blob, addresses=addresses), torrent


def test_hashes_of_v1_that_contradict_those_of_v2_end_the_torrent(
    made: Made, start: StartServer, connect: Connect, tmp_path: Path
) -> None:
    pieces = bytes(20 * (-(-made.noise.blob.size_bytes // SHORTEST_PIECE_BYTES)))
    blob, torrent = signed(made, tmp_path, pieces=pieces)
    server = start({f"torrents/{blob.sha256}.torrent": torrent.read_bytes(), blob.file_name: made.noise.data})
    transport = connect(server.url)
    with (
        pytest.raises(TransferError, match="hash"),
        transport.read_blob(blob, start=0, stop=blob.size_bytes, scratch=tmp_path / "scratch") as chunks,
    ):
        b"".join(chunks)


@pytest.mark.parametrize("name", [b"../x", b"/etc/passwd", b"evil"])
def test_another_name_is_refused_when_a_peer_sends_it(
    made: Made, connect: Connect, stack: ExitStack, tmp_path: Path, name: bytes
) -> None:
    """What peers send of the torrent is looked at before a byte of the file is written."""
    tree = {name: {b"": {b"length": made.noise.blob.size_bytes, b"pieces root": pieces_root(made)}}}
    blob, torrent = signed(made, tmp_path, name=name, file_tree=tree)
    _, port = peer(stack, torrent, made.file)
    transport = connect(f"?peer=127.0.0.1:{port}")
    scratch = tmp_path / "scratch"
    with (
        pytest.raises(MalformedError, match="something else of its file"),
        transport.read_blob(blob, start=0, stop=2**20, scratch=scratch) as chunks,
    ):
        next(chunks)
    assert [path.name for path in scratch.rglob("*")] == ["torrent"]


def pieces_root(made: Made) -> bytes:
    assert made.noise.blob.addresses is not None
    return bytes.fromhex(made.noise.blob.addresses.pieces_root)
