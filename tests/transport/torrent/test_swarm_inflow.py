"""A swarm keeps the limit on what its process receives, alone and together with everything else that comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.transport.fetch import Sources
from edgekit.transport.http import HttpTransport
from edgekit.transport.inflow import INFLOW
from edgekit.transport.reading import read_all
from edgekit.transport.swarm import Swarm, shared_swarm
from edgekit.transport.swarm_settings import SwarmSettings
from tests.transport.hostile_server import HostileServer
from tests.transport.torrent.conftest import Connect, Made, Start, make
from tests.transport.torrent.made import addressed
from tests.transport.torrent.patience import SHORT
from tests.transport.torrent.processes import peer

LIMIT = 400_000


@pytest.fixture
def swarm() -> Iterator[Swarm]:
    """That of this process, so that what came over it can be read."""
    found = shared_swarm(SwarmSettings((("127.0.0.1", 0),)))
    yield found
    found.close()


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def test_alone(made: Made, seed: Start, connect: Connect, swarm: Swarm, tmp_path: Path) -> None:
    """From two peers; its library lets through at once what three seconds would have brought."""
    url = "&".join(f"peer=127.0.0.1:{seed()[1]}" for _ in range(2))
    sources = Sources([connect(f"?{url}")])
    with INFLOW.limited(LIMIT):
        began = time.monotonic()
        sources.fetch(made.noise.blob, tmp_path / "x")
        took_s = time.monotonic() - began
    assert (tmp_path / "x").read_bytes() == made.noise.data
    assert sources.faults == {}
    assert made.noise.blob.size_bytes / LIMIT - 3.0 < took_s < 60
    assert swarm.status().downloaded_bytes < 1.3 * made.noise.blob.size_bytes


def test_beside_a_mirror(made: Made, seed: Start, connect: Connect, swarm: Swarm, tmp_path: Path) -> None:
    """Together they are as fast as the limit allows, and neither is left out."""
    with HostileServer(made.noise.files) as server:
        mirror = HttpTransport(server.url)
        sources = Sources([connect(f"?peer=127.0.0.1:{seed()[1]}"), mirror])
        with INFLOW.limited(LIMIT):
            began = time.monotonic()
            sources.fetch(made.noise.blob, tmp_path / "x")
            took_s = time.monotonic() - began
        mirror.close()
        received = server.sent_bytes + swarm.status().downloaded_bytes
    assert (tmp_path / "x").read_bytes() == made.noise.data
    assert sources.faults == {}
    assert 0.95 * received / LIMIT - 3.0 < took_s < 60
    assert received < 1.9 * made.noise.blob.size_bytes, "what one sends the other need not"
    assert server.sent_bytes > 2**19
    assert swarm.status().downloaded_bytes > 2**19


def test_it_leaves_others_their_half(made: Made, seed: Start, connect: Connect, swarm: Swarm, tmp_path: Path) -> None:
    """A file that is read while it is busy comes with half of the limit."""
    place = connect(f"?peer=127.0.0.1:{seed()[1]}")
    thread = threading.Thread(target=Sources([place]).fetch, args=(made.noise.blob, tmp_path / "x"))
    with HostileServer({"file": bytes(LIMIT)}) as server, INFLOW.limited(LIMIT):
        thread.start()
        until(lambda: swarm.status().downloaded_bytes > 0)
        mirror = HttpTransport(server.url)
        began = time.monotonic()
        assert read_all(mirror, "file", limit_bytes=LIMIT) == bytes(LIMIT)
        took_s = time.monotonic() - began
        mirror.close()
        thread.join(60)
    assert (tmp_path / "x").read_bytes() == made.noise.data
    assert 1.2 < took_s < 10


def test_its_own_limit_is_not_held_against_it(stack: ExitStack, connect: Connect, tmp_path: Path) -> None:
    """It would be three times too slow, and its library lets nothing through for seconds."""
    small = make(tmp_path / "small", addressed(120_000))
    url = "&".join(f"peer=127.0.0.1:{peer(stack, small.torrent, small.file)[1]}" for _ in range(2))
    sources = Sources([connect(f"?{url}", patience=replace(SHORT, slowest_bytes_per_s=60_000.0))])
    with INFLOW.limited(20_000):
        sources.fetch(small.noise.blob, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == small.noise.data
    assert sources.faults == {}


def test_a_limit_that_begins_and_ends_counts_at_once(
    made: Made, seed: Start, connect: Connect, swarm: Swarm, tmp_path: Path
) -> None:
    place = connect(f"?peer=127.0.0.1:{seed()[1]}")
    thread = threading.Thread(target=Sources([place]).fetch, args=(made.noise.blob, tmp_path / "x"))
    with INFLOW.limited(50_000):
        thread.start()
        time.sleep(4)
        came = swarm.status().downloaded_bytes
    thread.join(30)
    assert not thread.is_alive()
    assert 0 < came < 400_000
    assert (tmp_path / "x").read_bytes() == made.noise.data
