"""A blob, its torrent as libtorrent makes it, peers that have it, and transports that wait for seconds only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from edgekit.transport.patience import Patience
from edgekit.transport.swarm_settings import settings_for
from edgekit.transport.torrent import TorrentTransport
from edgekit.transport.torrent_url import parse_torrent_url
from tests.transport.blobs import Noise
from tests.transport.torrent.made import addressed, stock_torrent, write_blob
from tests.transport.torrent.patience import SHORT
from tests.transport.torrent.processes import Program, peer
from tests.transport.torrent.tracker import Ear, Tracker, deaf_ear, running_tracker

SIZE_BYTES = 3 * 2**20 + 12_345
LISTEN = "listen=127.0.0.1:0"


@dataclass(frozen=True)
class Made:
    """A blob in files.

    Attributes:
        noise: The blob and its bytes.
        torrent: The `.torrent`, as libtorrent made it.
        file: The blob itself.
        blob: The blob as JSON.
    """

    noise: Noise
    torrent: Path
    file: Path
    blob: Path


Connect = Callable[..., TorrentTransport]
Start = Callable[..., tuple[Program, int]]


def make(folder: Path, noise: Noise) -> Made:
    """Write a blob, its torrent and its description."""
    folder.mkdir(exist_ok=True)
    torrent, blob = folder / "one.torrent", folder / "blob.json"
    torrent.write_bytes(stock_torrent(noise.data, folder))
    blob.write_text(write_blob(noise.blob))
    return Made(noise, torrent, folder / noise.blob.sha256, blob)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A blob of four pieces; nobody may change its files."""
    return make(tmp_path_factory.mktemp("made"), addressed(SIZE_BYTES))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is closed at the end of the test, the last one first."""
    with ExitStack() as found:
        yield found


@pytest.fixture
def connect(stack: ExitStack) -> Connect:
    """Opens a transport for what stands behind `torrent:`."""

    def connect(rest: str, *, patience: Patience = SHORT) -> TorrentTransport:
        place = parse_torrent_url(f"torrent:{rest}{'&' if '?' in rest else '?'}{LISTEN}")
        transport = TorrentTransport(place, settings=replace(settings_for(place), patience=patience))
        stack.callback(transport.close)
        return transport

    return connect


@pytest.fixture
def seed(stack: ExitStack, made: Made) -> Start:
    """Starts a peer that has the blob, or says so."""

    def seed(*words: object, file: Path = made.file) -> tuple[Program, int]:
        return peer(stack, made.torrent, file, *words)

    return seed


@pytest.fixture
def tracker(stack: ExitStack) -> Tracker:
    """A tracker."""
    return stack.enter_context(running_tracker())


@pytest.fixture
def ear(stack: ExitStack) -> Ear:
    """Something that takes connections and never answers."""
    return stack.enter_context(deaf_ear())
