"""A real kubo takes the blocks that our gateway gives out for what their CIDs say, and passes them on by bitswap.

Optional: 245 MB. The library is built without kubo's gateway, and has no `block put`, so blocks are put into its store
as files. What gives kubo's own blocks out over HTTP here is another gateway.
"""

from __future__ import annotations

import base64
import json
import select
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edgekit.addressing.car import read_blocks, read_header, write_car
from edgekit.addressing.cid import DAG_PB, Cid, parse_cid
from edgekit.errors import MalformedError
from edgekit.gateway.server import Gateway
from edgekit.gateway.shelf import Shelf
from edgekit.transport.opening import opened
from tests.gateway.raw import ask
from tests.interop.ipfs_programs import gateway_of
from tests.interop.parts import LOOPBACK, NO_ADDRESS, ROOT, sockets_of
from tests.transport.ipfs_blocks import called, in_ipfs

PROGRAM = Path(__file__).with_name("kubo_program.py")
MADE = in_ipfs(5 * 2**20 + 77, seed=9)
assert MADE.blob.addresses
CID = MADE.blob.addresses.cid


class Kubo:
    """A node in a process of its own.

    Attributes:
        address: By which others connect to it.
    """

    def __init__(self, repo: Path, blocks: Path | None = None) -> None:
        python = ROOT / ".venv-kubo" / "bin" / "python"
        if not python.is_file():
            pytest.skip("needs the environment .venv-kubo, which is optional: tests/interop/install_kubo.sh")
        words = [python, PROGRAM, repo, *([blocks] if blocks else [])]
        self.process = subprocess.Popen(
            list(map(str, words)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=repo.parent,  # where the library writes its kubo.log
        )
        self.address: str = self._answer()

    def tell(self, line: str, *, wait_s: float = 60.0) -> Any:
        """Its answer to a line; None where there is none in time."""
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._answer() if select.select([self.process.stdout], [], [], wait_s)[0] else None

    def close(self) -> None:
        """End it."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def _answer(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "kubo ended"
        return json.loads(line)


Start = Callable[..., Kubo]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a node, with the blocks of a folder."""
    with ExitStack() as stack:

        def start(name: str, blocks: Path | None = None) -> Kubo:
            node = Kubo(tmp_path / name, blocks)
            stack.callback(node.close)
            return node

        yield start


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    """The blocks of a CAR that our gateway gave out, a file each."""
    (tmp_path / "file").write_bytes(MADE.data)
    shelf = Shelf()
    shelf.put_file(MADE.blob, tmp_path / "file")
    with Gateway(shelf) as gateway:
        answer = ask(gateway.port, f"/ipfs/{CID}?format=car")
    (tmp_path / "car").write_bytes(answer.body)
    folder = tmp_path / "blocks"
    folder.mkdir()
    with (tmp_path / "car").open("rb") as stream:
        assert read_header(stream) == parse_cid(CID)
        for cid, data in read_blocks(stream):
            (folder / f"{cid.sha256.hex()}.block").write_bytes(data)
    return folder


def test_kubo_reads_our_blocks_and_passes_them_on(start: Start, blocks: Path, tmp_path: Path) -> None:
    first, second = start("first", blocks), start("second")
    assert first.tell(f"get {CID} {tmp_path / 'first-got'}")
    assert (tmp_path / "first-got").read_bytes() == MADE.data
    assert second.tell(f"connect {first.address}")
    assert second.tell(f"get {CID} {tmp_path / 'second-got'}")
    assert (tmp_path / "second-got").read_bytes() == MADE.data
    assert set(second.tell("blocks")) >= {place.stem for place in blocks.iterdir()}
    for node in (first, second):
        here, there = sockets_of(node.process.pid)
        assert here <= LOOPBACK
        assert there <= LOOPBACK | NO_ADDRESS
    assert second.tell("peers") == [first.address.replace("/p2p", "")]


def test_kubo_takes_no_block_that_is_another_one(start: Start, blocks: Path, tmp_path: Path) -> None:
    """The test above can fail."""
    leaf = next(place for place in blocks.iterdir() if place.stat().st_size == 2**20)
    leaf.write_bytes(bytes(2**20))
    node = start("first", blocks)
    assert node.tell(f"get {CID} {tmp_path / 'got'}", wait_s=5.0) in (None, False)  # it may wait for a better one
    assert not (tmp_path / "got").exists() or (tmp_path / "got").read_bytes() != MADE.data


def test_the_library_has_no_gateway(start: Start, tmp_path: Path) -> None:
    """Where one came with another version, `test_ipfs_gateway` would have to fetch from it."""
    start("first")
    gateway = json.loads((tmp_path / "first" / "config").read_text())["Addresses"]["Gateway"]
    assert gateway.startswith("/ip4/127.0.0.1/tcp/")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(gateway.rpartition("/")[2])), timeout=5)


def test_kubo_cuts_files_in_another_way_of_its_own_accord(start: Start, tmp_path: Path) -> None:
    """Why its CID of a file is no address that a manifest could have: 256 KiB, and no way to ask for others.

    Its root under the name that it would have in a manifest, and all of its blocks behind a gateway, make no file.
    """
    (tmp_path / "file").write_bytes(MADE.data)
    first = start("first")
    told = first.tell(f"add {tmp_path / 'file'}")
    assert told.startswith("Qm")
    held = [bytes.fromhex(digest) for digest in first.tell("blocks")]
    blocks = {Cid(DAG_PB, digest): data for digest, data in zip(held, stored(tmp_path / "first", held), strict=True)}
    root = Cid(DAG_PB, multihash_of(told))
    with (tmp_path / "car").open("wb") as out:
        write_car(out, root, blocks.items())
    with gateway_of(tmp_path / "car") as url, opened([f"ipfs:{url}"]) as (place,):
        assert ask(int(url.rpartition(":")[2]), f"/ipfs/{told}").body.endswith(MADE.data[-1000:])
        blob = called(MADE.blob, str(root))
        with (
            pytest.raises(MalformedError, match=f"{root}: a link of a node is no CIDv1"),
            place.read_blob(blob, start=0, stop=blob.size_bytes, scratch=None) as chunks,
        ):
            b"".join(chunks)


def stored(repo: Path, digests: Sequence[bytes]) -> list[bytes]:
    """Bytes of blocks in a node's store."""
    names = [base64.b32encode(b"\x12\x20" + digest).decode().rstrip("=") for digest in digests]
    return [(repo / "blocks" / name[-3:-1] / f"{name}.data").read_bytes() for name in names]


def multihash_of(text: str) -> bytes:
    """The sha256 that a CIDv0 holds, 32 bytes: base58 of 0x12, 0x20 and it."""
    number = 0
    for letter in text:
        number = number * 58 + "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".index(letter)
    data = number.to_bytes(34, "big")
    assert data[:2] == b"\x12\x20"
    return data[2:]
