"""rtorrent and WebTorrent, whose BitTorrent is their own, as peers of ours: they fetch from us, and we from them.

Both know BitTorrent v1 alone, and find the swarm of v1 that every torrent of ours has besides that of v2.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from benchmarks.swarm import damaged
from edgekit.addressing.torrent import make_torrent, torrent_file, write_torrent
from edgekit.errors import AbsentError, StalledError
from edgekit.share.sharing import SharedFile, share_bundle
from edgekit.transport.swarm import Swarm
from edgekit.transport.swarm_settings import SwarmSettings, settings_for
from edgekit.transport.torrent import TorrentTransport
from edgekit.transport.torrent_url import TorrentPlace, parse_torrent_url
from edgekit.types.blob import Blob
from edgekit.types.manifest import Role
from tests.bundle.building import Built
from tests.interop.parts import LOOPBACK, NO_ADDRESS, sockets_of
from tests.interop.swarm_clients import Client, Rtorrent, WebTorrent, wait_until_whole
from tests.transport.torrent.conftest import LISTEN, Made, make
from tests.transport.torrent.made import addressed, write_blob
from tests.transport.torrent.patience import SHORT
from tests.transport.torrent.processes import node, peer
from tests.transport.torrent.tracker import Tracker, running_tracker

SIZE_BYTES = 3 * 2**20 + 12_345
DEAF_TRACKER = "http://127.0.0.1:1/announce"
CLIENTS = pytest.mark.parametrize("client", [Rtorrent, WebTorrent])


@dataclass(frozen=True)
class Given:
    """A blob, and what clients and nodes are told of it.

    Attributes:
        made: The blob in files.
        torrent: Its `.torrent`, with a tracker that nobody reaches and without a web seed.
        channel: A folder that has its torrent, and nothing else: the bytes come from peers or not at all.
    """

    made: Made
    torrent: Path
    channel: Path

    def url(self, *ports: int) -> str:
        """Where a node looks."""
        return f"torrent:{self.channel}?{'&'.join(f'peer=127.0.0.1:{port}' for port in ports)}&{LISTEN}"


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """A blob of 97 pieces; nobody may change its files."""
    folder = tmp_path_factory.mktemp("given")
    made = make(folder, addressed(SIZE_BYTES))
    ours = make_torrent(made.noise.data, made.noise.blob.sha256)
    torrent, channel = folder / "ours.torrent", folder / "channel"
    torrent.write_bytes(write_torrent(ours, trackers=[DEAF_TRACKER]))
    (channel / "torrents").mkdir(parents=True)
    (channel / torrent_file(made.noise.blob.sha256)).write_bytes(write_torrent(ours))
    return Given(made, torrent, channel)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is closed at the end of the test, the last one first."""
    with ExitStack() as found:
        yield found


@pytest.fixture
def swarm(stack: ExitStack) -> Swarm:
    """A part of ours in swarms, on the loopback."""
    found = Swarm(SwarmSettings((("127.0.0.1", 0),), patience=SHORT))
    stack.callback(found.close)
    return found


def port_of(swarm: Swarm) -> int:
    deadline = time.monotonic() + 5
    while not swarm.status().listening and time.monotonic() < deadline:
        time.sleep(0.01)
    return swarm.status().listening[0][1]


def seeding(client: type[Client], stack: ExitStack, given: Given, folder: Path) -> tuple[Client, Path]:
    """A client that has the whole file, and has hashed it; its file."""
    folder.mkdir()
    file = folder / given.made.noise.blob.sha256
    file.write_bytes(given.made.noise.data)
    found = client(stack, given.torrent, folder)
    wait_until_whole(found)
    return found, file


def rot(file: Path, given: Given) -> None:
    """Change a byte in each block of a file, in place: at no time is it shorter, or another file."""
    with file.open("r+b") as place:
        place.write(damaged(given.made.noise.data))


@CLIENTS
def test_it_downloads_from_a_seed_of_ours(
    client: type[Client], given: Given, swarm: Swarm, stack: ExitStack, tmp_path: Path
) -> None:
    swarm.seed(given.made.noise.blob, given.made.file)
    leech = client(stack, given.torrent, tmp_path, port_of(swarm))
    wait_until_whole(leech)
    assert (tmp_path / given.made.noise.blob.sha256).read_bytes() == given.made.noise.data
    assert swarm.status().uploaded_bytes >= SIZE_BYTES
    here, there = sockets_of(leech.process.pid)
    assert here <= LOOPBACK
    assert there <= LOOPBACK | NO_ADDRESS


@CLIENTS
def test_a_node_downloads_from_it(client: type[Client], given: Given, stack: ExitStack, tmp_path: Path) -> None:
    seed, _ = seeding(client, stack, given, tmp_path / "seed")
    fetched = node(stack, given.made.blob, tmp_path / "got", given.url(seed.port)).told("fetched")
    assert fetched["dropped"] == []
    assert (tmp_path / "got").read_bytes() == given.made.noise.data
    assert seed.progress().sent_bytes >= SIZE_BYTES


