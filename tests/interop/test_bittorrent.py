"""libtorrent and aria2, programs of other people, take our torrents for what they are."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.addressing import bencode
from edgekit.addressing.addressing import addresses_of_file
from edgekit.addressing.torrent import make_torrent, write_torrent
from edgekit.share.sharing import Shared, SharedFile, share_bundle
from edgekit.types.blob import Blob
from edgekit.types.manifest import Role
from tests.bundle.building import Built
from tests.interop.parts import free_port, lack, program
from tests.transport import hostile_server
from tests.transport.hostile_server import Exchange, HostileServer

try:
    import libtorrent
except ImportError:
    libtorrent = None

ALONE = ("--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false", "--enable-peer-exchange=false")
"""aria2 talks to nobody but the torrent's web seed."""


@pytest.fixture(scope="module")
def lt() -> object:
    return libtorrent or lack("libtorrent", "pip install 'edgekit-ml[p2p]'")


@pytest.mark.parametrize("size", [1, 2**14, 2**14 + 1, 5 * 2**20 + 3, 17 * 2**20])
def test_libtorrent_makes_the_same_torrent(size: int, lt: object, tmp_path: Path) -> None:
    """Byte for byte: infohashes of both versions, pieces, roots and layers."""
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    sha256 = hashlib.sha256(data).hexdigest()
    (tmp_path / sha256).write_bytes(data)
    ours = make_torrent(data, sha256)
    made = libtorrent.create_torrent(libtorrent.list_files(str(tmp_path / sha256)), ours.piece_length)
    libtorrent.set_piece_hashes(made, str(tmp_path))
    its = made.generate()
    assert libtorrent.bencode(its[b"info"]) == ours.info
    assert its[b"piece layers"] == ({ours.pieces_root: ours.piece_layer} if ours.piece_layer else {})
    loaded = libtorrent.torrent_info(libtorrent.bdecode(write_torrent(ours)))
    assert str(loaded.info_hashes().v2) == ours.infohash == addresses_of_file(tmp_path / sha256).infohash
    assert str(loaded.info_hashes().v1) == ours.infohash_v1


def test_libtorrent_reads_what_share_writes(lt: object, three_platforms: Built, tmp_path: Path) -> None:
    shared = share_bundle(
        three_platforms.path, tmp_path, trackers=["http://127.0.0.1:1/announce"], webseed="http://127.0.0.1:2/channel"
    )
    manifest = three_platforms.draft.manifest
    for file in shared.files:
        loaded = libtorrent.load_torrent_file(str(file.torrent))
        signed = manifest.file(file.name)
        assert signed.addresses
        assert str(loaded.info_hashes.v2) == signed.addresses.infohash == file.infohash
        assert str(loaded.info_hashes.v1) == file.infohash_v1
        assert loaded.trackers == ["http://127.0.0.1:1/announce"]
        assert loaded.ti.name() == signed.sha256
        assert loaded.ti.total_size() == signed.size_bytes
        magnet = libtorrent.parse_magnet_uri(file.magnet)
        assert str(magnet.info_hashes.v2) == file.infohash
        assert str(magnet.info_hashes.v1) == file.infohash_v1


def download(torrent: Path, folder: Path, *, stop_s: int = 30) -> subprocess.CompletedProcess[str]:
    words = [program("aria2c"), "--no-conf", *ALONE, "--seed-time=0", f"--stop={stop_s}", "--max-tries=1"]
    words += ["--listen-port", str(free_port()), "--interface=127.0.0.1", "--dir", folder, "--allow-overwrite=true"]
    words += ["--check-integrity=true", "--file-allocation=none", "--summary-interval=0", torrent]
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60)


def shared_from(built: Built, url: str, out: Path) -> tuple[Shared, SharedFile, Blob]:
    """What was shared, and the largest model file of it."""
    program("aria2c")
    shared = share_bundle(built.path, out, webseed=url)
    models = [file for file in built.draft.manifest.files if file.role is Role.MODEL]
    largest = max(models, key=lambda file: file.size_bytes)
    return shared, next(file for file in shared.files if file.name == largest.path), largest.blob


def test_aria2_downloads_by_the_web_seed_alone(three_platforms: Built, tmp_path: Path) -> None:
    with HostileServer(three_platforms.path) as server:
        _, file, blob = shared_from(three_platforms, server.url, tmp_path / "shared")
        done = download(file.torrent, tmp_path / "got")
        assert done.returncode == 0, done.stdout + done.stderr
        assert {seen.name for seen in server.seen} == {blob.file_name}
    got = (tmp_path / "got" / blob.sha256).read_bytes()
    assert hashlib.sha256(got).hexdigest() == blob.sha256


@pytest.mark.parametrize("behaviour", [hostile_server.lie, hostile_server.refuse(404)])
def test_aria2_takes_no_other_bytes(
    behaviour: Callable[[Exchange], None], three_platforms: Built, tmp_path: Path
) -> None:
    """The test above can fail."""
    with HostileServer(three_platforms.path, behaviour) as server:
        _, file, blob = shared_from(three_platforms, server.url, tmp_path / "shared")
        assert download(file.torrent, tmp_path / "got", stop_s=3).returncode != 0
    got = tmp_path / "got" / blob.sha256
    assert not got.exists() or hashlib.sha256(got.read_bytes()).hexdigest() != blob.sha256


def test_aria2_takes_a_hybrid_torrent_for_one_of_another_swarm(three_platforms: Built, tmp_path: Path) -> None:
    """Why it is no peer of ours: aria2 1.36 loses the empty key of the file tree of v2, and hashes what is left.

    One that does better gives the hash that libtorrent gives.
    """
    _, file, blob = shared_from(three_platforms, "http://127.0.0.1:1", tmp_path / "shared")
    shown = subprocess.run(
        [program("aria2c"), "--no-conf", "--show-files", file.torrent], capture_output=True, text=True, timeout=30
    )
    info: Any = bencode.decode(file.torrent.read_bytes(), where="it", limit_bytes=2**20)
    info = info[b"info"]
    info[b"file tree"] = {key: {} for key in info[b"file tree"]}
    lossy = hashlib.sha1(bencode.encode(info)).hexdigest()
    assert f"Info Hash: {lossy}" in shown.stdout or f"Info Hash: {file.infohash_v1}" in shown.stdout
    assert f"./{blob.sha256}" in shown.stdout
