"""A real kubo takes the blocks that our gateway gives out for what their CIDs say, and passes them on by bitswap.

Optional: 245 MB. The library has no gateway of its own, and no `block put`, so blocks are put into its store as files.
"""

from __future__ import annotations

import json
import re
import select
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edgekit.addressing.car import read_blocks, read_header
from edgekit.addressing.cid import parse_cid
from edgekit.gateway.server import Gateway
from edgekit.gateway.shelf import Shelf
from tests.gateway.raw import ask
from tests.interop.parts import ROOT
from tests.transport.ipfs_blocks import in_ipfs

PROGRAM = Path(__file__).with_name("kubo_program.py")
MADE = in_ipfs(5 * 2**20 + 77, seed=9)
assert MADE.blob.addresses
CID = MADE.blob.addresses.cid
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
NOTHING = {"0" * 8, "0" * 32}


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
            list(map(str, words)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.address: str = self._answer()

    def tell(self, line: str, *, wait_s: float = 60.0) -> Any:
        """Its answer to a line; None where there is none in time."""
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._answer() if select.select([self.process.stdout], [], [], wait_s)[0] else None

    def sockets(self) -> tuple[set[str], set[str]]:
        """Addresses that its sockets are bound to, and those that they are connected to, as the kernel writes them."""
        inodes = set()
        for place in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                inodes |= set(re.findall(r"socket:\[(\d+)\]", str(place.readlink())))
            except FileNotFoundError:
                continue
        here, there = set(), set()
        for table in ("tcp", "tcp6", "udp", "udp6"):
            for line in Path(f"/proc/{self.process.pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[9] in inodes:
                    here.add(fields[1].partition(":")[0])
                    there.add(fields[2].partition(":")[0])
        return here, there

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
        here, there = node.sockets()
        assert here <= LOOPBACK
        assert there <= LOOPBACK | NOTHING
    assert second.tell("peers") == [first.address.replace("/p2p", "")]


def test_kubo_takes_no_block_that_is_another_one(start: Start, blocks: Path, tmp_path: Path) -> None:
    """The test above can fail."""
    leaf = next(place for place in blocks.iterdir() if place.stat().st_size == 2**20)
    leaf.write_bytes(bytes(2**20))
    node = start("first", blocks)
    assert node.tell(f"get {CID} {tmp_path / 'got'}", wait_s=5.0) in (None, False)  # it may wait for a better one
    assert not (tmp_path / "got").exists() or (tmp_path / "got").read_bytes() != MADE.data


def test_kubo_cuts_files_in_another_way_of_its_own_accord(start: Start, tmp_path: Path) -> None:
    """Why its CID of a file is no address that a manifest could have: 256 KiB, and no way to ask for others."""
    (tmp_path / "file").write_bytes(MADE.data)
    assert start("first").tell(f"add {tmp_path / 'file'}").startswith("Qm")
