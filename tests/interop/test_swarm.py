"""T15: swarms of processes of libtorrent alone, and nodes among them; and aria2c, whose BitTorrent is its own.

The attacks on a whole node are in tests/attacks/distribution/test_sources.py, what a transport does alone in
tests/transport/torrent.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import libtorrent as lt
import pytest

from benchmarks.swarm import Case, damaged, run
from edgekit.transport.fetch import SCRATCH_SUFFIX
from tests.interop.parts import program
from tests.transport.hostile_server import HostileServer, serve_whole
from tests.transport.torrent.conftest import LISTEN, Made, make
from tests.transport.torrent.made import addressed
from tests.transport.torrent.processes import node, peer
from tests.transport.torrent.tracker import running_tracker

SIZE_BYTES = 8 * 2**20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A blob, and its torrent as libtorrent makes it; nobody may change the files."""
    return make(tmp_path_factory.mktemp("swarm"), addressed(SIZE_BYTES))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is closed at the end of the test, the last one first."""
    with ExitStack() as found:
        yield found


def url(*ports: int) -> str:
    return f"torrent:?{'&'.join(f'peer=127.0.0.1:{port}' for port in ports)}&{LISTEN}"


def scratch_of(target: Path) -> Path:
    return target.with_name(target.name + SCRATCH_SUFFIX)


def test_libtorrent_finds_the_root_that_the_manifest_signs(made: Made) -> None:
    torrent = lt.bdecode(made.torrent.read_bytes())
    assert made.noise.blob.addresses is not None
    [(name, file)] = torrent[b"info"][b"file tree"].items()
    assert name.decode() == made.noise.blob.sha256
    assert file[b""][b"pieces root"].hex() == made.noise.blob.addresses.pieces_root
    assert str(lt.torrent_info(torrent).info_hashes().v2) == made.noise.blob.addresses.infohash


def test_a_seed_is_killed(made: Made, stack: ExitStack, tmp_path: Path) -> None:
    """Of two, one is killed in the middle: the other one has everything too."""
    seeds = [peer(stack, made.torrent, made.file, "--rate", 1_500_000) for _ in range(2)]
    leech = node(stack, made.blob, tmp_path / "got", url(*(port for _, port in seeds)), "--pieces")
    leech.told("pieces")
    time.sleep(0.5)
    seeds[0][0].kill()
    assert leech.told("fetched")["dropped"] == []
    assert (tmp_path / "got").read_bytes() == made.noise.data


def test_a_seed_lies(made: Made, stack: ExitStack, tmp_path: Path) -> None:
    lies = tmp_path / "lies"
    lies.write_bytes(damaged(made.noise.data))
    _, good = peer(stack, made.torrent, made.file)
    _, bad = peer(stack, made.torrent, lies, "--lie")
    leech = node(stack, made.blob, tmp_path / "got", url(bad, good))
    assert leech.told("fetched")["dropped"] == []
    assert (tmp_path / "got").read_bytes() == made.noise.data


def test_a_few_wrong_places_in_an_otherwise_good_seed(made: Made, stack: ExitStack, tmp_path: Path) -> None:
    """The seed never knows: its file rotted, and it does not look."""
    data = bytearray(made.noise.data)
    for at in range(7, len(data), len(data) // 20):
        data[at] ^= 1
    (tmp_path / "rotten").write_bytes(data)
    _, good = peer(stack, made.torrent, made.file, "--rate", 2_000_000)
    _, bad = peer(stack, made.torrent, tmp_path / "rotten", "--lie", "--rate", 2_000_000)
    node(stack, made.blob, tmp_path / "got", url(bad, good)).told("fetched")
    assert (tmp_path / "got").read_bytes() == made.noise.data


def test_all_seeds_lie(made: Made, stack: ExitStack, tmp_path: Path) -> None:
    """Nothing is installed, and the node says why; an honest seed later finds it ready to go on."""
    lies = tmp_path / "lies"
    lies.write_bytes(damaged(made.noise.data))
    ports = [peer(stack, made.torrent, lies, "--lie")[1] for _ in range(3)]
    failed = node(stack, made.blob, tmp_path / "got", url(*ports), "--short").told("failed")
    assert failed["kind"] == "SourcesError"
    assert "torrent:" in failed["message"]
    assert "nobody who has it" not in failed["message"]
    assert not (tmp_path / "got").exists()
    _, good = peer(stack, made.torrent, made.file)
    node(stack, made.blob, tmp_path / "got", url(good)).told("fetched")
    assert (tmp_path / "got").read_bytes() == made.noise.data


def test_a_node_that_was_killed_goes_on(made: Made, stack: ExitStack, tmp_path: Path) -> None:
    """What libtorrent had on the disk is hashed and kept."""
    _, port = peer(stack, made.torrent, made.file, "--rate", 2_000_000)
    target = tmp_path / "got"
    first = node(stack, made.blob, target, url(port), "--pieces")
    pieces: set[int] = set()
    while len(pieces) < 100:
        pieces.update(first.told("pieces")["pieces"])
    time.sleep(0.5)
    first.kill()
    assert not target.exists()
    assert scratch_of(target).is_dir()
    again = node(stack, made.blob, target, url(port)).told("fetched")
    assert again["downloaded"] < 0.8 * SIZE_BYTES
    assert target.read_bytes() == made.noise.data
    assert not scratch_of(target).exists()


def half(made: Made, stack: ExitStack, target: Path) -> int:
    """A node that was killed in the middle; the port of a seed, which goes on."""
    _, port = peer(stack, made.torrent, made.file, "--rate", 2_000_000)
    killed = node(stack, made.blob, target, url(port), "--pieces")
    killed.told("pieces")
    time.sleep(1.0)
    killed.kill()
    return port


def test_a_killed_node_needs_nobody_who_knows_the_torrent(made: Made, stack: ExitStack, tmp_path: Path) -> None:
    """The torrent lies beside the pieces: the channel alone, as a web seed, is enough to go on."""
    half(made, stack, tmp_path / "got")
    with HostileServer(made.noise.files) as server:
        node(stack, made.blob, tmp_path / "got", f"torrent:{server.url}?{LISTEN}").told("fetched")
    assert (tmp_path / "got").read_bytes() == made.noise.data


def test_a_web_seed_without_ranges_in_the_middle(made: Made, stack: ExitStack, tmp_path: Path) -> None:
    """libtorrent goes on with it at the beginning only. Peers have what it cannot give, and so has the channel, as a
    source of its own."""
    port = half(made, stack, tmp_path / "got")
    with HostileServer(made.noise.files, serve_whole) as server:
        places = url(port).removeprefix("torrent:")
        node(stack, made.blob, tmp_path / "got", f"torrent:{server.url}{places}").told("fetched")
        assert (tmp_path / "got").read_bytes() == made.noise.data
        half(made, stack, tmp_path / "other")
        alone = f"torrent:{server.url}?{LISTEN}"
        node(stack, made.blob, tmp_path / "other", alone, "--short").told("failed")
        node(stack, made.blob, tmp_path / "other", alone, server.url).told("fetched")
    assert (tmp_path / "other").read_bytes() == made.noise.data


def test_one_good_seed_among_nine_that_lie() -> None:
    found = run(Case("1 good, 9 lie", 1, 1, 9, size_mib=4))
    assert found["complete"] == 1


def test_twenty_nodes_outlive_their_origin() -> None:
    """It is killed as soon as they together hold every piece."""
    found = run(Case("20 nodes", 20, 1, 0, size_mib=4, rate=2_000_000, kills=True))
    assert found["complete"] == 20
    assert set(found["exits"]) == {0}


def test_aria2c_by_the_channel_beside_a_swarm(made: Made, stack: ExitStack, tmp_path: Path) -> None:
    """It reads our torrents, and fetches by the web seed.

    Among peers it looks for another swarm: it writes the info dictionary anew for the infohash of v1, and loses an
    empty key on the way. A node in the same tracker is none the worse.
    """
    aria2c = program("aria2c")
    tracker = stack.enter_context(running_tracker())
    server = stack.enter_context(HostileServer(made.noise.files))
    _, port = peer(stack, made.torrent, made.file, "--tracker", tracker.url)
    torrent = lt.bdecode(made.torrent.read_bytes())
    torrent[b"announce"] = tracker.url.encode()
    torrent[b"url-list"] = [f"{server.url}/{made.noise.blob.file_name}".encode()]
    (tmp_path / "own.torrent").write_bytes(lt.bencode(torrent))
    subprocess.run(
        [aria2c, "--no-conf", "--seed-time=0", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false",
         "--interface=127.0.0.1", "--quiet", f"--dir={tmp_path}", tmp_path / "own.torrent"],
        check=True,
        timeout=60,
    )  # fmt: skip
    assert (tmp_path / made.noise.blob.sha256).read_bytes() == made.noise.data
    node(stack, made.blob, tmp_path / "got", f"torrent:?tracker={tracker.url}&{LISTEN}").told("fetched")
    assert (tmp_path / "got").read_bytes() == made.noise.data
    assert len(tracker.swarms) == 3  # of v1, of v2, and of aria2c
    assert port
