"""`realm`: a channel, a node that runs version 2 of its model, and all keys, for one test to do anything to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from edgekit.transport.fetch import FetchSettings, Sources
from edgekit.transport.http import HttpTransport
from edgekit.transport.ipfs import IpfsTransport
from edgekit.transport.opening import open_transport
from edgekit.transport.patience import Patience
from edgekit.transport.swarm_settings import settings_for
from edgekit.transport.torrent_url import parse_torrent_url
from edgekit.transport.transport import Transport
from tests.attacks.distribution.realm import Keys, Realm, copy_realm, make_realm
from tests.transport.torrent.patience import SHORT

HASTY = Patience(connect_s=1.5, answer_s=1.5, silence_s=1.0, slowest_bytes_per_s=1000, window_s=0.8)


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """In memory where that can be had: a disk would be waited for at every fsync."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def first_realm() -> Iterator[Realm]:
    """What every test begins from; nobody changes it."""
    with folder_in_memory() as folder:
        yield make_realm(folder / "realm", Keys())


@pytest.fixture
def realm(first_realm: Realm) -> Iterator[Realm]:
    with folder_in_memory() as folder:
        yield copy_realm(first_realm, folder / "realm")


def open_hastily(url: str) -> Transport:
    """A transport that waits for a second or two."""
    if url.startswith("http"):
        return HttpTransport(url, patience=HASTY)
    if url.startswith("ipfs:"):
        return IpfsTransport(url, patience=HASTY)
    if url.startswith("torrent:"):
        from edgekit.transport.torrent import TorrentTransport

        place = parse_torrent_url(url)
        return TorrentTransport(place, settings=replace(settings_for(place), patience=SHORT))
    return open_transport(url)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes that wait for a second where they would wait for ten."""

    @contextmanager
    def opened(urls: Iterable[str]) -> Iterator[tuple[Transport, ...]]:
        transports = [open_hastily(url) for url in urls]
        try:
            yield tuple(transports)
        finally:
            for transport in transports:
                transport.close()

    for module in ("update", "sourcing"):
        monkeypatch.setattr(f"edgekit.node.{module}.opened", opened)
    settings = FetchSettings(hedge_s=0.1, rest_s=0.05)
    monkeypatch.setattr("edgekit.node.installing.Sources", partial(Sources, settings=settings))