@CLIENTS
def test_its_file_rots_under_it(client: type[Client], given: Given, stack: ExitStack, tmp_path: Path) -> None:
    """It sends what it never hashed again. Alone it brings nothing; beside an honest seed it does no harm."""
    seed, file = seeding(client, stack, given, tmp_path / "seed")
    rot(file, given)
    failed = node(stack, given.made.blob, tmp_path / "got", given.url(seed.port), "--short").told("failed")
    assert failed["kind"] == "SourcesError"
    assert failed["downloaded"] > 0
    assert not (tmp_path / "got").exists()
    _, honest = peer(stack, given.made.torrent, given.made.file)
    node(stack, given.made.blob, tmp_path / "got", given.url(seed.port, honest)).told("fetched")
    assert (tmp_path / "got").read_bytes() == given.made.noise.data


@CLIENTS
def test_a_seed_of_ours_whose_file_rotted_sends_it_nothing(
    client: type[Client], given: Given, swarm: Swarm, stack: ExitStack, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(given.made.noise.data)
    swarm.seed(given.made.noise.blob, file)
    rot(file, given)
    leech = client(stack, given.torrent, tmp_path / "leech", port_of(swarm))
    deadline = time.monotonic() + 20
    while not swarm.status().torrents[0].fault and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "its file was changed" in swarm.status().torrents[0].fault
    assert leech.progress().right_bytes == 0
    assert swarm.status().uploaded_bytes == 0


@CLIENTS
def test_it_knows_v1_alone(client: type[Client], given: Given, stack: ExitStack, tmp_path: Path) -> None:
    """The manifest signs the infohash of v2, by which such a client is not found: it can give no torrent to a node.

    The node needs a channel, or what an earlier run left. A client that knows v2 gives torrent and file.
    """
    seed, _ = seeding(client, stack, given, tmp_path / "seed")
    place = parse_torrent_url(f"torrent:?peer=127.0.0.1:{seed.port}&{LISTEN}")
    transport = stack.enter_context(
        closing(TorrentTransport(place, settings=replace(settings_for(place), patience=SHORT)))
    )
    with (
        pytest.raises((AbsentError, StalledError), match=r"nobody who has it|no peer gave out its torrent"),
        transport.read_blob(given.made.noise.blob, start=0, stop=1, scratch=tmp_path) as chunks,
    ):
        next(chunks)
    assert seed.progress().sent_bytes == 0


@dataclass(frozen=True)
class FromBundle:
    """The largest model file of a bundle, and what `edgekit share` writes for it."""

    blob: Blob
    file: Path
    shared: SharedFile


def share(built: Built, folder: Path, *trackers: str) -> FromBundle:
    """Share a bundle without a web seed."""
    signed = max(built.draft.manifest.files, key=lambda file: file.size_bytes if file.role is Role.MODEL else 0)
    shared = share_bundle(built.path, folder, trackers=trackers)
    [found] = [file for file in shared.files if file.name == signed.path]
    return FromBundle(signed.blob, built.path / signed.blob.file_name, found)


def test_webtorrent_by_a_magnet_link(three_platforms: Built, swarm: Swarm, stack: ExitStack, tmp_path: Path) -> None:
    """The link that `edgekit share` shows: a seed of ours gives the torrent too."""
    given = share(three_platforms, tmp_path / "shared")
    swarm.seed(given.blob, given.file)
    wait_until_whole(WebTorrent(stack, given.shared.magnet, tmp_path, port_of(swarm)))
    assert (tmp_path / given.blob.sha256).read_bytes() == given.file.read_bytes()


def test_rtorrent_by_a_tracker(three_platforms: Built, swarm: Swarm, stack: ExitStack, tmp_path: Path) -> None:
    """Nobody is told of anybody: with the torrent that `edgekit share` writes rtorrent finds a seed of ours, and once
    that is gone a node finds rtorrent."""
    tracker = stack.enter_context(running_tracker())
    given = share(three_platforms, tmp_path / "shared", tracker.url)
    swarm.seed(given.blob, given.file, places=[TorrentPlace("", trackers=(tracker.url,))])
    wait_for_announce(tracker, given.shared.infohash_v1, port_of(swarm))
    client = Rtorrent(stack, given.shared.torrent, tmp_path / "client")
    wait_until_whole(client)
    swarm.unseed(given.blob)
    (tmp_path / "blob.json").write_text(write_blob(given.blob))
    url = f"torrent:{tmp_path / 'shared'}?tracker={tracker.url}&{LISTEN}"
    node(stack, tmp_path / "blob.json", tmp_path / "got", url).told("fetched")
    assert (tmp_path / "got").read_bytes() == given.file.read_bytes()
    assert client.progress().sent_bytes >= given.blob.size_bytes


def wait_for_announce(tracker: Tracker, infohash: str, port: int) -> None:
    deadline = time.monotonic() + 10
    while ("127.0.0.1", port) not in tracker.swarms[bytes.fromhex(infohash)]:
        assert time.monotonic() < deadline, "it did not announce itself"
        time.sleep(0.05)
