"""One limit for all that comes, over whatever transport, and the clocks that go slower where it is waited for.

Lower bounds on times are sharp, upper ones have room for a machine that does other things too.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from edgekit.transport.deadline import Backend, Clock
from edgekit.transport.fetch import Sources
from edgekit.transport.file import FileTransport
from edgekit.transport.http import HttpTransport
from edgekit.transport.inflow import BUFFER_BYTES, INFLOW, MOST_PATIENCE, Waits, own_time, own_waits
from edgekit.transport.ipfs import IpfsTransport
from edgekit.transport.read_ahead import read_ahead
from edgekit.transport.reading import read_all
from edgekit.types.blob import Blob
from tests.transport.blobs import MIB, noise
from tests.transport.certificates import authority, server_context
from tests.transport.conftest import SHORT, Connect, Start, TransportOf
from tests.transport.ipfs_blocks import in_ipfs
from tests.transport.registry_stand_in import StandIn
from tests.transport.scripted import Scripted
from tests.transport.together import timed, together

SMALL, LARGE, BLOCKS = noise(300_000), noise(4 * MIB + 12_345), in_ipfs(300_000)
OFTEN = 4.0
"""So much longer than it should a transfer may take on a machine that is busy."""


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    yield
    assert INFLOW.bytes_per_s == 0


def read_blob(transport: IpfsTransport, blob: Blob) -> bytes:
    with transport.read_blob(blob, start=0, stop=blob.size_bytes, scratch=None) as chunks:
        return b"".join(chunks)


# The limit


def test_the_least_of_several_limits_counts() -> None:
    with INFLOW.limited(0):
        assert INFLOW.bytes_per_s == 0
        with INFLOW.limited(50_000), INFLOW.limited(20_000):
            assert INFLOW.bytes_per_s == 20_000
            with INFLOW.limited(20_000):
                pass
            assert INFLOW.bytes_per_s == 20_000


def test_without_a_limit_nothing_waits() -> None:
    assert INFLOW.portion(2**16) == 2**16
    assert timed(lambda: INFLOW.take(10**9)) < 1.0


@pytest.mark.parametrize("kind", ["http", "https", "oci", "ipfs"])
def test_every_transport_over_http_keeps_it(
    kind: str, start: Start, connect: Connect, transport_of: TransportOf, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, started: ExitStack,
) -> None:  # fmt: skip
    read: Callable[[], bytes]
    if kind == "oci":
        server = start({}, StandIn())
        place = transport_of(server)
        place.write(SMALL.blob.file_name, [SMALL.data], size_bytes=len(SMALL.data))
        data, read = SMALL.data, lambda: read_all(place, SMALL.blob.file_name, limit_bytes=MIB)
    elif kind == "ipfs":
        gateway = IpfsTransport(f"ipfs:{start(BLOCKS.blocks).url}", patience=SHORT)
        started.callback(gateway.close)
        data, read = BLOCKS.data, lambda: read_blob(gateway, BLOCKS.blob)
    else:
        mine = authority(tmp_path)
        monkeypatch.setenv("EDGEKIT_CA_FILE", str(mine.file))
        site = connect(start(SMALL.files, tls=server_context(mine, tmp_path) if kind == "https" else None))
        data, read = SMALL.data, lambda: read_all(site, SMALL.blob.file_name, limit_bytes=MIB)
    found: list[bytes] = []
    with INFLOW.limited(150_000):
        took_s = timed(lambda: found.append(read()))
    assert found == [data]
    assert 0.95 * len(data) / 150_000 < took_s < OFTEN * len(data) / 150_000


def test_it_is_one_for_all_together(start: Start, connect: Connect) -> None:
    """Also where each has connections of its own, and reads at its own time."""
    places = [connect(start(SMALL.files)) for _ in range(4)]
    with INFLOW.limited(500_000):
        took_s = timed(
            lambda: together([partial(read_all, place, SMALL.blob.file_name, limit_bytes=MIB) for place in places])
        )
    assert took_s > 0.95 * 4 * len(SMALL.data) / 500_000


def test_at_no_time_more_has_come_than_may_have(start: Start, connect: Connect) -> None:
    """Ten streams, of which each may be a fiftieth of a second ahead."""
    arrived: list[tuple[float, int]] = []
    places = [connect(start(SMALL.files)) for _ in range(10)]

    def read(place: HttpTransport) -> None:
        with place.read(SMALL.blob.file_name) as chunks:
            for chunk in chunks:
                arrived.append((time.monotonic(), len(chunk)))

    with INFLOW.limited(1_000_000):
        began = time.monotonic()
        assert together([partial(read, place) for place in places]) == []
    came = 0
    for at, size_bytes in sorted(arrived):
        came += size_bytes
        assert came <= 1_000_000 * (at - began + 10 / 50)
    assert came == 10 * len(SMALL.data)


def test_the_system_keeps_little_that_was_not_read(start: Start) -> None:
    """It has come by then, and the system takes megabytes of a fast stream on its own account."""
    server = start({})
    with INFLOW.limited(50_000):
        stream = Backend(Clock()).connect_tcp("127.0.0.1", server.port)
        kept = stream.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        stream.close()
    assert kept <= 2 * BUFFER_BYTES


def test_folders_are_not_limited(tmp_path: Path) -> None:
    place = FileTransport(tmp_path)
    place.write(LARGE.blob.file_name, [LARGE.data], size_bytes=len(LARGE.data))
    with INFLOW.limited(10_000):
        assert timed(lambda: read_all(place, LARGE.blob.file_name, limit_bytes=8 * MIB)) < 20


# The clocks


def test_a_clock_runs_at_a_tenth_of_the_speed_while_the_limit_is_waited_for() -> None:
    waits, began = Waits(), time.monotonic()
    before = waits.clock()
    with waits.waiting():
        time.sleep(0.5)
        inside = waits.clock() - before
    went, passed = waits.clock() - before, time.monotonic() - began
    assert 0 < inside <= went
    assert passed / MOST_PATIENCE <= went < passed - 0.85 * 0.5
    time.sleep(0.1)
    assert waits.clock() - before >= went + 0.1


def test_threads_that_work_for_one_wait_once() -> None:
    """Or else a clock would go backwards where four of them wait at the same time."""
    waits, done = Waits(), threading.Event()
    seen = [waits.clock()]

    def work() -> None:
        with waits.here(), own_waits().waiting():
            done.wait(10)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        time.sleep(0.02)
        seen.append(waits.clock())
    done.set()
    for thread in threads:
        thread.join()
    seen.append(waits.clock())
    assert seen == sorted(seen)


def test_each_thread_has_its_own() -> None:
    mine, others = own_waits(), []
    thread = threading.Thread(target=lambda: others.append(own_waits()))
    thread.start()
    thread.join()
    assert others[0] is not mine
    with Waits().here():
        assert own_waits() is not mine
        assert abs(own_time() - time.monotonic()) < 1.0
    assert own_waits() is mine


def test_blocks_that_are_read_ahead_wait_for_whoever_asked() -> None:
    seen: list[Waits] = []

    def read(job: int) -> Generator[bytes, None, None]:
        seen.append(own_waits())
        yield b"x"

    with Waits().here():
        assert b"".join(read_ahead(iter(range(5)), read, width=2)) == b"xxxxx"
        assert all(waits is own_waits() for waits in seen)


def test_a_source_is_judged_by_the_clock_of_its_reader(tmp_path: Path) -> None:
    seen: list[Waits] = []

    def script(data: bytes, start: int, stop: int) -> Iterator[bytes]:
        seen.append(own_waits())
        yield data[start:stop]

    sources = Sources([Scripted("memory:a", SMALL.files, script)])
    sources.fetch(SMALL.blob, tmp_path / "x")
    assert [waits is sources._sources[0].waits for waits in seen] == [True]
