"""All addresses at once, the same from one thread and from many, from memory and from a file."""

from __future__ import annotations

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.addressing import addressing as module
from edgekit.addressing.addressing import Addressing, address_stream, addresses_of, addresses_of_file
from edgekit.addressing.merkle import PiecesRoot
from edgekit.addressing.torrent import make_torrent
from edgekit.addressing.unixfs import FileDag
from edgekit.errors import InputError, MalformedError
from edgekit.types.blob import Addresses

MIB = 2**20


def apart(data: bytes) -> Addresses:
    """Each address by itself."""
    dag, tree = FileDag(), PiecesRoot(2**14)
    dag.update(data)
    tree.update(data)
    torrent = make_torrent(data, hashlib.sha256(data).hexdigest())
    return Addresses(dag.finish(), tree.finish().hex(), torrent.infohash)


@pytest.mark.parametrize("size", [1, 2**14, 2**14 + 1, MIB - 1, MIB, MIB + 1, 17 * MIB + 5])
def test_all_ways_lead_to_the_same(size: int, tmp_path: Path) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    assert addresses_of(data) == addresses_of_file(tmp_path / "file") == apart(data)
    seen = 0

    def advance(count: int) -> None:
        nonlocal seen
        seen += count

    beside = hashlib.md5(usedforsecurity=False)
    found = address_stream(io.BytesIO(data), size, beside=beside.update, advance=advance)
    assert found.finish() == apart(data)
    assert (found.sha256, seen) == (hashlib.sha256(data).hexdigest(), size)
    assert beside.digest() == hashlib.md5(data, usedforsecurity=False).digest()
    assert found.torrent == make_torrent(data, found.sha256)


@settings(max_examples=15)
@given(st.lists(st.integers(0, MIB + 3), min_size=1, max_size=5).filter(any), st.booleans())
def test_it_does_not_depend_on_chunks(chunks: list[int], threads: bool) -> None:
    data = os.urandom(sum(chunks))
    found, at = Addressing(len(data)), 0
    with ThreadPoolExecutor(3) as pool:
        for chunk in chunks:
            found.update(data[at : at + chunk], threads=pool if threads else None)
            at += chunk
    assert found.finish() == addresses_of(data)


def test_a_big_file_is_hashed_by_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(module, "ThreadPoolExecutor", lambda *a, **k: started.append(a) or ThreadPoolExecutor(*a, **k))
    monkeypatch.setattr(module.os, "cpu_count", lambda: 3)
    data = bytes(9 * MIB)
    assert address_stream(io.BytesIO(data), len(data)).finish() == addresses_of(data)
    assert started == [(3,)]


def test_a_file_that_changes_meanwhile_is_refused() -> None:
    for told in (9, 11):
        with pytest.raises(InputError, match="had 10"):
            address_stream(io.BytesIO(bytes(10)), told).finish()


def test_what_has_no_addresses(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(MalformedError):
        addresses_of_file(tmp_path / "empty")
    with pytest.raises(MalformedError):
        addresses_of(b"")
    for name in ("absent", "."):
        with pytest.raises(InputError, match="cannot read"):
            addresses_of_file(tmp_path / name)
