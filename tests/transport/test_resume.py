"""kill -9 in the middle of a transfer, and what the next one costs."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekit.transport.fetch import Sources
from edgekit.transport.part_file import PartFile
from edgekit.transport.pieces import pieces_of
from tests.transport.blobs import MIB, noise
from tests.transport.conftest import Connect, Start

MADE = noise(12 * MIB + 5)
FETCH = """
import sys
from pathlib import Path
from edgekit.transport.fetch import Sources
from edgekit.transport.opening import open_transport
from edgekit.types.blob import Blob, Pieces

target, sha256, size, length, digests, *urls = sys.argv[1:]
blob = Blob(sha256, int(size), Pieces(int(length), tuple(digests.split(","))))
Sources([open_transport(url) for url in urls]).fetch(blob, Path(target))
"""


@pytest.mark.parametrize("after_pieces", [0.5, 3.5, 9.5])
def test_only_what_is_not_verified_is_sent_again(
    start: Start, connect: Connect, tmp_path: Path, after_pieces: float
) -> None:
    slow = [start(MADE.files, bytes_per_s=4e6) for _ in range(2)]
    assert MADE.blob.pieces is not None
    child = subprocess.Popen(
        [sys.executable, "-c", FETCH, str(tmp_path / "x"), MADE.blob.sha256, str(MADE.blob.size_bytes),
         str(MADE.blob.pieces.length_bytes), ",".join(MADE.blob.pieces.sha256), *(server.url for server in slow)],
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while sum(server.sent_bytes for server in slow) < after_pieces * MIB and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    assert child.returncode == -signal.SIGKILL, "it was done before it was killed"
    assert not (tmp_path / "x").exists()
    pieces = pieces_of(MADE.blob)
    with PartFile(tmp_path / "x", MADE.blob.size_bytes) as part:
        kept = part.find(pieces)
    assert len(kept) >= after_pieces - 3.5, "each of two sources has one piece on its way, and some in its socket"
    missing = {piece.number for piece in pieces} - kept

    server = start(MADE.files)
    Sources([connect(server)]).fetch(MADE.blob, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == MADE.data
    asked: set[int] = set()
    for seen in server.seen:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", seen.headers["range"])
        assert found
        asked |= set(range(int(found[1]) // MIB, int(found[2]) // MIB + 1))
    assert asked == missing
    assert server.sent_bytes < sum(pieces[number].size_bytes for number in missing) + 2000 * len(server.seen)
