"""Programs of other people take what our gateway gives out: curl, aria2, libtorrent, and npm's ipfs-car and Helia."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.addressing.torrent import make_torrent, write_torrent
from edgekit.gateway.server import Gateway
from edgekit.gateway.shelf import Shelf
from tests.gateway.raw import ask
from tests.interop.ipfs_programs import helia
from tests.interop.parts import free_port, ipfs_car, lack, program
from tests.transport.ipfs_blocks import in_ipfs

try:
    import libtorrent
except ImportError:
    libtorrent = None

MADE = in_ipfs(5 * 2**20 + 77, seed=10)
assert MADE.blob.addresses
CID = MADE.blob.addresses.cid


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with one file."""
    (tmp_path / "model").write_bytes(MADE.data)
    shelf = Shelf()
    shelf.put_file(MADE.blob, tmp_path / "model")
    with Gateway(shelf) as found:
        yield found


def run(*words: str | Path) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def curl(*words: str | Path) -> str:
    return run(program("curl"), "--silent", "--show-error", "--noproxy", "*", *words)


def test_curl_resumes_and_asks_again(gateway: Gateway, tmp_path: Path) -> None:
    url, got = f"{gateway.url}/{MADE.blob.file_name}", tmp_path / "got"
    got.write_bytes(MADE.data[:1_000_000])
    curl("--fail", "--continue-at", "-", "--output", got, url)
    assert got.read_bytes() == MADE.data
    curl("--fail", "--etag-save", tmp_path / "etag", "--output", got, url)
    told = curl("--etag-compare", tmp_path / "etag", "--output", got, "--write-out", "%{http_code}", url)
    assert told == "304"
    head = curl("--head", url)
    assert f"Content-Length: {len(MADE.data)}" in head


def test_curl_gets_no_file_by_a_path(gateway: Gateway, tmp_path: Path) -> None:
    for path in ("../model", "blobs/../../model", "%2e%2e/model", "blobs/sha256/%2e%2e/model"):
        status = curl(
            "--path-as-is", "--output", tmp_path / "got", "--write-out", "%{http_code}", f"{gateway.url}/{path}"
        )
        assert status == "404"


def test_aria2_takes_it_in_parts(gateway: Gateway, tmp_path: Path) -> None:
    words = ("--no-conf", "--split=5", "--max-connection-per-server=5", "--min-split-size=1M", "--file-allocation=none")
    run(program("aria2c"), *words, "--dir", tmp_path, "--out", "got", f"{gateway.url}/{MADE.blob.file_name}")
    assert (tmp_path / "got").read_bytes() == MADE.data
    assert gateway.status().answers > 1


@pytest.fixture
def torrent(gateway: Gateway, tmp_path: Path) -> Path:
    """A torrent of the file, of which the gateway is the web seed."""
    made = make_torrent(MADE.data, MADE.blob.sha256)
    place = tmp_path / "file.torrent"
    place.write_bytes(write_torrent(made, webseeds=[f"{gateway.url}/{MADE.blob.file_name}"]))
    return place


def test_aria2_takes_it_for_a_web_seed(torrent: Path, tmp_path: Path) -> None:
    words = (
        "--no-conf",
        "--enable-dht=false",
        "--enable-dht6=false",
        "--bt-enable-lpd=false",
        "--stop=30",
        "--seed-time=0",
    )
    words = (*words, "--enable-peer-exchange=false", "--interface=127.0.0.1", f"--listen-port={free_port()}")
    run(program("aria2c"), *words, "--file-allocation=none", "--dir", tmp_path / "got", torrent)
    assert (tmp_path / "got" / MADE.blob.sha256).read_bytes() == MADE.data


def test_libtorrent_takes_it_for_a_web_seed(gateway: Gateway, torrent: Path, tmp_path: Path) -> None:
    lt = libtorrent or lack("libtorrent", "pip install 'edgekit-ml[p2p]'")
    quiet = {"enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False}
    session = lt.session({**quiet, "listen_interfaces": "127.0.0.1:0", "ssrf_mitigation": False})
    params = lt.load_torrent_file(str(torrent))
    params.save_path = str(tmp_path / "got")
    handle = session.add_torrent(params)
    end = time.monotonic() + 30
    while not handle.status().is_seeding and time.monotonic() < end:
        time.sleep(0.05)
    assert handle.status().is_seeding
    assert (tmp_path / "got" / MADE.blob.sha256).read_bytes() == MADE.data
    session.pause()
    del handle, session
    assert gateway.status().sent_bytes >= len(MADE.data)


def test_ipfs_car_unpacks_the_car(gateway: Gateway, tmp_path: Path) -> None:
    car, out = tmp_path / "got.car", tmp_path / "out"
    curl("--fail", "--output", car, f"{gateway.url}/ipfs/{CID}?format=car")
    assert run(*ipfs_car(), "roots", car).split() == [CID]
    run(*ipfs_car(), "unpack", car, "--output", out)
    assert out.read_bytes() == MADE.data
    listed = run(*ipfs_car(), "blocks", car).split()
    assert len(listed) == len(MADE.blocks)
    assert {f"ipfs/{cid}?format=raw" for cid in listed} == set(MADE.blocks)


def test_helia_fetches_block_by_block(gateway: Gateway, tmp_path: Path) -> None:
    done = helia("get", gateway.url, CID, tmp_path / "got")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "got").read_bytes() == MADE.data
    assert gateway.status().answers >= len(MADE.blocks)


def test_helia_gets_nothing_of_a_file_that_was_changed(gateway: Gateway, tmp_path: Path) -> None:
    """The gateway sees it, and takes the file off its shelf."""
    with (tmp_path / "model").open("r+b") as stream:
        stream.seek(3 * 2**20)
        stream.write(bytes(2**10))
    done = helia("get", gateway.url, CID, tmp_path / "got")
    assert done.returncode != 0
    assert gateway.status().answers
    assert ask(gateway.port, f"/ipfs/{CID}?format=raw").status == 404
    assert not (tmp_path / "got").exists() or (tmp_path / "got").stat().st_size < len(MADE.data)
